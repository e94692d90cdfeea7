// Marks around everything an inference does, for an emulator that counts; docs/cycles-format.md has the slots.
#ifndef EDGEDEPLOY_RUNNER_LAYER_MARKS_H_
#define EDGEDEPLOY_RUNNER_LAYER_MARKS_H_

#include <net.h>

#include <vector>

namespace edgedeploy {

// While it lives, each layer of the net marks where it begins and ends. To be made after the net is loaded and to end
// before it does: the net destroys the layers that it made.
class LayerMarks {
 public:
  explicit LayerMarks(ncnn::Net& net);
  ~LayerMarks();
  LayerMarks(const LayerMarks&) = delete;
  LayerMarks& operator=(const LayerMarks&) = delete;

  // Before the first run and after every run.
  void mark_boundary();
  // What comes next belongs to no layer.
  void mark_outside();

 private:
  ncnn::Net& net_;
  std::vector<unsigned char> slots_;
  std::vector<ncnn::Layer*> originals_;
};

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_RUNNER_LAYER_MARKS_H_
