// A layer that replaces a built-in one of the engine where a kernel of this project covers it, and hands everything
// else to the built-in one.
#ifndef EDGEDEPLOY_LAYERS_OVER_STOCK_H_
#define EDGEDEPLOY_LAYERS_OVER_STOCK_H_

#include <vector>

#include "layers/around_stock.h"
#include "layers/int8_weights.h"

namespace edgedeploy {

class OverStock : public AroundStock {
 public:
  explicit OverStock(int type_index) : AroundStock(type_index) {}

  int load_param(const ncnn::ParamDict& pd) override;
  int load_model(const ncnn::ModelBin& mb) override;
  int create_pipeline(const ncnn::Option& opt) override;

  using AroundStock::forward;
  int forward(const ncnn::Mat& bottom_blob, ncnn::Mat& top_blob, const ncnn::Option& opt) const override;

  // True once create_pipeline has taken the layer over from the built-in one.
  bool computed_here() const override { return !has_stock(); }

 protected:
  // What the parameters say of the weights, or nothing to load where they are not covered.
  virtual bool read_params(const ncnn::ParamDict& pd) = 0;
  virtual Int8Layout weights_layout() const = 0;
  // False: the built-in layer keeps the work. Must leave nothing behind then.
  virtual bool covers(const Int8Weights& weights, const ncnn::Option& opt) const = 0;
  // Packs what run() needs.
  virtual int prepare(const Int8Weights& weights, const ncnn::Option& opt) = 0;
  virtual int run(const ncnn::Mat& bottom_blob, ncnn::Mat& top_blob, const ncnn::Option& opt) const = 0;

 private:
  bool is_candidate_ = false;  // By the parameters and the shape of the weights.
  Int8Weights weights_;        // Until prepare() has packed them.
};

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_LAYERS_OVER_STOCK_H_
