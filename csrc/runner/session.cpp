#include "runner/session.h"

#include <cpu.h>

#include <algorithm>
#include <string>

#include "layers/register_layers.h"
#include "runner/affinity.h"
#include "runner/engine_log.h"
#include "runner/error.h"
#include "runner/file.h"
#include "runner/weights_check.h"
#include "runner/weights_reader.h"

namespace edgedeploy {

namespace {

constexpr int kEngineOutOfMemory = -100;
constexpr size_t kMaxParamBytes = size_t{64} << 20;

RunnerError refused(const std::string& what, const std::string& engine_lines) {
  return RunnerError(ExitCode::kModel, what + (engine_lines.empty() ? "" : "; the engine says: " + engine_lines));
}

}  // namespace

void check_engine(int code, const std::string& what) {
  if (code == 0) return;
  if (code == kEngineOutOfMemory) throw RunnerError(ExitCode::kMemory, "out of memory: " + what);
  throw RunnerError(ExitCode::kInference, what + " failed with the engine's code " + std::to_string(code));
}

int choose_threads(int threads) {
  if (threads > 0) return threads;
  const int applied = std::max(1, static_cast<int>(applied_cpus().size()));
  return std::clamp(ncnn::get_physical_big_cpu_count(), 1, applied);
}

Session::Session(const Manifest& manifest, const SessionOptions& options) {
  net_.opt.num_threads = options.threads;
  const bool half_storage = manifest.precision != Precision::kFp32;
  net_.opt.use_fp16_packed = half_storage;
  net_.opt.use_fp16_storage = half_storage;
  net_.opt.use_fp16_arithmetic = manifest.precision == Precision::kFp16;
  net_.opt.use_bf16_packed = false;
  net_.opt.use_bf16_storage = false;
  if (options.use_operator_layers) {
    const EngineLog log;  // The engine remarks on every layer that is replaced.
    register_layers(net_);
  }
  load_weights(manifest, load_graph(manifest));
  for (const InputSpec& input : manifest.inputs) input_blobs_.push_back(blob_index(input.name, "input"));
  for (const OutputSpec& output : manifest.outputs) {
    output_blobs_.push_back(blob_index(output.name, "output"));
    output_names_.push_back(output.name);
    outputs_are_leaves_ = outputs_are_leaves_ && net_.blobs()[static_cast<size_t>(output_blobs_.back())].consumer < 0;
  }
  if (options.use_operator_layers) {
    keep_codes(net_, input_blobs_, output_blobs_);
    // Not sooner: weights would take blocks of inferences.
    net_.opt.blob_allocator = &blobs_;
    net_.opt.workspace_allocator = &workspace_;
  }
}

std::string Session::load_graph(const Manifest& manifest) {
  check_listed_size(manifest, manifest.param_path);
  const std::string text = read_file(manifest.param_path, kMaxParamBytes);
  EngineLog log;
  const int code = net_.load_param_mem(text.c_str());
  const std::string lines = log.finish();
  if (code != 0) throw refused(manifest.param_path + ": the engine cannot load this graph", lines);
  // The engine reads past tokens it cannot parse and only says so; such a graph would compute something else.
  if (net_.layers().empty()) throw refused(manifest.param_path + ": holds no layers", lines);
  return text;
}

void Session::load_weights(const Manifest& manifest, const std::string& graph) {
  check_listed_size(manifest, manifest.weights_path);
  const WeightsReader reader(manifest.weights_path);
  EngineLog log;
  check_weights(graph, manifest.weights_path);
  const int code = net_.load_model(reader);
  const std::string lines = log.finish();
  if (code != 0) throw refused(manifest.weights_path + ": the engine cannot load these weights", lines);
  if (reader.unread_bytes() > 0) {
    throw refused(manifest.weights_path + ": " + std::to_string(reader.unread_bytes()) +
                      " bytes are left after the last layer's weights",
                  lines);
  }
}

int Session::blob_index(const std::string& name, const char* role) const {
  const std::vector<ncnn::Blob>& blobs = net_.blobs();
  for (size_t i = 0; i < blobs.size(); ++i) {
    if (blobs[i].name == name) return static_cast<int>(i);
  }
  const std::vector<const char*>& known = std::string(role) == "input" ? net_.input_names() : net_.output_names();
  std::string names;
  for (const char* each : known) names += (names.empty() ? "" : ", ") + std::string(each);
  throw RunnerError(ExitCode::kModel, "the model has no " + std::string(role) + " '" + name + "'; it has: " + names);
}

void Session::choose_input_types(const std::vector<std::unique_ptr<InputFeed>>& feeds) const {
  for (size_t i = 0; i < feeds.size(); ++i) {
    const bool is_output =
        std::find(output_blobs_.begin(), output_blobs_.end(), input_blobs_[i]) != output_blobs_.end();
    const float code_scale = is_output ? 0 : input_code_scale(net_, input_blobs_[i]);
    if (code_scale != 0) feeds[i]->fill_codes(code_scale);
  }
}

ncnn::Extractor Session::extractor(const std::vector<std::unique_ptr<InputFeed>>& feeds) const {
  ncnn::Extractor extractor = net_.create_extractor();
  for (size_t i = 0; i < feeds.size(); ++i) {
    check_engine(extractor.input(input_blobs_[i], feeds[i]->mat()), "setting input '" + feeds[i]->name() + "'");
  }
  return extractor;
}

std::vector<ncnn::Mat> Session::infer(const std::vector<std::unique_ptr<InputFeed>>& feeds) const {
  ncnn::Extractor extractor = this->extractor(feeds);
  extractor.set_light_mode(outputs_are_leaves_);
  std::vector<ncnn::Mat> outputs(output_blobs_.size());
  for (size_t i = 0; i < output_blobs_.size(); ++i) {
    check_engine(extractor.extract(output_blobs_[i], outputs[i]), "computing output '" + output_names_[i] + "'");
    if (outputs[i].empty()) throw RunnerError(ExitCode::kInference, "output '" + output_names_[i] + "' is empty");
  }
  return outputs;
}

}  // namespace edgedeploy
