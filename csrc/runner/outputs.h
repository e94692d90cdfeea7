// From the engine's outputs to plain arrays, and what the manifest's postprocessing makes of them.
#ifndef EDGEDEPLOY_RUNNER_OUTPUTS_H_
#define EDGEDEPLOY_RUNNER_OUTPUTS_H_

#include <mat.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "runner/manifest.h"
#include "runner/npy.h"

namespace edgedeploy {

// What one inference delivers, after "post".
struct Results {
  std::vector<Array> outputs;                // float32, in the manifest's order.
  std::vector<std::vector<size_t>> classes;  // kArgmax: the index of the largest value along the last axis, each row.
  std::vector<Array> masks;                  // kThreshold: 1 where the value is above the threshold, else 0.
};

// The Mat's elements without the padding between its planes. Throws RunnerError(kInference) if the shape is not
// `spec`'s.
Array to_array(const ncnn::Mat& mat, const OutputSpec& spec);

// What the benchmark times as "post".
Results postprocess(const Manifest& manifest, const std::vector<ncnn::Mat>& mats);

// {"kind": "argmax", "outputs": [{"name": "out0", "values": [3]}]}; for a threshold the count of elements above it.
nlohmann::ordered_json postprocessing_json(const Manifest& manifest, const Results& results);

// [{"name": "out0", "shape": [..], "file": "/abs/out0.npy"}]; writes the arrays (and masks, as NAME.mask.npy) into
// `output_dir`, or nothing and null files when it is empty.
nlohmann::ordered_json write_outputs(const Manifest& manifest, const Results& results, const std::string& output_dir);

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_RUNNER_OUTPUTS_H_
