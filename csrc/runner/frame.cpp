#include "runner/frame.h"

#include <zstd.h>

#include <new>

#include "runner/bytes.h"
#include "runner/error.h"

namespace edgedeploy {

namespace {

RunnerError damaged(const std::string& what) { return RunnerError(ExitCode::kStream, "damaged stream: " + what); }

// The inverse of: all first bytes of each `planes`, all second ones, ..., what is over.
std::string joined(const std::string& split, size_t planes) {
  const size_t count = split.size() / planes;
  std::string whole(split);
  for (size_t plane = 0; plane < planes; ++plane) {
    const char* from = split.data() + plane * count;
    char* to = &whole[0] + plane;
    for (size_t i = 0; i < count; ++i) to[i * planes] = from[i];
  }
  return whole;
}

}  // namespace

FrameHeader parse_frame_header(const unsigned char* bytes) {
  FrameHeader header{};
  header.planes = bytes[0];
  header.reference = static_cast<Reference>(bytes[1]);
  header.size_bytes = static_cast<uint32_t>(little_endian(bytes + 2, 4));
  header.packed_bytes = static_cast<uint32_t>(little_endian(bytes + 6, 4));
  header.reference_offset = little_endian(bytes + 10, 8);
  header.reference_bytes = static_cast<uint32_t>(little_endian(bytes + 18, 4));
  if (header.planes != 1 && header.planes != 2 && header.planes != 4) throw damaged("no such number of byte planes");
  if (bytes[1] > static_cast<uint8_t>(Reference::kDifference)) throw damaged("no such kind of reference");
  if (header.size_bytes == 0 || header.size_bytes > kMaxFrameBytes) throw damaged("a frame of this size");
  if (header.packed_bytes > kMaxPackedBytes) throw damaged("a frame packed to this size");
  if (header.reference_bytes > kMaxReferenceBytes) throw damaged("a reference of this size");
  const bool refers = header.reference != Reference::kNone;
  if (refers != (header.reference_bytes != 0)) throw damaged("a reference where none is expected, or none");
  if (header.reference == Reference::kDifference && header.reference_bytes != header.size_bytes) {
    throw damaged("a difference from something of another size");
  }
  return header;
}

FrameDecoder::FrameDecoder() : context_(ZSTD_createDCtx()) {
  if (!context_) throw std::bad_alloc();
}

FrameDecoder::~FrameDecoder() { ZSTD_freeDCtx(context_); }

std::string FrameDecoder::decode(const FrameHeader& header, const std::string& packed, const std::string& reference) {
  const bool prefixed = header.reference == Reference::kOwn || header.reference == Reference::kBase;
  if (prefixed) ZSTD_DCtx_refPrefix(context_, reference.data(), reference.size());
  std::string bytes(header.size_bytes, '\0');
  const size_t size = ZSTD_decompressDCtx(context_, &bytes[0], bytes.size(), packed.data(), packed.size());
  if (ZSTD_isError(size)) {
    // What was referred to is forgotten only after a frame that could be read.
    ZSTD_DCtx_reset(context_, ZSTD_reset_session_and_parameters);
    throw damaged(ZSTD_getErrorName(size));
  }
  if (size != bytes.size()) throw damaged("a frame is shorter than announced");
  if (header.planes > 1) bytes = joined(bytes, header.planes);
  if (header.reference == Reference::kDifference) {
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(bytes[i] ^ reference[i]);
  }
  return bytes;
}

}  // namespace edgedeploy
