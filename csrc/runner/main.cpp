// The program that runs on the board: one command, one JSON document on stdout, errors as one line on stderr.
#include <cstdio>

#include "runner/commands.h"
#include "runner/error.h"
#include "runner/program.h"

namespace edgedeploy {

namespace {

using nlohmann::ordered_json;

int run(const Options& options) {
  switch (options.command) {
    case Command::kVersion:
      return print(version_command());
    case Command::kProbe:
      return print(probe_command());
    case Command::kSelfTest: {
      const ordered_json document = selftest_command(options);
      const int code = print(document);
      if (code != 0 || document["passed"]) return code;
      return fail(ExitCode::kSelfTestFailed, "the self-test is beyond its limits");
    }
    case Command::kHealth: {
      const ordered_json document = health_command(options);
      const int code = print(document);
      if (code != 0 || document["passed"]) return code;
      return fail(document["golden"]["passed"] ? ExitCode::kOverBudget : ExitCode::kSelfTestFailed, document["reason"]);
    }
    case Command::kInfer:
      return print(infer_command(options));
    case Command::kBench:
      return print(bench_command(options));
    case Command::kCount:
      return print(count_command(options));
    case Command::kVerify: {
      const ordered_json document = verify_command(options);
      const int code = print(document);
      if (code != 0 || document["verified"] || !document["required"]) return code;
      return fail(ExitCode::kUntrusted, document["message"]);
    }
    case Command::kTrust:
      return print(trust_command(options));
    case Command::kReceive:
      return print(receive_command(options));
    case Command::kSurvey:
      return print(survey_command(options));
    case Command::kInstall:
      return print(install_command(options));
    case Command::kHelp:
      break;
  }
  fputs(usage_text(), stdout);
  return static_cast<int>(ExitCode::kDone);
}

}  // namespace

}  // namespace edgedeploy

int main(int argc, char** argv) { return edgedeploy::program_main(argc, argv, edgedeploy::run); }
