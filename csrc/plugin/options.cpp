#include "plugin/options.h"

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <system_error>

#include "plugin/error.h"

namespace edgedeploy::plugin {

namespace {

constexpr uint64_t kMaxBoundary = 1000000;
constexpr uint64_t kMaxCacheKib = 1 << 20;
constexpr uint64_t kMaxWays = 64;

uint64_t whole_number(const std::string& name, const std::string& text, uint64_t low, uint64_t high) {
  char* end = nullptr;
  errno = 0;
  const uint64_t value = strtoull(text.c_str(), &end, 10);
  const bool digits = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
  if (!digits || errno != 0 || value < low || value > high) {
    throw PluginError(name + "=: '" + text + "' is not a whole number from " + std::to_string(low) + " to " +
                      std::to_string(high));
  }
  return value;
}

CacheShape cache_shape(const std::string& name, const std::string& text) {
  const size_t cross = text.find('x');
  if (cross == std::string::npos) throw PluginError(name + "=: '" + text + "' is not KiBxWAYS, such as 32x4");
  const uint64_t kib = whole_number(name, text.substr(0, cross), 1, kMaxCacheKib);
  const uint64_t ways = whole_number(name, text.substr(cross + 1), 1, kMaxWays);
  const uint64_t lines = kib * 1024 / kLineBytes;
  const uint64_t sets = lines / ways;
  if (sets == 0 || sets * ways != lines || (sets & (sets - 1)) != 0) {
    throw PluginError(name + "=: " + text + " does not give a power of two of sets with lines of " +
                      std::to_string(kLineBytes) + " bytes");
  }
  return {sets, ways};
}

std::map<std::string, std::string> named_values(int argc, char** argv) {
  std::map<std::string, std::string> values;
  for (int i = 0; i < argc; ++i) {
    const std::string argument = argv[i];
    const size_t equals = argument.find('=');
    if (equals == std::string::npos) throw PluginError("'" + argument + "' is not NAME=VALUE");
    const std::string name = argument.substr(0, equals);
    if (name != "out" && name != "from" && name != "to" && name != "l1d" && name != "l2") {
      throw PluginError("unknown argument '" + name + "'; known are out, from, to, l1d and l2");
    }
    if (!values.emplace(name, argument.substr(equals + 1)).second) throw PluginError(name + "= is given twice");
  }
  for (const char* name : {"out", "from", "to"}) {
    if (values.count(name) == 0 || values[name].empty()) throw PluginError(std::string(name) + "= is missing");
  }
  return values;
}

}  // namespace

Options parse_options(int argc, char** argv) {
  const std::map<std::string, std::string> values = named_values(argc, argv);
  Options options;
  // The emulated program may change the working directory before the file is written.
  std::error_code failed;
  options.out = std::filesystem::absolute(values.at("out"), failed).string();
  if (failed) throw PluginError("out=: " + failed.message());
  options.from = whole_number("from", values.at("from"), 0, kMaxBoundary);
  options.to = whole_number("to", values.at("to"), 0, kMaxBoundary);
  if (options.to <= options.from) throw PluginError("to= must be beyond from=");
  if (values.count("l1d") != values.count("l2")) throw PluginError("l1d= and l2= go together");
  if (values.count("l1d") != 0) {
    options.l1d = cache_shape("l1d", values.at("l1d"));
    options.l2 = cache_shape("l2", values.at("l2"));
  }
  return options;
}

}  // namespace edgedeploy::plugin
