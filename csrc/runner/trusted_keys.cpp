#include "runner/trusted_keys.h"

#include "runner/checked_file.h"
#include "runner/error.h"
#include "runner/signature.h"

namespace edgedeploy {

namespace {

constexpr size_t kMaxKeys = 64;
constexpr size_t kBoardDigits = 32;
constexpr size_t kMaxNameLength = 64;
constexpr size_t kMaxSerialDigits = 18;
constexpr char kHeader[] = "edgedeploy trusted keys 1";
constexpr char kNameCharacters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._@+=-";

// Takes a text line by line; every line must end in a newline.
class Lines {
 public:
  explicit Lines(const std::string& text) : text_(text) {}

  bool empty() const { return next_ >= text_.size(); }

  std::string take() {
    const size_t end = text_.find('\n', next_);
    if (end == std::string::npos) throw fault("ends in the middle of a line");
    const std::string line = text_.substr(next_, end - next_);
    next_ = end + 1;
    ++number_;
    return line;
  }

  std::string value_of(const std::string& word) {
    const std::string line = take();
    if (line.compare(0, word.size() + 1, word + " ") != 0) throw fault("is not '" + word + " ...'");
    return line.substr(word.size() + 1);
  }

  RunnerError fault(const std::string& what) const {
    return RunnerError(ExitCode::kUntrusted, "trusted keys: line " + std::to_string(number_) + " " + what);
  }

 private:
  const std::string& text_;
  size_t next_ = 0;
  size_t number_ = 0;
};

uint64_t serial_of(const std::string& digits, const Lines& lines) {
  const bool plain = !digits.empty() && digits.size() <= kMaxSerialDigits && digits[0] != '0' &&
                     digits.find_first_not_of("0123456789") == std::string::npos;
  if (!plain) throw lines.fault("has no serial number");
  return std::stoull(digits);
}

TrustedKey key_of(const std::string& value, const Lines& lines) {
  const TrustedKey key = {value.substr(0, kKeyDigits), value.substr(std::min(value.size(), kKeyDigits + 1))};
  const bool named = !key.name.empty() && key.name.size() <= kMaxNameLength && value[kKeyDigits] == ' ' &&
                     key.name.find_first_not_of(kNameCharacters) == std::string::npos;
  if (!is_hex(key.key, kKeyDigits) || !named) throw lines.fault("is not 'key HEXADECIMAL NAME'");
  return key;
}

}  // namespace

const TrustedKey* TrustedKeys::find(const std::string& key) const {
  for (const TrustedKey& item : keys) {
    if (item.key == key) return &item;
  }
  return nullptr;
}

TrustedKeys parse_trusted_keys(const std::string& text) {
  Lines lines(text);
  TrustedKeys trusted;
  if (lines.take() != kHeader) throw lines.fault(std::string("is not '") + kHeader + "'");
  trusted.board = lines.value_of("board");
  if (!is_hex(trusted.board, kBoardDigits)) throw lines.fault("has no 32 hexadecimal digits");
  trusted.serial = serial_of(lines.value_of("serial"), lines);
  trusted.verifier = lines.value_of("verifier");
  if (!is_hex(trusted.verifier, kSha256Digits)) throw lines.fault("has no SHA-256");
  while (!lines.empty()) {
    const TrustedKey key = key_of(lines.value_of("key"), lines);
    if (trusted.find(key.key) != nullptr) throw lines.fault("repeats a key");
    trusted.keys.push_back(key);
    if (trusted.keys.size() > kMaxKeys) throw lines.fault("is one key too many");
  }
  return trusted;
}

std::optional<TrustedKeys> read_trusted_keys(const Descriptor& trust) {
  if (!has_entry(trust, kTrustedKeysFile)) return std::nullopt;
  const CheckedFile file = open_below(trust, kTrustedKeysFile);
  const std::string text = read_start(file.descriptor, kTrustedKeysFile, kMaxTrustedKeysBytes);
  if (text.size() > kMaxTrustedKeysBytes) {
    throw UnsafeFile(kTrustedKeysFile, "has more than " + std::to_string(kMaxTrustedKeysBytes) + " bytes");
  }
  return parse_trusted_keys(text);
}

}  // namespace edgedeploy
