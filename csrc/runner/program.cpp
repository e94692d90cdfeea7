#include "runner/program.h"

#include <cstdio>
#include <exception>
#include <new>
#include <string>

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

}  // namespace

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

int program_main(int argc, char** argv, int (*run)(const Options&)) {
  try {
    return run(parse_options(argc, argv));
  } catch (const RunnerError& error) {
    return fail(error.code(), error.what());
  } catch (const std::bad_alloc&) {
    return fail(ExitCode::kMemory, "out of memory");
  } catch (const std::exception& error) {
    return fail(ExitCode::kInference, std::string("unexpected: ") + error.what());
  }
}

}  // namespace edgedeploy
