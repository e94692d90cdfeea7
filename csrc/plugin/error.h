// The plugin's one error type. Nothing may be thrown into the emulator: it ends as a line on stderr and a failed exit.
#ifndef EDGEDEPLOY_PLUGIN_ERROR_H_
#define EDGEDEPLOY_PLUGIN_ERROR_H_

#include <stdexcept>

namespace edgedeploy::plugin {

class PluginError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace edgedeploy::plugin

#endif  // EDGEDEPLOY_PLUGIN_ERROR_H_
