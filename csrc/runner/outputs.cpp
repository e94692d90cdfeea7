#include "runner/outputs.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "runner/error.h"
#include "runner/file.h"

namespace edgedeploy {

namespace {

using nlohmann::ordered_json;

std::vector<size_t> mat_shape(const ncnn::Mat& mat) {
  const auto extent = [](int value) { return static_cast<size_t>(value); };
  switch (mat.dims) {
    case 1:
      return {extent(mat.w)};
    case 2:
      return {extent(mat.h), extent(mat.w)};
    case 3:
      return {extent(mat.c), extent(mat.h), extent(mat.w)};
    default:
      return {extent(mat.c), extent(mat.d), extent(mat.h), extent(mat.w)};
  }
}

std::vector<size_t> argmax_rows(const Array& array) {
  const size_t width = array.shape.back();
  std::vector<size_t> indices;
  for (size_t begin = 0; begin < array.floats.size(); begin += width) {
    const float* row = array.floats.data() + begin;
    indices.push_back(static_cast<size_t>(std::max_element(row, row + width) - row));
  }
  return indices;
}

Array threshold_mask(const Array& array, double threshold) {
  Array mask;
  mask.dtype = Dtype::kUint8;
  mask.shape = array.shape;
  mask.bytes.resize(array.floats.size());
  const float limit = static_cast<float>(threshold);
  for (size_t i = 0; i < mask.bytes.size(); ++i) mask.bytes[i] = array.floats[i] > limit ? 1 : 0;
  return mask;
}

// Output names come from the model; as file names they must stay inside the directory.
std::string file_stem(const std::string& name) {
  std::string stem = name;
  for (char& c : stem) {
    if (c == '/' || c == '\0') c = '_';
  }
  return stem;
}

}  // namespace

Array to_array(const ncnn::Mat& extracted, const OutputSpec& spec) {
  ncnn::Mat mat = extracted;
  // With fp16 storage on, the engine hands int8 blobs out as they are.
  if (extracted.elempack == 1 && extracted.elemsize == 1) ncnn::cast_int8_to_float32(extracted, mat);
  if (mat.empty()) throw std::bad_alloc();
  Array array;
  array.dtype = Dtype::kFloat32;
  array.shape = mat_shape(mat);
  if (array.shape != spec.shape) {
    throw RunnerError(ExitCode::kInference, "output '" + spec.name + "' has shape " + shape_text(array.shape) +
                                                ", the manifest says " + shape_text(spec.shape));
  }
  if (mat.elempack != 1 || mat.elemsize != sizeof(float)) {
    throw RunnerError(ExitCode::kInference, "output '" + spec.name + "' is not float32");
  }
  array.floats.resize(array.count());
  const size_t plane = static_cast<size_t>(mat.w) * static_cast<size_t>(mat.h) * static_cast<size_t>(mat.d);
  for (int c = 0; c < mat.c; ++c) {
    memcpy(array.floats.data() + static_cast<size_t>(c) * plane, mat.channel(c), plane * sizeof(float));
  }
  return array;
}

Results postprocess(const Manifest& manifest, const std::vector<ncnn::Mat>& mats) {
  Results results;
  for (size_t i = 0; i < mats.size(); ++i) {
    results.outputs.push_back(to_array(mats[i], manifest.outputs[i]));
    const Array& output = results.outputs.back();
    if (manifest.post_kind == PostKind::kArgmax) results.classes.push_back(argmax_rows(output));
    if (manifest.post_kind == PostKind::kThreshold)
      results.masks.push_back(threshold_mask(output, manifest.post_threshold));
  }
  return results;
}

ordered_json postprocessing_json(const Manifest& manifest, const Results& results) {
  ordered_json outputs = ordered_json::array();
  for (size_t i = 0; i < manifest.outputs.size(); ++i) {
    std::vector<size_t> values;
    if (manifest.post_kind == PostKind::kArgmax) values = results.classes[i];
    if (manifest.post_kind == PostKind::kThreshold) {
      const std::vector<uint8_t>& mask = results.masks[i].bytes;
      values = {static_cast<size_t>(std::count(mask.begin(), mask.end(), 1))};
    }
    if (manifest.post_kind != PostKind::kNone)
      outputs.push_back({{"name", manifest.outputs[i].name}, {"values", values}});
  }
  return {{"kind", post_kind_name(manifest.post_kind)}, {"outputs", outputs}};
}

ordered_json write_outputs(const Manifest& manifest, const Results& results, const std::string& output_dir) {
  ordered_json listed = ordered_json::array();
  if (!output_dir.empty()) make_directories(output_dir);
  for (size_t i = 0; i < manifest.outputs.size(); ++i) {
    const std::string& name = manifest.outputs[i].name;
    ordered_json entry = {{"name", name}, {"shape", results.outputs[i].shape}, {"file", nullptr}};
    if (!output_dir.empty()) {
      const std::string stem = output_dir + "/" + file_stem(name);
      write_npy(stem + ".npy", results.outputs[i]);
      entry["file"] = absolute_path(stem + ".npy");
      if (manifest.post_kind == PostKind::kThreshold) write_npy(stem + ".mask.npy", results.masks[i]);
    }
    listed.push_back(entry);
  }
  return listed;
}

}  // namespace edgedeploy
