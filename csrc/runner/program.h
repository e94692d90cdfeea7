// What the programs for the board share: one JSON document on stdout, an error as one line on stderr, an exit code.
#ifndef EDGEDEPLOY_RUNNER_PROGRAM_H_
#define EDGEDEPLOY_RUNNER_PROGRAM_H_

#include <nlohmann/json.hpp>
#include <string>

#include "runner/error.h"
#include "runner/options.h"

namespace edgedeploy {

// Both return the exit code.
int fail(ExitCode code, const std::string& message);
int print(const nlohmann::ordered_json& document);

// Runs what the arguments ask for; an exception becomes its line and its exit code.
int program_main(int argc, char** argv, int (*run)(const Options&));

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_RUNNER_PROGRAM_H_
