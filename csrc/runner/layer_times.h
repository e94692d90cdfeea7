// Where an inference spends its time, layer by layer.
#ifndef EDGEDEPLOY_RUNNER_LAYER_TIMES_H_
#define EDGEDEPLOY_RUNNER_LAYER_TIMES_H_

#include <nlohmann/json.hpp>

#include "runner/session.h"

namespace edgedeploy {

// Runs the model `passes` times layer by layer; see docs/runner.md for what that adds to a plain inference.
// Returns the "layers" array of the bench document.
nlohmann::ordered_json measure_layers(const Session& session, const std::vector<std::unique_ptr<InputFeed>>& feeds,
                                      int passes);

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_RUNNER_LAYER_TIMES_H_
