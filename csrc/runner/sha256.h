// SHA-256 of what comes piece by piece: libsodium's, with the core's own instructions where it has them.
#ifndef EDGEDEPLOY_RUNNER_SHA256_H_
#define EDGEDEPLOY_RUNNER_SHA256_H_

#include <sodium/crypto_hash_sha256.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace edgedeploy {

class Sha256 {
 public:
  Sha256();

  void add(const void* bytes, size_t size);

  // The hash of all that was added, in hexadecimal; nothing may be added afterwards.
  std::string finish();

 private:
  crypto_hash_sha256_state state_;
};

// Adds whole blocks of 64 bytes to a state of eight words, by the instructions of ARMv8's SHA2 extension.
void sha256_blocks_sha2(uint32_t* state, const unsigned char* bytes, size_t blocks);

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_RUNNER_SHA256_H_
