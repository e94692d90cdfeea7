// ReLU as the engine has it. Ours to tell int8 layers behind it that nothing they read is negative, and to do nothing
// where the layer before it does it all.
#ifndef EDGEDEPLOY_LAYERS_RECTIFIER_H_
#define EDGEDEPLOY_LAYERS_RECTIFIER_H_

#include <layer_type.h>
#include <paramdict.h>

#include "layers/around_stock.h"

namespace edgedeploy {

class Rectifier : public AroundStock {
 public:
  Rectifier() : AroundStock(ncnn::LayerType::ReLU) {}

  int load_param(const ncnn::ParamDict& pd) override {
    constexpr int kParamSlope = 0;
    has_slope_ = pd.get(kParamSlope, 0.0f) != 0.0f;
    return AroundStock::load_param(pd);
  }

  using AroundStock::forward_inplace;
  int forward_inplace(ncnn::Mat& bottom_top_blob, const ncnn::Option& opt) const override {
    return is_left_to_the_writer_ ? kOk : AroundStock::forward_inplace(bottom_top_blob, opt);
  }

  bool computed_here() const override { return is_left_to_the_writer_; }
  Written written() const override { return {!has_slope_, false}; }
  bool passes_codes() const override { return is_left_to_the_writer_; }
  bool only_rectifies() const override { return !has_slope_; }
  void leave_it_to_the_writer() override { is_left_to_the_writer_ = true; }

 private:
  bool has_slope_ = false;
  bool is_left_to_the_writer_ = false;
};

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_LAYERS_RECTIFIER_H_
