// Concat as the engine has it, and of int8 codes by eights, which the engine's does not know.
#ifndef EDGEDEPLOY_LAYERS_CODES_CONCAT_H_
#define EDGEDEPLOY_LAYERS_CODES_CONCAT_H_

#include <vector>

#include "layers/around_stock.h"

namespace edgedeploy {

class CodesConcat : public AroundStock {
 public:
  CodesConcat();

  int load_param(const ncnn::ParamDict& pd) override;

  using AroundStock::forward;
  int forward(const std::vector<ncnn::Mat>& bottom_blobs, std::vector<ncnn::Mat>& top_blobs,
              const ncnn::Option& opt) const override;

  bool computed_here() const override { return codes_; }
  bool passes_codes() const override { return of_channels_; }
  void pass_codes() override { codes_ = true; }

 private:
  bool of_channels_ = false;
  bool codes_ = false;
};

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_LAYERS_CODES_CONCAT_H_
