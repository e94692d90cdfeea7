#include "runner/comparison.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace edgedeploy {

namespace {

double cosine_of(double dot, double golden_power, double actual_power) {
  if (golden_power == 0 && actual_power == 0) return 1;
  if (golden_power == 0 || actual_power == 0) return 0;
  return dot / (std::sqrt(golden_power) * std::sqrt(actual_power));
}

}  // namespace

Comparison compare(const std::vector<float>& golden, const std::vector<float>& actual) {
  Comparison result;
  double dot = 0, golden_power = 0, actual_power = 0, error_power = 0;
  for (size_t i = 0; i < golden.size(); ++i) {
    const double g = golden[i], a = actual[i], error = a - g;
    result.finite = result.finite && std::isfinite(g) && std::isfinite(a);
    result.max_abs_error = std::max(result.max_abs_error, std::fabs(error));
    dot += g * a;
    golden_power += g * g;
    actual_power += a * a;
    error_power += error * error;
  }
  result.cosine = cosine_of(dot, golden_power, actual_power);
  result.sqnr_db = 10 * std::log10(golden_power / error_power);
  if (error_power == 0) result.sqnr_db = std::numeric_limits<double>::infinity();
  if (!result.finite) {
    result.cosine = result.max_abs_error = result.sqnr_db = std::numeric_limits<double>::quiet_NaN();
  }
  return result;
}

}  // namespace edgedeploy
