// A layer in the place of a built-in one of the engine, which it owns, whose properties it shows the engine, and to
// which it hands all that it does not do itself.
#ifndef EDGEDEPLOY_LAYERS_AROUND_STOCK_H_
#define EDGEDEPLOY_LAYERS_AROUND_STOCK_H_

#include <memory>
#include <vector>

#include "layers/pack_layer.h"

namespace edgedeploy {

// ncnn's return codes.
inline constexpr int kOk = 0;
inline constexpr int kFailed = -1;
inline constexpr int kOutOfMemory = -100;

class AroundStock : public PackLayer {
 public:
  // type_index: of the built-in layer, from layer_type.h.
  explicit AroundStock(int type_index);
  ~AroundStock() override;

  int load_param(const ncnn::ParamDict& pd) override;
  int load_model(const ncnn::ModelBin& mb) override;
  int create_pipeline(const ncnn::Option& opt) override;
  int destroy_pipeline(const ncnn::Option& opt) override;

  int forward(const std::vector<ncnn::Mat>& bottom_blobs, std::vector<ncnn::Mat>& top_blobs,
              const ncnn::Option& opt) const override;
  int forward(const ncnn::Mat& bottom_blob, ncnn::Mat& top_blob, const ncnn::Option& opt) const override;
  int forward_inplace(std::vector<ncnn::Mat>& bottom_top_blobs, const ncnn::Option& opt) const override;
  int forward_inplace(ncnn::Mat& bottom_top_blob, const ncnn::Option& opt) const override;

  bool computed_here() const override { return false; }

 protected:
  void give_stock_my_place();
  void take_stock_properties();
  // The built-in layer is not needed any more, nor are its weights. Every call that is left to it fails then.
  void drop_stock() { stock_.reset(); }
  bool has_stock() const { return stock_ != nullptr; }

 private:
  std::unique_ptr<ncnn::Layer> stock_;
};

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_LAYERS_AROUND_STOCK_H_
