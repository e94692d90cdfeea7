#include "runner/signature.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium/crypto_sign_ed25519.h>
#include <sodium/utils.h>
#include <string.h>
#include <unistd.h>

#include <vector>

#include "runner/descriptor.h"
#include "runner/error.h"
#include "runner/sha256.h"

namespace edgedeploy {

namespace {

static_assert(kSignatureBytes == crypto_sign_ed25519_BYTES, "");
static_assert(kKeyDigits == 2 * crypto_sign_ed25519_PUBLICKEYBYTES, "");
static_assert(kSha256Digits == 2 * crypto_hash_sha256_BYTES, "");

constexpr size_t kChunkBytes = size_t{1} << 16;

const unsigned char* bytes_of(const std::string& text) { return reinterpret_cast<const unsigned char*>(text.data()); }

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
  Sha256 sum;
  sum.add(bytes.data(), bytes.size());
  return sum.finish();
}

std::string sha256_of_file(const std::string& path) {
  const Descriptor file(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (file.get() < 0) throw RunnerError(ExitCode::kFile, path + ": " + strerror(errno));
  return sha256_hex(file.get(), path);
}

std::string sha256_hex(int descriptor, const std::string& path) {
  Sha256 sum;
  std::vector<unsigned char> chunk(kChunkBytes);
  for (;;) {
    const ssize_t count = read(descriptor, chunk.data(), chunk.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw RunnerError(ExitCode::kFile, path + ": " + strerror(errno));
    if (count == 0) return sum.finish();
    sum.add(chunk.data(), static_cast<size_t>(count));
  }
}

}  // namespace edgedeploy
