// Whole numbers cut into parts.
#ifndef EDGEDEPLOY_LAYERS_WHOLE_PARTS_H_
#define EDGEDEPLOY_LAYERS_WHOLE_PARTS_H_

#include <cstdint>

namespace edgedeploy {

// How many parts of `part` hold all of it; it is not negative.
constexpr int64_t divide_up(int64_t whole, int64_t part) { return (whole + part - 1) / part; }
constexpr int64_t round_up(int64_t whole, int64_t part) { return divide_up(whole, part) * part; }

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_LAYERS_WHOLE_PARTS_H_
