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

}  // namespace edgedeploy
