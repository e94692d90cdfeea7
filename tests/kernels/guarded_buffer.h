// Memory between two pages that nobody may touch: a kernel that reads or writes beyond its buffer dies at once.
#ifndef EDGEDEPLOY_TESTS_GUARDED_BUFFER_H_
#define EDGEDEPLOY_TESTS_GUARDED_BUFFER_H_

#include <cstddef>
#include <cstdint>

namespace edgedeploy_tests {

// Which guard page the buffer touches.
enum class Flush { kEnd, kStart };

// Writable pages between two guards, for at least so many bytes. Given back, they serve the next buffer of their size:
// to map them anew for each would be most of what small cases cost.
class GuardedPages {
 public:
  explicit GuardedPages(size_t bytes);
  ~GuardedPages();
  GuardedPages(const GuardedPages&) = delete;
  GuardedPages& operator=(const GuardedPages&) = delete;

  char* start() const { return start_; }
  size_t bytes() const { return bytes_; }

 private:
  size_t bytes_;
  char* start_;
};

// Its values are the same in every run of a case, and none that a case would put there.
template <typename Value>
class GuardedBuffer {
 public:
  explicit GuardedBuffer(size_t count, Flush flush = Flush::kEnd) : count_(count), pages_(count * sizeof(Value)) {
    const size_t before = flush == Flush::kEnd ? pages_.bytes() - count * sizeof(Value) : 0;
    data_ = reinterpret_cast<Value*>(pages_.start() + before);
  }

  Value* data() { return data_; }
  const Value* data() const { return data_; }
  size_t size() const { return count_; }
  Value& operator[](size_t index) { return data_[index]; }
  const Value& operator[](size_t index) const { return data_[index]; }

 private:
  size_t count_;
  GuardedPages pages_;
  Value* data_;
};

}  // namespace edgedeploy_tests

#endif  // EDGEDEPLOY_TESTS_GUARDED_BUFFER_H_
