// `trust`: replaces the board's trusted keys by a version that a key of the present one has signed.
#include <errno.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <optional>

#include "runner/checked_file.h"
#include "runner/commands.h"
#include "runner/descriptor.h"
#include "runner/error.h"
#include "runner/file.h"
#include "runner/signature.h"
#include "runner/trusted_keys.h"

namespace edgedeploy {

namespace {

using nlohmann::ordered_json;

constexpr char kVerifier[] = "verifier-";
// What scripts of changes under way, or cut off, have beside the list.
constexpr const char* kPassing[] = {".incoming-", ".change-"};

RunnerError refused(const std::string& why) { return RunnerError(ExitCode::kUntrusted, "the change " + why); }

// Two changes at once would both follow the same version: they come one after the other.
Descriptor lock_directory(const std::string& path) {
  Descriptor locked = open_directory(path);
  if (flock(locked.get(), LOCK_EX) != 0) throw RunnerError(ExitCode::kFile, path + ": " + strerror(errno));
  return locked;
}

void check_signed(const TrustedKeys& present, const std::string& change, const Options& options) {
  if (present.keys.empty()) return;
  if (options.key.empty() || options.signature.empty()) {
    throw refused("is not signed, and the board trusts keys already");
  }
  if (present.find(options.key) == nullptr) throw refused("is signed by a key that the board does not trust");
  if (!verifies(bytes_of_hex(options.signature), change, options.key)) {
    throw refused("does not match its signature");
  }
}

void check_follows(const TrustedKeys& next, const TrustedKeys& present) {
  if (next.board != present.board) throw refused("is for another board");
  if (next.serial != present.serial + 1) {
    throw refused("has the serial number " + std::to_string(next.serial) + ", the board is at " +
                  std::to_string(present.serial));
  }
}

// A list that names a program that is not there would have every release refused, and every later list.
void check_verifier(const Descriptor& trust, const std::string& sha256) {
  const std::string name = kVerifier + sha256;
  const CheckedFile file = open_below(trust, name);
  if (sha256_hex(file.descriptor.get(), name) != sha256) throw UnsafeFile(name, "has another SHA-256");
  if (faccessat(trust.get(), name.c_str(), X_OK, 0) != 0) throw UnsafeFile(name, strerror(errno));
}

bool starts_with(const std::string& name, const char* start) { return name.compare(0, strlen(start), start) == 0; }

// Removes the programs that the list does not name, and uploads: whose is under way read the list before this change,
// so that theirs is refused anyway. What cannot be removed takes nothing from the change.
void sweep(const Descriptor& trust, const std::string& verifier) {
  for (const std::string& name : entries_of(trust, kTrustedKeysFile)) {
    const bool passes = starts_with(name, kPassing[0]) || starts_with(name, kPassing[1]);
    if (passes || (starts_with(name, kVerifier) && name != kVerifier + verifier)) {
      unlinkat(trust.get(), name.c_str(), 0);
    }
  }
}

}  // namespace

ordered_json trust_command(const Options& options) {
  const std::string change = read_file(options.change_file, kMaxTrustedKeysBytes);
  const Descriptor trust = lock_directory(options.trust_dir);
  const TrustedKeys next = parse_trusted_keys(change);
  const std::optional<TrustedKeys> present = read_trusted_keys(trust);
  if (present) {
    check_signed(*present, change, options);
    check_follows(next, *present);
  } else if (next.serial != 1) {
    throw refused("has the serial number " + std::to_string(next.serial) + ", but the board has no trusted keys yet");
  }
  check_verifier(trust, next.verifier);
  replace_file(trust, kTrustedKeysFile, change);
  sweep(trust, next.verifier);
  return {{"schema", 1}, {"serial", next.serial}, {"keys", next.keys.size()}};
}

}  // namespace edgedeploy
