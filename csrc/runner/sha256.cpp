#include "runner/sha256.h"

#include <sodium/utils.h>

#include <algorithm>
#include <array>

#if defined(__aarch64__)
#include <sys/auxv.h>
#ifndef HWCAP_SHA2
#define HWCAP_SHA2 (1 << 6)
#endif
#endif

namespace edgedeploy {

namespace {

constexpr size_t kBlockBytes = 64;
constexpr size_t kDigestBytes = crypto_hash_sha256_BYTES;

#if defined(__aarch64__)
// Adds what the core's instructions can take, and returns how many bytes that were.
size_t add_blocks(crypto_hash_sha256_state& state, const unsigned char* bytes, size_t size) {
  static const bool has_sha2 = (getauxval(AT_HWCAP) & HWCAP_SHA2) != 0;
  const size_t blocks = size / kBlockBytes;
  // The count is in bits; blocks can only follow whole blocks.
  if (!has_sha2 || blocks == 0 || state.count / 8 % kBlockBytes != 0) return 0;
  sha256_blocks_sha2(state.state, bytes, blocks);
  state.count += uint64_t{blocks} * kBlockBytes * 8;
  return blocks * kBlockBytes;
}
#else
size_t add_blocks(crypto_hash_sha256_state&, const unsigned char*, size_t) { return 0; }
#endif

}  // namespace

Sha256::Sha256() { crypto_hash_sha256_init(&state_); }

void Sha256::add(const void* bytes, size_t size) {
  const auto* next = static_cast<const unsigned char*>(bytes);
  const size_t begun = static_cast<size_t>(state_.count / 8 % kBlockBytes);
  const size_t first = std::min(size, (kBlockBytes - begun) % kBlockBytes);
  if (first != 0) crypto_hash_sha256_update(&state_, next, first);
  const size_t done = first + add_blocks(state_, next + first, size - first);
  if (done != size) crypto_hash_sha256_update(&state_, next + done, size - done);
}

std::string Sha256::finish() {
  std::array<unsigned char, kDigestBytes> digest;
  std::array<char, 2 * kDigestBytes + 1> text;
  crypto_hash_sha256_final(&state_, digest.data());
  return sodium_bin2hex(text.data(), text.size(), digest.data(), digest.size());
}

}  // namespace edgedeploy
