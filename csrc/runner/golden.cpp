#include "runner/golden.h"

#include <string>

#include "runner/comparison.h"
#include "runner/error.h"

namespace edgedeploy {

namespace {

Array read_golden(const Manifest& manifest, const OutputSpec& spec) {
  const std::string path = manifest.golden_outputs.at(spec.name);
  check_listed_size(manifest, path);
  Array golden = read_npy(path);
  if (golden.dtype != Dtype::kFloat32 || golden.shape != spec.shape) {
    throw RunnerError(ExitCode::kFile,
                      path + ": must be float32 " + shape_text(spec.shape) + ", is " + array_text(golden));
  }
  return golden;
}

}  // namespace

std::vector<Array> read_goldens(const Manifest& manifest) {
  std::vector<Array> goldens;
  for (const OutputSpec& spec : manifest.outputs) goldens.push_back(read_golden(manifest, spec));
  return goldens;
}

GoldenVerdict compare_with_goldens(const Manifest& manifest, const std::vector<Array>& goldens,
                                   const Results& results) {
  GoldenVerdict verdict;
  for (size_t i = 0; i < goldens.size(); ++i) {
    const Comparison comparison = compare(goldens[i].floats, results.outputs[i].floats);
    const bool passed = comparison.finite && comparison.cosine >= manifest.limits.cosine &&
                        comparison.max_abs_error <= manifest.limits.max_abs_error;
    verdict.passed = verdict.passed && passed;
    verdict.outputs.push_back({{"name", manifest.outputs[i].name},
                               {"cosine", comparison.cosine},
                               {"max_abs_error", comparison.max_abs_error},
                               {"sqnr_db", comparison.sqnr_db},
                               {"passed", passed}});
  }
  return verdict;
}

}  // namespace edgedeploy
