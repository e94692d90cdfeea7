#include "runner/conditions.h"

#include <dirent.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

namespace edgedeploy {

namespace {

using nlohmann::ordered_json;

constexpr char kCpuDir[] = "/sys/devices/system/cpu";
constexpr char kThermalDir[] = "/sys/class/thermal";

// Entries of `dir` named `prefix` and a number, in numerical order.
std::vector<std::string> numbered_entries(const char* dir, const std::string& prefix) {
  std::vector<std::pair<long, std::string>> found;
  if (DIR* handle = opendir(dir)) {
    while (const dirent* entry = readdir(handle)) {
      const std::string name = entry->d_name;
      if (name.size() <= prefix.size() || name.size() > prefix.size() + 6 ||
          name.compare(0, prefix.size(), prefix) != 0)
        continue;
      const std::string digits = name.substr(prefix.size());
      if (digits.find_first_not_of("0123456789") == std::string::npos) found.emplace_back(std::stol(digits), name);
    }
    closedir(handle);
  }
  std::sort(found.begin(), found.end());
  std::vector<std::string> names;
  for (const auto& entry : found) names.push_back(entry.second);
  return names;
}

template <typename Value>
void add_value(ordered_json& into, const std::string& key, const std::string& path) {
  std::ifstream file(path);
  Value value{};
  if (file >> value) into[key] = value;
}

}  // namespace

ordered_json read_conditions() {
  ordered_json governors = ordered_json::object();
  ordered_json frequencies = ordered_json::object();
  ordered_json temperatures = ordered_json::object();
  for (const std::string& cpu : numbered_entries(kCpuDir, "cpu")) {
    const std::string dir = std::string(kCpuDir) + "/" + cpu + "/cpufreq/";
    add_value<std::string>(governors, cpu, dir + "scaling_governor");
    add_value<long>(frequencies, cpu, dir + "scaling_cur_freq");
  }
  for (const std::string& zone : numbered_entries(kThermalDir, "thermal_zone")) {
    add_value<long>(temperatures, zone, std::string(kThermalDir) + "/" + zone + "/temp");
  }
  return {{"governors", governors}, {"frequencies_khz", frequencies}, {"temperatures_mc", temperatures}};
}

}  // namespace edgedeploy
