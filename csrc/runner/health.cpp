// `health`: golden outputs, a short timed run and the peak of memory, each held against its limit, in one process.
#include <algorithm>
#include <cstdio>
#include <numeric>

#include "runner/affinity.h"
#include "runner/clock.h"
#include "runner/commands.h"
#include "runner/golden.h"
#include "runner/memory.h"
#include "runner/session.h"

namespace edgedeploy {

namespace {

using nlohmann::ordered_json;

// So many runs are timed however long they take: fewer have no median to speak of.
constexpr int kLeastRuns = 3;

template <typename... Values>
std::string text(const char* format, Values... values) {
  char buffer[200];
  snprintf(buffer, sizeof(buffer), format, values...);
  return buffer;
}

class Health {
 public:
  explicit Health(const Options& options)
      : options_(options),
        manifest_(read_manifest(options.release_dir)),
        threads_(options.threads > 0 ? options.threads : std::max<int>(1, static_cast<int>(applied_cpus().size()))) {}

  ordered_json judge() {
    const double begin_us = now_us();
    const std::vector<Array> goldens = read_goldens(manifest_);
    feeds_ = load_inputs(manifest_, {});
    session_ = std::make_unique<Session>(manifest_, SessionOptions{threads_, !options_.disable_layers});
    session_->choose_input_types(feeds_);
    const GoldenVerdict golden = compare_with_goldens(manifest_, goldens, infer());
    if (!golden.passed) reasons_.push_back("outputs are beyond the limits of the golden outputs");
    const ordered_json latency = options_.runs > 0 ? measure_latency() : ordered_json();
    const ordered_json memory = measure_memory();
    return {{"schema", 1},
            {"passed", reasons_.empty()},
            {"reason", std::accumulate(reasons_.begin(), reasons_.end(), std::string(),
                                       [](const std::string& all, const std::string& one) {
                                         return all.empty() ? one : all + "; " + one;
                                       })},
            {"golden", {{"passed", golden.passed}, {"outputs", golden.outputs}}},
            {"latency", latency},
            {"memory", memory},
            {"duration_us", now_us() - begin_us}};
  }

 private:
  Results infer() const {
    for (const auto& feed : feeds_) feed->fill();
    return postprocess(manifest_, session_->infer(feeds_));
  }

  ordered_json measure_latency() {
    for (int i = 0; i < options_.warmup; ++i) infer();
    std::vector<double> times_us;
    const double begin_us = now_us();
    const auto in_time = [&] { return options_.seconds == 0 || now_us() - begin_us < options_.seconds * 1e6; };
    for (int i = 0; i < options_.runs && (i < kLeastRuns || in_time()); ++i) {
      const double start_us = now_us();
      infer();
      times_us.push_back(now_us() - start_us);
    }
    std::sort(times_us.begin(), times_us.end());
    const size_t middle = times_us.size() / 2;
    const double median_us =
        times_us.size() % 2 != 0 ? times_us[middle] : (times_us[middle - 1] + times_us[middle]) / 2;
    const bool passed = options_.latency_ms == 0 || median_us <= options_.latency_ms * 1e3;
    if (!passed) {
      reasons_.push_back(text("latency %.3f ms, the median of %zu runs on %d threads, over the budget of %.6g ms",
                              median_us * 1e-3, times_us.size(), threads_, options_.latency_ms));
    }
    return {{"median_us", median_us},
            {"min_us", times_us.front()},
            {"max_us", times_us.back()},
            {"runs", times_us.size()},
            {"warmup", options_.warmup},
            {"threads", threads_},
            {"budget_ms", budget(options_.latency_ms)},
            {"passed", passed}};
  }

  ordered_json measure_memory() {
    const size_t peak_bytes = memory_use().peak_rss_bytes;
    const bool passed = options_.memory_mb == 0 || static_cast<double>(peak_bytes) <= options_.memory_mb * 1e6;
    if (!passed) {
      reasons_.push_back(text("memory %.1f MB at its peak, over the budget of %.6g MB",
                              static_cast<double>(peak_bytes) * 1e-6, options_.memory_mb));
    }
    return {{"peak_rss_bytes", peak_bytes}, {"budget_mb", budget(options_.memory_mb)}, {"passed", passed}};
  }

  static ordered_json budget(double value) { return value > 0 ? ordered_json(value) : ordered_json(); }

  Options options_;
  Manifest manifest_;
  int threads_;
  std::vector<std::unique_ptr<InputFeed>> feeds_;
  std::unique_ptr<Session> session_;
  std::vector<std::string> reasons_;
};

}  // namespace

ordered_json health_command(const Options& options) { return Health(options).judge(); }

}  // namespace edgedeploy
