// kernel_tests: run every kernel of the table that this CPU supports against its reference.
//
//   kernel_tests [--row NAME | --force-row NAME | --broken DEFECT] [--shape SHAPE] [--seed N]
//   kernel_tests [--rows all|variants] [--one-in N]
//
// --rows variants leaves out the references, each of which is otherwise held against itself; --one-in runs a sample.
// --force-row runs a kernel that the CPU does not support; --broken runs one with a known defect (broken_kernels.h), so
// that the suite itself can be tested.
//
// stdout has a line a row, "ran NAME cases=N" or "refused NAME missing=asimddp"; then "selected OP NAME"; failures
// carry the command that reruns them. Exit code 0: nothing failed and something ran; 1: a failure; 2: usage.
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "broken_kernels.h"
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
  if (row.preprocess_codes != nullptr) return edgedeploy_tests::test_preprocess_codes(row, selection);
  if (row.depthwise != nullptr) return edgedeploy_tests::test_depthwise(row, selection);
  if (row.winograd != nullptr) return edgedeploy_tests::test_winograd_s8(row, selection);
  if (row.conv != nullptr) return edgedeploy_tests::test_conv_s8(row, selection);
  return add(edgedeploy_tests::test_gemm_tile(row, selection), edgedeploy_tests::test_gemm(row, selection));
}

int usage(const char* argument) {
  std::fprintf(stderr,
               "kernel_tests: %s\nusage: kernel_tests [--row NAME | --force-row NAME | --broken DEFECT] [--shape "
               "SHAPE] [--seed N] [--rows all|variants] [--one-in N]\n",
               argument);
  return 2;
}

// One row and its line of the report.
Outcome run_row(const KernelRow& row, const Selection& selection) {
  running_row = row.name;
  const Outcome outcome = test_row(row, selection);
  std::printf("ran %s cases=%d failures=%d\n", row.name, outcome.cases, outcome.failures);
  return outcome;
}

Outcome run_table(const Selection& selection) {
  Outcome total;
  for (const KernelRow& row : edgedeploy::kernel_table()) {
    if (!selection.references && std::strcmp(row.name, row.reference) == 0) continue;
    if (edgedeploy::kernel_supported(row)) {
      total = add(total, run_row(row, selection));
    } else {
      std::printf("refused %s missing=%s\n", row.name, missing_features(row).c_str());
    }
  }
  for (const char* op : {edgedeploy::kOpPreprocessU8F32, edgedeploy::kOpPreprocessU8S8, edgedeploy::kOpGemmS8,
                         edgedeploy::kOpConvS8, edgedeploy::kOpDepthwiseS8K3S1, edgedeploy::kOpDepthwiseS8K3S2,
                         edgedeploy::kOpDepthwiseS8K5S1, edgedeploy::kOpDepthwiseS8K5S2, edgedeploy::kOpWinogradS8}) {
    std::printf("selected %s %s\n", op, edgedeploy::select_kernel(op)->name);
  }
  return total;
}

}  // namespace

int main(int argc, char** argv) {
  Selection selection;
  const KernelRow* only = nullptr;
  for (int i = 1; i < argc; i += 2) {
    if (i + 1 == argc) return usage("an option lacks its value");
    const std::string option = argv[i];
    const char* const value = argv[i + 1];
    if (option == "--row" || option == "--force-row") {
      only = edgedeploy::find_kernel(value);
      if (only == nullptr) return usage("no kernel has that name");
      if (option == "--row" && !edgedeploy::kernel_supported(*only)) return usage("this CPU cannot run that kernel");
    } else if (option == "--broken") {
      only = edgedeploy_tests::find_broken_kernel(value);
      if (only == nullptr) return usage("no such defect");
    } else if (option == "--shape") {
      selection.shape = value;
    } else if (option == "--seed") {
      selection.seed = static_cast<uint32_t>(std::strtoul(value, nullptr, 10));
      selection.one_seed = true;
    } else if (option == "--one-in") {
      selection.one_in = static_cast<uint32_t>(std::strtoul(value, nullptr, 10));
      if (selection.one_in == 0) return usage("--one-in takes a number from 1 on");
    } else if (option == "--rows") {
      selection.references = std::strcmp(value, "all") == 0;
      if (!selection.references && std::strcmp(value, "variants") != 0) return usage("--rows takes all or variants");
    } else {
      return usage(argv[i]);
    }
  }
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  for (int number : {SIGSEGV, SIGBUS, SIGILL}) std::signal(number, on_fatal_signal);

  const Outcome total = only != nullptr ? run_row(*only, selection) : run_table(selection);
  return total.failures == 0 && total.cases > 0 ? 0 : 1;
}
