#include "layers/register_layers.h"

#include <net.h>

#include <new>

#include "dispatch/dispatch.h"
#include "layers/code_blobs.h"
#include "layers/codes_concat.h"
#include "layers/convolution_s8.h"
#include "layers/depthwise_convolution_s8.h"
#include "layers/inner_product_s8.h"
#include "layers/max_pooling.h"
#include "layers/rectifier.h"

namespace edgedeploy {

namespace {

template <typename Layer>
ncnn::Layer* create_layer(void* /*userdata*/) {
  ncnn::Layer* layer = new (std::nothrow) Layer;
  if (layer != nullptr) layer->userdata = &pack_mark;
  return layer;
}

void destroy_layer(ncnn::Layer* layer, void* /*userdata*/) { delete layer; }

// The references say what kernels compute; nothing waits for them. A CPU without kernels keeps the engine's own layers.
bool has_kernels() {
  const KernelRow* row = select_kernel(kOpGemmS8, cpu_features());
  return row != nullptr && row->isa != kIsaNone;
}

}  // namespace

void register_layers(ncnn::Net& net) {
  if (!has_kernels()) return;
  net.register_custom_layer("Convolution", create_layer<ConvolutionS8>, destroy_layer);
  net.register_custom_layer("ConvolutionDepthWise", create_layer<DepthwiseConvolutionS8>, destroy_layer);
  net.register_custom_layer("InnerProduct", create_layer<InnerProductS8>, destroy_layer);
  net.register_custom_layer("Pooling", create_layer<MaxPooling>, destroy_layer);
  net.register_custom_layer("Concat", create_layer<CodesConcat>, destroy_layer);
  net.register_custom_layer("ReLU", create_layer<Rectifier>, destroy_layer);
}

void keep_codes(ncnn::Net& net, const std::vector<int>& kept) { plan_code_blobs(net, kept); }

bool computed_here(const ncnn::Layer& layer) {
  const PackLayer* pack = pack_layer(layer);
  return pack != nullptr && pack->computed_here();
}

float input_code_scale(const ncnn::Net& net, int blob) {
  const int consumer = net.blobs()[static_cast<size_t>(blob)].consumer;
  if (consumer < 0) return 0;
  const ncnn::Layer& layer = *net.layers()[static_cast<size_t>(consumer)];
  const PackLayer* pack = pack_layer(layer);
  return pack != nullptr ? pack->input_code_scale() : 0;
}

}  // namespace edgedeploy
