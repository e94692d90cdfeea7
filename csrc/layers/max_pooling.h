// Pooling as the engine has it, with maxima of int8 codes by eights computed here, and of halves by eights of layers
// that end in a ReLU: without a padded copy, each column of a window once for all windows that share it.
#ifndef EDGEDEPLOY_LAYERS_MAX_POOLING_H_
#define EDGEDEPLOY_LAYERS_MAX_POOLING_H_

#include "layers/around_stock.h"
#include "layers/window.h"

namespace edgedeploy {

class MaxPooling : public AroundStock {
 public:
  MaxPooling();

  int load_param(const ncnn::ParamDict& pd) override;
  int create_pipeline(const ncnn::Option& opt) override;

  using AroundStock::forward;
  int forward(const ncnn::Mat& bottom_blob, ncnn::Mat& top_blob, const ncnn::Option& opt) const override;

  bool computed_here() const override { return codes_ || (has_halves_ && comes_by_eights_); }
  bool passes_codes() const override { return is_maximum_; }
  void pass_codes() override { codes_ = true; }
  void expect_no_negatives(bool by_eights) override { comes_by_eights_ = by_eights; }
  bool could_write_codes_beside() const override { return has_halves_ && comes_by_eights_; }
  void write_codes_beside(float scale) override { scale_beside_ = scale; }

 private:
  bool is_maximum_ = false;  // Of windows, by a rule of padding that is known here.
  bool codes_ = false;
  bool has_halves_ = false;       // Its float blobs are of half precision, by eights where the channels allow,
  bool comes_by_eights_ = false;  // which they do, and none is negative.
  bool takes_partial_windows_ = false;
  float scale_beside_ = 0;  // Of codes that it writes beside halves; 0 where it does not.
  Window window_;
};

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_LAYERS_MAX_POOLING_H_
