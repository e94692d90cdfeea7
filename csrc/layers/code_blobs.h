// Blobs that hold int8 codes between layers although the model has float there.
#ifndef EDGEDEPLOY_LAYERS_CODE_BLOBS_H_
#define EDGEDEPLOY_LAYERS_CODE_BLOBS_H_

#include <net.h>

#include <vector>

namespace edgedeploy {

// given: blobs that are set from outside, whatever layer makes them. kept: blobs that stay as the model has them. What
// each layer of the pack is told: register_layers.h.
void plan_code_blobs(ncnn::Net& net, const std::vector<int>& given, const std::vector<int>& kept);

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_LAYERS_CODE_BLOBS_H_
