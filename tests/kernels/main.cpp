// kernel_tests: run every kernel of the table that this CPU supports against its reference.
//
//   kernel_tests [--row NAME] [--shape SHAPE] [--seed N]
//
// stdout has a line a row, "ran NAME cases=N" or "refused NAME missing=asimddp"; then "selected OP NAME"; failures
// carry the command that reruns them. Exit code 0: nothing failed and something ran; 1: a failure; 2: usage.
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "dispatch/dispatch.h"
#include "harness.h"

namespace {

using edgedeploy::KernelRow;
using edgedeploy_tests::Outcome;
using edgedeploy_tests::Selection;

const char* running_row = "none";

// A guard page was hit or an instruction is illegal: say where before dying.
void on_fatal_signal(int number) {
  const char start[] = "FAIL fatal signal in ";
  const char newline[] = "\n";
  ssize_t written = write(STDOUT_FILENO, start, sizeof(start) - 1);
  written += write(STDOUT_FILENO, running_row, std::strlen(running_row));
  written += write(STDOUT_FILENO, newline, 1);
  (void)written;
  std::signal(number, SIG_DFL);
  std::raise(number);
}

std::string missing_features(const KernelRow& row) {
  std::string missing;
  for (const edgedeploy::IsaName& isa : edgedeploy::kIsaNames) {
    if ((row.isa & isa.bit & ~edgedeploy::cpu_features()) == 0) continue;
    missing += (missing.empty() ? "" : ",") + std::string(isa.name);
  }
  return missing;
}

Outcome add(const Outcome& a, const Outcome& b) { return {a.cases + b.cases, a.failures + b.failures}; }

Outcome test_row(const KernelRow& row, const Selection& selection) {
  if (row.preprocess != nullptr) return edgedeploy_tests::test_preprocess(row, selection);
  return add(edgedeploy_tests::test_gemm_tile(row, selection), edgedeploy_tests::test_gemm(row, selection));
}

int usage(const char* argument) {
  std::fprintf(stderr, "kernel_tests: %s\nusage: kernel_tests [--row NAME] [--shape SHAPE] [--seed N]\n", argument);
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  Selection selection;
  std::string only;
  for (int i = 1; i < argc; i += 2) {
    if (i + 1 == argc) return usage("an option lacks its value");
    const std::string option = argv[i];
    if (option == "--row") {
      only = argv[i + 1];
    } else if (option == "--shape") {
      selection.shape = argv[i + 1];
    } else if (option == "--seed") {
      selection.seed = static_cast<uint32_t>(std::strtoul(argv[i + 1], nullptr, 10));
      selection.one_seed = true;
    } else {
      return usage(argv[i]);
    }
  }
  if (!only.empty() && edgedeploy::find_kernel(only.c_str()) == nullptr) return usage("no kernel has that name");
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  for (int number : {SIGSEGV, SIGBUS, SIGILL}) std::signal(number, on_fatal_signal);

  Outcome total;
  for (const KernelRow& row : edgedeploy::kernel_table()) {
    if (!only.empty() && only != row.name) continue;
    if (!edgedeploy::kernel_supported(row)) {
      std::printf("refused %s missing=%s\n", row.name, missing_features(row).c_str());
      continue;
    }
    running_row = row.name;
    const Outcome outcome = test_row(row, selection);
    std::printf("ran %s cases=%d failures=%d\n", row.name, outcome.cases, outcome.failures);
    total = add(total, outcome);
  }
  for (const char* op : {edgedeploy::kOpPreprocessU8F32, edgedeploy::kOpGemmS8}) {
    std::printf("selected %s %s\n", op, edgedeploy::select_kernel(op)->name);
  }
  return total.failures == 0 && total.cases > 0 ? 0 : 1;
}
