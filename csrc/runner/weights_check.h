// Whether a .bin file is what the layers of a graph want, before the engine takes memory for it.
#ifndef EDGEDEPLOY_RUNNER_WEIGHTS_CHECK_H_
#define EDGEDEPLOY_RUNNER_WEIGHTS_CHECK_H_

#include <string>

namespace edgedeploy {

// The engine takes memory for as many weights as the graph announces, gigabytes where a number is damaged, and only
// then reads; and it gives int8 weights to layers that read four bytes a weight. This walks over the file as the layers
// would, and reads no more than the tags.
//
// `text`: the graph. `path`: the weights. Throws RunnerError: kFile where the file cannot be read, kModel where it ends
// too early or has int8 weights for a layer without scales. A graph that the engine refuses is left to it.
void check_weights(const std::string& text, const std::string& path);

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_RUNNER_WEIGHTS_CHECK_H_
