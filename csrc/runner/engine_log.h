// The engine writes its complaints to stderr as it likes. This catches them, so that the runner's own error line
// carries them instead of drowning among them.
#ifndef EDGEDEPLOY_RUNNER_ENGINE_LOG_H_
#define EDGEDEPLOY_RUNNER_ENGINE_LOG_H_

#include <string>

namespace edgedeploy {

// While it lives, stderr of the whole process goes to an anonymous file. Where none can be made, stderr stays as it is.
class EngineLog {
 public:
  EngineLog();
  ~EngineLog();
  EngineLog(const EngineLog&) = delete;
  EngineLog& operator=(const EngineLog&) = delete;

  // Ends the catching and returns what was written: lines joined by "; ", the last ones when there are many.
  std::string finish();

 private:
  void restore();

  int saved_stderr_ = -1;
  int file_ = -1;
};

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_RUNNER_ENGINE_LOG_H_
