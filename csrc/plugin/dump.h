// The file that the plugin leaves; docs/cycles-format.md has its grammar.
#ifndef EDGEDEPLOY_PLUGIN_DUMP_H_
#define EDGEDEPLOY_PLUGIN_DUMP_H_

#include <string>
#include <vector>

#include "plugin/blocks.h"
#include "plugin/counters.h"
#include "plugin/marks.h"

namespace edgedeploy::plugin {

struct Counted {
  const Marks& marks;
  const Blocks& blocks;
  std::vector<const BlockCounters*> vcpus;
  std::vector<MemoryCounts> memory;  // By slot; empty without the simulation.
};

// Throws PluginError if a file cannot be made there; leaves none.
void check_writable(const std::string& path);

// Writes under another name first, so that the file is whole or absent. Throws PluginError.
void write_dump(const std::string& path, const Counted& counted);

}  // namespace edgedeploy::plugin

#endif  // EDGEDEPLOY_PLUGIN_DUMP_H_
