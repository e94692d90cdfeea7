// What follows a layer's int32 sums: scale, bias, activation and, in requantize chains, the next layer's int8.
//
// An activation that is a clamp costs nothing: it becomes the kernel's limits. Hard swish, leaky ReLU, sigmoid and mish
// are a gate in the kernel's registers. Where its figures are beyond what a gate takes, the kernel hands over a tile of
// floats, on the stack, which OutputTile activates and stores.
#ifndef EDGEDEPLOY_LAYERS_EPILOGUE_H_
#define EDGEDEPLOY_LAYERS_EPILOGUE_H_

#include <paramdict.h>

#include <cstdint>
#include <vector>

#include "kernels/sums_epilogue.h"
#include "layers/activation.h"
#include "layers/halves_epilogue.h"
#include "layers/int8_weights.h"

namespace edgedeploy {

struct Epilogue {
  bool requantizes = false;
  bool in_registers = false;  // The kernel's limits or its gate are the activation; else a tile.
  SumsEpilogue sums{};
  Activation activation;
  float output_scale = 1;           // for a tile of floats
  std::vector<float> scale;         // [channels up to a multiple of 8]
  std::vector<float> offset;        // likewise
  std::vector<int32_t> start;       // likewise; for kSumsToS8Folded
  HalvesEpilogue halves;            // for kernels that write them
  HalvesEpilogue rectified_halves;  // likewise, where they end in a ReLU

  bool never_negative() const { return in_registers && (requantizes ? sums.low_code >= 0 : sums.low_value >= 0); }
};

// What an epilogue is made of, which outlives the weights.
struct EpilogueFacts {
  Int8Weights scales;             // without the weights
  std::vector<int64_t> positive;  // [channels] sum of the channel's weights above zero
  std::vector<int64_t> negative;  // likewise, their magnitudes below it
  Activation activation;
  bool inputs_not_negative = false;  // nor is padding
};

EpilogueFacts facts_of(const Int8Weights& weights, const Activation& activation);

// False if a figure is not finite, or the activation not known: then the built-in layer has to do it.
bool make_epilogue(const Int8Weights& weights, const Activation& activation, Epilogue* epilogue);

// The same, with all that is known of the sums made use of. To be called only where the other is true.
Epilogue best_epilogue(const EpilogueFacts& facts);

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_LAYERS_EPILOGUE_H_
