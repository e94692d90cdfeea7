#include "runner/options.h"

#include <cerrno>
#include <cmath>
#include <cstdlib>

#include "runner/error.h"
#include "runner/signature.h"

namespace edgedeploy {

namespace {

constexpr long kMaxThreads = 256;
constexpr long kMaxRuns = 1000000;
constexpr long kMaxFiles = 1000000;
constexpr int kCountRuns = 2;
constexpr long kMaxCpu = 1023;
constexpr double kMaxSeconds = 86400;
constexpr double kMaxBudget = 1e9;

RunnerError usage(const std::string& message) { return RunnerError(ExitCode::kUsage, message); }

// Takes the arguments one by one.
class Arguments {
 public:
  Arguments(int argc, char** argv) : argc_(argc), argv_(argv) {}

  bool empty() const { return next_ >= argc_; }
  std::string take() { return argv_[next_++]; }

  std::string value_of(const std::string& option) {
    if (empty()) throw usage(option + " needs a value");
    return take();
  }

 private:
  int argc_;
  char** argv_;
  int next_ = 1;
};

long whole_number(const std::string& option, const std::string& text, long low, long high) {
  char* end = nullptr;
  errno = 0;
  const long value = strtol(text.c_str(), &end, 10);
  if (text.empty() || *end != '\0' || errno != 0 || value < low || value > high) {
    throw usage(option + ": '" + text + "' is not a whole number from " + std::to_string(low) + " to " +
                std::to_string(high));
  }
  return value;
}

double seconds_value(const std::string& option, const std::string& text) {
  char* end = nullptr;
  const double value = strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !(value >= 0) || value > kMaxSeconds) {
    throw usage(option + ": '" + text + "' is not a number of seconds from 0 to 86400");
  }
  return value;
}

double budget_value(const std::string& option, const std::string& text) {
  char* end = nullptr;
  const double value = strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !(value > 0) || value > kMaxBudget) {
    throw usage(option + ": '" + text + "' is not a number above 0, up to 1e9");
  }
  return value;
}

std::vector<int> cpu_list(const std::string& text) {
  std::vector<int> cpus;
  size_t begin = 0;
  while (begin <= text.size()) {
    const size_t end = std::min(text.find(',', begin), text.size());
    cpus.push_back(static_cast<int>(whole_number("--cpus", text.substr(begin, end - begin), 0, kMaxCpu)));
    begin = end + 1;
  }
  return cpus;
}

void add_input(Options& options, const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size()) {
    throw usage("--input: '" + text + "' is not NAME=FILE.npy");
  }
  if (!options.inputs.emplace(text.substr(0, equals), text.substr(equals + 1)).second) {
    throw usage("--input: '" + text.substr(0, equals) + "' is given twice");
  }
}

Command command_of(const std::string& word) {
  static const std::map<std::string, Command> kCommands = {
      {"version", Command::kVersion}, {"probe", Command::kProbe},   {"selftest", Command::kSelfTest},
      {"health", Command::kHealth},   {"infer", Command::kInfer},   {"bench", Command::kBench},
      {"count", Command::kCount},     {"verify", Command::kVerify}, {"trust", Command::kTrust},
      {"receive", Command::kReceive}, {"survey", Command::kSurvey}, {"install", Command::kInstall},
      {"help", Command::kHelp},       {"--help", Command::kHelp},   {"-h", Command::kHelp},
  };
  const auto found = kCommands.find(word);
  if (found == kCommands.end()) throw usage("unknown command '" + word + "'");
  return found->second;
}

bool loads_model(Command command) {
  return command == Command::kSelfTest || command == Command::kHealth || command == Command::kInfer ||
         command == Command::kBench || command == Command::kCount;
}

// Options of the commands that load a release. False if `option` is none of them.
bool take_model_option(const std::string& option, Arguments& arguments, Options& options) {
  if (option == "--release") {
    options.release_dir = arguments.value_of(option);
  } else if (option == "--threads") {
    options.threads = static_cast<int>(whole_number(option, arguments.value_of(option), 1, kMaxThreads));
  } else if (option == "--disable-layers") {
    options.disable_layers = true;
  } else {
    return false;
  }
  return true;
}

bool take_data_option(const std::string& option, Arguments& arguments, Options& options) {
  if (option == "--input") {
    add_input(options, arguments.value_of(option));
  } else if (option == "--output-dir") {
    options.output_dir = arguments.value_of(option);
  } else {
    return false;
  }
  return true;
}

bool take_runs_option(const std::string& option, Arguments& arguments, Options& options) {
  if (option != "--runs") return false;
  const long least = options.command == Command::kHealth ? 0 : 1;
  options.runs = static_cast<int>(whole_number(option, arguments.value_of(option), least, kMaxRuns));
  return true;
}

bool take_timing_option(const std::string& option, Arguments& arguments, Options& options) {
  if (option == "--warmup") {
    options.warmup = static_cast<int>(whole_number(option, arguments.value_of(option), 0, kMaxRuns));
  } else if (option == "--seconds") {
    options.seconds = seconds_value(option, arguments.value_of(option));
  } else {
    return false;
  }
  return true;
}

bool take_budget_option(const std::string& option, Arguments& arguments, Options& options) {
  if (option == "--latency-ms") {
    options.latency_ms = budget_value(option, arguments.value_of(option));
  } else if (option == "--memory-mb") {
    options.memory_mb = budget_value(option, arguments.value_of(option));
  } else {
    return false;
  }
  return true;
}

bool take_bench_option(const std::string& option, Arguments& arguments, Options& options) {
  if (option == "--cpus") {
    options.cpus = cpu_list(arguments.value_of(option));
  } else if (option == "--layers") {
    options.layers = true;
  } else {
    return false;
  }
  return true;
}

bool take_verify_option(const std::string& option, Arguments& arguments, Options& options) {
  static const std::map<std::string, std::string Options::*> kTexts = {
      {"--release", &Options::release_dir}, {"--digest", &Options::digest}, {"--app", &Options::app}};
  const auto found = kTexts.find(option);
  if (found == kTexts.end()) return false;
  options.*found->second = arguments.value_of(option);
  return true;
}

bool take_trust_option(const std::string& option, Arguments& arguments, Options& options) {
  static const std::map<std::string, std::string Options::*> kTexts = {
      {"--change", &Options::change_file}, {"--signature", &Options::signature}, {"--key", &Options::key}};
  const auto found = kTexts.find(option);
  if (found == kTexts.end()) return false;
  options.*found->second = arguments.value_of(option);
  return true;
}

bool take_board_option(const std::string& option, Arguments& arguments, Options& options) {
  static const std::map<std::string, std::string Options::*> kTexts = {{"--digest", &Options::digest},
                                                                       {"--token", &Options::token},
                                                                       {"--owner", &Options::owner},
                                                                       {"--host", &Options::host},
                                                                       {"--root", &Options::root}};
  if (option == "--count") {
    options.count = static_cast<size_t>(whole_number(option, arguments.value_of(option), 0, kMaxFiles));
    return true;
  }
  const auto found = kTexts.find(option);
  if (found == kTexts.end()) return false;
  options.*found->second = arguments.value_of(option);
  return true;
}

bool take_option(const std::string& option, Arguments& arguments, Options& options) {
  const bool infers = options.command == Command::kInfer;
  const bool benches = options.command == Command::kBench;
  const bool counts = options.command == Command::kCount;
  const bool judges = options.command == Command::kHealth;
  const bool verifies = options.command == Command::kVerify;
  const bool trusts = options.command == Command::kTrust;
  if (options.command == Command::kReceive && option == "--into") {
    options.into = arguments.value_of(option);
    return true;
  }
  if ((verifies || trusts) && option == "--trust") {
    options.trust_dir = arguments.value_of(option);
    return true;
  }
  const bool visits = options.command == Command::kSurvey || options.command == Command::kInstall;
  return (visits && take_board_option(option, arguments, options)) ||
         (verifies && take_verify_option(option, arguments, options)) ||
         (trusts && take_trust_option(option, arguments, options)) ||
         (loads_model(options.command) && take_model_option(option, arguments, options)) ||
         ((infers || benches || counts) && take_data_option(option, arguments, options)) ||
         ((benches || counts || judges) && take_runs_option(option, arguments, options)) ||
         ((benches || judges) && take_timing_option(option, arguments, options)) ||
         (judges && take_budget_option(option, arguments, options)) ||
         (benches && take_bench_option(option, arguments, options));
}

void check_complete(const Options& options, const std::string& word) {
  const auto need = [&](const std::string& value, const std::string& option) {
    if (value.empty()) throw usage("'" + word + "' needs " + option);
  };
  const bool verifies = options.command == Command::kVerify;
  if (loads_model(options.command) || verifies) need(options.release_dir, "--release DIR");
  if (options.command == Command::kInfer) need(options.output_dir, "--output-dir DIR");
  if (verifies) need(options.digest, "--digest SHA256");
  if (verifies) need(options.app, "--app NAME");
  if (verifies || options.command == Command::kTrust) need(options.trust_dir, "--trust DIR");
  if (options.command == Command::kReceive) need(options.into, "--into PREFIX");
  if (options.command == Command::kSurvey || options.command == Command::kInstall) {
    need(options.digest, "--digest SHA256");
    // It becomes a part of paths.
    if (!is_hex(options.digest, kSha256Digits)) throw usage("--digest: is no SHA-256");
    need(options.token, "--token TOKEN");
  }
  if (options.command == Command::kTrust) need(options.change_file, "--change FILE");
}

}  // namespace

Options parse_options(int argc, char** argv) {
  Arguments arguments(argc, argv);
  if (arguments.empty()) throw usage("no command; try: edgedeploy-runner help");
  Options options;
  const std::string word = arguments.take();
  options.command = command_of(word);
  if (options.command == Command::kCount) options.runs = kCountRuns;
  while (!arguments.empty()) {
    const std::string option = arguments.take();
    if (!take_option(option, arguments, options)) throw usage("'" + word + "' does not take '" + option + "'");
  }
  check_complete(options, word);
  return options;
}

const char* usage_text() {
  return "usage: edgedeploy-runner version\n"
         "       edgedeploy-runner probe\n"
         "       edgedeploy-runner selftest --release DIR [--threads N] [--disable-layers]\n"
         "       edgedeploy-runner health   --release DIR [--warmup N] [--runs N] [--seconds T] [--threads N]\n"
         "                                  [--latency-ms L] [--memory-mb M] [--disable-layers]\n"
         "       edgedeploy-runner infer    --release DIR --input NAME=FILE.npy ... --output-dir DIR [--threads N]\n"
         "                                  [--disable-layers]\n"
         "       edgedeploy-runner bench    --release DIR [--input NAME=FILE.npy ...] [--warmup N] [--runs N]\n"
         "                                  [--seconds T] [--threads N] [--cpus 4,5] [--layers] [--output-dir DIR]\n"
         "                                  [--disable-layers]\n"
         "       edgedeploy-runner count    --release DIR [--input NAME=FILE.npy ...] [--runs N] [--threads N]\n"
         "                                  [--output-dir DIR] [--disable-layers]\n"
         "       edgedeploy-runner verify   --release DIR --trust DIR --digest SHA256 --app NAME\n"
         "       edgedeploy-runner trust    --trust DIR --change FILE [--key HEX --signature HEX]\n"
         "       edgedeploy-runner receive  --into PREFIX < STREAM\n"
         "       edgedeploy-runner survey   --root NAME --token TOKEN --owner NOTE --digest SHA256 --host NAME --count "
         "N\n"
         "                                  < LIST\n"
         "       edgedeploy-runner install  --token TOKEN --digest SHA256 --count N < STREAM\n";
}

}  // namespace edgedeploy
