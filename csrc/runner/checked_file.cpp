#include "runner/checked_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

namespace edgedeploy {

namespace {

constexpr mode_t kWritableByOthers = S_IWGRP | S_IWOTH;
constexpr mode_t kNewMode = S_IRUSR | S_IWUSR | S_IRGRP | S_IROTH;
constexpr int kOpenDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
constexpr char kTemporary[] = ".tmp";

struct CloseDirectory {
  void operator()(DIR* stream) const { closedir(stream); }
};

RunnerError file_error(const std::string& path) { return RunnerError(ExitCode::kFile, path + ": " + strerror(errno)); }

Descriptor open_part(const Descriptor& directory, const std::string& part, int flags, const std::string& path) {
  Descriptor opened(openat(directory.get(), part.c_str(), flags));
  if (opened.get() < 0) {
    throw UnsafeFile(path, errno == ELOOP || errno == ENOTDIR ? "is or lies behind a symbolic link" : strerror(errno));
  }
  return opened;
}

struct stat status_of(const Descriptor& opened, const std::string& path) {
  struct stat status{};
  if (fstat(opened.get(), &status) != 0) throw UnsafeFile(path, strerror(errno));
  return status;
}

// Opens the last part of `path` with `flags`, the directories on the way checked.
Descriptor open_way(const Descriptor& root, const std::string& path, int flags) {
  const size_t end = path.rfind('/');
  if (end == std::string::npos) return open_part(root, path, flags, path);
  Descriptor above(fcntl(root.get(), F_DUPFD_CLOEXEC, 0));
  if (above.get() < 0) throw UnsafeFile(path, strerror(errno));
  for (size_t begin = 0; begin <= end;) {
    const size_t next = path.find('/', begin);
    above = open_part(above, path.substr(begin, next - begin), kOpenDirectory, path);
    check_owner(status_of(above, path), path);
    begin = next + 1;
  }
  return open_part(above, path.substr(end + 1), flags, path);
}

void write_whole(const Descriptor& file, const std::string& content, const std::string& path) {
  for (size_t done = 0; done < content.size();) {
    const ssize_t count = write(file.get(), content.data() + done, content.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw file_error(path);
    done += static_cast<size_t>(count);
  }
  if (fsync(file.get()) != 0) throw file_error(path);
}

}  // namespace

void check_owner(const struct stat& status, const std::string& path) {
  if (status.st_mode & kWritableByOthers) throw UnsafeFile(path, "can be written by others");
  if (status.st_uid != geteuid() && status.st_uid != 0) throw UnsafeFile(path, "belongs to another user");
}

Descriptor open_directory(const std::string& path) {
  // With a slash behind it, a symbolic link would be followed.
  const std::string name = path.substr(0, path.find_last_not_of('/') + 1);
  Descriptor directory(open(name.empty() ? path.c_str() : name.c_str(), kOpenDirectory));
  if (directory.get() < 0) throw file_error(path);
  check_owner(status_of(directory, path), path);
  return directory;
}

void check_above(const Descriptor& directory, const std::string& steps, const std::string& path) {
  check_owner(status_of(open_part(directory, steps, kOpenDirectory, path), path), path);
}

CheckedFile open_below(const Descriptor& root, const std::string& path) {
  Descriptor opened = open_way(root, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  const struct stat status = status_of(opened, path);
  check_owner(status, path);
  if (!S_ISREG(status.st_mode)) throw UnsafeFile(path, "is not a regular file");
  return {std::move(opened), static_cast<size_t>(status.st_size)};
}

Descriptor open_directory_below(const Descriptor& root, const std::string& path) {
  Descriptor opened = open_way(root, path, kOpenDirectory);
  check_owner(status_of(opened, path), path);
  return opened;
}

bool has_entry(const Descriptor& directory, const std::string& name) {
  struct stat status{};
  if (fstatat(directory.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) return true;
  if (errno != ENOENT) throw file_error(name);
  return false;
}

std::vector<std::string> entries_of(const Descriptor& directory, const std::string& path) {
  // A second description of the same directory: reading this one moves nothing in the other.
  const int again = openat(directory.get(), ".", kOpenDirectory);
  const std::unique_ptr<DIR, CloseDirectory> stream(again < 0 ? nullptr : fdopendir(again));
  if (!stream) throw UnsafeFile(path, strerror(errno));
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const struct dirent* entry = readdir(stream.get());
    if (entry == nullptr && errno != 0) throw UnsafeFile(path, strerror(errno));
    if (entry == nullptr) break;
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string read_start(const Descriptor& file, const std::string& path, size_t max_bytes) {
  constexpr size_t kChunkBytes = size_t{1} << 16;
  std::string content;
  while (content.size() <= max_bytes) {
    const size_t had = content.size();
    content.resize(had + std::min(kChunkBytes, max_bytes + 1 - had));
    const ssize_t count = read(file.get(), &content[had], content.size() - had);
    const int reason = errno;
    content.resize(had + static_cast<size_t>(std::max<ssize_t>(count, 0)));
    if (count < 0 && reason == EINTR) continue;
    if (count < 0) throw UnsafeFile(path, strerror(reason));
    if (count == 0) break;
  }
  return content;
}

void replace_file(const Descriptor& directory, const std::string& name, const std::string& content) {
  const std::string prefix = name + kTemporary;
  for (const std::string& left : entries_of(directory, name)) {
    if (left.compare(0, prefix.size(), prefix) != 0) continue;
    if (unlinkat(directory.get(), left.c_str(), 0) != 0) throw file_error(left);
  }
  const std::string temporary = prefix + std::to_string(getpid());
  const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  const Descriptor file(openat(directory.get(), temporary.c_str(), flags, kNewMode));
  if (file.get() < 0) throw file_error(temporary);
  try {
    write_whole(file, content, name);
    if (renameat(directory.get(), temporary.c_str(), directory.get(), name.c_str()) != 0) throw file_error(name);
  } catch (const RunnerError&) {
    unlinkat(directory.get(), temporary.c_str(), 0);
    throw;
  }
  if (fsync(directory.get()) != 0) throw file_error(name);
}

}  // namespace edgedeploy
