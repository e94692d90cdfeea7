// Tiles of winograd_s8 and the points that they take.
#ifndef EDGEDEPLOY_KERNELS_WINOGRAD_S8_TILES_H_
#define EDGEDEPLOY_KERNELS_WINOGRAD_S8_TILES_H_

#include <algorithm>
#include <cstdint>

#include "kernels/winograd_s8/winograd_s8.h"

namespace edgedeploy {

inline constexpr int kWinogradS8Points = 6;   // of a dimension: 0, 1, -1, 2, -2, infinity
inline constexpr int kWinogradS8Classes = 3;  // of points: those of every tile, 2, and -2
inline constexpr int kWinogradS8Slots = 4;    // tiles that are multiplied together

// Outputs of a tile along a dimension that has `left` of them left: those that the tile computes, 2 to 4. It takes two
// points more: without -2 for 3, without 2 and -2 for 2.
inline int winograd_s8_outputs(int64_t left) { return static_cast<int>(std::clamp<int64_t>(left, 2, 4)); }

constexpr int winograd_s8_class(int point) { return point == 3 ? 1 : point == 4 ? 2 : 0; }

// The i-th point of a tile with that many outputs.
constexpr int winograd_s8_point(int outputs, int i) { return i == outputs + 1 ? 5 : i; }

struct WinogradS8Tile {
  int64_t y, x;       // of its first output
  int rows, columns;  // that it computes, 2 to 4
  // Where V and M of a point begin, from those of the first of the call's tiles that have it: by its classes down and
  // across.
  int64_t v_places[kWinogradS8Classes][kWinogradS8Classes];
  int64_t m_places[kWinogradS8Classes][kWinogradS8Classes];
};

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_KERNELS_WINOGRAD_S8_TILES_H_
