// Instruction set bits that a kernel can require. Dispatch fills them from the kernel's hwcaps, the table asks for
// them.
#ifndef EDGEDEPLOY_KERNELS_ISA_H_
#define EDGEDEPLOY_KERNELS_ISA_H_

#include <cstdint>

namespace edgedeploy {

enum IsaBit : uint64_t {
  kIsaNone = 0,
  kIsaAsimd = 1u << 0,     // armv8.0 Advanced SIMD
  kIsaAsimdDp = 1u << 1,   // SDOT, UDOT
  kIsaFpHp = 1u << 2,      // half precision, scalar
  kIsaAsimdHp = 1u << 3,   // half precision, vector
  kIsaAsimdFhm = 1u << 4,  // FMLAL, FMLSL
  kIsaI8mm = 1u << 5,      // SMMLA, UMMLA, USMMLA
  kIsaBf16 = 1u << 6,      // BFDOT, BFMMLA
  kIsaSve = 1u << 7,
  kIsaSve2 = 1u << 8,
  kIsaAes = 1u << 9,
  kIsaCrc32 = 1u << 10,
  kIsaAtomics = 1u << 11,
  kIsaFp = 1u << 12,
};

// One bit and its name as /proc/cpuinfo spells it ("asimddp").
struct IsaName {
  uint64_t bit;
  const char* name;
};

inline constexpr IsaName kIsaNames[] = {
    {kIsaFp, "fp"},           {kIsaAsimd, "asimd"},       {kIsaAsimdDp, "asimddp"}, {kIsaFpHp, "fphp"},
    {kIsaAsimdHp, "asimdhp"}, {kIsaAsimdFhm, "asimdfhm"}, {kIsaI8mm, "i8mm"},       {kIsaBf16, "bf16"},
    {kIsaSve, "sve"},         {kIsaSve2, "sve2"},         {kIsaAes, "aes"},         {kIsaCrc32, "crc32"},
    {kIsaAtomics, "atomics"},
};

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_KERNELS_ISA_H_
