// Convolution as ncnn knows it, with int8 1x1 stride-1 convolutions computed by the packed gemm_s8 kernel.
//
// Stock ncnn writes int32 sums to memory and reads them again to requantize; here bias, activation and requantization
// happen in the kernel's registers. Everything else goes to ncnn's own layer, which this one owns and mirrors.
#ifndef EDGEDEPLOY_LAYERS_CONVOLUTION_1X1_S8_H_
#define EDGEDEPLOY_LAYERS_CONVOLUTION_1X1_S8_H_

#include <layer.h>

#include <memory>
#include <vector>

#include "kernels/table.h"

namespace edgedeploy {

class Convolution1x1S8 : public ncnn::Layer {
 public:
  Convolution1x1S8();
  ~Convolution1x1S8() override;

  int load_param(const ncnn::ParamDict& pd) override;
  int load_model(const ncnn::ModelBin& mb) override;
  int create_pipeline(const ncnn::Option& opt) override;
  int destroy_pipeline(const ncnn::Option& opt) override;

  int forward(const std::vector<ncnn::Mat>& bottom_blobs, std::vector<ncnn::Mat>& top_blobs,
              const ncnn::Option& opt) const override;
  int forward(const ncnn::Mat& bottom_blob, ncnn::Mat& top_blob, const ncnn::Option& opt) const override;
  int forward_inplace(std::vector<ncnn::Mat>& bottom_top_blobs, const ncnn::Option& opt) const override;
  int forward_inplace(ncnn::Mat& bottom_top_blob, const ncnn::Option& opt) const override;

  // True once create_pipeline has chosen the kernel.
  bool computed_here() const { return kernel_ != nullptr; }

 private:
  void give_stock_my_place();
  void take_stock_properties();
  bool parameters_covered(const ncnn::ParamDict& pd) const;
  bool weights_covered() const;
  int pack_weights();
  void fill_epilogue_vectors();
  int forward_covered(const ncnn::Mat& bottom_blob, ncnn::Mat& top_blob, const ncnn::Option& opt) const;
  int run(const ncnn::Mat& input, ncnn::Mat& output, const ncnn::Option& opt) const;

  std::unique_ptr<ncnn::Layer> stock_;
  bool is_candidate_ = false;  // By the parameters alone.
  bool has_bias_ = false;
  bool requantizes_ = false;
  int num_output_ = 0;
  int num_input_ = 0;
  GemmS8Epilogue epilogue_{};

  // As the model file has them, until they are packed.
  ncnn::Mat weights_;        // int8 [num_output][num_input]
  ncnn::Mat bias_;           // float [num_output]
  ncnn::Mat weight_scales_;  // float [num_output]
  ncnn::Mat input_scale_;    // float [1]
  ncnn::Mat output_scale_;   // float [1]

  const KernelRow* kernel_ = nullptr;
  ncnn::Mat packed_weights_;
  std::vector<float> scale_;        // [num_output up to a multiple of 8]: 1 / (input scale * weight scale)
  std::vector<float> bias_padded_;  // likewise
};

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_LAYERS_CONVOLUTION_1X1_S8_H_
