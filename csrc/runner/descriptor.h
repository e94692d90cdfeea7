// An open file descriptor that is closed with its owner.
#ifndef EDGEDEPLOY_RUNNER_DESCRIPTOR_H_
#define EDGEDEPLOY_RUNNER_DESCRIPTOR_H_

#include <unistd.h>

#include <utility>

namespace edgedeploy {

class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~Descriptor() {
    if (number_ >= 0) close(number_);
  }

  int get() const { return number_; }

 private:
  int number_;
};

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_RUNNER_DESCRIPTOR_H_
