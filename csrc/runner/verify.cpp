// `verify`: whether a release is, file by file, what a trusted key has signed.
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <optional>
#include <set>

#include "runner/checked_file.h"
#include "runner/commands.h"
#include "runner/manifest.h"
#include "runner/signature.h"
#include "runner/trusted_keys.h"

namespace edgedeploy {

namespace {

using nlohmann::ordered_json;

constexpr char kManifest[] = "manifest.json";
constexpr char kSignatures[] = "signatures";
constexpr char kSuffix[] = ".sig";

// Why a release is refused that is whole; `reason` is for programs.
struct Refusal {
  std::string reason;
  std::string what;
};

// What the manifest lists and what belongs to every release.
struct Known {
  std::set<std::string> files;
  std::set<std::string> directories;
};

std::string signature_path(const std::string& key) { return std::string(kSignatures) + "/" + key + kSuffix; }

std::string read_manifest_bytes(const Descriptor& root) {
  std::string manifest = read_start(open_below(root, kManifest).descriptor, kManifest, kMaxManifestBytes);
  if (manifest.size() > kMaxManifestBytes) {
    throw UnsafeFile(kManifest, "has more than " + std::to_string(kMaxManifestBytes) + " bytes");
  }
  return manifest;
}

std::vector<std::string> signers_in(const Descriptor& root) {
  if (!has_entry(root, kSignatures)) return {};
  return entries_of(open_directory_below(root, kSignatures), kSignatures);
}

// The trusted key that signed exactly `manifest`.
const TrustedKey& signer_of(const std::string& manifest, const Descriptor& root, const TrustedKeys& trusted) {
  const std::vector<std::string> signers = signers_in(root);
  if (signers.empty()) throw Refusal{"unsigned", "the release carries no signature"};
  bool is_known = false;
  for (const TrustedKey& key : trusted.keys) {
    if (!std::binary_search(signers.begin(), signers.end(), key.key + kSuffix)) continue;
    is_known = true;
    const std::string path = signature_path(key.key);
    // One that is too long is no signature of this key, which says nothing about the other keys' signatures.
    const std::string signature = read_start(open_below(root, path).descriptor, path, kSignatureBytes);
    if (verifies(signature, manifest, key.key)) return key;
  }
  if (is_known) throw UnsafeFile(kManifest, "does not match its signature");
  throw Refusal{"unknown-signer", "the release is signed by no key that the board trusts"};
}

void check_file(const Descriptor& root, const ListedFile& listed) {
  const CheckedFile file = open_below(root, listed.path);
  if (file.size_bytes != listed.size_bytes) {
    throw UnsafeFile(listed.path, "has " + std::to_string(file.size_bytes) + " bytes, the manifest lists " +
                                      std::to_string(listed.size_bytes));
  }
  if (sha256_hex(file.descriptor.get(), listed.path) != listed.sha256) {
    throw UnsafeFile(listed.path, "has another SHA-256 than listed");
  }
}

Known known_of(const ListedFiles& listed) {
  Known known = {{kManifest}, {kSignatures}};
  for (const ListedFile& file : listed.files) {
    known.files.insert(file.path);
    for (size_t end = file.path.find('/'); end != std::string::npos; end = file.path.find('/', end + 1)) {
      known.directories.insert(file.path.substr(0, end));
    }
  }
  return known;
}

// signatures/64-HEXADECIMAL-DIGITS.sig: a stranger's has its place there too.
bool is_signature(const std::string& path) {
  const size_t start = sizeof(kSignatures);
  return path.size() > start + kKeyDigits && is_hex(path.substr(start, kKeyDigits), kKeyDigits) &&
         path == signature_path(path.substr(start, kKeyDigits));
}

// What nobody signed has no place beside what was signed. `directory` is the one at `below`, which is empty for the
// release itself or ends in a slash.
void check_nothing_else(const Descriptor& root, const Descriptor& directory, const std::string& below,
                        const Known& known) {
  for (const std::string& name : entries_of(directory, below.empty() ? "the release" : below)) {
    const std::string path = below + name;
    struct stat status{};
    if (fstatat(directory.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) throw UnsafeFile(path, "vanished");
    const bool is_place = S_ISDIR(status.st_mode) && known.directories.count(path) != 0;
    const bool is_file = S_ISREG(status.st_mode) && (known.files.count(path) != 0 || is_signature(path));
    if (!is_place && !is_file) throw UnsafeFile(path, "is not listed in the manifest");
    check_owner(status, path);
    if (is_place) check_nothing_else(root, open_directory_below(root, path), path + "/", known);
  }
}

ordered_json check_release(const Options& options, const TrustedKeys& trusted) {
  const Descriptor root = open_directory(options.release_dir);
  check_above(root, "..", "the directory of releases");
  check_above(root, "../..", "the app's directory");
  const std::string manifest = read_manifest_bytes(root);
  const TrustedKey& signer = signer_of(manifest, root, trusted);
  if (sha256_hex(manifest) != options.digest) throw UnsafeFile(kManifest, "is not the release " + options.digest);
  const ListedFiles listed = list_files(manifest);
  if (listed.app != options.app) {
    throw UnsafeFile(kManifest, "is for the app '" + listed.app + "', not " + options.app);
  }
  size_t size_bytes = manifest.size();
  for (const ListedFile& file : listed.files) {
    check_file(root, file);
    size_bytes += file.size_bytes;
  }
  check_nothing_else(root, root, "", known_of(listed));
  return {{"schema", 1},
          {"verified", true},
          {"required", true},
          {"key", signer.key},
          {"name", signer.name},
          {"files", listed.files.size() + 1},
          {"size_bytes", size_bytes}};
}

TrustedKeys require_trusted_keys(const std::string& trust_dir) {
  const std::optional<TrustedKeys> trusted = read_trusted_keys(open_directory(trust_dir));
  if (!trusted) throw RunnerError(ExitCode::kFile, trust_dir + ": has no list of trusted keys");
  return *trusted;
}

ordered_json refused(const std::string& reason, const std::string& what) {
  return {{"schema", 1}, {"verified", false}, {"required", true}, {"reason", reason}, {"message", what}};
}

}  // namespace

ordered_json verify_command(const Options& options) {
  const TrustedKeys trusted = require_trusted_keys(options.trust_dir);
  if (trusted.keys.empty()) return {{"schema", 1}, {"verified", false}, {"required", false}};
  try {
    return check_release(options, trusted);
  } catch (const Refusal& refusal) {
    return refused(refusal.reason, refusal.what);
  } catch (const UnsafeFile& unsafe) {
    return refused("altered", unsafe.what());
  }
}

}  // namespace edgedeploy
