#include "runner/engine_log.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>

namespace edgedeploy {

namespace {

constexpr size_t kMaxReportedBytes = 2000;

}  // namespace

EngineLog::EngineLog() {
  file_ = memfd_create("engine-log", MFD_CLOEXEC);
  if (file_ < 0) return;
  fflush(stderr);
  saved_stderr_ = dup(STDERR_FILENO);
  if (saved_stderr_ >= 0) dup2(file_, STDERR_FILENO);
}

EngineLog::~EngineLog() {
  restore();
  if (file_ >= 0) close(file_);
}

void EngineLog::restore() {
  if (saved_stderr_ < 0) return;
  fflush(stderr);
  dup2(saved_stderr_, STDERR_FILENO);
  close(saved_stderr_);
  saved_stderr_ = -1;
}

std::string EngineLog::finish() {
  restore();
  if (file_ < 0) return "";
  const off_t size = lseek(file_, 0, SEEK_END);
  const off_t begin = size > static_cast<off_t>(kMaxReportedBytes) ? size - static_cast<off_t>(kMaxReportedBytes) : 0;
  std::string text(static_cast<size_t>(size - begin), '\0');
  const ssize_t got = pread(file_, &text[0], text.size(), begin);
  text.resize(got > 0 ? static_cast<size_t>(got) : 0);
  std::string joined;
  for (const char c : text) {
    if (c == '\n') {
      joined += "; ";
    } else {
      joined += c;
    }
  }
  while (!joined.empty() && (joined.back() == ' ' || joined.back() == ';')) joined.pop_back();
  return joined;
}

}  // namespace edgedeploy
