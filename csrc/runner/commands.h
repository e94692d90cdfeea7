// The program's commands. Each returns the JSON document for stdout and throws RunnerError.
#ifndef EDGEDEPLOY_RUNNER_COMMANDS_H_
#define EDGEDEPLOY_RUNNER_COMMANDS_H_

#include <nlohmann/json.hpp>

#include "runner/options.h"

namespace edgedeploy {

nlohmann::ordered_json version_command();
nlohmann::ordered_json probe_command();

// `passed` of the document decides the exit code.
nlohmann::ordered_json selftest_command(const Options& options);
// `passed` and `golden.passed` of the document decide the exit code.
nlohmann::ordered_json health_command(const Options& options);

nlohmann::ordered_json infer_command(const Options& options);
nlohmann::ordered_json bench_command(const Options& options);
nlohmann::ordered_json count_command(const Options& options);

// `verified` and `required` of the document decide the exit code.
nlohmann::ordered_json verify_command(const Options& options);
nlohmann::ordered_json trust_command(const Options& options);

nlohmann::ordered_json receive_command(const Options& options);
nlohmann::ordered_json survey_command(const Options& options);
nlohmann::ordered_json install_command(const Options& options);

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_RUNNER_COMMANDS_H_
