// Whole files in and out, with errors that name the file.
#ifndef EDGEDEPLOY_RUNNER_FILE_H_
#define EDGEDEPLOY_RUNNER_FILE_H_

#include <cstddef>
#include <string>
#include <vector>

namespace edgedeploy {

// Reads at most `max_bytes`; a longer, missing or unreadable file throws RunnerError(kFile).
std::string read_file(const std::string& path, size_t max_bytes);

// Size of a regular file in bytes; anything else throws RunnerError(kFile).
size_t file_size(const std::string& path);

// Writes all parts to a temporary name beside `path` and renames it there.
struct Span {
  const void* data;
  size_t size_bytes;
};
void write_file(const std::string& path, const std::vector<Span>& parts);

// Creates a directory and its parents where they are missing.
void make_directories(const std::string& path);

// The absolute form of an existing path.
std::string absolute_path(const std::string& path);

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_RUNNER_FILE_H_
