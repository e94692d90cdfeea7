// The runner's one error type: what went wrong in one line, and the exit code of its family.
#ifndef EDGEDEPLOY_RUNNER_ERROR_H_
#define EDGEDEPLOY_RUNNER_ERROR_H_

#include <stdexcept>
#include <string>

namespace edgedeploy {

// Exit codes of the on-board program; docs/contracts.md lists them.
enum class ExitCode {
  kDone = 0,
  kUsage = 2,
  kSelfTestFailed = 3,
  kFile = 4,
  kManifest = 5,
  kModel = 6,
  kMemory = 7,
  kInference = 8,
  kUntrusted = 9,
  kOverBudget = 10,
  kStream = 11,
  kLockLost = 75,  // As the shell scripts say it.
};

class RunnerError : public std::runtime_error {
 public:
  RunnerError(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}

  ExitCode code() const { return code_; }

 private:
  ExitCode code_;
};

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_RUNNER_ERROR_H_
