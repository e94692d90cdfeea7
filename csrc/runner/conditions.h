// What state the board is in while it measures.
#ifndef EDGEDEPLOY_RUNNER_CONDITIONS_H_
#define EDGEDEPLOY_RUNNER_CONDITIONS_H_

#include <nlohmann/json.hpp>

namespace edgedeploy {

// {"governors": {"cpu0": "performance"}, "frequencies_khz": {"cpu0": 1800000}, "temperatures_mc": {"thermal_zone0":
// 45000}}; what the board does not show is an empty object.
nlohmann::ordered_json read_conditions();

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_RUNNER_CONDITIONS_H_
