#include "runner/npy.h"

#include <cstring>

#include "runner/error.h"
#include "runner/file.h"

namespace edgedeploy {

namespace {

constexpr size_t kMaxFileBytes = size_t{1} << 30;  // A board's input is megabytes; more is a mistake or an attack.
constexpr size_t kMaxDimensions = 8;
constexpr char kMagic[] = "\x93NUMPY";
constexpr size_t kMagicBytes = 6;
constexpr size_t kPreambleBytes = 10;  // Magic, two version bytes, two bytes of header length.
constexpr size_t kHeaderAlignment = 64;

RunnerError malformed(const std::string& path, const std::string& why) {
  return RunnerError(ExitCode::kFile, path + ": not a usable .npy file: " + why);
}

// Reads the header's Python dictionary: three keys in any order, as NumPy writes them.
class HeaderParser {
 public:
  HeaderParser(const std::string& path, const std::string& text) : path_(path), text_(text) {}

  void parse(Array& array) {
    expect('{');
    bool seen_descr = false, seen_order = false, seen_shape = false;
    while (!accept('}')) {
      const std::string key = quoted();
      expect(':');
      if (key == "descr") {
        array.dtype = dtype(quoted());
        seen_descr = true;
      } else if (key == "fortran_order") {
        if (word() != "False") throw malformed(path_, "Fortran order; store it in C order");
        seen_order = true;
      } else if (key == "shape") {
        array.shape = shape();
        seen_shape = true;
      } else {
        throw malformed(path_, "unknown header key '" + key + "'");
      }
      accept(',');
    }
    if (!seen_descr || !seen_order || !seen_shape) throw malformed(path_, "header lacks descr, fortran_order or shape");
  }

 private:
  void skip_space() {
    while (position_ < text_.size() && strchr(" \t\r\n", text_[position_]) != nullptr) ++position_;
  }

  bool accept(char wanted) {
    skip_space();
    if (position_ >= text_.size() || text_[position_] != wanted) return false;
    ++position_;
    return true;
  }

  void expect(char wanted) {
    if (!accept(wanted)) throw malformed(path_, std::string("header lacks '") + wanted + "' where it belongs");
  }

  std::string quoted() {
    expect('\'');
    const size_t end = text_.find('\'', position_);
    if (end == std::string::npos) throw malformed(path_, "unterminated string in the header");
    const std::string value = text_.substr(position_, end - position_);
    position_ = end + 1;
    return value;
  }

  std::string word() {
    skip_space();
    const size_t begin = position_;
    while (position_ < text_.size() && isalpha(static_cast<unsigned char>(text_[position_]))) ++position_;
    return text_.substr(begin, position_ - begin);
  }

  Dtype dtype(const std::string& descr) const {
    if (descr == "|u1" || descr == "<u1" || descr == "u1") return Dtype::kUint8;
    if (descr == "<f4") return Dtype::kFloat32;
    throw malformed(path_, "element type '" + descr + "', allowed are |u1 and <f4");
  }

  std::vector<size_t> shape() {
    std::vector<size_t> extents;
    expect('(');
    while (!accept(')')) {
      skip_space();
      const size_t begin = position_;
      size_t extent = 0;
      while (position_ < text_.size() && isdigit(static_cast<unsigned char>(text_[position_]))) {
        extent = extent * 10 + static_cast<size_t>(text_[position_++] - '0');
        if (extent > kMaxFileBytes) throw malformed(path_, "an extent in shape is too large");
      }
      if (position_ == begin) throw malformed(path_, "shape is not a tuple of numbers");
      extents.push_back(extent);
      if (extents.size() > kMaxDimensions) throw malformed(path_, "too many dimensions");
      accept(',');
    }
    return extents;
  }

  const std::string& path_;
  const std::string& text_;
  size_t position_ = 0;
};

// The count of elements, refused before any allocation when their bytes pass the cap.
size_t checked_count(const std::string& path, const std::vector<size_t>& shape) {
  size_t count = 1;
  for (const size_t extent : shape) {
    if (extent != 0 && count > kMaxFileBytes / extent)
      throw malformed(path, "shape " + shape_text(shape) + " is too large");
    count *= extent;
  }
  return count;
}

}  // namespace

size_t element_count(const std::vector<size_t>& shape) {
  size_t count = 1;
  for (const size_t extent : shape) count *= extent;
  return count;
}

size_t Array::count() const { return element_count(shape); }

std::string shape_text(const std::vector<size_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

std::string array_text(const Array& array) {
  return (array.dtype == Dtype::kUint8 ? "uint8 " : "float32 ") + shape_text(array.shape);
}

Array read_npy(const std::string& path) {
  const std::string content = read_file(path, kMaxFileBytes);
  if (content.size() < kPreambleBytes || memcmp(content.data(), kMagic, kMagicBytes) != 0) {
    throw malformed(path, "no .npy signature");
  }
  const auto byte = [&](size_t at) { return static_cast<unsigned char>(content[at]); };
  if (byte(6) != 1 || byte(7) != 0) {
    throw malformed(path, "version " + std::to_string(byte(6)) + "." + std::to_string(byte(7)) + ", only 1.0 is read");
  }
  const size_t header_bytes = byte(8) + size_t{256} * byte(9);
  if (content.size() < kPreambleBytes + header_bytes) throw malformed(path, "ends within its header");

  Array array;
  const std::string header = content.substr(kPreambleBytes, header_bytes);
  HeaderParser(path, header).parse(array);

  const size_t count = checked_count(path, array.shape);
  const size_t wanted_bytes = count * (array.dtype == Dtype::kUint8 ? 1 : sizeof(float));
  const size_t data_bytes = content.size() - kPreambleBytes - header_bytes;
  if (data_bytes != wanted_bytes) {
    throw malformed(path, "shape " + shape_text(array.shape) + " needs " + std::to_string(wanted_bytes) +
                              " bytes of data, the file has " + std::to_string(data_bytes));
  }
  const char* data = content.data() + kPreambleBytes + header_bytes;
  if (array.dtype == Dtype::kUint8) {
    array.bytes.resize(count);
    if (count) memcpy(array.bytes.data(), data, wanted_bytes);
  } else {
    array.floats.resize(count);
    if (count) memcpy(array.floats.data(), data, wanted_bytes);
  }
  return array;
}

void write_npy(const std::string& path, const Array& array) {
  std::string shape = "(";
  for (const size_t extent : array.shape) shape += std::to_string(extent) + ", ";
  if (array.shape.size() > 1) shape.erase(shape.size() - 2);
  if (array.shape.size() == 1) shape.erase(shape.size() - 1);
  shape += ")";
  const bool is_bytes = array.dtype == Dtype::kUint8;
  std::string header =
      std::string("{'descr': '") + (is_bytes ? "|u1" : "<f4") + "', 'fortran_order': False, 'shape': " + shape + ", }";
  const size_t unpadded = kPreambleBytes + header.size() + 1;
  header.append((kHeaderAlignment - unpadded % kHeaderAlignment) % kHeaderAlignment, ' ');
  header += '\n';

  std::string preamble(kMagic, kMagicBytes);
  preamble += '\x01';
  preamble += '\x00';
  preamble += static_cast<char>(header.size() & 0xff);
  preamble += static_cast<char>(header.size() >> 8);
  const Span data = is_bytes ? Span{array.bytes.data(), array.bytes.size()}
                             : Span{array.floats.data(), array.floats.size() * sizeof(float)};
  write_file(path, {{preamble.data(), preamble.size()}, {header.data(), header.size()}, data});
}

}  // namespace edgedeploy
