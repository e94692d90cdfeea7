#include "runner/frame.h"

#include <string.h>
#include <zstd.h>

#include <new>

#include "runner/bytes.h"
#include "runner/error.h"

namespace edgedeploy {

namespace {

RunnerError damaged(const std::string& what) { return RunnerError(ExitCode::kStream, "damaged stream: " + what); }

// Words of the byte planes: a byte of each, the first one's lowest.
template <typename Word>
Word word_of(const unsigned char* planes, size_t count, size_t i) {
  uint32_t word = 0;
  for (size_t plane = 0; plane < sizeof(Word); ++plane) word |= uint32_t{planes[plane * count + i]} << (8 * plane);
  return static_cast<Word>(word);
}

// The inverse of: all first bytes of each word, all second ones, ..., what is over.
template <typename Word>
void join(const std::string& split, std::string& whole) {
  const auto* planes = reinterpret_cast<const unsigned char*>(split.data());
  const size_t count = split.size() / sizeof(Word);
  for (size_t i = 0; i < count; ++i) {
    const Word word = word_of<Word>(planes, count, i);
    memcpy(&whole[i * sizeof(Word)], &word, sizeof(Word));
  }
  const size_t done = count * sizeof(Word);
  memcpy(&whole[done], split.data() + done, split.size() - done);
}

void add_difference(const std::string& old, std::string& bytes) {
  size_t done = 0;
  for (; bytes.size() - done >= sizeof(uint64_t); done += sizeof(uint64_t)) {
    uint64_t words[2];
    memcpy(&words[0], &bytes[done], sizeof(uint64_t));
    memcpy(&words[1], &old[done], sizeof(uint64_t));
    words[0] ^= words[1];
    memcpy(&bytes[done], &words[0], sizeof(uint64_t));
  }
  for (; done < bytes.size(); ++done) bytes[done] = static_cast<char>(bytes[done] ^ old[done]);
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

void FrameDecoder::decode(const FrameHeader& header, const std::string& packed, const std::string& reference,
                          std::string& bytes) {
  const bool prefixed = header.reference == Reference::kOwn || header.reference == Reference::kBase;
  std::string& unpacked = header.planes > 1 ? split_ : bytes;
  unpacked.resize(header.size_bytes);
  if (prefixed) ZSTD_DCtx_refPrefix(context_, reference.data(), reference.size());
  const size_t size = ZSTD_decompressDCtx(context_, &unpacked[0], unpacked.size(), packed.data(), packed.size());
  if (ZSTD_isError(size)) {
    // What was referred to is forgotten only after a frame that could be read.
    ZSTD_DCtx_reset(context_, ZSTD_reset_session_and_parameters);
    throw damaged(ZSTD_getErrorName(size));
  }
  if (size != unpacked.size()) throw damaged("a frame is shorter than announced");
  bytes.resize(header.size_bytes);
  if (header.planes == 2) join<uint16_t>(split_, bytes);
  if (header.planes == 4) join<uint32_t>(split_, bytes);
  if (header.reference == Reference::kDifference) add_difference(reference, bytes);
}

}  // namespace edgedeploy
