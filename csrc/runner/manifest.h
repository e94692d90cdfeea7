// `manifest.json`, schema 1, as docs/contracts.md defines it: what the runner needs of it, checked key by key.
#ifndef EDGEDEPLOY_RUNNER_MANIFEST_H_
#define EDGEDEPLOY_RUNNER_MANIFEST_H_

#include <cstddef>
#include <map>
#include <string>
#include <vector>

namespace edgedeploy {

enum class Color { kBgr, kRgb, kGray };

// The model's own preprocessing; `mean` and `scale` in the channel order of `color`, the first alone for gray.
struct Preprocessing {
  Color color = Color::kBgr;
  bool resizes = true;  // False: the image must have the input's height and width.
  float mean[3] = {0, 0, 0};
  float scale[3] = {1, 1, 1};
};

struct InputSpec {
  std::string name;
  std::vector<size_t> shape;  // With the batch, which is 1.
  bool has_preprocessing = false;
  Preprocessing preprocessing;
};

struct OutputSpec {
  std::string name;
  std::vector<size_t> shape;  // Without batch.
};

enum class PostKind { kNone, kArgmax, kThreshold };

struct Limits {
  double cosine = 0;
  double max_abs_error = 0;
};

// What float layers store and compute in where the CPU can: fp16 storage with fp32 arithmetic lies between the two.
enum class Precision { kFp32, kFp16Storage, kFp16 };

struct Manifest {
  std::string release_dir;
  std::string param_path;  // Absolute, like all paths here: release directory and the manifest's relative path.
  std::string weights_path;
  Precision precision = Precision::kFp32;
  std::vector<InputSpec> inputs;
  std::vector<OutputSpec> outputs;
  PostKind post_kind = PostKind::kNone;
  double post_threshold = 0;
  std::map<std::string, std::string> golden_inputs;  // Name -> path.
  std::map<std::string, std::string> golden_outputs;
  Limits limits;
  std::map<std::string, size_t> file_sizes;  // Path -> bytes, of every file the manifest lists.
};

// A file as the manifest lists it, its path relative to the release.
struct ListedFile {
  std::string path;
  std::string sha256;
  size_t size_bytes = 0;
};

struct ListedFiles {
  std::string app;
  std::vector<ListedFile> files;
};

constexpr size_t kMaxManifestBytes = size_t{16} << 20;

// Which app a manifest is for and what files it lists: all that says what a release consists of. Knows only that much
// of the format, so that an older program can check the releases of a newer one. Throws RunnerError(kManifest).
ListedFiles list_files(const std::string& text);

// "fp32", "fp16-storage" or "fp16".
const char* precision_name(Precision precision);

// "none", "argmax" or "threshold".
const char* post_kind_name(PostKind kind);

// Reads and checks DIR/manifest.json. Throws RunnerError: kFile when it cannot be read, kManifest naming the key at
// fault.
Manifest read_manifest(const std::string& release_dir);

// Throws RunnerError(kFile) unless the file has the size that the manifest lists for it (a truncated push, a full
// disk).
void check_listed_size(const Manifest& manifest, const std::string& path);

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_RUNNER_MANIFEST_H_
