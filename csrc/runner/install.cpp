// `install`: unpacks a stream of files, then makes the release of them that the list behind the stream names, in the
// app's directory. What gets its final name is on the disk before.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>

#include "runner/board_lock.h"
#include "runner/commands.h"
#include "runner/disk.h"
#include "runner/error.h"
#include "runner/receive.h"
#include "runner/report.h"
#include "runner/signature.h"

namespace edgedeploy {

namespace {

constexpr mode_t kOthersMask = S_IWGRP | S_IWOTH;
constexpr long kModes = 0777;
// This program itself, where it came ahead of the stream: `deploy/push_scripts.py`.
constexpr char kOwnName[] = "installer";

struct Item {
  std::string sha256;
  mode_t mode;
  bool is_new;
  std::string path;
};

RunnerError damaged() { return RunnerError(ExitCode::kStream, "the list of files is damaged"); }

// A path that stays inside the release: no part of it is empty, "." or "..".
bool is_inside(const std::string& path) {
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string part = path.substr(begin, end - begin);
    if (part.empty() || part == "." || part == "..") return false;
    begin = end + 1;
  }
  return true;
}

Item parse_item(const Fields& fields) {
  char* end = nullptr;
  const long mode = strtol(fields[1].c_str(), &end, 8);
  const bool is_new = fields[2] == "new";
  if (!is_hex(fields[0], kSha256Digits) || *end != '\0' || mode < 0 || mode > kModes) throw damaged();
  if ((!is_new && fields[2] != "have") || !is_inside(fields[3])) throw damaged();
  return {fields[0], static_cast<mode_t>(mode) & ~kOthersMask, is_new, fields[3]};
}

class Installation {
 public:
  Installation(const Options& options, std::vector<Item> items)
      : options_(options), items_(std::move(items)), final_("releases/" + options.digest) {}

  // A line for each new file that is not what its name says. `arrived`: the hash of what came in the stream, by the
  // name that it should have; what came before the stream is hashed now.
  std::vector<std::string> mismatches(const std::map<std::string, std::string>& arrived) const {
    std::vector<std::string> lines;
    for (const Item& item : items_) {
      if (!item.is_new) continue;
      const auto found = arrived.find(item.sha256);
      const std::string sum = found == arrived.end() ? sha256_of_file(incoming_name(item.sha256)) : found->second;
      if (sum != item.sha256) lines.push_back("mismatch " + item.sha256 + " " + sum + " " + item.path);
    }
    return lines;
  }

  void store() {
    std::vector<std::string> incoming;
    for (const std::string& sha256 : new_names()) incoming.push_back(incoming_name(sha256));
    sync_all(incoming);
    check_lock(options_.token);
    unlink(incoming_name(kOwnName).c_str());
    target_ = final_;
    if (!is_directory(target_)) {
      target_ = "releases/.new-" + options_.token;
      make_directory(target_);
    }
    for (const std::string& sha256 : new_names()) rename_path(incoming_name(sha256), "store/" + sha256);
    for (const Item& item : items_) place(item);
    std::vector<std::string> changed = {"store", target_};
    changed.insert(changed.end(), changed_.begin(), changed_.end());
    sync_all(changed);
    check_lock(options_.token);
    if (target_ != final_) rename_path(target_, final_);
    sync_all({"releases"});
  }

 private:
  std::string incoming_name(const std::string& sha256) const {
    return "store/.incoming-" + options_.token + "-" + sha256;
  }

  // Two paths of a release may have the same content.
  std::set<std::string> new_names() const {
    std::set<std::string> names;
    for (const Item& item : items_) {
      if (item.is_new) names.insert(item.sha256);
    }
    return names;
  }

  void place(const Item& item) {
    const std::string stored = "store/" + item.sha256;
    const std::string path = target_ + "/" + item.path;
    struct stat status{};
    if (stat(stored.c_str(), &status) != 0 || (status.st_mode & kModes) != item.mode) {
      change_mode(stored, item.mode);
      changed_.insert(stored);
    }
    for (size_t end = item.path.find('/'); end != std::string::npos; end = item.path.find('/', end + 1)) {
      const std::string parent = target_ + "/" + item.path.substr(0, end);
      if (!is_directory(parent)) make_directory(parent);
      changed_.insert(parent);
    }
    if (is_same_file(path, stored)) return;
    if (!exists(path)) return link_path(stored, path);
    const std::string passing = target_ + "/.link-" + options_.token;
    link_path(stored, passing);
    rename_path(passing, path);
  }

  const Options& options_;
  std::vector<Item> items_;
  std::string final_;
  std::string target_;
  std::set<std::string> changed_;
};

}  // namespace

nlohmann::ordered_json install_command(const Options& options) {
  umask(S_IWGRP | S_IWOTH);
  check_lock(options.token);
  const Received received = receive_stream(STDIN_FILENO, "store/.incoming-" + options.token + "-");
  std::vector<Item> items;
  for (const Fields& fields : read_list(STDIN_FILENO, 4, options.count)) items.push_back(parse_item(fields));
  check_lock(options.token);
  Installation installation(options, std::move(items));
  const std::vector<std::string> mismatches = installation.mismatches(received.sums);
  if (!mismatches.empty()) return report_document(mismatches);
  installation.store();
  return report_document({"stored"});
}

}  // namespace edgedeploy
