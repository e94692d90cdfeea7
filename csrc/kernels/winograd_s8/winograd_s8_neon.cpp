// winograd_s8 on armv8.0: how a call's tiles share points, its transforms and its epilogue. The products, which take
// nine tenths of the time, are winograd_s8_4x16_neon.S's.
//
// Scratch: V, for each of 36 points and each four of the tiles that have it [groups][4][8] of 16 bits; M, for each
// point [16 tiles][16 channels] of 32; the list of products. A tile's transforms read and write registers once, in
// rows.
#include <cstring>
#include <utility>

#include "kernels/winograd_s8/winograd_s8_epilogue.h"
#include "kernels/winograd_s8/winograd_s8_tiles.h"
#include "kernels/winograd_s8/winograd_s8_transform.h"

namespace edgedeploy {
namespace {

constexpr int64_t kGroup = 8;
constexpr int kAllPoints = kWinogradS8Points * kWinogradS8Points;
constexpr int64_t kFours = kWinogradS8MaxTiles / kWinogradS8Slots;
constexpr int64_t kPointM = kWinogradS8MaxTiles * kWinogradS8Block;
constexpr int64_t kPartM = kAllPoints * kPointM;
constexpr int64_t kPartProducts = kAllPoints * kFours;
constexpr int64_t kMaxSide = kWinogradS8Tile + 2;

int64_t blocks_of(int64_t channels) { return (channels + kWinogradS8Block - 1) / kWinogradS8Block; }

size_t packed_bytes(int64_t channels, int64_t groups) {
  return static_cast<size_t>(blocks_of(channels) * kAllPoints * groups * kGroup * kWinogradS8Block) * sizeof(int16_t);
}

// 24 times a window at the points, infinity's still without its factor 4.
void weights_at_points(const int (&g)[3], int (&u)[kWinogradS8Points]) {
  u[0] = 6 * g[0];
  u[1] = -4 * (g[0] + g[1] + g[2]);
  u[2] = -4 * (g[0] - g[1] + g[2]);
  u[3] = g[0] + 2 * g[1] + 4 * g[2];
  u[4] = g[0] - 2 * g[1] + 4 * g[2];
  u[5] = 6 * g[2];
}

// [block][point][k][16 channels].
void pack(const int8_t* weights, int64_t channels, int64_t groups, void* packed) {
  std::memset(packed, 0, packed_bytes(channels, groups));
  const int64_t inputs = groups * kGroup;
  for (int64_t n = 0; n < channels; ++n) {
    for (int64_t k = 0; k < inputs; ++k, weights += 9) {
      int down[kWinogradS8Points][3];
      for (int s = 0; s < 3; ++s) {
        const int column[3] = {weights[s], weights[3 + s], weights[6 + s]};
        int points[kWinogradS8Points];
        weights_at_points(column, points);
        for (int i = 0; i < kWinogradS8Points; ++i) down[i][s] = points[i];
      }
      int16_t* into = static_cast<int16_t*>(packed) +
                      (n / kWinogradS8Block * kAllPoints * inputs + k) * kWinogradS8Block + n % kWinogradS8Block;
      for (int i = 0; i < kWinogradS8Points; ++i) {
        int points[kWinogradS8Points];
        weights_at_points(down[i], points);
        for (int j = 0; j < kWinogradS8Points; ++j, into += inputs * kWinogradS8Block) {
          *into = static_cast<int16_t>(points[j]);
        }
      }
    }
  }
}

int64_t v_values(int64_t groups) { return kAllPoints * kFours * groups * kWinogradS8Slots * kGroup; }

size_t scratch_bytes(int64_t groups) {
  return static_cast<size_t>(v_values(groups)) * sizeof(int16_t) +
         static_cast<size_t>(kWinogradS8MaxParts * kPartM + kPointM) * sizeof(int32_t) +
         static_cast<size_t>(kWinogradS8MaxParts * kPartProducts) * sizeof(WinogradS8Product);
}

class Call {
 public:
  explicit Call(const WinogradS8Params& params) : p_(params), v_(static_cast<int16_t*>(params.scratch)) {
    m_ = reinterpret_cast<int32_t*>(v_ + v_values(p_.groups));
    products_ = reinterpret_cast<WinogradS8Product*>(m_ + kWinogradS8MaxParts * kPartM + kPointM);
  }

  void run() {
    find_tiles();
    for (int64_t part = 0; part < p_.parts; ++part) list_products(part);
    for (int64_t t = 0; t < p_.tiles; ++t) {
      for (int64_t group = 0; group < p_.groups; ++group) transform(tiles_[t], group);
    }
    for (int64_t block = p_.first_block; block < p_.first_block + p_.blocks; ++block) {
      for (int64_t part = 0; part < p_.parts; ++part) multiply(block, part);
      const int64_t end = std::min((block + 1) * kWinogradS8Block, p_.channels);
      for (int64_t n = block * kWinogradS8Block; n < end; n += kGroup) {
        const WinogradS8Epilogue epilogue(p_, n);
        for (int64_t t = 0; t < p_.tiles; ++t) finish(tiles_[t], n % kWinogradS8Block, epilogue);
      }
    }
  }

 private:
  void find_tiles() {
    const int64_t across = (p_.c_width + kWinogradS8Tile - 1) / kWinogradS8Tile;
    for (int64_t t = 0; t < p_.tiles; ++t) {
      WinogradS8Tile& tile = tiles_[t];
      tile.y = (p_.first_tile + t) / across * kWinogradS8Tile;
      tile.x = (p_.first_tile + t) % across * kWinogradS8Tile;
      tile.rows = winograd_s8_outputs(p_.c_height - tile.y);
      tile.columns = winograd_s8_outputs(p_.c_width - tile.x);
      for (int down = 0; down < tile.rows - 1; ++down) {
        for (int side = 0; side < tile.columns - 1; ++side) {
          const int slot = taken_[down][side]++;
          tile.v_places[down][side] = v_place(slot);
          tile.m_places[down][side] = slot * kWinogradS8Block;
        }
      }
    }
  }

  // Those of four tiles first, which are the fastest one after the other.
  void list_products(int64_t part) {
    WinogradS8Product* into = products_ + part * kPartProducts;
    const int64_t first_group = winograd_s8_part(p_.groups, p_.parts, part);
    const int64_t u_bytes = p_.groups * kGroup * kWinogradS8Block * int64_t{sizeof(int16_t)};
    for (int tiles = kWinogradS8Slots; tiles > 0; --tiles) {
      for (int point = 0; point < kAllPoints; ++point) {
        const int down = winograd_s8_class(point / kWinogradS8Points);
        const int taken = taken_[down][winograd_s8_class(point % kWinogradS8Points)];
        for (int first = 0; first < taken; first += kWinogradS8Slots) {
          if (std::min(taken - first, kWinogradS8Slots) != tiles) continue;
          *into++ = {v_at(point, first) + first_group * kWinogradS8Slots * kGroup, m_at(point, first) + part * kPartM,
                     point * u_bytes, tiles};
        }
      }
    }
    count_ = into - (products_ + part * kPartProducts);
  }

  void multiply(int64_t block, int64_t part) const {
    const int64_t first_group = winograd_s8_part(p_.groups, p_.parts, part);
    const int64_t first_k = (block * kAllPoints * p_.groups + first_group) * kGroup;
    const WinogradS8Products products{
        products_ + part * kPartProducts, count_, static_cast<const int16_t*>(p_.b) + first_k * kWinogradS8Block,
        winograd_s8_part(p_.groups, p_.parts, part + 1) - first_group, m_ + kWinogradS8MaxParts * kPartM};
    winograd_s8_4x16_neon(&products);
  }

  // Of a tile's first k, from its point's begin.
  int64_t v_place(int slot) const {
    return (slot / kWinogradS8Slots * p_.groups * kWinogradS8Slots + slot % kWinogradS8Slots) * kGroup;
  }
  int16_t* v_at(int point, int slot) const {
    return v_ + point * kFours * p_.groups * kWinogradS8Slots * kGroup + v_place(slot);
  }
  int32_t* m_at(int point, int slot) const { return m_ + point * kPointM + slot * kWinogradS8Block; }

  void transform(const WinogradS8Tile& tile, int64_t group) const {
    const int64_t y = tile.y - p_.pad_top;
    const int64_t x = tile.x - p_.pad_left;
    const int8_t* plane = p_.a + group * p_.a_stride_bytes;
    const bool inside = y >= 0 && x >= 0 && y + tile.rows + 2 <= p_.a_height && x + tile.columns + 2 <= p_.a_width;
    if (inside) return transform_from(tile, group, plane + (y * p_.a_width + x) * kGroup, p_.a_width * kGroup);
    int8_t pixels[kMaxSide * kMaxSide * kGroup];
    copy_padded(plane, y, x, tile.rows + 2, tile.columns + 2, pixels);
    transform_from(tile, group, pixels, kMaxSide * kGroup);
  }

  void copy_padded(const int8_t* plane, int64_t y, int64_t x, int rows, int columns, int8_t* pixels) const {
    const int8x8_t pad = vdup_n_s8(static_cast<int8_t>(p_.pad_code));
    const int64_t begin = std::clamp<int64_t>(-x, 0, columns);
    const int64_t end = std::clamp<int64_t>(p_.a_width - x, begin, columns);
    for (int r = 0; r < rows; ++r, pixels += kMaxSide * kGroup) {
      const bool inside = y + r >= 0 && y + r < p_.a_height;
      const int64_t first = inside ? begin : columns;
      const int64_t last = inside ? end : columns;
      const int8_t* from = plane + ((y + r) * p_.a_width + x) * kGroup;
      for (int64_t i = 0; i < first; ++i) vst1_s8(pixels + i * kGroup, pad);
      for (int64_t i = first; i < last; ++i) vst1_s8(pixels + i * kGroup, vld1_s8(from + i * kGroup));
      for (int64_t i = last; i < columns; ++i) vst1_s8(pixels + i * kGroup, pad);
    }
  }

  void transform_from(const WinogradS8Tile& tile, int64_t group, const int8_t* pixels, int64_t row) const {
    switch (tile.rows * 8 + tile.columns) {
#define SHAPE(rows, columns) \
  case rows * 8 + columns:   \
    return transform_all<rows, columns>(tile, group, pixels, row);
      SHAPE(4, 4) SHAPE(4, 3) SHAPE(4, 2) SHAPE(3, 4) SHAPE(3, 3) SHAPE(3, 2) SHAPE(2, 4) SHAPE(2, 3) SHAPE(2, 2)
#undef SHAPE
    }
  }

  template <int rows, int columns>
  [[gnu::aligned(kPage)]] void transform_all(const WinogradS8Tile& tile, int64_t group, const int8_t* pixels,
                                             int64_t row) const {
    transform_pair<rows, columns, 0>(tile, group, pixels, row, std::make_index_sequence<columns + 2>());
    transform_pair<rows, columns, 1>(tile, group, pixels, row, std::make_index_sequence<columns + 2>());
    if constexpr (rows > 2) {
      transform_pair<rows, columns, 2>(tile, group, pixels, row, std::make_index_sequence<columns + 2>());
    }
  }

  // Two points down, all across.
  template <int rows, int columns, int pair, size_t... j>
  [[gnu::always_inline]] void transform_pair(const WinogradS8Tile& tile, int64_t group, const int8_t* pixels,
                                             int64_t row, std::index_sequence<j...> columns_of) const {
    constexpr int first = pair == 0 ? 0 : 2 * pair - 1;
    constexpr int second = pair == 0 ? 5 : 2 * pair;
    const PointPair points[] = {column_points<rows, pair>(pixels + j * kGroup, row)...};
    const int16x8_t firsts[] = {points[j].first...};
    store_points<columns, first>(tile, group, firsts, columns_of);
    if constexpr (rows == 4 || pair < 2) {
      const int16x8_t seconds[] = {points[j].second...};
      store_points<columns, second>(tile, group, seconds, columns_of);
    }
  }

  template <int columns, int down, size_t... j>
  [[gnu::always_inline]] void store_points(const WinogradS8Tile& tile, int64_t group,
                                           const int16x8_t (&along)[columns + 2],
                                           std::index_sequence<j...> /*columns*/) const {
    constexpr int64_t kBytes = sizeof(int16_t);
    const int64_t point_bytes = kFours * p_.groups * kWinogradS8Slots * kGroup * kBytes;
    const int64_t first = down * kWinogradS8Points * point_bytes + group * kWinogradS8Slots * kGroup * kBytes;
    char* const into = reinterpret_cast<char*>(v_) + first;
    const int64_t (&places)[kWinogradS8Classes] = tile.v_places[winograd_s8_class(down)];
    char* const at[kWinogradS8Classes] = {into + places[0] * kBytes, into + places[1] * kBytes,
                                          into + places[2] * kBytes};
    int16x8_t points[columns + 2];
    row_points<columns>(along, points);
    (store(reinterpret_cast<int16_t*>(at[winograd_s8_class(winograd_s8_point(columns, j))] +
                                      winograd_s8_point(columns, j) * point_bytes),
           points[j]),
     ...);
  }

  void finish(const WinogradS8Tile& tile, int64_t n, const WinogradS8Epilogue& epilogue) const {
    switch (tile.rows * 8 + tile.columns) {
#define SHAPE(rows, columns) \
  case rows * 8 + columns:   \
    return finish_all<rows, columns>(tile, n, epilogue);
      SHAPE(4, 4) SHAPE(4, 3) SHAPE(4, 2) SHAPE(3, 4) SHAPE(3, 3) SHAPE(3, 2) SHAPE(2, 4) SHAPE(2, 3) SHAPE(2, 2)
#undef SHAPE
    }
  }

  using Places = const int32_t* [kWinogradS8Classes][kWinogradS8Classes];
  static constexpr int64_t kHalfSums = kWinogradS8Tile * kWinogradS8Tile * 4;

  template <int rows, int columns>
  void finish_all(const WinogradS8Tile& tile, int64_t n, const WinogradS8Epilogue& epilogue) const {
    int32_t sums[2 * kHalfSums];
    for (int half = 0; half < 2; ++half) {
      Places m;
      for (int down = 0; down < rows - 1; ++down) {
        for (int side = 0; side < columns - 1; ++side) m[down][side] = m_ + tile.m_places[down][side] + n + half * 4;
      }
      find_sums<rows, columns>(m, 0, epilogue.start(half), sums + half * kHalfSums,
                               std::make_index_sequence<columns + 2>(), std::make_index_sequence<rows>());
      if (p_.parts > 1) {
        int32_t more[kHalfSums];
        find_sums<rows, columns>(m, kPartM, vdupq_n_s32(0), more, std::make_index_sequence<columns + 2>(),
                                 std::make_index_sequence<rows>());
        for (int64_t i = 0; i < kHalfSums; i += 4) {
          int32_t* const sum = sums + half * kHalfSums + i;
          vst1q_s32(sum, vaddq_s32(vld1q_s32(sum), vld1q_s32(more + i)));
        }
      }
    }
    epilogue.store(sums, tile.y * p_.c_width + tile.x, p_.c_width, std::min<int64_t>(rows, p_.c_height - tile.y),
                   std::min<int64_t>(columns, p_.c_width - tile.x));
  }

  // [rows][4 columns][4 channels], each added to `start`.
  template <int rows, int columns, size_t... j, size_t... i>
  [[gnu::aligned(kQuarterOfAPage)]] static void find_sums(const Places& m, int64_t offset, int32x4_t start,
                                                          int32_t* sums, std::index_sequence<j...> /*columns*/,
                                                          std::index_sequence<i...> /*rows*/) {
    int32x4_t down[columns + 2][rows];
    (column_outputs<rows, winograd_s8_point(columns, j)>(m, offset, down[j], std::make_index_sequence<rows + 2>()),
     ...);
    (row_sums<rows, columns, i>(down, start, sums, std::make_index_sequence<columns + 2>(),
                                std::make_index_sequence<columns>()),
     ...);
  }

  template <int rows, int across, size_t... i>
  [[gnu::always_inline]] static void column_outputs(const Places& m, int64_t offset, int32x4_t (&y)[rows],
                                                    std::index_sequence<i...> /*rows*/) {
    const int32x4_t points[] = {load<winograd_s8_point(rows, i), across>(m, offset)...};
    outputs_of<rows>(points, y);
  }

  template <int rows, int columns, size_t row, size_t... j, size_t... x>
  [[gnu::always_inline]] static void row_sums(const int32x4_t (&down)[columns + 2][rows], int32x4_t start,
                                              int32_t* sums, std::index_sequence<j...> /*points*/,
                                              std::index_sequence<x...> /*columns*/) {
    const int32x4_t along[] = {down[j][row]...};
    int32x4_t y[columns];
    outputs_of<columns>(along, y);
    (store(sums + (row * kWinogradS8Tile + x) * 4, add_sum(start, y[x])), ...);
  }

  template <int down, int across>
  [[gnu::always_inline]] static int32x4_t load(const Places& m, int64_t offset) {
    const int32_t* from = m[winograd_s8_class(down)][winograd_s8_class(across)];
    return vld1q_s32(from + offset + (down * kWinogradS8Points + across) * kPointM);
  }

  const WinogradS8Params& p_;
  int16_t* v_;
  int32_t* m_;
  WinogradS8Product* products_;
  int64_t count_ = 0;
  int taken_[kWinogradS8Classes][kWinogradS8Classes] = {};
  WinogradS8Tile tiles_[kWinogradS8MaxTiles] = {};
};

void run(const WinogradS8Params* params) { Call(*params).run(); }

}  // namespace

const WinogradS8Variant kWinogradS8Neon = {packed_bytes, pack, scratch_bytes, run};

}  // namespace edgedeploy
