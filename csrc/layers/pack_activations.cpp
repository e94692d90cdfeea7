#include "layers/pack_activations.h"

#include <algorithm>
#include <cstring>

namespace edgedeploy {

namespace {

// Copies `kBytes` channels of each of `rows` pixels; a constant size turns the copy into one load and one store.
template <int kBytes>
void copy_pieces(const int8_t* src, int64_t src_stride, int64_t rows, int8_t* dst, int64_t dst_stride) {
  for (int64_t row = 0; row < rows; ++row) memcpy(dst + row * dst_stride, src + row * src_stride, kBytes);
}

void copy_pieces(int32_t bytes, const int8_t* src, int64_t src_stride, int64_t rows, int8_t* dst, int64_t dst_stride) {
  switch (bytes) {
    case 8:
      return copy_pieces<8>(src, src_stride, rows, dst, dst_stride);
    case 4:
      return copy_pieces<4>(src, src_stride, rows, dst, dst_stride);
    case 2:
      return copy_pieces<2>(src, src_stride, rows, dst, dst_stride);
    default:
      for (int64_t row = 0; row < rows; ++row) {
        for (int32_t i = 0; i < bytes; ++i) dst[row * dst_stride + i] = src[row * src_stride + i];
      }
  }
}

}  // namespace

void pack_activations(const PackedBlob& blob, int64_t begin, int64_t end, int32_t tile_rows, int32_t k_unit,
                      int8_t* dst) {
  const int64_t units = (blob.channels + k_unit - 1) / k_unit;
  const int64_t unit_bytes = int64_t{tile_rows} * k_unit;
  const int64_t panel_bytes = units * unit_bytes;
  for (int64_t first = begin; first < end; first += tile_rows, dst += panel_bytes) {
    const int64_t rows = std::min<int64_t>(tile_rows, end - first);
    // Only ragged panels have anything to fill up.
    if (rows < tile_rows || blob.channels % k_unit != 0) memset(dst, 0, static_cast<size_t>(panel_bytes));
    for (int32_t channel = 0; channel < blob.channels;) {
      // The longest run of channels that lies together both in the blob and in the panel.
      const int32_t in_group = channel % blob.elempack;
      const int32_t in_unit = channel % k_unit;
      const int32_t piece = std::min({blob.elempack - in_group, k_unit - in_unit, blob.channels - channel});
      const int8_t* src =
          blob.data + channel / blob.elempack * blob.group_stride_bytes + first * blob.elempack + in_group;
      copy_pieces(piece, src, blob.elempack, rows, dst + channel / k_unit * unit_bytes + in_unit, k_unit);
      channel += piece;
    }
  }
}

}  // namespace edgedeploy
