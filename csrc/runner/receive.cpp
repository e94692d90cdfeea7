// `receive`: unpacks files from stdin. After its name: records, each begun by its kind.
//   1, a file: offset (8 bytes), size (8), mode (2), length of the base's name (2), SHA-256 (32), the base's name.
//      `offset` bytes of it are there; frames follow until `size` is reached. No base: a name of no bytes.
//   2, a frame: its header, then its packed bytes.
//   0, the end.
#include "runner/receive.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "runner/background_sha256.h"
#include "runner/bytes.h"
#include "runner/commands.h"
#include "runner/descriptor.h"
#include "runner/error.h"
#include "runner/frame.h"

namespace edgedeploy {

namespace {

constexpr size_t kFileHeaderBytes = 52;
constexpr size_t kShaBytes = 32;
constexpr size_t kMaxNameBytes = 4096;
constexpr size_t kChunkBytes = size_t{1} << 16;
constexpr mode_t kWritableByOthers = S_IWGRP | S_IWOTH;

// Whoever fills the pipe wakes this program up with every packet, which costs a small board more than reading it does.
// So the pipe is made long, and read once there is this much, or nothing came for a while.
constexpr int kPipeBytes = 1 << 20;
constexpr size_t kWorthwhileBytes = size_t{1} << 18;
constexpr long kPauseNs = 4000000;

enum Record : unsigned char { kEnd = 0, kFileRecord = 1, kFrameRecord = 2 };

RunnerError damaged(const std::string& what) { return RunnerError(ExitCode::kStream, "damaged stream: " + what); }

RunnerError file_error(const std::string& path, const std::string& what) {
  return RunnerError(ExitCode::kFile, path + ": " + what);
}

const unsigned char* as_bytes(const std::string& text) { return reinterpret_cast<const unsigned char*>(text.data()); }

// Pauses while a pipe fills, until it holds `size` bytes or enough to be worth reading.
void let_fill(int pipe, size_t size) {
  const size_t wanted = std::min(size, kWorthwhileBytes);
  int before = -1;
  int waiting = 0;
  while (ioctl(pipe, FIONREAD, &waiting) == 0 && waiting > before && static_cast<size_t>(waiting) < wanted) {
    before = waiting;
    const struct timespec pause = {0, kPauseNs};
    nanosleep(&pause, nullptr);
  }
}

// Reads until `size` bytes are there or the end; returns how many there are.
size_t read_up_to(int from, char* to, size_t size) {
  size_t done = 0;
  while (done < size) {
    let_fill(from, size - done);
    const ssize_t count = read(from, to + done, size - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw RunnerError(ExitCode::kStream, std::string("the stream cannot be read: ") + strerror(errno));
    if (count == 0) break;
    done += static_cast<size_t>(count);
  }
  return done;
}

void take_into(int stream, size_t size, std::string& bytes) {
  bytes.resize(size);
  if (read_up_to(stream, &bytes[0], size) != size) throw damaged("it ends too early");
}

std::string take(int stream, size_t size) {
  std::string bytes;
  take_into(stream, size, bytes);
  return bytes;
}

std::string hexadecimal(const std::string& bytes) {
  static const char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

// Makes `bytes` those of [offset, offset + size) of a file.
void read_range(const Descriptor& file, const std::string& path, uint64_t offset, size_t size, std::string& bytes) {
  bytes.resize(size);
  size_t done = 0;
  while (done < size) {
    const ssize_t count = pread(file.get(), &bytes[done], size - done, static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw file_error(path, strerror(errno));
    if (count == 0) throw damaged("a reference reaches beyond the end of " + path);
    done += static_cast<size_t>(count);
  }
}

// What frames pass through, kept from one to the next.
struct Buffers {
  std::string packed;
  std::string reference;
  std::string bytes;
};

// A file under way, and what it is packed against.
class Incoming {
 public:
  Incoming(int stream, const std::string& prefix) {
    const std::string header = take(stream, kFileHeaderBytes);
    const unsigned char* bytes = as_bytes(header);
    done_ = little_endian(bytes, 8);
    size_ = little_endian(bytes + 8, 8);
    mode_ = static_cast<mode_t>(little_endian(bytes + 16, 2));
    const size_t name_bytes = little_endian(bytes + 18, 2);
    expected_ = hexadecimal(header.substr(kFileHeaderBytes - kShaBytes));
    path_ = prefix + expected_;
    if (done_ > size_ || size_ > static_cast<uint64_t>(INT64_MAX)) throw damaged("a file of this size");
    if ((mode_ & ~static_cast<mode_t>(0777)) || (mode_ & kWritableByOthers)) throw damaged("a file of this mode");
    if (name_bytes > kMaxNameBytes) throw damaged("a name of this length");
    base_path_ = take(stream, name_bytes);
    open_files();
  }

  void add(int stream, FrameDecoder& decoder, Buffers& buffers) {
    const std::string bytes = take(stream, kFrameHeaderBytes);
    const FrameHeader header = parse_frame_header(as_bytes(bytes));
    if (header.size_bytes > size_ - done_) throw damaged("a frame reaches beyond the end of its file");
    read_reference(header, buffers.reference);
    take_into(stream, header.packed_bytes, buffers.packed);
    decoder.decode(header, buffers.packed, buffers.reference, buffers.bytes);
    write_next(buffers.bytes);
    sum_.add(buffers.bytes);
  }

  bool is_whole() const { return done_ == size_; }

  // Returns the SHA-256 of all that was written, what was there before included.
  std::string finish() {
    if (fchmod(file_.get(), mode_) != 0) throw file_error(path_, strerror(errno));
    // Whoever stores the file has to wait for the disk, which is better begun while the next one comes.
    sync_file_range(file_.get(), 0, 0, SYNC_FILE_RANGE_WRITE);
    return sum_.finish();
  }

  const std::string& expected() const { return expected_; }

  uint64_t size_bytes() const { return size_; }

 private:
  void open_files() {
    const int flags = O_RDWR | O_NOFOLLOW | O_CLOEXEC | (done_ == 0 ? O_CREAT | O_TRUNC : 0);
    file_ = Descriptor(open(path_.c_str(), flags, 0600));
    struct stat status{};
    if (file_.get() < 0 || fstat(file_.get(), &status) != 0) throw file_error(path_, strerror(errno));
    if (static_cast<uint64_t>(status.st_size) != done_) throw file_error(path_, "changed meanwhile");
    std::string bytes;
    for (uint64_t offset = 0; offset < done_;) {
      const size_t size = static_cast<size_t>(std::min<uint64_t>(done_ - offset, kChunkBytes));
      read_range(file_, path_, offset, size, bytes);
      sum_.add(bytes);
      offset += size;
    }
    if (base_path_.empty()) return;
    base_ = Descriptor(open(base_path_.c_str(), O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
    if (base_.get() < 0) throw file_error(base_path_, strerror(errno));
  }

  void read_reference(const FrameHeader& header, std::string& bytes) const {
    if (header.reference == Reference::kNone) return;
    const bool own = header.reference == Reference::kOwn;
    if (!own && base_.get() < 0) throw damaged("a frame refers to a base, and there is none");
    const uint64_t limit = own ? done_ : static_cast<uint64_t>(INT64_MAX);
    if (header.reference_offset > limit || header.reference_bytes > limit - header.reference_offset) {
      throw damaged("a reference to bytes that have not come");
    }
    const std::string& path = own ? path_ : base_path_;
    read_range(own ? file_ : base_, path, header.reference_offset, header.reference_bytes, bytes);
  }

  void write_next(const std::string& bytes) {
    size_t written = 0;
    while (written < bytes.size()) {
      const ssize_t count =
          pwrite(file_.get(), bytes.data() + written, bytes.size() - written, static_cast<off_t>(done_));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) throw file_error(path_, std::string("cannot be written: ") + strerror(errno));
      written += static_cast<size_t>(count);
      done_ += static_cast<uint64_t>(count);
    }
  }

  std::string expected_;
  std::string path_;
  std::string base_path_;
  Descriptor file_;
  Descriptor base_;
  uint64_t done_ = 0;
  uint64_t size_ = 0;
  mode_t mode_ = 0;
  BackgroundSha256 sum_;
};

}  // namespace

Received receive_stream(int stream, const std::string& prefix) {
  // Not all kernels and users may: a short one does as well.
  fcntl(stream, F_SETPIPE_SZ, kPipeBytes);
  if (take(stream, kStreamNameBytes) != kStreamName) throw damaged("it is none");
  FrameDecoder decoder;
  Buffers buffers;
  Received received;
  for (;;) {
    unsigned char kind = static_cast<unsigned char>(take(stream, 1)[0]);
    if (kind == kEnd) return received;
    if (kind != kFileRecord) throw damaged("a file is expected");
    Incoming file(stream, prefix);
    while (!file.is_whole()) {
      kind = static_cast<unsigned char>(take(stream, 1)[0]);
      if (kind != kFrameRecord) throw damaged("a frame is expected");
      file.add(stream, decoder, buffers);
    }
    received.sums[file.expected()] = file.finish();
    received.files += 1;
    received.size_bytes += file.size_bytes();
  }
}

nlohmann::ordered_json receive_command(const Options& options) {
  const Received received = receive_stream(STDIN_FILENO, options.into);
  return {{"schema", 1}, {"files", received.files}, {"size_bytes", received.size_bytes}};
}

}  // namespace edgedeploy
