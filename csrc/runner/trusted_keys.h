// The board's trusted keys: DIR/keys, a text file whose every version is signed by a key of the version before.
#ifndef EDGEDEPLOY_RUNNER_TRUSTED_KEYS_H_
#define EDGEDEPLOY_RUNNER_TRUSTED_KEYS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runner/descriptor.h"

namespace edgedeploy {

struct TrustedKey {
  std::string key;  // 64 hexadecimal digits.
  std::string name;
};

struct TrustedKeys {
  std::string board;     // 32 hexadecimal digits, chosen at the first trust: a change for one board fits no other.
  uint64_t serial = 0;   // Grows by one with every change: none fits twice.
  std::string verifier;  // SHA-256 of the program that checks releases.
  std::vector<TrustedKey> keys;

  const TrustedKey* find(const std::string& key) const;
};

constexpr char kTrustedKeysFile[] = "keys";
constexpr size_t kMaxTrustedKeysBytes = size_t{1} << 16;

// Reads the text of such a file. Throws RunnerError(kUntrusted) for anything but the exact format:
//
//   edgedeploy trusted keys 1
//   board 32 hexadecimal digits
//   serial 3
//   verifier SHA-256
//   key 64-HEXADECIMAL-DIGITS NAME        (any number of these, up to 64)
TrustedKeys parse_trusted_keys(const std::string& text);

// Reads the list in an open directory of trust; nothing where there never was one. Throws RunnerError: kFile where that
// cannot be said, kUntrusted where the list cannot be read, is no list, or somebody else could have written it.
std::optional<TrustedKeys> read_trusted_keys(const Descriptor& trust);

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_RUNNER_TRUSTED_KEYS_H_
