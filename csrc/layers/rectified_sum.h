// BinaryOp as the engine has it, with the sum of two like blobs and the ReLU behind it computed here in one pass, and
// stored as int8 codes where all that read it quantize.
#ifndef EDGEDEPLOY_LAYERS_RECTIFIED_SUM_H_
#define EDGEDEPLOY_LAYERS_RECTIFIED_SUM_H_

#include <vector>

#include "layers/around_stock.h"

namespace edgedeploy {

class RectifiedSum : public AroundStock {
 public:
  RectifiedSum();

  int load_param(const ncnn::ParamDict& pd) override;
  int create_pipeline(const ncnn::Option& opt) override;

  using AroundStock::forward;
  int forward(const std::vector<ncnn::Mat>& bottom_blobs, std::vector<ncnn::Mat>& top_blobs,
              const ncnn::Option& opt) const override;

  bool computed_here() const override { return rectifies_; }
  bool could_rectify() const override { return adds_; }
  void rectify() override { rectifies_ = true; }
  void expect_eights() override { ++bottoms_by_eights_; }
  Written written() const override { return {rectifies_, bottoms_by_eights_ == 2}; }
  bool could_write_codes() const override { return rectifies_ && bottoms_by_eights_ == 2; }
  void write_codes(float scale) override { code_scale_ = scale; }
  bool could_write_codes_beside() const override { return has_halves_ && could_write_codes(); }
  void write_codes_beside(float scale) override { scale_beside_ = scale; }
  bool reads_planes_apart() const override { return has_halves_ && rectifies_; }

 private:
  bool is_fast(const ncnn::Mat& a, const ncnn::Mat& b) const;
  int as_stock(const std::vector<ncnn::Mat>& bottom_blobs, ncnn::Mat& top, const ncnn::Option& opt) const;

  bool adds_ = false;        // two blobs, and in a type that is known here
  bool has_halves_ = false;  // Its blobs are of half precision, and so is the engine's arithmetic.
  bool rectifies_ = false;
  int bottoms_by_eights_ = 0;
  float code_scale_ = 0;    // Codes a unit; 0 where it writes float.
  float scale_beside_ = 0;  // Of codes that it writes beside halves; 0 where it does not.
};

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_LAYERS_RECTIFIED_SUM_H_
