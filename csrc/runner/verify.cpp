// `verify`: whether a release is, file by file, what a trusted key has signed.
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <set>

#include "runner/commands.h"
#include "runner/descriptor.h"
#include "runner/error.h"
#include "runner/file.h"
#include "runner/manifest.h"
#include "runner/signature.h"
#include "runner/trusted_keys.h"

namespace edgedeploy {

namespace {

using nlohmann::ordered_json;
namespace fs = std::filesystem;

constexpr mode_t kWritableByOthers = S_IWGRP | S_IWOTH;
constexpr char kManifest[] = "manifest.json";
constexpr char kSignatures[] = "signatures";

// Why a release is refused; `reason` is for programs.
struct Refusal {
  std::string reason;
  std::string what;
};

Refusal altered(const std::string& path, const std::string& what) { return {"altered", path + ": " + what}; }

// Only the owner, who runs this, or root may be able to write what is checked here.
void check_owner(const struct stat& status, const std::string& path) {
  if (status.st_mode & kWritableByOthers) throw altered(path, "can be written by others");
  if (status.st_uid != geteuid() && status.st_uid != 0) throw altered(path, "belongs to another user");
}

Descriptor open_directory(const std::string& path) {
  Descriptor directory(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (directory.get() < 0) throw RunnerError(ExitCode::kFile, path + ": " + strerror(errno));
  struct stat status{};
  if (fstat(directory.get(), &status) != 0) throw RunnerError(ExitCode::kFile, path + ": " + strerror(errno));
  check_owner(status, path);
  return directory;
}

// Opens a file below `root` for reading; a symbolic link anywhere on the way is an error, as is all that is no file.
Descriptor open_below(const Descriptor& root, const std::string& path, struct stat* status) {
  Descriptor directory;
  size_t begin = 0;
  for (;;) {
    const size_t end = path.find('/', begin);
    const bool last = end == std::string::npos;
    const std::string part = path.substr(begin, last ? end : end - begin);
    const int flags = O_RDONLY | O_NOFOLLOW | O_CLOEXEC | (last ? O_NONBLOCK : O_DIRECTORY);
    const int from = directory.get() < 0 ? root.get() : directory.get();
    Descriptor opened(openat(from, part.c_str(), flags));
    if (opened.get() < 0) {
      throw altered(path, errno == ELOOP || errno == ENOTDIR ? "is or lies behind a symbolic link" : strerror(errno));
    }
    if (fstat(opened.get(), status) != 0) throw altered(path, strerror(errno));
    check_owner(*status, path);
    if (last) {
      if (!S_ISREG(status->st_mode)) throw altered(path, "is not a regular file");
      return opened;
    }
    directory = std::move(opened);
    begin = end + 1;
  }
}

std::string read_below(const Descriptor& root, const std::string& release_dir, const std::string& path,
                       size_t max_bytes) {
  struct stat status{};
  open_below(root, path, &status);
  return read_file(release_dir + "/" + path, max_bytes);
}

std::set<std::string> signers_in(const std::string& release_dir) {
  std::set<std::string> signers;
  std::error_code none;
  for (const fs::directory_entry& entry : fs::directory_iterator(release_dir + "/" + kSignatures, none)) {
    signers.insert(entry.path().filename().string());
  }
  return signers;
}

// The trusted key that signed exactly `manifest`.
const TrustedKey& signer_of(const std::string& manifest, const Descriptor& root, const std::string& release_dir,
                            const TrustedKeys& trusted) {
  const std::set<std::string> signers = signers_in(release_dir);
  if (signers.empty()) throw Refusal{"unsigned", "the release carries no signature"};
  bool is_known = false;
  for (const TrustedKey& key : trusted.keys) {
    const std::string file = key.key + ".sig";
    if (signers.count(file) == 0) continue;
    is_known = true;
    const std::string signature = read_below(root, release_dir, std::string(kSignatures) + "/" + file, kSignatureBytes);
    if (verifies(signature, manifest, key.key)) return key;
  }
  if (is_known) throw altered(kManifest, "does not match its signature");
  throw Refusal{"unknown-signer", "the release is signed by no key that the board trusts"};
}

void check_file(const Descriptor& root, const ListedFile& file) {
  struct stat status{};
  const Descriptor opened = open_below(root, file.path, &status);
  if (static_cast<size_t>(status.st_size) != file.size_bytes) {
    throw altered(file.path, "has " + std::to_string(status.st_size) + " bytes, the manifest lists " +
                                 std::to_string(file.size_bytes));
  }
  if (sha256_hex(opened.get(), file.path) != file.sha256) throw altered(file.path, "has another SHA-256 than listed");
}

// What nobody signed has no place beside what was signed.
void check_nothing_else(const std::string& release_dir, const ListedFiles& listed) {
  std::set<std::string> known = {kManifest};
  for (const ListedFile& file : listed.files) known.insert(file.path);
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(release_dir)) {
    const std::string path = entry.path().string().substr(release_dir.size() + 1);
    const fs::file_type type = entry.symlink_status().type();
    const bool is_signature = path.compare(0, sizeof(kSignatures), std::string(kSignatures) + "/") == 0;
    if (type == fs::file_type::directory || (type == fs::file_type::regular && is_signature)) continue;
    if (known.count(path) == 0) throw altered(path, "is not listed in the manifest");
  }
}

ordered_json check_release(const Options& options, const TrustedKeys& trusted) {
  const Descriptor root = open_directory(options.release_dir);
  const std::string manifest = read_below(root, options.release_dir, kManifest, kMaxManifestBytes);
  const TrustedKey& signer = signer_of(manifest, root, options.release_dir, trusted);
  if (sha256_hex(manifest) != options.digest) throw altered(kManifest, "is not the release " + options.digest);
  const ListedFiles listed = list_files(manifest);
  if (listed.app != options.app) throw altered(kManifest, "is for the app '" + listed.app + "', not " + options.app);
  size_t size_bytes = manifest.size();
  for (const ListedFile& file : listed.files) {
    check_file(root, file);
    size_bytes += file.size_bytes;
  }
  check_nothing_else(options.release_dir, listed);
  return {{"schema", 1},
          {"verified", true},
          {"required", true},
          {"key", signer.key},
          {"name", signer.name},
          {"files", listed.files.size() + 1},
          {"size_bytes", size_bytes}};
}

}  // namespace

ordered_json verify_command(const Options& options) {
  try {
    open_directory(options.trust_dir);
    const TrustedKeys trusted = read_trusted_keys(options.trust_dir);
    if (trusted.keys.empty()) return {{"schema", 1}, {"verified", false}, {"required", false}};
    return check_release(options, trusted);
  } catch (const Refusal& refusal) {
    return {
        {"schema", 1}, {"verified", false}, {"required", true}, {"reason", refusal.reason}, {"message", refusal.what}};
  }
}

}  // namespace edgedeploy
