#include "runner/board_lock.h"

#include <unistd.h>

#include "runner/disk.h"
#include "runner/error.h"

namespace edgedeploy {

namespace {

constexpr char kLock[] = "lock";
constexpr const char* kNotes[] = {"token", "owner", "boot"};
constexpr size_t kMaxTokenBytes = 4096;

std::string holder() {
  std::string token = read_beginning("lock/token", kMaxTokenBytes);
  while (!token.empty() && token.back() == '\n') token.pop_back();
  return token;
}

std::string journal_in(const std::string& lock, const std::string& token) { return lock + "/journal-" + token; }

void remove_lock(const std::string& lock, const std::string& token) noexcept {
  for (const char* note : kNotes) unlink((lock + "/" + note).c_str());
  unlink(journal_in(lock, token).c_str());
  rmdir(lock.c_str());
}

// The boot's id and the whole seconds since, as they are compared when somebody finds the lock.
std::string boot() {
  constexpr size_t kMaxBytes = 256;
  std::string id = read_beginning("/proc/sys/kernel/random/boot_id", kMaxBytes);
  const std::string uptime = read_beginning("/proc/uptime", kMaxBytes);
  id.resize(id.find_last_not_of('\n') + 1);
  return id + " " + uptime.substr(0, uptime.find_first_of(". \n")) + "\n";
}

}  // namespace

void check_lock(const std::string& token) {
  if (holder() != token) throw RunnerError(ExitCode::kLockLost, "the lock is no longer held by this flash");
}

void take_lock(const std::string& token, const std::string& owner, const std::string& journal) {
  const std::string own = ".lock-" + token;
  make_directory(own);
  try {
    const std::string contents[] = {token + "\n", owner + "\n", boot()};
    std::vector<std::string> paths = {journal_in(own, token)};
    write_new_file(paths.front(), journal);
    for (size_t i = 0; i < std::size(kNotes); ++i) {
      paths.push_back(own + "/" + kNotes[i]);
      write_new_file(paths.back(), contents[i]);
    }
    paths.push_back(own);
    sync_all(paths);
    // Fails where it is held, for a lock is never empty.
    rename_path(own, kLock);
  } catch (const RunnerError&) {
    remove_lock(own, token);
    throw;
  }
}

void place_journal(const std::string& token) {
  check_lock(token);
  rename_path(journal_in(kLock, token), "journal");
  sync_all({"."});
}

void release_lock(const std::string& token) noexcept {
  try {
    check_lock(token);
    remove_lock(kLock, token);
  } catch (const std::exception&) {
    return;
  }
}

}  // namespace edgedeploy
