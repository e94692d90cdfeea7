// The stream that brings a release's files: `deploy/stream.py` writes it.
#ifndef EDGEDEPLOY_RUNNER_RECEIVE_H_
#define EDGEDEPLOY_RUNNER_RECEIVE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

namespace edgedeploy {

// The stream starts with these bytes. `version` says them, and the host looks for them in a program that it has: a
// program without them cannot receive.
constexpr char kStreamName[] = "edgedeploy-stream-1";
constexpr size_t kStreamNameBytes = sizeof(kStreamName) - 1;

struct Received {
  int files = 0;
  uint64_t size_bytes = 0;
  std::map<std::string, std::string> sums;  // By the SHA-256 that a file should have, the one it has.
};

// Unpacks the stream of an open descriptor. A file goes to `prefix` followed by its SHA-256 in hexadecimal; bases are
// named relative to the working directory. What came before an error stays: whole frames, from the file's start.
// Throws RunnerError(kStream) for what no stream holds, and RunnerError(kFile) for a file that cannot be written.
Received receive_stream(int stream, const std::string& prefix);

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_RUNNER_RECEIVE_H_
