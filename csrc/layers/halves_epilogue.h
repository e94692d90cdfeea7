// How a layer's sums become halves without a conversion to floats first.
#ifndef EDGEDEPLOY_LAYERS_HALVES_EPILOGUE_H_
#define EDGEDEPLOY_LAYERS_HALVES_EPILOGUE_H_

#include <cstdint>
#include <vector>

#include "kernels/sums_epilogue.h"

namespace edgedeploy {

struct HalvesEpilogue {
  int32_t output = kSumsToF16;  // or one that is folded, shifted or rectified, which then has its own:
  std::vector<int32_t> start;   // [channels up to a multiple of 8]
  std::vector<float> scale;     // likewise
  std::vector<float> offset;    // likewise
};

// scale and offset: what the sums are multiplied with, and what is added. largest_sums: [channels] no sum is farther
// from zero.
HalvesEpilogue halves_epilogue(const std::vector<float>& scale, const std::vector<float>& offset,
                               const std::vector<double>& largest_sums);

// kSumsToF16Rectified for kSumsToF16Folded behind a ReLU; kSumsToF16 where that is not what they are, or a value may
// be beyond the halves.
HalvesEpilogue rectified(const HalvesEpilogue& halves, const std::vector<double>& largest_sums);

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_LAYERS_HALVES_EPILOGUE_H_
