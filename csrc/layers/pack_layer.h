// What the layers of this pack tell one another when a model is loaded: which of them read and write int8.
#ifndef EDGEDEPLOY_LAYERS_PACK_LAYER_H_
#define EDGEDEPLOY_LAYERS_PACK_LAYER_H_

#include <layer.h>

namespace edgedeploy {

// What a layer writes, as far as others may build on it.
struct Written {
  bool not_negative = false;
  bool by_eights = false;  // of channels
};

class PackLayer : public ncnn::Layer {
 public:
  // True once the layer is loaded and a kernel of this project computes it.
  virtual bool computed_here() const = 0;

  // Codes a unit of an input that may come as int8 with any number of channels; 0 where the engine has to quantize it.
  virtual float input_code_scale() const { return 0; }

  // What it reads is set from outside, and read by it alone.
  virtual void expect_given() {}

  // Codes a unit of the int8 that it multiplies, whatever its input; 0 for a layer that reads float.
  virtual float read_scale() const { return 0; }
  // What it reads, and passes on, is never negative. by_eights: nor has it other channels than whole eights.
  virtual void expect_no_negatives(bool /*by_eights*/) {}
  // What it reads has whole eights of channels. Once for each of its bottoms of which that is known.
  virtual void expect_eights() {}

  virtual Written written() const { return {}; }
  // Whether it writes float and could as well write codes, eights of channels.
  virtual bool could_write_codes() const { return false; }
  // Codes a unit from now on.
  virtual void write_codes(float /*scale*/) {}

  // Whether it writes halves by eights, none of them negative, and could write their codes beside them; and does so
  // from now on.
  virtual bool could_write_codes_beside() const { return false; }
  virtual void write_codes_beside(float /*scale*/) {}
  // Whether it reads halves whose planes lie apart; and finds codes at its scale beside them, unless they were copied.
  virtual bool reads_planes_apart() const { return false; }
  virtual void expect_codes_beside() {}

  // Whether it only moves or selects values, also codes: all its blobs hold the same then.
  virtual bool passes_codes() const { return false; }
  // Its blobs hold codes from now on.
  virtual void pass_codes() {}

  // Whether it could do what a ReLU does that alone reads what it writes; and does so from now on.
  virtual bool could_rectify() const { return false; }
  virtual void rectify() {}
  // Whether it is such a ReLU; and only hands on what it reads from now on.
  virtual bool only_rectifies() const { return false; }
  virtual void leave_it_to_the_writer() {}
};

// Layers of this pack carry this address in `userdata`, which tells them from the engine's without run-time type
// information (the engine can be built without).
inline char pack_mark;

// Null for a layer of the engine's own.
inline const PackLayer* pack_layer(const ncnn::Layer& layer) {
  return layer.userdata == &pack_mark ? static_cast<const PackLayer*>(&layer) : nullptr;
}
inline PackLayer* pack_layer(ncnn::Layer& layer) {
  return layer.userdata == &pack_mark ? static_cast<PackLayer*>(&layer) : nullptr;
}

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_LAYERS_PACK_LAYER_H_
