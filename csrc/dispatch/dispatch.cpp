#include "dispatch/dispatch.h"

#include <cstring>

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace edgedeploy {
namespace {

#if defined(__aarch64__) && defined(__linux__)

// Bits of AT_HWCAP and AT_HWCAP2. Source: Linux, arch/arm64/include/uapi/asm/hwcap.h; written out because the C library
// of an old build host lacks the newer names.
struct HwcapBit {
  unsigned long type;
  unsigned long mask;
  IsaBit isa;
};

constexpr HwcapBit kHwcapBits[] = {
    {AT_HWCAP, 1ul << 0, kIsaFp},        {AT_HWCAP, 1ul << 1, kIsaAsimd},    {AT_HWCAP, 1ul << 3, kIsaAes},
    {AT_HWCAP, 1ul << 7, kIsaCrc32},     {AT_HWCAP, 1ul << 8, kIsaAtomics},  {AT_HWCAP, 1ul << 9, kIsaFpHp},
    {AT_HWCAP, 1ul << 10, kIsaAsimdHp},  {AT_HWCAP, 1ul << 20, kIsaAsimdDp}, {AT_HWCAP, 1ul << 22, kIsaSve},
    {AT_HWCAP, 1ul << 23, kIsaAsimdFhm}, {AT_HWCAP2, 1ul << 1, kIsaSve2},    {AT_HWCAP2, 1ul << 13, kIsaI8mm},
    {AT_HWCAP2, 1ul << 14, kIsaBf16},
};

uint64_t probe() {
  uint64_t features = kIsaNone;
  for (const HwcapBit& bit : kHwcapBits) {
    if ((getauxval(bit.type) & bit.mask) != 0) features |= bit.isa;
  }
  return features;
}

#else

uint64_t probe() { return kIsaNone; }

#endif

}  // namespace

uint64_t cpu_features() {
  static const uint64_t features = probe();
  return features;
}

bool kernel_supported(const KernelRow& row, uint64_t features) { return (row.isa & ~features) == 0; }

const KernelRow* select_kernel(const char* op, uint64_t features) {
  for (const KernelRow& row : kernel_table()) {
    if (std::strcmp(row.op, op) == 0 && kernel_supported(row, features)) return &row;
  }
  return nullptr;
}

const KernelRow* find_kernel(const char* name) {
  for (const KernelRow& row : kernel_table()) {
    if (std::strcmp(row.name, name) == 0) return &row;
  }
  return nullptr;
}

}  // namespace edgedeploy
