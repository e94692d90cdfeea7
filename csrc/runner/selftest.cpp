// `selftest` and `infer`: one inference on the golden inputs or on the caller's.
#include "runner/clock.h"
#include "runner/commands.h"
#include "runner/error.h"
#include "runner/golden.h"
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

}  // namespace

ordered_json selftest_command(const Options& options) {
  const double begin_us = now_us();
  const Manifest manifest = read_manifest(options.release_dir);
  const std::vector<Array> goldens = read_goldens(manifest);
  const GoldenVerdict verdict = compare_with_goldens(manifest, goldens, infer_once(manifest, options, {}));
  return {{"schema", 1},
          {"passed", verdict.passed},
          {"outputs", verdict.outputs},
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
