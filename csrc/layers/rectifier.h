// ReLU as the engine has it. Ours only to tell int8 layers behind it that nothing they read is negative.
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

  Written written() const override { return {!has_slope_, false}; }

 private:
  bool has_slope_ = false;
};

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_LAYERS_RECTIFIER_H_
