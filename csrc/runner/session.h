// A model loaded into the engine, ready to infer.
#ifndef EDGEDEPLOY_RUNNER_SESSION_H_
#define EDGEDEPLOY_RUNNER_SESSION_H_

#include <net.h>

#include <memory>
#include <string>
#include <vector>

#include "runner/block_pool.h"
#include "runner/inputs.h"
#include "runner/manifest.h"

namespace edgedeploy {

struct SessionOptions {
  int threads = 1;
  bool use_operator_layers = true;  // False: the engine's own layers alone, for comparisons.
};

class Session {
 public:
  // Loads the manifest's model. Throws RunnerError: kFile for a missing, short or overlong file, kModel when the engine
  // refuses it or lacks an input or output that the manifest names, kMemory.
  Session(const Manifest& manifest, const SessionOptions& options);

  // Has images filled as int8 where the first layer takes that, which spares the floats between.
  void choose_input_types(const std::vector<std::unique_ptr<InputFeed>>& feeds) const;

  // One inference. Returns the outputs in the manifest's order, float32 and unpacked, which must not outlive the
  // session.
  std::vector<ncnn::Mat> infer(const std::vector<std::unique_ptr<InputFeed>>& feeds) const;

  const ncnn::Net& net() const { return net_; }
  ncnn::Net& net() { return net_; }

  // An extractor with the inputs set, for passes that extract blob by blob.
  ncnn::Extractor extractor(const std::vector<std::unique_ptr<InputFeed>>& feeds) const;

 private:
  // Returns the graph's text.
  std::string load_graph(const Manifest& manifest);
  void load_weights(const Manifest& manifest, const std::string& graph);
  int blob_index(const std::string& name, const char* role) const;

  // Before the network, whose layers may hold blocks of theirs to their end.
  BlockPool blobs_;
  BlockPool workspace_;
  ncnn::Net net_;
  std::vector<int> input_blobs_;
  std::vector<int> output_blobs_;
  std::vector<std::string> output_names_;
  // In light mode a blob is gone once a layer has consumed it, which an output must survive.
  bool outputs_are_leaves_ = true;
};

// Turns a return code of the engine other than 0 into an exception; `what` says what failed.
void check_engine(int code, const std::string& what);

// `threads` if it is not 0, else the count of the engine's choice (the big cores) within the CPUs applied.
int choose_threads(int threads);

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_RUNNER_SESSION_H_
