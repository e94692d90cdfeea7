// What follows a layer's int32 sums: scale, bias, activation and, in requantize chains, the next layer's int8.
//
// An activation that is a clamp costs nothing: it becomes the kernel's limits. For any other the kernel hands over a
// tile of floats, on the stack, which finish_tile() activates and stores.
#ifndef EDGEDEPLOY_LAYERS_EPILOGUE_H_
#define EDGEDEPLOY_LAYERS_EPILOGUE_H_

#include <paramdict.h>

#include <cstdint>
#include <vector>

#include "kernels/sums_epilogue.h"
#include "layers/activation.h"
#include "layers/int8_weights.h"

namespace edgedeploy {

struct Epilogue {
  bool requantizes = false;
  bool in_registers = false;  // The kernel's limits are the activation; else finish_tile().
  SumsEpilogue sums{};
  Activation activation;
  float output_scale = 1;      // for finish_tile()
  std::vector<float> scale;    // [channels up to a multiple of 8]
  std::vector<float> offset;   // likewise
  std::vector<int32_t> start;  // likewise; for kSumsToS8Folded
};

// False if a figure is not finite, or the activation not known: then the built-in layer has to do it.
bool make_epilogue(const Int8Weights& weights, const Activation& activation, Epilogue* epilogue);

// Moves the offsets of int8 results into where the sums start (kSumsToS8Folded), which spares the kernel a conversion,
// where that cannot change more than one code in a few thousand: sums and codes bounded by the weights, and a sum so
// small a part of a code that its rounding does not matter. Else leaves the epilogue as it is.
void fold_offsets(const Int8Weights& weights, Epilogue* epilogue);

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_LAYERS_EPILOGUE_H_
