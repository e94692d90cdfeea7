// Ed25519 and SHA-256 by libsodium, on this program's types.
#ifndef EDGEDEPLOY_RUNNER_SIGNATURE_H_
#define EDGEDEPLOY_RUNNER_SIGNATURE_H_

#include <cstddef>
#include <string>

namespace edgedeploy {

constexpr size_t kKeyDigits = 64;     // A public key in hexadecimal.
constexpr size_t kSha256Digits = 64;  // A SHA-256 in hexadecimal.
constexpr size_t kSignatureBytes = 64;

// True for exactly `digits` characters of 0-9 and a-f.
bool is_hex(const std::string& text, size_t digits);

// The bytes of an even number of hexadecimal digits; empty for anything else.
std::string bytes_of_hex(const std::string& digits);

// Whether `signature` (raw bytes) is the key's over exactly `message`. False for anything malformed.
bool verifies(const std::string& signature, const std::string& message, const std::string& key_hex);

std::string sha256_hex(const std::string& bytes);

// Of a file by its path. Throws RunnerError(kFile).
std::string sha256_of_file(const std::string& path);

// Reads `descriptor` to its end. Throws RunnerError(kFile) naming `path` where that fails.
std::string sha256_hex(int descriptor, const std::string& path);

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_RUNNER_SIGNATURE_H_
