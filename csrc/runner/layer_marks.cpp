#include "runner/layer_marks.h"

#include <layer.h>

#include "runner/mark.h"

namespace edgedeploy {

namespace {

constexpr size_t kBoundary = 0;
constexpr size_t kOutside = 1;

constexpr size_t inside(size_t layer) { return 2 + 2 * layer; }
constexpr size_t after(size_t layer) { return 3 + 2 * layer; }

// A layer in another's place: the same to the engine, with marks around its work.
class MarkingLayer : public ncnn::Layer {
 public:
  MarkingLayer(const ncnn::Layer& original, unsigned char* begin_slot, unsigned char* end_slot)
      : original_(original), begin_slot_(begin_slot), end_slot_(end_slot) {
    // Everything by which the engine decides how to call a layer and in which layout. No layer changes it once loaded:
    // the forward functions are const.
    static_cast<ncnn::Layer&>(*this) = original;
    // By this address computed_here knows its own layers, which this one is not.
    userdata = nullptr;
  }

  int forward(const std::vector<ncnn::Mat>& bottom_blobs, std::vector<ncnn::Mat>& top_blobs,
              const ncnn::Option& opt) const override {
    edgedeploy_mark(begin_slot_);
    const int code = original_.forward(bottom_blobs, top_blobs, opt);
    edgedeploy_mark(end_slot_);
    return code;
  }

  int forward(const ncnn::Mat& bottom_blob, ncnn::Mat& top_blob, const ncnn::Option& opt) const override {
    edgedeploy_mark(begin_slot_);
    const int code = original_.forward(bottom_blob, top_blob, opt);
    edgedeploy_mark(end_slot_);
    return code;
  }

  int forward_inplace(std::vector<ncnn::Mat>& bottom_top_blobs, const ncnn::Option& opt) const override {
    edgedeploy_mark(begin_slot_);
    const int code = original_.forward_inplace(bottom_top_blobs, opt);
    edgedeploy_mark(end_slot_);
    return code;
  }

  int forward_inplace(ncnn::Mat& bottom_top_blob, const ncnn::Option& opt) const override {
    edgedeploy_mark(begin_slot_);
    const int code = original_.forward_inplace(bottom_top_blob, opt);
    edgedeploy_mark(end_slot_);
    return code;
  }

 private:
  const ncnn::Layer& original_;
  unsigned char* begin_slot_;
  unsigned char* end_slot_;
};

}  // namespace

LayerMarks::LayerMarks(ncnn::Net& net) : net_(net), slots_(inside(net.layers().size())) {
  std::vector<ncnn::Layer*>& layers = net_.mutable_layers();
  originals_.reserve(layers.size());
  for (size_t i = 0; i < layers.size(); ++i) {
    originals_.push_back(layers[i]);
    layers[i] = new MarkingLayer(*layers[i], &slots_[inside(i)], &slots_[after(i)]);
  }
}

LayerMarks::~LayerMarks() {
  std::vector<ncnn::Layer*>& layers = net_.mutable_layers();
  for (size_t i = 0; i < originals_.size(); ++i) {
    delete layers[i];
    layers[i] = originals_[i];
  }
}

void LayerMarks::mark_boundary() { edgedeploy_mark(&slots_[kBoundary]); }

void LayerMarks::mark_outside() { edgedeploy_mark(&slots_[kOutside]); }

}  // namespace edgedeploy
