// What convolutions share whose blobs may hold codes at either end: the epilogue, remade with all that is known of the
// layers before and behind.
#ifndef EDGEDEPLOY_LAYERS_CODES_LAYER_H_
#define EDGEDEPLOY_LAYERS_CODES_LAYER_H_

#include "layers/epilogue.h"
#include "layers/over_stock.h"

namespace edgedeploy {

class CodesLayer : public OverStock {
 public:
  explicit CodesLayer(int type_index) : OverStock(type_index) {}

  float read_scale() const override { return computed_here() ? input_scale_[0] : 0; }
  void expect_no_negatives(bool by_eights) override;
  Written written() const override;
  bool could_write_codes() const override;
  void write_codes(float scale) override;

 protected:
  Int8Layout weights_layout() const override { return layout_; }
  // Keeps what the epilogue is made of, and makes it. pad_code: of the input's padding.
  void keep_facts(const Int8Weights& weights, int8_t pad_code);
  const Epilogue& epilogue() const { return epilogue_; }

  Int8Layout layout_;
  Activation activation_;
  ncnn::Mat input_scale_;  // float [1]

 private:
  bool channels_are_eights() const;

  EpilogueFacts facts_;
  Epilogue epilogue_;
  int8_t pad_code_ = 0;
};

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_LAYERS_CODES_LAYER_H_
