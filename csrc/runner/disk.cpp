#include "runner/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "runner/descriptor.h"
#include "runner/error.h"

namespace edgedeploy {

namespace {

constexpr mode_t kDirectoryMode = 0755;
constexpr mode_t kFileMode = 0644;

RunnerError failed(const std::string& path) { return RunnerError(ExitCode::kFile, path + ": " + strerror(errno)); }

void require(int result, const std::string& path) {
  if (result != 0) throw failed(path);
}

Descriptor open_to_sync(const std::string& path) {
  Descriptor opened(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (opened.get() < 0) throw failed(path);
  return opened;
}

void write_all(const Descriptor& file, const std::string& content, const std::string& path) {
  for (size_t done = 0; done < content.size();) {
    const ssize_t count = write(file.get(), content.data() + done, content.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw failed(path);
    done += static_cast<size_t>(count);
  }
}

}  // namespace

bool exists(const std::string& path) {
  struct stat status{};
  return lstat(path.c_str(), &status) == 0;
}

bool is_directory(const std::string& path) {
  struct stat status{};
  return stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

bool is_regular(const std::string& path) {
  struct stat status{};
  return stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode);
}

bool is_same_file(const std::string& first, const std::string& second) {
  struct stat one{};
  struct stat other{};
  return stat(first.c_str(), &one) == 0 && stat(second.c_str(), &other) == 0 && one.st_dev == other.st_dev &&
         one.st_ino == other.st_ino;
}

std::vector<std::string> names_in(const std::string& path) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir(path.c_str()), &closedir);
  if (directory == nullptr) return names;
  while (const dirent* entry = readdir(directory.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

void make_directory(const std::string& path) { require(mkdir(path.c_str(), kDirectoryMode), path); }

void rename_path(const std::string& from, const std::string& to) { require(rename(from.c_str(), to.c_str()), to); }

void link_path(const std::string& from, const std::string& to) { require(link(from.c_str(), to.c_str()), to); }

void change_mode(const std::string& path, mode_t mode) { require(chmod(path.c_str(), mode), path); }

void write_new_file(const std::string& path, const std::string& content) {
  const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  const Descriptor file(open(path.c_str(), flags, kFileMode));
  if (file.get() < 0) throw failed(path);
  write_all(file, content, path);
}

void begin_sync(const std::string& path) {
  const Descriptor file(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (file.get() >= 0) sync_file_range(file.get(), 0, 0, SYNC_FILE_RANGE_WRITE);
}

void sync_all(const std::vector<std::string>& paths) {
  for (const std::string& path : paths) begin_sync(path);
  for (const std::string& path : paths) require(fsync(open_to_sync(path).get()), path);
}

std::string read_beginning(const std::string& path, size_t max_bytes) {
  std::string content;
  const Descriptor file(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  char chunk[4096];
  while (file.get() >= 0 && content.size() < max_bytes) {
    const ssize_t count = read(file.get(), chunk, std::min(sizeof(chunk), max_bytes - content.size()));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    content.append(chunk, static_cast<size_t>(count));
  }
  return content;
}

}  // namespace edgedeploy
