// The program that a board without any gets ahead of its first release: `install`, and nothing else. It is small,
// because nothing there can unpack it but gzip.
#include "runner/commands.h"
#include "runner/error.h"
#include "runner/program.h"

namespace edgedeploy {

namespace {

int run(const Options& options) {
  if (options.command != Command::kInstall) return fail(ExitCode::kUsage, "this program knows 'install' alone");
  return print(install_command(options));
}

}  // namespace

}  // namespace edgedeploy

int main(int argc, char** argv) { return edgedeploy::program_main(argc, argv, edgedeploy::run); }
