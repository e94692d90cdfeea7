#include "layers/register_layers.h"

#include <net.h>

#include <new>

#include "layers/convolution_1x1_s8.h"

namespace edgedeploy {

namespace {

// Layers of this pack carry this address in `userdata`, which tells them from the engine's without run-time type
// information (the engine can be built without).
char pack_mark;

ncnn::Layer* create_convolution(void* /*userdata*/) {
  ncnn::Layer* layer = new (std::nothrow) Convolution1x1S8;
  if (layer != nullptr) layer->userdata = &pack_mark;
  return layer;
}

void destroy_layer(ncnn::Layer* layer, void* /*userdata*/) { delete layer; }

}  // namespace

void register_layers(ncnn::Net& net) { net.register_custom_layer("Convolution", create_convolution, destroy_layer); }

bool computed_here(const ncnn::Layer& layer) {
  return layer.userdata == &pack_mark && static_cast<const Convolution1x1S8&>(layer).computed_here();
}

}  // namespace edgedeploy
