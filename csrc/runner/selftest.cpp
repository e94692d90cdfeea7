// `selftest` and `infer`: one inference on the golden inputs or on the caller's.
#include "runner/clock.h"
#include "runner/commands.h"
#include "runner/comparison.h"
#include "runner/error.h"
#include "runner/memory.h"
#include "runner/outputs.h"
#include "runner/session.h"

namespace edgedeploy {

namespace {

using nlohmann::ordered_json;

Results infer_once(const Manifest& manifest, const Options& options, const std::map<std::string, std::string>& chosen) {
  const std::vector<std::unique_ptr<InputFeed>> feeds = load_inputs(manifest, chosen);
  const Session session(manifest, {choose_threads(options.threads), !options.disable_layers});
  session.choose_input_types(feeds);
  for (const auto& feed : feeds) feed->fill();
  return postprocess(manifest, session.infer(feeds));
}

Array golden_output(const Manifest& manifest, const OutputSpec& spec) {
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

ordered_json selftest_command(const Options& options) {
  const double begin_us = now_us();
  const Manifest manifest = read_manifest(options.release_dir);
  std::vector<Array> goldens;
  for (const OutputSpec& spec : manifest.outputs) goldens.push_back(golden_output(manifest, spec));

  const Results results = infer_once(manifest, options, {});
  ordered_json outputs = ordered_json::array();
  bool all_passed = true;
  for (size_t i = 0; i < goldens.size(); ++i) {
    const Comparison comparison = compare(goldens[i].floats, results.outputs[i].floats);
    const bool passed = comparison.finite && comparison.cosine >= manifest.limits.cosine &&
                        comparison.max_abs_error <= manifest.limits.max_abs_error;
    all_passed = all_passed && passed;
    outputs.push_back({{"name", manifest.outputs[i].name},
                       {"cosine", comparison.cosine},
                       {"max_abs_error", comparison.max_abs_error},
                       {"sqnr_db", comparison.sqnr_db},
                       {"passed", passed}});
  }
  return {{"schema", 1},
          {"passed", all_passed},
          {"outputs", outputs},
          {"duration_us", now_us() - begin_us},
          {"peak_rss_bytes", memory_use().peak_rss_bytes}};
}

ordered_json infer_command(const Options& options) {
  const Manifest manifest = read_manifest(options.release_dir);
  for (const InputSpec& input : manifest.inputs) {
    if (options.inputs.count(input.name) == 0) {
      throw RunnerError(ExitCode::kUsage, "'infer' needs --input " + input.name + "=FILE.npy");
    }
  }
  const Results results = infer_once(manifest, options, options.inputs);
  return {{"schema", 1},
          {"outputs", write_outputs(manifest, results, options.output_dir)},
          {"postprocessing", postprocessing_json(manifest, results)}};
}

}  // namespace edgedeploy
