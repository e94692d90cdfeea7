// The program that runs on the board: one command, one JSON document on stdout, errors as one line on stderr.
#include <cstdio>
#include <exception>
#include <new>
#include <string>

#include "runner/commands.h"
#include "runner/error.h"

namespace edgedeploy {

namespace {

using nlohmann::ordered_json;

bool is_utf8(const std::string& text) {
  try {
    ordered_json(text).dump();
    return true;
  } catch (const ordered_json::type_error&) {
    return false;
  }
}

// Messages can quote the engine, a file or its name; the contract is one line of UTF-8.
std::string one_line(std::string text) {
  const bool utf8 = is_utf8(text);
  for (char& c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) c = ' ';
    if (byte >= 0x80 && !utf8) c = '?';
  }
  return text;
}

int fail(ExitCode code, const std::string& message) {
  fprintf(stderr, "error: %s\n", one_line(message).c_str());
  return static_cast<int>(code);
}

int print(const ordered_json& document) {
  // A name in a model file need not be UTF-8.
  const std::string text = document.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
  if (printf("%s\n", text.c_str()) < 0 || fflush(stdout) != 0)
    return fail(ExitCode::kFile, "stdout: cannot be written");
  return static_cast<int>(ExitCode::kDone);
}

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

int main(int argc, char** argv) {
  using edgedeploy::ExitCode;
  try {
    return edgedeploy::run(edgedeploy::parse_options(argc, argv));
  } catch (const edgedeploy::RunnerError& error) {
    return edgedeploy::fail(error.code(), error.what());
  } catch (const std::bad_alloc&) {
    return edgedeploy::fail(ExitCode::kMemory, "out of memory");
  } catch (const std::exception& error) {
    return edgedeploy::fail(ExitCode::kInference, std::string("unexpected: ") + error.what());
  }
}
