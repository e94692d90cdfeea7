#include "runner/report.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "runner/error.h"

namespace edgedeploy {

namespace {

constexpr size_t kMaxListBytes = size_t{1} << 24;

std::string read_to_end(int descriptor) {
  std::string text;
  char chunk[4096];
  for (;;) {
    const ssize_t count = read(descriptor, chunk, sizeof(chunk));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw RunnerError(ExitCode::kStream, std::string("the list of files: ") + strerror(errno));
    if (count == 0) return text;
    text.append(chunk, static_cast<size_t>(count));
    if (text.size() > kMaxListBytes) throw RunnerError(ExitCode::kStream, "the list of files is too long");
  }
}

Fields split(const std::string& line, size_t fields) {
  Fields words;
  size_t begin = 0;
  while (words.size() + 1 < fields) {
    const size_t end = line.find(' ', begin);
    if (end == std::string::npos) throw RunnerError(ExitCode::kStream, "the list of files is damaged");
    words.push_back(line.substr(begin, end - begin));
    begin = end + 1;
  }
  words.push_back(line.substr(begin));
  return words;
}

}  // namespace

std::vector<Fields> read_list(int descriptor, size_t fields, size_t count) {
  const std::string text = read_to_end(descriptor);
  std::vector<Fields> lines;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = text.find('\n', begin);
    if (end == std::string::npos) break;
    lines.push_back(split(text.substr(begin, end - begin), fields));
    begin = end + 1;
  }
  if (lines.size() != count) throw RunnerError(ExitCode::kStream, "the list of files was cut short");
  return lines;
}

nlohmann::ordered_json report_document(const std::vector<std::string>& lines) {
  return {{"schema", 1}, {"report", lines}};
}

}  // namespace edgedeploy
