// The arrays of an int8 layer as the model file has them.
#ifndef EDGEDEPLOY_LAYERS_INT8_WEIGHTS_H_
#define EDGEDEPLOY_LAYERS_INT8_WEIGHTS_H_

#include <mat.h>
#include <modelbin.h>

#include <vector>

namespace edgedeploy {

// Hands on what a layer reads and keeps a reference to each array, in the order of reading.
class RecordingModelBin : public ncnn::ModelBin {
 public:
  explicit RecordingModelBin(const ncnn::ModelBin& source) : source_(source) {}

  ncnn::Mat load(int w, int type) const override {
    loaded_.push_back(source_.load(w, type));
    return loaded_.back();
  }

  const std::vector<ncnn::Mat>& loaded() const { return loaded_; }

 private:
  const ncnn::ModelBin& source_;
  mutable std::vector<ncnn::Mat> loaded_;
};

// Which arrays a layer has.
struct Int8Layout {
  int channels = 0;  // of output, each with a weight scale
  bool has_bias = false;
  bool requantizes = false;
};

struct Int8Weights {
  ncnn::Mat weights;        // int8, in ncnn's order
  ncnn::Mat bias;           // float [channels], or empty
  ncnn::Mat weight_scales;  // float [channels]
  ncnn::Mat input_scale;    // float [1]
  ncnn::Mat output_scale;   // float [1], or empty

  // Takes the arrays in the order in which the engine's int8 layers read them. False if they are not what the layout
  // says.
  bool take(const std::vector<ncnn::Mat>& loaded, const Int8Layout& layout);

  // The kernels take int8 in [-127, 127]. Float weights, which the engine quantizes itself at load, stay with the
  // engine.
  bool fit_the_kernels() const;
};

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_LAYERS_INT8_WEIGHTS_H_
