#include "runner/background_sha256.h"

#include <system_error>

namespace edgedeploy {

namespace {

// Less is hashed sooner than a thread is started.
constexpr size_t kWorthAThreadBytes = size_t{1} << 16;

}  // namespace

void BackgroundSha256::add(std::string& bytes) {
  wait();
  bytes_.swap(bytes);
  const auto hash = [this] { sum_.add(bytes_.data(), bytes_.size()); };
  if (bytes_.size() < kWorthAThreadBytes) return hash();
  try {
    running_ = std::async(std::launch::async, hash);
  } catch (const std::system_error&) {
    // The board has no thread to spare.
    hash();
  }
}

std::string BackgroundSha256::finish() {
  wait();
  return sum_.finish();
}

void BackgroundSha256::wait() {
  if (running_.valid()) running_.get();
}

}  // namespace edgedeploy
