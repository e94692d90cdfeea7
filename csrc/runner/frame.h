// A piece of a file as it travels: packed by zstd, perhaps in byte planes, perhaps against bytes that the board has.
#ifndef EDGEDEPLOY_RUNNER_FRAME_H_
#define EDGEDEPLOY_RUNNER_FRAME_H_

#include <cstddef>
#include <cstdint>
#include <string>

struct ZSTD_DCtx_s;

namespace edgedeploy {

// Bounds of one frame.
constexpr size_t kMaxFrameBytes = 1 << 20;
constexpr size_t kMaxPackedBytes = kMaxFrameBytes + (1 << 16);
constexpr size_t kMaxReferenceBytes = 4 << 20;

// What a frame is packed against.
enum class Reference : uint8_t {
  kNone = 0,
  kOwn = 1,         // Bytes of the same file that came before, as zstd's prefix.
  kBase = 2,        // Bytes of the base, as zstd's prefix.
  kDifference = 3,  // As many bytes of the base, XORed.
};

// The header of a frame, 22 bytes on the wire, little-endian, in this order.
struct FrameHeader {
  uint8_t planes;  // 1, or 2 or 4: all first bytes of so many, then all second ones, ...; what is over comes last.
  Reference reference;
  uint32_t size_bytes;
  uint32_t packed_bytes;
  uint64_t reference_offset;
  uint32_t reference_bytes;
};
constexpr size_t kFrameHeaderBytes = 22;

// Reads and checks a header; throws RunnerError(kStream) where a value is beyond its bounds.
FrameHeader parse_frame_header(const unsigned char* bytes);

// Unpacks frames one after the other.
class FrameDecoder {
 public:
  FrameDecoder();
  ~FrameDecoder();

  // Makes `bytes` the frame's, `header.size_bytes` of them; throws RunnerError(kStream) where they cannot be had. What
  // held a frame before serves again: memory that is new to the process costs as much as what is written there.
  void decode(const FrameHeader& header, const std::string& packed, const std::string& reference, std::string& bytes);

 private:
  ZSTD_DCtx_s* context_;
  std::string split_;
};

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_RUNNER_FRAME_H_
