// Memory between two pages that nobody may touch: a kernel that reads or writes beyond its buffer dies at once.
#ifndef EDGEDEPLOY_TESTS_GUARDED_BUFFER_H_
#define EDGEDEPLOY_TESTS_GUARDED_BUFFER_H_

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace edgedeploy_tests {

// Which guard page the buffer touches.
enum class Flush { kEnd, kStart };

template <typename Value>
class GuardedBuffer {
 public:
  explicit GuardedBuffer(size_t count, Flush flush = Flush::kEnd) : count_(count) {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const size_t bytes = count * sizeof(Value);
    const size_t inner = (bytes + page - 1) / page * page;
    mapped_bytes_ = inner + 2 * page;
    void* map = mmap(nullptr, mapped_bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) {
      std::perror("mmap");
      std::abort();
    }
    map_ = static_cast<char*>(map);
    if (inner != 0 && mprotect(map_ + page, inner, PROT_READ | PROT_WRITE) != 0) {
      std::perror("mprotect");
      std::abort();
    }
    data_ = reinterpret_cast<Value*>(map_ + page + (flush == Flush::kEnd ? inner - bytes : 0));
  }
  ~GuardedBuffer() { munmap(map_, mapped_bytes_); }
  GuardedBuffer(const GuardedBuffer&) = delete;
  GuardedBuffer& operator=(const GuardedBuffer&) = delete;

  Value* data() { return data_; }
  const Value* data() const { return data_; }
  size_t size() const { return count_; }
  Value& operator[](size_t index) { return data_[index]; }
  const Value& operator[](size_t index) const { return data_[index]; }

 private:
  size_t count_;
  size_t mapped_bytes_;
  char* map_;
  Value* data_;
};

}  // namespace edgedeploy_tests

#endif  // EDGEDEPLOY_TESTS_GUARDED_BUFFER_H_
