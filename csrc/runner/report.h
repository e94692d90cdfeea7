// What `survey` and `install` share: the list of a release's files on stdin, and a report of lines such as the shell
// scripts of the same steps give.
#ifndef EDGEDEPLOY_RUNNER_REPORT_H_
#define EDGEDEPLOY_RUNNER_REPORT_H_

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace edgedeploy {

// `version` says it; the host looks for it in a program that it has.
constexpr char kInstallerName[] = "edgedeploy-installer-1";

using Fields = std::vector<std::string>;

// Reads lines of `fields` words each to the descriptor's end; the last word may hold blanks.
// Throws RunnerError(kStream) where they are no such lines, or not `count`.
std::vector<Fields> read_list(int descriptor, size_t fields, size_t count);

// {"schema": 1, "report": [LINE ...]}
nlohmann::ordered_json report_document(const std::vector<std::string>& lines);

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_RUNNER_REPORT_H_
