// The operator pack for any program that uses the engine: one call before Net::load_param.
//
//   ncnn::Net net;
//   edgedeploy::register_layers(net);
//   net.load_param("model.param");
#ifndef EDGEDEPLOY_LAYERS_REGISTER_LAYERS_H_
#define EDGEDEPLOY_LAYERS_REGISTER_LAYERS_H_

#include <vector>

namespace ncnn {
class Layer;
class Net;
}  // namespace ncnn

namespace edgedeploy {

// Puts this project's layers over the engine's built-in ones of the same name. What they do not cover they hand to the
// built-in layer, so that a model gives the same results either way.
void register_layers(ncnn::Net& net);

// To be called once the weights are loaded, by programs that set no blobs but those that they name in `given` and read
// none but the net's outputs and those in `kept`: where all that reads a float blob quantizes it at one scale, int8
// layers hand on the codes themselves, also through Split, Concat of channels and maximum pooling. Such blobs hold
// codes then. A given blob may be one that a layer of the net makes, which does not run then: it stays float, and
// nothing is taken for granted of its values. The results differ by the rounding of a float that is not made.
void keep_codes(ncnn::Net& net, const std::vector<int>& given, const std::vector<int>& kept);

// True if a kernel of this project computes the layer, false if the engine's own code does. To be asked after the
// weights are loaded.
bool computed_here(const ncnn::Layer& layer);

// Codes a unit of an input blob whose one reader is a layer of this pack that takes int8 with any number of channels:
// such an input may be set as int8, elempack 1, clamped to +-127. 0 for any other. To be asked after the weights are
// loaded.
float input_code_scale(const ncnn::Net& net, int blob);

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_LAYERS_REGISTER_LAYERS_H_
