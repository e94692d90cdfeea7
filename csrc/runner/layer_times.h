// What an inference's layers are, and where it spends its time.
#ifndef EDGEDEPLOY_RUNNER_LAYER_TIMES_H_
#define EDGEDEPLOY_RUNNER_LAYER_TIMES_H_

#include <nlohmann/json.hpp>

#include "runner/session.h"

namespace edgedeploy {

// Runs the model `passes` times layer by layer; see docs/runner.md for what that adds to a plain inference.
// Returns the "layers" array of the bench document.
nlohmann::ordered_json measure_layers(const Session& session, const std::vector<std::unique_ptr<InputFeed>>& feeds,
                                      int passes);

// The same array without times, out of one such run.
nlohmann::ordered_json describe_layers(const Session& session, const std::vector<std::unique_ptr<InputFeed>>& feeds);

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_RUNNER_LAYER_TIMES_H_
