#include "layers/register_layers.h"

#include <net.h>

#include <algorithm>
#include <new>

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

}  // namespace

void register_layers(ncnn::Net& net) {
  net.register_custom_layer("Convolution", create_layer<ConvolutionS8>, destroy_layer);
  net.register_custom_layer("ConvolutionDepthWise", create_layer<DepthwiseConvolutionS8>, destroy_layer);
  net.register_custom_layer("InnerProduct", create_layer<InnerProductS8>, destroy_layer);
  net.register_custom_layer("Pooling", create_layer<MaxPooling>, destroy_layer);
  net.register_custom_layer("Concat", create_layer<CodesConcat>, destroy_layer);
  net.register_custom_layer("ReLU", create_layer<Rectifier>, destroy_layer);
}

void keep_codes(ncnn::Net& net, const std::vector<int>& given, const std::vector<int>& kept) {
  plan_code_blobs(net, given, kept);
}

bool computed_here(const ncnn::Layer& layer) {
  const PackLayer* pack = pack_layer(layer);
  return pack != nullptr && pack->computed_here();
}

float input_code_scale(const ncnn::Net& net, int blob) {
  const ncnn::Layer* reader = nullptr;
  for (const ncnn::Layer* layer : net.layers()) {
    const auto times = std::count(layer->bottoms.begin(), layer->bottoms.end(), blob);
    if (times == 0) continue;
    if (times > 1 || reader != nullptr) return 0;
    reader = layer;
  }
  const PackLayer* pack = reader != nullptr ? pack_layer(*reader) : nullptr;
  return pack != nullptr ? pack->input_code_scale() : 0;
}

}  // namespace edgedeploy
