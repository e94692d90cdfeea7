// Names and files on the disk, settled: what returns has happened, or a RunnerError(kFile) says what did not.
#ifndef EDGEDEPLOY_RUNNER_DISK_H_
#define EDGEDEPLOY_RUNNER_DISK_H_

#include <sys/stat.h>

#include <string>
#include <vector>

namespace edgedeploy {

bool exists(const std::string& path);        // Itself, be it a link to nothing.
bool is_directory(const std::string& path);  // Links are followed, as in the two below.
bool is_regular(const std::string& path);
bool is_same_file(const std::string& first, const std::string& second);

// What the directory holds, sorted, without "." and ".."; nothing for one that cannot be read.
std::vector<std::string> names_in(const std::string& path);

void make_directory(const std::string& path);
void rename_path(const std::string& from, const std::string& to);
void link_path(const std::string& from, const std::string& to);
void change_mode(const std::string& path, mode_t mode);
void write_new_file(const std::string& path, const std::string& content);

// Lets the disk begin with a file's content.
void begin_sync(const std::string& path);

// Settles files and directories. The disk begins with all of them before any is waited for.
void sync_all(const std::vector<std::string>& paths);

// The first `max_bytes` of a file; empty for one that cannot be read.
std::string read_beginning(const std::string& path, size_t max_bytes);

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_RUNNER_DISK_H_
