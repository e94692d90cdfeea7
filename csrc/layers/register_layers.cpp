#include "layers/register_layers.h"

#include <net.h>

#include <new>

#include "layers/convolution_s8.h"
#include "layers/depthwise_convolution_s8.h"
#include "layers/inner_product_s8.h"

namespace edgedeploy {

namespace {

// Layers of this pack carry this address in `userdata`, which tells them from the engine's without run-time type
// information (the engine can be built without).
char pack_mark;

template <typename Layer>
ncnn::Layer* create_layer(void* /*userdata*/) {
  ncnn::Layer* layer = new (std::nothrow) Layer;
  if (layer != nullptr) layer->userdata = &pack_mark;
  return layer;
}

void destroy_layer(ncnn::Layer* layer, void* /*userdata*/) { delete layer; }

}  // namespace

void register_layers(ncnn::Net& net) {
  net.register_custom_layer("Convolution", create_layer<ConvolutionS8>, destroy_layer);
  net.register_custom_layer("ConvolutionDepthWise", create_layer<DepthwiseConvolutionS8>, destroy_layer);
  net.register_custom_layer("InnerProduct", create_layer<InnerProductS8>, destroy_layer);
}

bool computed_here(const ncnn::Layer& layer) {
  return layer.userdata == &pack_mark && static_cast<const OverStock&>(layer).computed_here();
}

float input_code_scale(const ncnn::Net& net, int blob) {
  const int consumer = net.blobs()[static_cast<size_t>(blob)].consumer;
  if (consumer < 0) return 0;
  const ncnn::Layer& layer = *net.layers()[static_cast<size_t>(consumer)];
  return layer.userdata == &pack_mark ? static_cast<const OverStock&>(layer).input_code_scale() : 0;
}

}  // namespace edgedeploy
