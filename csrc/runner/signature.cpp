#include "runner/signature.h"

#include <errno.h>
#include <sodium/crypto_hash_sha256.h>
#include <sodium/crypto_sign_ed25519.h>
#include <sodium/utils.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <vector>

#include "runner/error.h"

namespace edgedeploy {

namespace {

static_assert(kSignatureBytes == crypto_sign_ed25519_BYTES, "");
static_assert(kKeyDigits == 2 * crypto_sign_ed25519_PUBLICKEYBYTES, "");
static_assert(kSha256Digits == 2 * crypto_hash_sha256_BYTES, "");

constexpr size_t kChunkBytes = size_t{1} << 16;

const unsigned char* bytes_of(const std::string& text) { return reinterpret_cast<const unsigned char*>(text.data()); }

std::string hex_of(const std::array<unsigned char, crypto_hash_sha256_BYTES>& digest) {
  std::array<char, kSha256Digits + 1> text;
  return sodium_bin2hex(text.data(), text.size(), digest.data(), digest.size());
}

}  // namespace

bool is_hex(const std::string& text, size_t digits) {
  return text.size() == digits && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

std::string bytes_of_hex(const std::string& digits) {
  std::string bytes(digits.size() / 2, '\0');
  if (digits.size() % 2 != 0 || !is_hex(digits, digits.size())) return {};
  sodium_hex2bin(reinterpret_cast<unsigned char*>(&bytes[0]), bytes.size(), digits.data(), digits.size(), nullptr,
                 nullptr, nullptr);
  return bytes;
}

bool verifies(const std::string& signature, const std::string& message, const std::string& key_hex) {
  const std::string key = bytes_of_hex(key_hex);
  if (signature.size() != kSignatureBytes || key.size() != crypto_sign_ed25519_PUBLICKEYBYTES) return false;
  return crypto_sign_ed25519_verify_detached(bytes_of(signature), bytes_of(message), message.size(), bytes_of(key)) ==
         0;
}

std::string sha256_hex(const std::string& bytes) {
  std::array<unsigned char, crypto_hash_sha256_BYTES> digest;
  crypto_hash_sha256(digest.data(), bytes_of(bytes), bytes.size());
  return hex_of(digest);
}

std::string sha256_hex(int descriptor, const std::string& path) {
  crypto_hash_sha256_state state;
  crypto_hash_sha256_init(&state);
  std::vector<unsigned char> chunk(kChunkBytes);
  for (;;) {
    const ssize_t count = read(descriptor, chunk.data(), chunk.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw RunnerError(ExitCode::kFile, path + ": " + strerror(errno));
    if (count == 0) break;
    crypto_hash_sha256_update(&state, chunk.data(), static_cast<size_t>(count));
  }
  std::array<unsigned char, crypto_hash_sha256_BYTES> digest;
  crypto_hash_sha256_final(&state, digest.data());
  return hex_of(digest);
}

}  // namespace edgedeploy
