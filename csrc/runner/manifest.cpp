#include "runner/manifest.h"

#include <sys/stat.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "runner/error.h"
#include "runner/file.h"
#include "runner/signature.h"

namespace edgedeploy {

namespace {

using nlohmann::json;

constexpr char kPathCharacters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._+@=-";
constexpr size_t kMaxExtent = size_t{1} << 30;

RunnerError bad_key(const std::string& path, const std::string& why) {
  return RunnerError(ExitCode::kManifest, "manifest.json: " + path + ": " + why);
}

// One value of the manifest together with where it stands, so that every error can name it.
class Field {
 public:
  Field(const json& value, std::string path) : value_(value), path_(std::move(path)) {}

  Field at(const std::string& key) const {
    if (!value_.is_object()) throw bad_key(path_, std::string("must be an object, is ") + value_.type_name());
    const std::string path = path_.empty() ? key : path_ + "." + key;
    const auto found = value_.find(key);
    if (found == value_.end()) throw bad_key(path, "missing");
    return Field(*found, path);
  }

  std::vector<Field> items() const {
    if (!value_.is_array()) throw bad_key(path_, std::string("must be an array, is ") + value_.type_name());
    std::vector<Field> fields;
    for (size_t i = 0; i < value_.size(); ++i) fields.emplace_back(value_[i], path_ + "[" + std::to_string(i) + "]");
    return fields;
  }

  std::string text() const {
    if (!value_.is_string()) throw bad_key(path_, std::string("must be a string, is ") + value_.type_name());
    std::string text = value_.get<std::string>();
    if (text.empty()) throw bad_key(path_, "is empty");
    return text;
  }

  double number() const {
    if (!value_.is_number()) throw bad_key(path_, std::string("must be a number, is ") + value_.type_name());
    return value_.get<double>();
  }

  size_t whole() const {
    if (!value_.is_number_unsigned()) throw bad_key(path_, std::string("must be a whole number, is ") + value_.dump());
    return value_.get<size_t>();
  }

  bool is_null() const { return value_.is_null(); }

  const std::string& path() const { return path_; }

  // A path inside the release: relative, never upwards, and of characters that mean nothing to a shell.
  std::string relative_path() const {
    const std::string text = this->text();
    if (text[0] == '/') throw bad_key(path_, "'" + text + "' must be relative");
    if (text.find_first_not_of(kPathCharacters) != std::string::npos) {
      throw bad_key(path_, "holds other characters than letters, digits, / and ._+@=-");
    }
    size_t begin = 0;
    while (begin <= text.size()) {
      const size_t end = std::min(text.find('/', begin), text.size());
      const std::string part = text.substr(begin, end - begin);
      if (part == ".." || part == "." || part.empty()) {
        throw bad_key(path_, "'" + text + "' must not leave the release");
      }
      begin = end + 1;
    }
    return text;
  }

  std::vector<size_t> shape() const {
    std::vector<size_t> extents;
    for (const Field& item : items()) {
      const size_t extent = item.whole();
      if (extent == 0 || extent > kMaxExtent)
        throw bad_key(item.path(), "is " + std::to_string(extent) + ", not a usable extent");
      extents.push_back(extent);
    }
    return extents;
  }

 private:
  const json& value_;
  std::string path_;
};

// A link would lead out of the release whatever its path says.
void check_no_links(const std::string& release_dir, const std::string& path) {
  for (size_t end = path.find('/');; end = path.find('/', end + 1)) {
    const std::string part = release_dir + "/" + path.substr(0, end);
    struct stat status{};
    if (lstat(part.c_str(), &status) == 0 && S_ISLNK(status.st_mode)) {
      throw RunnerError(ExitCode::kFile, part + ": is a symbolic link, which could lead out of the release");
    }
    if (end == std::string::npos) return;
  }
}

// Where a path of the manifest lies.
std::string path_in(const std::string& release_dir, const Field& field) {
  const std::string path = field.relative_path();
  check_no_links(release_dir, path);
  return release_dir + "/" + path;
}

void read_channels(const Field& field, size_t channels, float* into) {
  const std::vector<Field> items = field.items();
  if (items.size() != channels) {
    throw bad_key(field.path(),
                  "must have " + std::to_string(channels) + " numbers, has " + std::to_string(items.size()));
  }
  for (size_t i = 0; i < channels; ++i) into[i] = static_cast<float>(items[i].number());
}

size_t channels_of(Color color) { return color == Color::kGray ? 1 : 3; }

Color read_color(const Field& field) {
  const std::string color = field.text();
  if (color == "bgr") return Color::kBgr;
  if (color == "rgb") return Color::kRgb;
  if (color == "gray") return Color::kGray;
  throw bad_key(field.path(), "'" + color + "', allowed are bgr, rgb and gray");
}

Preprocessing read_preprocessing(const Field& field) {
  Preprocessing preprocessing;
  preprocessing.color = read_color(field.at("color"));
  const std::string resize = field.at("resize").text();
  if (resize != "bilinear" && resize != "none") {
    throw bad_key(field.path() + ".resize", "'" + resize + "', allowed are bilinear and none");
  }
  preprocessing.resizes = resize == "bilinear";
  const size_t channels = channels_of(preprocessing.color);
  read_channels(field.at("mean"), channels, preprocessing.mean);
  read_channels(field.at("scale"), channels, preprocessing.scale);
  return preprocessing;
}

InputSpec read_input(const Field& field) {
  InputSpec input;
  input.name = field.at("name").text();
  const Field shape = field.at("shape");
  input.shape = shape.shape();
  if (input.shape.size() < 2 || input.shape.size() > 5) throw bad_key(shape.path(), "must have 2 to 5 extents");
  if (input.shape[0] != 1) throw bad_key(shape.path(), "the batch must be 1, is " + std::to_string(input.shape[0]));
  const Field preprocessing = field.at("preprocessing");
  if (!preprocessing.is_null()) {
    input.has_preprocessing = true;
    input.preprocessing = read_preprocessing(preprocessing);
    const size_t channels = channels_of(input.preprocessing.color);
    if (input.shape.size() != 4 || input.shape[1] != channels) {
      throw bad_key(shape.path(), "an image input must be [1, " + std::to_string(channels) + ", H, W]");
    }
  }
  return input;
}

OutputSpec read_output(const Field& field) {
  OutputSpec output;
  output.name = field.at("name").text();
  output.shape = field.at("shape").shape();
  return output;
}

// The golden files by name; every one of `names` must have one.
std::map<std::string, std::string> read_golden(const Field& field, const std::string& release_dir,
                                               const std::vector<std::string>& names) {
  std::map<std::string, std::string> files;
  for (const Field& item : field.items()) {
    files[item.at("name").text()] = path_in(release_dir, item.at("file"));
  }
  for (const std::string& name : names) {
    if (files.count(name) == 0) throw bad_key(field.path(), "has no entry for '" + name + "'");
  }
  return files;
}

template <typename Spec>
std::vector<std::string> names_of(const std::vector<Spec>& specs, const std::string& path) {
  if (specs.empty()) throw bad_key(path, "is empty");
  std::vector<std::string> names;
  for (const Spec& spec : specs) {
    for (const std::string& name : names) {
      if (name == spec.name) throw bad_key(path, "names '" + name + "' twice");
    }
    names.push_back(spec.name);
  }
  return names;
}

Precision read_precision(const Field& field) {
  const std::string name = field.text();
  for (const Precision precision : {Precision::kFp32, Precision::kFp16Storage, Precision::kFp16}) {
    if (name == precision_name(precision)) return precision;
  }
  throw bad_key(field.path(), "'" + name + "', allowed are fp32, fp16-storage and fp16");
}

void read_model(const Field& model, Manifest& manifest) {
  manifest.param_path = path_in(manifest.release_dir, model.at("param"));
  manifest.weights_path = path_in(manifest.release_dir, model.at("weights"));
  manifest.precision = read_precision(model.at("precision"));
  for (const Field& item : model.at("inputs").items()) manifest.inputs.push_back(read_input(item));
  for (const Field& item : model.at("outputs").items()) manifest.outputs.push_back(read_output(item));
}

void read_postprocessing(const Field& post, Manifest& manifest) {
  const std::string kind = post.at("kind").text();
  if (kind == "none") {
    manifest.post_kind = PostKind::kNone;
  } else if (kind == "argmax") {
    manifest.post_kind = PostKind::kArgmax;
  } else if (kind == "threshold") {
    manifest.post_kind = PostKind::kThreshold;
    manifest.post_threshold = post.at("threshold").number();
  } else {
    throw bad_key(post.path() + ".kind", "'" + kind + "', allowed are none, argmax and threshold");
  }
}

void read_limits(const Field& limits, Manifest& manifest) {
  manifest.limits.cosine = limits.at("cosine").number();
  manifest.limits.max_abs_error = limits.at("max_abs_error").number();
  if (!std::isfinite(manifest.limits.cosine) || !std::isfinite(manifest.limits.max_abs_error)) {
    throw bad_key(limits.path(), "must be finite");
  }
}

json parse_document(const std::string& text) {
  try {
    return json::parse(text);
  } catch (const json::exception& error) {
    throw RunnerError(ExitCode::kManifest, std::string("manifest.json: not JSON: ") + error.what());
  }
}

void check_schema(const Field& root) {
  const size_t schema = root.at("schema").whole();
  if (schema != 1) throw bad_key("schema", "is " + std::to_string(schema) + ", this runner reads 1");
}

}  // namespace

const char* precision_name(Precision precision) {
  switch (precision) {
    case Precision::kFp16Storage:
      return "fp16-storage";
    case Precision::kFp16:
      return "fp16";
    case Precision::kFp32:
      break;
  }
  return "fp32";
}

const char* post_kind_name(PostKind kind) {
  switch (kind) {
    case PostKind::kArgmax:
      return "argmax";
    case PostKind::kThreshold:
      return "threshold";
    case PostKind::kNone:
      break;
  }
  return "none";
}

ListedFiles list_files(const std::string& text) {
  const json document = parse_document(text);
  const Field root(document, "");
  check_schema(root);
  ListedFiles listed;
  listed.app = root.at("app").text();
  for (const Field& item : root.at("files").items()) {
    const Field path = item.at("path");
    ListedFile file = {path.relative_path(), item.at("sha256").text(), item.at("size_bytes").whole()};
    if (file.path == "manifest.json" || file.path.compare(0, 11, "signatures/") == 0) {
      throw bad_key(path.path(), "'" + file.path + "' cannot be listed");
    }
    if (!is_hex(file.sha256, kSha256Digits)) throw bad_key(item.path() + ".sha256", "is no SHA-256");
    listed.files.push_back(std::move(file));
  }
  return listed;
}

Manifest read_manifest(const std::string& release_dir) {
  const json document = parse_document(read_file(release_dir + "/manifest.json", kMaxManifestBytes));
  const Field root(document, "");
  check_schema(root);
  Manifest manifest;
  manifest.release_dir = release_dir;
  root.at("app").text();
  read_model(root.at("model"), manifest);
  read_postprocessing(root.at("postprocessing"), manifest);
  const std::vector<std::string> input_names = names_of(manifest.inputs, "model.inputs");
  const std::vector<std::string> output_names = names_of(manifest.outputs, "model.outputs");
  const Field golden = root.at("golden");
  manifest.golden_inputs = read_golden(golden.at("inputs"), release_dir, input_names);
  manifest.golden_outputs = read_golden(golden.at("outputs"), release_dir, output_names);
  read_limits(golden.at("limits"), manifest);
  for (const Field& item : root.at("files").items()) {
    manifest.file_sizes[path_in(release_dir, item.at("path"))] = item.at("size_bytes").whole();
  }
  return manifest;
}

void check_listed_size(const Manifest& manifest, const std::string& path) {
  const size_t size_bytes = file_size(path);
  const auto listed = manifest.file_sizes.find(path);
  if (listed == manifest.file_sizes.end()) return;
  if (listed->second != size_bytes) {
    throw RunnerError(ExitCode::kFile, path + ": has " + std::to_string(size_bytes) + " bytes, the manifest lists " +
                                           std::to_string(listed->second));
  }
}

}  // namespace edgedeploy
