// The operator pack for any program that uses the engine: one call before Net::load_param.
//
//   ncnn::Net net;
//   edgedeploy::register_layers(net);
//   net.load_param("model.param");
#ifndef EDGEDEPLOY_LAYERS_REGISTER_LAYERS_H_
#define EDGEDEPLOY_LAYERS_REGISTER_LAYERS_H_

namespace ncnn {
class Layer;
class Net;
}  // namespace ncnn

namespace edgedeploy {

// Puts this project's layers over the engine's built-in ones of the same name. What they do not cover they hand to the
// built-in layer, so that a model gives the same results either way.
void register_layers(ncnn::Net& net);

// True if a kernel of this project computes the layer, false if the engine's own code does. To be asked after the
// weights are loaded.
bool computed_here(const ncnn::Layer& layer);

// Codes a unit of an input blob whose one consumer is a layer of this pack that takes int8 with any number of channels:
// such an input may be set as int8, elempack 1, clamped to +-127. 0 for any other. To be asked after the weights are
// loaded.
float input_code_scale(const ncnn::Net& net, int blob);

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_LAYERS_REGISTER_LAYERS_H_
