#include "runner/file.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <memory>

#include "runner/error.h"

namespace edgedeploy {

namespace {

struct FileCloser {
  void operator()(FILE* file) const { fclose(file); }
};
using File = std::unique_ptr<FILE, FileCloser>;

RunnerError file_error(const std::string& path, const std::string& what) {
  return RunnerError(ExitCode::kFile, path + ": " + what);
}

}  // namespace

size_t file_size(const std::string& path) {
  struct stat status{};
  if (stat(path.c_str(), &status) != 0) throw file_error(path, strerror(errno));
  if (!S_ISREG(status.st_mode)) throw file_error(path, "not a regular file");
  return static_cast<size_t>(status.st_size);
}

std::string read_file(const std::string& path, size_t max_bytes) {
  const size_t size_bytes = file_size(path);
  if (size_bytes > max_bytes) {
    throw file_error(path, std::to_string(size_bytes) + " bytes, at most " + std::to_string(max_bytes) + " are read");
  }
  File file(fopen(path.c_str(), "rb"));
  if (!file) throw file_error(path, strerror(errno));
  std::string content(size_bytes, '\0');
  if (fread(&content[0], 1, size_bytes, file.get()) != size_bytes) {
    throw file_error(path, "could not be read to its end");
  }
  return content;
}

void write_file(const std::string& path, const std::vector<Span>& parts) {
  const std::string temporary = path + ".tmp" + std::to_string(getpid());
  FILE* file = fopen(temporary.c_str(), "wb");
  if (!file) throw file_error(temporary, strerror(errno));
  bool written = true;
  for (const Span& part : parts) {
    written = written && fwrite(part.data, 1, part.size_bytes, file) == part.size_bytes;
  }
  // A full disk may show only when the buffers are flushed.
  written = (fclose(file) == 0) && written;
  if (!written || rename(temporary.c_str(), path.c_str()) != 0) {
    const int reason = errno;
    unlink(temporary.c_str());
    throw file_error(path, std::string("cannot be written: ") + strerror(reason));
  }
}

void make_directories(const std::string& path) {
  for (size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::string part = path.substr(0, end);
    if (mkdir(part.c_str(), 0755) != 0 && errno != EEXIST) throw file_error(part, strerror(errno));
    if (end == std::string::npos) break;
  }
  struct stat status{};
  if (stat(path.c_str(), &status) != 0 || !S_ISDIR(status.st_mode)) throw file_error(path, "not a directory");
}

std::string absolute_path(const std::string& path) {
  std::unique_ptr<char, decltype(&free)> resolved(realpath(path.c_str(), nullptr), &free);
  if (!resolved) throw file_error(path, strerror(errno));
  return resolved.get();
}

}  // namespace edgedeploy
