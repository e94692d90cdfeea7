// `count`: plain inferences with marks between and around the layers, for an emulator that counts what runs.
#include "runner/commands.h"
#include "runner/layer_marks.h"
#include "runner/layer_times.h"
#include "runner/outputs.h"
#include "runner/session.h"

namespace edgedeploy {

namespace {

using nlohmann::ordered_json;

void marked_runs(LayerMarks& marks, const Session& session, const std::vector<std::unique_ptr<InputFeed>>& feeds,
                 int runs) {
  marks.mark_boundary();
  for (int run = 0; run < runs; ++run) {
    marks.mark_outside();
    session.infer(feeds);
    marks.mark_boundary();
  }
}

}  // namespace

ordered_json count_command(const Options& options) {
  const Manifest manifest = read_manifest(options.release_dir);
  const std::vector<std::unique_ptr<InputFeed>> feeds = load_inputs(manifest, options.inputs);
  const int threads = choose_threads(options.threads);
  Session session(manifest, {threads, !options.disable_layers});
  for (const auto& feed : feeds) feed->fill();
  {
    LayerMarks marks(session.net());
    marked_runs(marks, session, feeds, options.runs);
    // In an inference of its own, through the marks as well: to keep the results of a counted one would change it.
    if (!options.output_dir.empty()) {
      write_outputs(manifest, postprocess(manifest, session.infer(feeds)), options.output_dir);
    }
  }
  const ordered_json identity = version_command();
  return {{"schema", 1},        {"runner", identity["runner"]}, {"engine", identity["engine"]},
          {"threads", threads}, {"runs", options.runs},         {"layers", describe_layers(session, feeds)}};
}

}  // namespace edgedeploy
