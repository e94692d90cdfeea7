// Files and directories that nobody but their owner, who runs this, or root can write, reached through no symbolic
// link. What is checked is what is read: by the descriptor that was opened, never by its path once more.
#ifndef EDGEDEPLOY_RUNNER_CHECKED_FILE_H_
#define EDGEDEPLOY_RUNNER_CHECKED_FILE_H_

#include <sys/stat.h>

#include <cstddef>
#include <string>
#include <vector>

#include "runner/descriptor.h"
#include "runner/error.h"

namespace edgedeploy {

// Something is not what it has to be before it can be relied on; the message starts with its path.
class UnsafeFile : public RunnerError {
 public:
  UnsafeFile(const std::string& path, const std::string& what)
      : RunnerError(ExitCode::kUntrusted, path + ": " + what) {}
};

struct CheckedFile {
  Descriptor descriptor;
  size_t size_bytes = 0;
};

// Throws UnsafeFile where others can write it, or it is another user's; `path` is for the message, here and below.
void check_owner(const struct stat& status, const std::string& path);

// Opens a directory, slashes behind its name or not. Throws RunnerError(kFile) where it cannot be opened or is a
// symbolic link, UnsafeFile by check_owner.
Descriptor open_directory(const std::string& path);

// Checks the directory above `directory`, as check_owner does.
void check_above(const Descriptor& directory, const std::string& steps, const std::string& path);

// Opens a regular file, or a directory, `path` below `root`. Throws UnsafeFile where it cannot be opened, is something
// else, or check_owner refuses it or a directory on the way.
CheckedFile open_below(const Descriptor& root, const std::string& path);
Descriptor open_directory_below(const Descriptor& root, const std::string& path);

// Whether `directory` has an entry of this name, a broken symbolic link too. Throws RunnerError(kFile) where that
// cannot be said.
bool has_entry(const Descriptor& directory, const std::string& name);

// Names in a directory but "." and "..", sorted. Throws UnsafeFile where they cannot be read.
std::vector<std::string> entries_of(const Descriptor& directory, const std::string& path);

// Reads a file from where the descriptor stands, but no more than one byte beyond `max_bytes`: who gets that one knows
// that the file is too long. Throws UnsafeFile where it cannot be read.
std::string read_start(const Descriptor& file, const std::string& path, size_t max_bytes);

// Puts a file in the place of another, so that a power cut leaves the old one or the new one, whole; what a cut left of
// earlier tries is removed. Only the owner can write it. Throws RunnerError(kFile).
void replace_file(const Descriptor& directory, const std::string& name, const std::string& content);

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_RUNNER_CHECKED_FILE_H_
