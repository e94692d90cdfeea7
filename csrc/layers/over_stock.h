// A layer that replaces a built-in one of the engine where a kernel of this project covers it, and hands everything
// else to the built-in one, which it owns and whose properties it shows the engine.
#ifndef EDGEDEPLOY_LAYERS_OVER_STOCK_H_
#define EDGEDEPLOY_LAYERS_OVER_STOCK_H_

#include <layer.h>

#include <memory>
#include <vector>

#include "layers/int8_weights.h"

namespace edgedeploy {

// ncnn's return codes.
inline constexpr int kOk = 0;
inline constexpr int kFailed = -1;
inline constexpr int kOutOfMemory = -100;

class OverStock : public ncnn::Layer {
 public:
  // type_index: of the built-in layer, from layer_type.h.
  explicit OverStock(int type_index);
  ~OverStock() override;

  int load_param(const ncnn::ParamDict& pd) override;
  int load_model(const ncnn::ModelBin& mb) override;
  int create_pipeline(const ncnn::Option& opt) override;
  int destroy_pipeline(const ncnn::Option& opt) override;

  int forward(const std::vector<ncnn::Mat>& bottom_blobs, std::vector<ncnn::Mat>& top_blobs,
              const ncnn::Option& opt) const override;
  int forward(const ncnn::Mat& bottom_blob, ncnn::Mat& top_blob, const ncnn::Option& opt) const override;
  int forward_inplace(std::vector<ncnn::Mat>& bottom_top_blobs, const ncnn::Option& opt) const override;
  int forward_inplace(ncnn::Mat& bottom_top_blob, const ncnn::Option& opt) const override;

  // True once create_pipeline has taken the layer over from the built-in one.
  bool computed_here() const { return stock_ == nullptr; }

  // Codes a unit of an input that may come as int8 with any number of channels; 0 where the engine has to quantize it.
  virtual float input_code_scale() const { return 0; }

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
  void give_stock_my_place();
  void take_stock_properties();

  std::unique_ptr<ncnn::Layer> stock_;
  bool is_candidate_ = false;  // By the parameters and the shape of the weights.
  Int8Weights weights_;        // Until prepare() has packed them.
};

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_LAYERS_OVER_STOCK_H_
