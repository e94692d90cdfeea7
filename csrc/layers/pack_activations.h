// From ncnn's blob layout to the panels that gemm_s8 reads.
#ifndef EDGEDEPLOY_LAYERS_PACK_ACTIVATIONS_H_
#define EDGEDEPLOY_LAYERS_PACK_ACTIVATIONS_H_

#include <cstddef>
#include <cstdint>

namespace edgedeploy {

// A blob of int8 as ncnn keeps it: channel groups of `elempack` channels; in a group the pixels one after the other,
// each with its `elempack` values.
struct PackedBlob {
  const int8_t* data;
  int64_t group_stride_bytes;
  int32_t elempack;  // a power of two, at most 8
  int32_t channels;
};

// Packs pixels [begin, end) into panels of tile_rows rows (gemm_s8.h describes them): channels are k, rows and k filled
// up with zeros. `dst` has gemm_s8_packed_bytes(end - begin, channels, tile_rows, k_unit) bytes.
void pack_activations(const PackedBlob& blob, int64_t begin, int64_t end, int32_t tile_rows, int32_t k_unit,
                      int8_t* dst);

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_LAYERS_PACK_ACTIVATIONS_H_
