#include "runner/inputs.h"

#include <cstring>
#include <new>
#include <utility>

#include "dispatch/dispatch.h"
#include "runner/error.h"

namespace edgedeploy {

namespace {

constexpr size_t kScratchAlignment = 16;

RunnerError bad_array(const std::string& source, const std::string& why) {
  return RunnerError(ExitCode::kFile, source + ": " + why);
}

int32_t kernel_color(Color color) {
  switch (color) {
    case Color::kRgb:
      return kColorRgb;
    case Color::kGray:
      return kColorGray;
    case Color::kBgr:
      break;
  }
  return kColorBgr;
}

// The Mat of a shape with its batch of 1 dropped.
ncnn::Mat make_mat(const std::vector<size_t>& shape) {
  std::vector<int> extents(shape.begin() + 1, shape.end());
  ncnn::Mat mat;
  switch (extents.size()) {
    case 1:
      mat.create(extents[0]);
      break;
    case 2:
      mat.create(extents[1], extents[0]);
      break;
    case 3:
      mat.create(extents[2], extents[1], extents[0]);
      break;
    default:
      mat.create(extents[3], extents[2], extents[1], extents[0]);
      break;
  }
  if (mat.empty()) throw std::bad_alloc();
  return mat;
}

}  // namespace

InputFeed::InputFeed(const InputSpec& spec, Array array, const std::string& source)
    : spec_(spec), array_(std::move(array)) {
  if (spec_.has_preprocessing) {
    check_image(source);
  } else if (array_.dtype != Dtype::kFloat32 || array_.shape != spec_.shape) {
    throw bad_array(source, "input '" + spec_.name + "' needs float32 " + shape_text(spec_.shape) + ", this is " +
                                array_text(array_));
  }
  mat_ = make_mat(spec_.shape);
  if (spec_.has_preprocessing) prepare_image();
}

void InputFeed::check_image(const std::string& source) const {
  if (array_.dtype != Dtype::kUint8 || array_.shape.size() != 3 || array_.shape[2] != 3) {
    throw bad_array(source, "input '" + spec_.name + "' needs uint8 [H, W, 3], this is " + array_text(array_));
  }
  for (const size_t side : {array_.shape[0], array_.shape[1], spec_.shape[2], spec_.shape[3]}) {
    if (side < 1 || side > static_cast<size_t>(kPreprocessMaxSide)) {
      throw bad_array(source, "a side of " + std::to_string(side) + " pixels; allowed are 1 to " +
                                  std::to_string(kPreprocessMaxSide));
    }
  }
  const bool same_size = array_.shape[0] == spec_.shape[2] && array_.shape[1] == spec_.shape[3];
  if (!spec_.preprocessing.resizes && !same_size) {
    throw bad_array(source, "input '" + spec_.name + "' is not resized and needs " + std::to_string(spec_.shape[2]) +
                                " rows of " + std::to_string(spec_.shape[3]) + " pixels, this is " +
                                array_text(array_));
  }
}

void InputFeed::prepare_image() {
  kernel_ = select_kernel(kOpPreprocessU8F32);
  params_.src = array_.bytes.data();
  params_.src_height = static_cast<int32_t>(array_.shape[0]);
  params_.src_width = static_cast<int32_t>(array_.shape[1]);
  params_.src_stride_bytes = int64_t{3} * params_.src_width;
  params_.dst = mat_;
  params_.dst_width = mat_.w;
  params_.dst_height = mat_.h;
  lay_out_planes();
  params_.color = kernel_color(spec_.preprocessing.color);
  memcpy(params_.mean, spec_.preprocessing.mean, sizeof(params_.mean));
  memcpy(params_.scale, spec_.preprocessing.scale, sizeof(params_.scale));
  scratch_.resize(preprocess_u8f32_scratch_bytes(params_.dst_width, params_.dst_height) + kScratchAlignment);
  void* aligned = scratch_.data();
  size_t space_bytes = scratch_.size();
  params_.scratch = std::align(kScratchAlignment, scratch_.size() - kScratchAlignment, aligned, space_bytes);
  preprocess_u8f32_prepare(&params_);
}

void InputFeed::lay_out_planes() {
  params_.dst_row_stride_bytes = static_cast<int64_t>(mat_.elemsize) * mat_.w;
  // A Mat's planes are padded to 16 bytes: its step, not width times height.
  params_.dst_channel_stride_bytes = static_cast<int64_t>(mat_.cstep * mat_.elemsize);
}

void InputFeed::fill_codes(float code_scale) {
  if (!spec_.has_preprocessing) return;
  kernel_ = select_kernel(kOpPreprocessU8S8);
  const ncnn::Mat floats = mat_;
  mat_.create(floats.w, floats.h, floats.c, sizeof(int8_t));
  if (mat_.empty()) throw std::bad_alloc();
  lay_out_planes();
  codes_ = {params_, mat_, code_scale};
}

void InputFeed::copy_floats() {
  const size_t plane = static_cast<size_t>(mat_.w) * static_cast<size_t>(mat_.h) * static_cast<size_t>(mat_.d);
  for (int c = 0; c < mat_.c; ++c) {
    memcpy(mat_.channel(c), array_.floats.data() + static_cast<size_t>(c) * plane, plane * sizeof(float));
  }
}

void InputFeed::fill() {
  if (kernel_ != nullptr && kernel_->preprocess_codes != nullptr) {
    kernel_->preprocess_codes(&codes_);
  } else if (kernel_ != nullptr) {
    kernel_->preprocess(&params_);
  } else {
    copy_floats();
  }
}

std::vector<std::unique_ptr<InputFeed>> load_inputs(const Manifest& manifest,
                                                    const std::map<std::string, std::string>& chosen) {
  std::vector<std::unique_ptr<InputFeed>> feeds;
  size_t used = 0;
  for (const InputSpec& spec : manifest.inputs) {
    const auto found = chosen.find(spec.name);
    std::string path = manifest.golden_inputs.at(spec.name);
    if (found != chosen.end()) {
      path = found->second;
      ++used;
    } else {
      check_listed_size(manifest, path);
    }
    feeds.push_back(std::make_unique<InputFeed>(spec, read_npy(path), path));
  }
  if (used != chosen.size()) {
    std::string known;
    for (const InputSpec& spec : manifest.inputs) known += (known.empty() ? "" : ", ") + spec.name;
    throw RunnerError(ExitCode::kUsage, "--input names an input that the model lacks; it has: " + known);
  }
  return feeds;
}

}  // namespace edgedeploy
