// The release's golden outputs, and how others compare with them within the manifest's limits.
#ifndef EDGEDEPLOY_RUNNER_GOLDEN_H_
#define EDGEDEPLOY_RUNNER_GOLDEN_H_

#include <nlohmann/json.hpp>
#include <vector>

#include "runner/manifest.h"
#include "runner/npy.h"
#include "runner/outputs.h"

namespace edgedeploy {

struct GoldenVerdict {
  // [{"name": "out0", "cosine": 1.0, "max_abs_error": 1e-6, "sqnr_db": 90.0, "passed": true}], in the manifest's order.
  nlohmann::ordered_json outputs = nlohmann::ordered_json::array();
  bool passed = true;
};

// In the manifest's order. Throws RunnerError(kFile) for a file that is missing, of another size than the manifest
// lists, or of another type or shape than the output.
std::vector<Array> read_goldens(const Manifest& manifest);

GoldenVerdict compare_with_goldens(const Manifest& manifest, const std::vector<Array>& goldens, const Results& results);

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_RUNNER_GOLDEN_H_
