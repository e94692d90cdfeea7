#include "harness.h"

#include <cmath>
#include <cstdio>

#if defined(__aarch64__)
extern "C" uint64_t edgedeploy_call_checked(void (*function)(const void*), const void* argument);
#endif

namespace edgedeploy_tests {

bool wanted(const Selection& selection, const std::string& shape, uint32_t seed) {
  if (!selection.shape.empty() && selection.shape != shape) return false;
  if (selection.one_seed && selection.seed != seed) return false;
  uint32_t place = seed;
  for (const char letter : shape) place = place * 31 + static_cast<uint32_t>(letter);
  return place % selection.one_in == 0;
}

bool call_checked(const CaseId& id, void (*function)(const void*), const void* params) {
#if defined(__aarch64__)
  const uint64_t changed = edgedeploy_call_checked(function, params);
  if (changed == 0) return true;
  char text[96];
  std::snprintf(text, sizeof(text), "callee-saved registers changed, mask 0x%llx (see call_checked.S)",
                static_cast<unsigned long long>(changed));
  report_failure(id, text);
  return false;
#else
  (void)id;
  function(params);
  return true;
#endif
}

void report_failure(const CaseId& id, const std::string& mismatch) {
  std::printf("FAIL %s shape=%s seed=%u: %s\n  rerun: kernel_tests --row %s --shape %s --seed %u\n", id.row->name,
              id.shape.c_str(), id.seed, mismatch.c_str(), id.row->name, id.shape.c_str(), id.seed);
}

bool same_value(float tolerance, float got, float expected) {
  if (std::isnan(expected)) return std::isnan(got);
  if (tolerance > 0.0f) return std::fabs(got - expected) <= tolerance;
  return got == expected && std::signbit(got) == std::signbit(expected);
}

std::mt19937 generator(uint32_t seed) { return std::mt19937(seed * 2654435761u + 12345u); }

}  // namespace edgedeploy_tests
