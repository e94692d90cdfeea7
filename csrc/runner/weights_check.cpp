#include "runner/weights_check.h"

#include <modelbin.h>
#include <net.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <sstream>
#include <vector>

#include "runner/error.h"
#include "runner/weights_reader.h"

namespace edgedeploy {

namespace {

// How src/modelbin.cpp of the engine tells the storage of weights that are loaded with a tag, and which types it knows.
constexpr uint32_t kFp16Tag = 0x01306B47;
constexpr uint32_t kBf16Tag = 0x01348B83;
constexpr uint32_t kInt8Tag = 0x000D4B38;
constexpr uint32_t kRawTag = 0x0002C056;
constexpr uint64_t kTableBytes = 256 * sizeof(float);
constexpr int kTagged = 0;
constexpr int kFloats = 1;

uint64_t aligned(uint64_t size_bytes) { return (size_bytes + 3) / 4 * 4; }

bool is_bytes(int type) { return type == 3 || type == 4 || type == 6 || type == 8; }

struct Free {
  void operator()(void* memory) const { free(memory); }
};

// Hands out zeros, and steps over in the file what the engine would read.
class SteppingBin : public ncnn::ModelBin {
 public:
  explicit SteppingBin(const std::string& path) : path_(path), reader_(path) {}

  void enter(const std::string& layer, bool takes_int8) {
    layer_ = layer;
    takes_int8_ = takes_int8;
  }

  using ncnn::ModelBin::load;
  ncnn::Mat load(int w, int type) const override {
    if (w < 0) throw refused("layer '" + layer_ + "' wants a count of weights below zero");
    const uint64_t count = static_cast<uint64_t>(w);
    if (type == kTagged) return tagged(count);
    if (type == kFloats) return taken(count, count * sizeof(float), sizeof(float));
    if (is_bytes(type)) return taken(count, aligned(count), 1);
    return ncnn::Mat();
  }

 private:
  RunnerError refused(const std::string& why) const { return RunnerError(ExitCode::kModel, path_ + ": " + why); }

  ncnn::Mat tagged(uint64_t count) const {
    uint32_t tag = 0;
    reader_.read(&tag, sizeof(tag));
    if (count == 0) return ncnn::Mat();
    switch (tag) {
      case 0:
      case kRawTag:
        return taken(count, count * sizeof(float), sizeof(float));
      case kFp16Tag:
      case kBf16Tag:
        return taken(count, aligned(count * 2), sizeof(float));
      case kInt8Tag:
        if (!takes_int8_) throw refused("has int8 weights for layer '" + layer_ + "', which is not an int8 one");
        return taken(count, aligned(count), 1);
      default:
        return taken(count, kTableBytes + aligned(count), sizeof(float));
    }
  }

  ncnn::Mat taken(uint64_t count, uint64_t size_bytes, size_t item_bytes) const {
    if (count == 0) return ncnn::Mat();
    reader_.skip(size_bytes);
    // Layers quantize floats here where their parameters say so. Pages that nobody writes to take no memory.
    zeros_.emplace_back(calloc(static_cast<size_t>(count), item_bytes));
    if (zeros_.back() == nullptr) throw std::bad_alloc();
    return ncnn::Mat(static_cast<int>(count), zeros_.back().get(), item_bytes);
  }

  std::string path_;
  WeightsReader reader_;
  std::string layer_;
  bool takes_int8_ = false;
  mutable std::vector<std::unique_ptr<void, Free>> zeros_;
};

// The key of a layer's int8 term; empty for types without one.
std::string int8_key(const std::string& type) {
  for (const char* each : {"Convolution", "ConvolutionDepthWise", "InnerProduct", "LSTM", "GRU", "RNN"}) {
    if (type == each) return "8=";
  }
  for (const char* each : {"Embed", "Gemm", "MultiHeadAttention"}) {
    if (type == each) return "18=";
  }
  return "";
}

// The names of the layers whose weights may be int8, in the graph's order; empty names for the others.
std::vector<std::string> int8_layers(const std::string& text) {
  std::istringstream lines(text);
  std::string line;
  std::vector<std::string> names;
  for (int i = 0; std::getline(lines, line); ++i) {
    if (i < 2) continue;  // The magic number and the counts.
    std::istringstream words(line);
    std::string type;
    std::string name;
    std::string word;
    words >> type >> name;
    const std::string key = int8_key(type);
    bool takes_int8 = false;
    while (!key.empty() && words >> word) {
      if (word.compare(0, key.size(), key) == 0) takes_int8 = atoi(word.c_str() + key.size()) != 0;
    }
    names.push_back(takes_int8 ? name : "");
  }
  return names;
}

}  // namespace

void check_weights(const std::string& text, const std::string& path) {
  SteppingBin bin(path);
  // A net of its own: layers keep what they made of zeros.
  ncnn::Net net;
  if (net.load_param_mem(text.c_str()) != 0) return;
  const std::vector<std::string> names = int8_layers(text);
  for (size_t i = 0; i < net.layers().size(); ++i) {
    ncnn::Layer* layer = net.mutable_layers()[i];
    if (layer == nullptr) return;
    bin.enter(layer->name, i < names.size() && !names[i].empty() && names[i] == layer->name);
    if (layer->load_model(bin) != 0) return;
  }
}

}  // namespace edgedeploy
