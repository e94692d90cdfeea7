// `version` and `probe`: who this program is and what it finds on this CPU.
#include <platform.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "dispatch/dispatch.h"
#include "runner/commands.h"
#include "runner/receive.h"
#include "runner/report.h"

namespace edgedeploy {

namespace {

using nlohmann::ordered_json;

std::vector<std::string> isa_names(uint64_t features) {
  std::vector<std::string> names;
  for (const IsaName& isa : kIsaNames) {
    if ((features & isa.bit) != 0) names.push_back(isa.name);
  }
  return names;
}

}  // namespace

ordered_json version_command() {
  return {{"schema", 1},
          {"runner", EDGEDEPLOY_RUNNER_VERSION},
          {"engine", NCNN_VERSION_STRING},
          {"receives", kStreamName},
          {"installs", kInstallerName}};
}

ordered_json probe_command() {
  ordered_json kernels = ordered_json::array();
  for (const KernelRow& row : kernel_table()) {
    kernels.push_back({{"op", row.op},
                       {"name", row.name},
                       {"isa", isa_names(row.isa)},
                       {"supported", kernel_supported(row)},
                       {"selected", select_kernel(row.op) == &row}});
  }
  const ordered_json cpu = {{"features", isa_names(cpu_features())}, {"cores", sysconf(_SC_NPROCESSORS_ONLN)}};
  return {{"schema", 1}, {"cpu", cpu}, {"kernels", kernels}};
}

}  // namespace edgedeploy
