// The plugin's arguments: -plugin FILE,out=FILE,from=A,to=B[,l1d=KiBxWAYS,l2=KiBxWAYS]
#ifndef EDGEDEPLOY_PLUGIN_OPTIONS_H_
#define EDGEDEPLOY_PLUGIN_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "plugin/cache.h"

namespace edgedeploy::plugin {

struct Options {
  std::string out;    // Absolute.
  uint64_t from = 0;  // Numbers of boundaries; counted is what runs between them.
  uint64_t to = 0;
  // Both or neither: the caches are simulated if they are given.
  std::optional<CacheShape> l1d;
  std::optional<CacheShape> l2;
};

// Throws PluginError naming the argument at fault.
Options parse_options(int argc, char** argv);

}  // namespace edgedeploy::plugin

#endif  // EDGEDEPLOY_PLUGIN_OPTIONS_H_
