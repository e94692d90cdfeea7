// `survey`: takes the lock and tells what the board has, in the app's directory, which is the working directory. It
// knows a board in order alone: whatever was cut off, and a lock that is held, is left to the script that mends
// it.
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <thread>

#include "runner/board_lock.h"
#include "runner/commands.h"
#include "runner/disk.h"
#include "runner/error.h"
#include "runner/report.h"
#include "runner/signature.h"

namespace edgedeploy {

namespace {

constexpr mode_t kWritableByOthers = S_IWGRP | S_IWOTH;
constexpr size_t kMaxHealthBytes = 65536;
constexpr size_t kMaxHistoryBytes = size_t{1} << 24;
constexpr size_t kHistoryLines = 200;
constexpr size_t kMaxMeminfoBytes = 65536;
constexpr size_t kDigestDigits = kSha256Digits;
constexpr char kReleases[] = "releases/";

using Lines = std::vector<std::string>;

bool starts_with(const std::string& text, const std::string& start) {
  return text.compare(0, start.size(), start) == 0;
}

RunnerError unusual(const std::string& what) { return RunnerError(ExitCode::kFile, what); }

void require_none(const std::string& directory, const Lines& prefixes) {
  for (const std::string& name : names_in(directory)) {
    for (const std::string& prefix : prefixes) {
      if (starts_with(name, prefix)) throw unusual(directory + "/" + name + ": left by what was cut off");
    }
  }
}

// Whatever needs mending is the script's.
void require_order() {
  for (const char* directory : {"store", "releases", "health"}) {
    if (!is_directory(directory)) throw unusual(std::string(directory) + ": is missing");
  }
  if (exists("lock")) throw unusual("lock: is held");
  if (exists("journal")) throw unusual("journal: something was cut off");
  require_none(".", {".lock-", ".broken-"});
  require_none("store", {".incoming-"});
  require_none("releases", {".new-", ".old-"});
  for (const std::string& release : names_in("releases")) require_none(kReleases + release, {".link-"});
}

// The list of trusted keys: its SHA-256, "-" where there certainly is none, "unreadable" for all else.
std::string trusted_list() {
  const char* home = getenv("HOME");
  const std::string trust = std::string(home == nullptr ? "" : home) + "/.edgedeploy/.trust";
  const std::string keys = trust + "/keys";
  struct stat status{};
  if (is_regular(keys)) {
    try {
      return sha256_of_file(keys);
    } catch (const RunnerError&) {
      return "unreadable";
    }
  }
  if (lstat(keys.c_str(), &status) == 0 || errno != ENOENT) return "unreadable";
  return lstat(trust.c_str(), &status) == 0 && S_ISLNK(status.st_mode) ? "unreadable" : "-";
}

std::string active_link() {
  char target[4096];
  const ssize_t count = readlink("current", target, sizeof(target));
  return count < 0 ? "" : std::string(target, static_cast<size_t>(count));
}

// The SHA-256 of each name in the store, of those that can be read; the cores share the work.
std::map<std::string, std::string> hash_stored(const std::vector<std::string>& names) {
  std::vector<std::string> found(names.size());
  std::atomic<size_t> next{0};
  const auto work = [&] {
    for (size_t i = next++; i < names.size(); i = next++) {
      try {
        found[i] = sha256_of_file("store/" + names[i]);
      } catch (const RunnerError&) {
        continue;
      }
    }
  };
  std::thread helper(work);
  work();
  helper.join();
  std::map<std::string, std::string> sums;
  for (size_t i = 0; i < names.size(); ++i) sums.emplace(names[i], found[i]);
  return sums;
}

// Says which files the store has, and whether the release is there with all of them as they should be.
void report_files(const std::vector<Fields>& files, const std::string& digest, const std::string& from, Lines& report) {
  Lines names;
  for (const Fields& file : files) {
    if (!is_hex(file[0], kDigestDigits)) throw RunnerError(ExitCode::kStream, "the list of files is damaged");
    if (is_regular("store/" + file[0])) names.push_back(file[0]);
  }
  const std::map<std::string, std::string> sums = hash_stored(names);
  bool intact = is_directory(kReleases + digest);
  bool missing = false;
  Lines have;
  for (const Fields& file : files) {
    const std::string stored = "store/" + file[0];
    const auto sum = sums.find(file[0]);
    const bool is_there = sum != sums.end() && sum->second == file[0];
    struct stat status{};
    if (sum != sums.end()) {
      if (is_there) have.push_back("have " + file[0]);
      if (stat(stored.c_str(), &status) != 0 || (status.st_mode & kWritableByOthers) != 0) intact = false;
      if (!is_there || (file[1] == "x" && access(stored.c_str(), X_OK) != 0)) intact = false;
    }
    if (!is_there) missing = true;
    if (!is_same_file(kReleases + digest + "/" + file[2], stored)) intact = false;
  }
  if (missing) {
    report.insert(report.end(), have.begin(), have.end());
    report.push_back("receiver ./" + from + "/bin/edgedeploy-runner");
    report.push_back("installs");
  } else {
    report.push_back("complete");
  }
  report.push_back(std::string("intact ") + (intact ? "yes" : "no"));
}

void report_room(Lines& report) {
  struct statvfs disk{};
  if (statvfs(".", &disk) != 0) throw unusual(".: its free space cannot be asked for");
  report.push_back("disk-free-kib " + std::to_string(uint64_t{disk.f_bavail} * disk.f_frsize / 1024));
  const std::string memory = read_beginning("/proc/meminfo", kMaxMeminfoBytes);
  for (const char* name : {"MemAvailable:", "MemFree:", "Cached:"}) {
    const std::string key = std::string("\n") + name;
    const size_t place = memory.find(key);
    if (place == std::string::npos) continue;
    const size_t begin = memory.find_first_of("0123456789", place);
    report.push_back(std::string("memory ") + name + " " +
                     memory.substr(begin, memory.find_first_not_of("0123456789", begin) - begin));
  }
}

void report_past(Lines& report) {
  for (const std::string& name : names_in("releases")) {
    if (name[0] != '.' && is_directory(kReleases + name)) report.push_back("release " + name);
  }
  const std::string history = read_beginning("history.jsonl", kMaxHistoryBytes);
  Lines lines;
  for (size_t begin = 0; begin < history.size();) {
    const size_t end = std::min(history.find('\n', begin), history.size());
    lines.push_back("history " + history.substr(begin, end - begin));
    begin = end + 1;
  }
  const size_t kept = std::min(lines.size(), kHistoryLines);
  report.insert(report.end(), lines.end() - static_cast<std::ptrdiff_t>(kept), lines.end());
  for (const std::string& name : names_in("health")) {
    if (name[0] == '.' || !is_regular("health/" + name)) continue;
    std::string note = read_beginning("health/" + name, kMaxHealthBytes);
    note.erase(std::remove(note.begin(), note.end(), '\n'), note.end());
    report.push_back("health " + name + " " + note);
  }
}

std::string journal_of(const Options& options, const std::string& from) {
  char now[32];
  const time_t seconds = time(nullptr);
  struct tm parts{};
  strftime(now, sizeof(now), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &parts));
  const std::string release = starts_with(from, kReleases) ? from.substr(sizeof(kReleases) - 1) : from;
  return "action flash\nto " + options.digest + "\nfrom " + release + "\ntime " + now + "\nhost " + options.host + "\n";
}

}  // namespace

nlohmann::ordered_json survey_command(const Options& options) {
  const std::vector<Fields> files = read_list(STDIN_FILENO, 3, options.count);
  require_order();
  const std::string from = active_link();
  Lines report = {"trust " + trusted_list(), "root " + options.root, "current " + from};
  take_lock(options.token, options.owner, journal_of(options, from));
  try {
    // Somebody may have begun and gone between the look above and the lock.
    if (exists("journal") || active_link() != from) throw unusual("journal: somebody else was here");
    report_files(files, options.digest, from, report);
    report_room(report);
    report_past(report);
    place_journal(options.token);
  } catch (...) {
    release_lock(options.token);
    throw;
  }
  report.push_back("end");
  return report_document(report);
}

}  // namespace edgedeploy
