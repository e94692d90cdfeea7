// SHA-256 on a second core, while whoever has the bytes fetches the next ones.
#ifndef EDGEDEPLOY_RUNNER_BACKGROUND_SHA256_H_
#define EDGEDEPLOY_RUNNER_BACKGROUND_SHA256_H_

#include <future>
#include <string>

#include "runner/sha256.h"

namespace edgedeploy {

class BackgroundSha256 {
 public:
  // Takes the bytes and gives earlier ones for them, which are as good as any to be overwritten.
  void add(std::string& bytes);

  // The hash of all that was added, in hexadecimal; nothing may be added afterwards.
  std::string finish();

 private:
  void wait();

  Sha256 sum_;
  std::string bytes_;
  // Declared last: it waits, when it goes, for what uses the others.
  std::future<void> running_;
};

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_RUNNER_BACKGROUND_SHA256_H_
