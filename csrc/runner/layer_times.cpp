#include "runner/layer_times.h"

#include <layer_type.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "layers/register_layers.h"
#include "runner/clock.h"

namespace edgedeploy {

namespace {

using nlohmann::ordered_json;

constexpr int kKeepStorage = 1;  // Extractor::extract: neither unpack nor convert, so the time is the layer's alone.

// C, H, W without packing.
std::vector<int> unpacked_shape(const ncnn::Mat& mat) {
  switch (mat.dims) {
    case 0:
      return {};
    case 1:
      return {mat.w * mat.elempack};
    case 2:
      return {mat.h * mat.elempack, mat.w};
    case 3:
      return {mat.c * mat.elempack, mat.h, mat.w};
    default:
      return {mat.c * mat.elempack, mat.d, mat.h, mat.w};
  }
}

// What the layer computes in. Convolutions and inner products with int8 weights say so by support_int8_storage, even
// when they deliver floats.
const char* precision_of(const ncnn::Layer& layer, const ncnn::Mat& top) {
  const int bits = top.elembits();
  if (layer.support_int8_storage || bits == 8) return "int8";
  return bits == 16 ? "fp16" : "fp32";
}

struct LayerRecord {
  int index = 0;
  std::vector<double> times_us;
  std::vector<std::vector<int>> input_shapes;
  std::vector<std::vector<int>> output_shapes;
  const char* precision = "fp32";
};

std::vector<LayerRecord> records_for(const ncnn::Net& net) {
  std::vector<LayerRecord> records;
  for (size_t i = 0; i < net.layers().size(); ++i) {
    const ncnn::Layer& layer = *net.layers()[i];
    if (layer.typeindex == ncnn::LayerType::Input || layer.tops.empty()) continue;
    LayerRecord record;
    record.index = static_cast<int>(i);
    records.push_back(record);
  }
  return records;
}

std::vector<std::vector<int>> shapes_of(ncnn::Extractor& extractor, const std::vector<int>& blobs) {
  std::vector<std::vector<int>> shapes;
  for (const int blob : blobs) {
    ncnn::Mat mat;
    check_engine(extractor.extract(blob, mat, kKeepStorage), "reading a layer's blob");
    shapes.push_back(unpacked_shape(mat));
  }
  return shapes;
}

void run_pass(const Session& session, const std::vector<std::unique_ptr<InputFeed>>& feeds,
              std::vector<LayerRecord>& records) {
  ncnn::Extractor extractor = session.extractor(feeds);
  // Light mode frees a blob with its consumer, and the engine then crashes on a layer that is asked for by itself.
  extractor.set_light_mode(false);
  for (LayerRecord& record : records) {
    const ncnn::Layer& layer = *session.net().layers()[static_cast<size_t>(record.index)];
    ncnn::Mat top;
    const double begin_us = now_us();
    const int code = extractor.extract(layer.tops[0], top, kKeepStorage);
    record.times_us.push_back(now_us() - begin_us);
    check_engine(code, "layer '" + layer.name + "'");
    record.input_shapes = shapes_of(extractor, layer.bottoms);
    record.output_shapes = shapes_of(extractor, layer.tops);
    record.precision = precision_of(layer, top);
  }
}

ordered_json facts_of(const ncnn::Net& net, const LayerRecord& record) {
  const ncnn::Layer& layer = *net.layers()[static_cast<size_t>(record.index)];
  return {{"index", record.index},
          {"name", layer.name},
          {"type", layer.type},
          {"input_shapes", record.input_shapes},
          {"output_shapes", record.output_shapes},
          {"precision", record.precision},
          {"implementation", computed_here(layer) ? "edgedeploy" : "ncnn"}};
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

}  // namespace

ordered_json measure_layers(const Session& session, const std::vector<std::unique_ptr<InputFeed>>& feeds, int passes) {
  std::vector<LayerRecord> records = records_for(session.net());
  for (int pass = 1; pass <= passes; ++pass) {
    fprintf(stderr, "progress: layers %d/%d\n", pass, passes);
    run_pass(session, feeds, records);
  }
  ordered_json layers = ordered_json::array();
  for (const LayerRecord& record : records) {
    ordered_json layer = facts_of(session.net(), record);
    layer["median_us"] = median(record.times_us);
    layer["min_us"] = *std::min_element(record.times_us.begin(), record.times_us.end());
    layer["runs"] = record.times_us.size();
    layers.push_back(layer);
  }
  return layers;
}

ordered_json describe_layers(const Session& session, const std::vector<std::unique_ptr<InputFeed>>& feeds) {
  std::vector<LayerRecord> records = records_for(session.net());
  run_pass(session, feeds, records);
  ordered_json layers = ordered_json::array();
  for (const LayerRecord& record : records) layers.push_back(facts_of(session.net(), record));
  return layers;
}

}  // namespace edgedeploy
