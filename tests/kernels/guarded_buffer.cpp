#include "guarded_buffer.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <vector>

namespace edgedeploy_tests {
namespace {

// A NaN as float, a large value as int32, an address that faults as pointer.
constexpr int kUnset = 0xff;

char* map_between_guards(size_t bytes, size_t page) {
  void* map = mmap(nullptr, bytes + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (map == MAP_FAILED) {
    std::perror("mmap");
    std::abort();
  }
  char* const start = static_cast<char*>(map) + page;
  if (bytes != 0 && mprotect(start, bytes, PROT_READ | PROT_WRITE) != 0) {
    std::perror("mprotect");
    std::abort();
  }
  return start;
}

std::vector<char*>& free_pages(size_t bytes) {
  static std::map<size_t, std::vector<char*>> by_size;
  return by_size[bytes];
}

}  // namespace

GuardedPages::GuardedPages(size_t bytes) {
  static const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  bytes_ = (bytes + page - 1) / page * page;
  std::vector<char*>& free = free_pages(bytes_);
  if (free.empty()) {
    start_ = map_between_guards(bytes_, page);
  } else {
    start_ = free.back();
    free.pop_back();
  }
  std::memset(start_, kUnset, bytes_);
}

GuardedPages::~GuardedPages() { free_pages(bytes_).push_back(start_); }

}  // namespace edgedeploy_tests
