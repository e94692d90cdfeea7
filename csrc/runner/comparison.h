// How far an output is from the golden one.
#ifndef EDGEDEPLOY_RUNNER_COMPARISON_H_
#define EDGEDEPLOY_RUNNER_COMPARISON_H_

#include <vector>

namespace edgedeploy {

struct Comparison {
  double cosine = 0;  // 1 for two arrays of zeros, 0 if one alone is zero.
  double max_abs_error = 0;
  double sqnr_db = 0;  // Infinite for equal arrays.
  bool finite = true;  // False if any value of either array is not finite; the figures then are not numbers.
};

// Both arrays have the same size. Sums in double.
Comparison compare(const std::vector<float>& golden, const std::vector<float>& actual);

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_RUNNER_COMPARISON_H_
