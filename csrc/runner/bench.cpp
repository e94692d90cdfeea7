// `bench`: loads, first inference, warm-up, timed runs, layers, memory and the board's state, in that order.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "runner/affinity.h"
#include "runner/clock.h"
#include "runner/commands.h"
#include "runner/conditions.h"
#include "runner/layer_times.h"
#include "runner/memory.h"
#include "runner/outputs.h"
#include "runner/session.h"

namespace edgedeploy {

namespace {

using nlohmann::ordered_json;

constexpr int kMaxLayerPasses = 5;

// Asks the kernel to forget a file's pages. True if it took the request.
bool drop_from_page_cache(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  const bool dropped = posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED) == 0;
  close(file);
  return dropped;
}

struct Sample {
  double pre_us = 0;
  double inference_us = 0;
  double post_us = 0;
};

class Bench {
 public:
  explicit Bench(const Options& options) : options_(options), manifest_(read_manifest(options.release_dir)) {
    threads_ = choose_threads(options.threads);
  }

  ordered_json run() {
    note_memory("start");
    feeds_ = load_inputs(manifest_, options_.inputs);
    const ordered_json load = measure_load();
    reset_peak_memory();
    const double first_us = run_once().inference_us;
    note_memory("first_inference");
    reset_peak_memory();
    const ordered_json before = read_conditions();
    warm_up();
    const ordered_json samples = timed_runs();
    const ordered_json after = read_conditions();
    note_memory("bench");
    const ordered_json layers = options_.layers
                                    ? measure_layers(*session_, feeds_, std::min(options_.runs, kMaxLayerPasses))
                                    : ordered_json::array();
    const ordered_json identity = version_command();
    return {{"schema", 1},
            {"runner", identity["runner"]},
            {"engine", identity["engine"]},
            {"config", config()},
            {"preprocessing", preprocessing()},
            {"load", load},
            {"first_inference_us", first_us},
            {"samples", samples},
            {"layers", layers},
            {"memory", memory_},
            {"conditions", {{"before", before}, {"after", after}}},
            {"outputs", write_outputs(manifest_, results_, options_.output_dir)},
            {"postprocessing", postprocessing_json(manifest_, results_)}};
  }

 private:
  double load_us() {
    session_.reset();
    const double begin_us = now_us();
    session_ = std::make_unique<Session>(manifest_, SessionOptions{threads_, !options_.disable_layers});
    session_->choose_input_types(feeds_);
    return now_us() - begin_us;
  }

  ordered_json measure_load() {
    reset_peak_memory();
    // Dirty pages stay in the cache whatever is asked.
    sync();
    const bool dropped = drop_from_page_cache(manifest_.param_path) && drop_from_page_cache(manifest_.weights_path);
    const double cold_us = load_us();
    const double warm_us = load_us();
    note_memory("load");
    return {{"cold_us", cold_us}, {"warm_us", warm_us}, {"cold_method", dropped ? "posix_fadvise" : "none"}};
  }

  Sample run_once() {
    Sample sample;
    const double begin_us = now_us();
    for (const auto& feed : feeds_) feed->fill();
    const double filled_us = now_us();
    const std::vector<ncnn::Mat> mats = session_->infer(feeds_);
    const double inferred_us = now_us();
    results_ = postprocess(manifest_, mats);
    sample.pre_us = filled_us - begin_us;
    sample.inference_us = inferred_us - filled_us;
    sample.post_us = now_us() - inferred_us;
    return sample;
  }

  void warm_up() {
    for (int i = 1; i <= options_.warmup; ++i) {
      fprintf(stderr, "progress: warmup %d/%d\n", i, options_.warmup);
      run_once();
    }
  }

  ordered_json timed_runs() {
    ordered_json samples = ordered_json::array();
    const double begin_us = now_us();
    for (int i = 1; i <= options_.runs || now_us() - begin_us < options_.seconds * 1e6; ++i) {
      fprintf(stderr, "progress: run %d/%d\n", i, std::max(i, options_.runs));
      const Sample sample = run_once();
      samples.push_back(
          {{"pre_us", sample.pre_us}, {"inference_us", sample.inference_us}, {"post_us", sample.post_us}});
    }
    return samples;
  }

  void note_memory(const char* phase) {
    const MemoryUse use = memory_use();
    memory_.push_back({{"phase", phase}, {"rss_bytes", use.rss_bytes}, {"peak_rss_bytes", use.peak_rss_bytes}});
  }

  ordered_json preprocessing() const {
    ordered_json inputs = ordered_json::array();
    for (const auto& feed : feeds_) {
      const ordered_json kernel = feed->kernel() != nullptr ? ordered_json(feed->kernel()->name) : ordered_json();
      inputs.push_back({{"input", feed->name()}, {"kernel", kernel}});
    }
    return inputs;
  }

  ordered_json config() const {
    return {{"warmup", options_.warmup},
            {"runs", options_.runs},
            {"seconds", options_.seconds},
            {"threads", threads_},
            {"cpus_requested", options_.cpus},
            {"cpus_applied", applied_cpus()},
            {"precision", precision_name(manifest_.precision)}};
  }

  Options options_;
  Manifest manifest_;
  int threads_ = 1;
  std::vector<std::unique_ptr<InputFeed>> feeds_;
  std::unique_ptr<Session> session_;
  Results results_;
  ordered_json memory_ = ordered_json::array();
};

}  // namespace

ordered_json bench_command(const Options& options) {
  // Before the engine starts threads, which inherit it.
  if (!options.cpus.empty()) bind_to_cpus(options.cpus);
  return Bench(options).run();
}

}  // namespace edgedeploy
