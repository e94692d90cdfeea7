// Codes of an image's row as the engine makes them where it keeps halves: floats to halves, and those times their scale
// in half precision. Only for cores with half-precision arithmetic, and AArch64.
#pragma once

#if defined(__aarch64__)

#include <cstdint>

namespace edgedeploy {

// `row`: a pixel's three codes together.
void image_codes_by_halves(const float* const* planes, int width, float scale, int8_t* row);

}  // namespace edgedeploy

#endif
