// The command line.
#ifndef EDGEDEPLOY_RUNNER_OPTIONS_H_
#define EDGEDEPLOY_RUNNER_OPTIONS_H_

#include <map>
#include <string>
#include <vector>

namespace edgedeploy {

enum class Command {
  kVersion,
  kProbe,
  kSelfTest,
  kHealth,
  kInfer,
  kBench,
  kCount,
  kVerify,
  kTrust,
  kReceive,
  kSurvey,
  kInstall,
  kHelp
};

struct Options {
  Command command = Command::kHelp;
  std::string release_dir;
  std::map<std::string, std::string> inputs;  // Name -> .npy file.
  std::string output_dir;
  int threads = 0;  // 0: the runner's choice.
  int warmup = 1;
  int runs = 5;  // Of kCount 2 unless given: what is counted comes after a run that warms memory pools and caches.
  double seconds = 0;     // Of kBench the least, of kHealth the most; 0: no bound.
  double latency_ms = 0;  // Budgets of kHealth; 0: none.
  double memory_mb = 0;
  std::vector<int> cpus;  // Empty: all.
  bool layers = false;
  bool disable_layers = false;
  std::string trust_dir;  // Of kVerify and kTrust: where the board keeps its trusted keys.
  std::string digest;
  std::string app;
  std::string change_file;
  std::string signature;  // Hexadecimal, as is the key.
  std::string key;
  std::string root;   // Of kSurvey: what the report calls the directory.
  std::string token;  // Of kSurvey and kInstall: the lock's.
  std::string owner;  // Of kSurvey, as is the host: notes for others.
  std::string host;
  size_t count = 0;  // Lines of the list on stdin.
  std::string into;  // Of kReceive: what comes before a file's SHA-256 in its name.
};

// Throws RunnerError(kUsage) naming the argument at fault.
Options parse_options(int argc, char** argv);

const char* usage_text();

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_RUNNER_OPTIONS_H_
