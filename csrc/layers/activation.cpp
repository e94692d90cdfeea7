#include "layers/activation.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace edgedeploy {

namespace {

constexpr int kParamActivation = 9;
constexpr int kParamActivationParams = 10;
constexpr int kParamTypeIntArray = 5;

// e^x within 2 units in the last place, in a form that compilers turn into vector code: 2^n times a polynomial in the
// rest of x / ln 2. The limits keep 2^n normal; beyond them the callers' results have long reached their ends.
// Coefficients: Cephes' expf.
inline float exponential(float x) {
  x = std::min(std::max(x, -87.0f), 88.0f);
  const float n = std::floor(x * 1.44269504088896341f + 0.5f);
  const float rest = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * rest + 1.3981999507e-3f;
  p = p * rest + 8.3334519073e-3f;
  p = p * rest + 4.1665795894e-2f;
  p = p * rest + 1.6666665459e-1f;
  p = p * rest + 5.0000001201e-1f;
  const float mantissa = p * rest * rest + rest + 1.0f;
  const int32_t bits = (static_cast<int32_t>(n) + 127) << 23;
  float power;
  std::memcpy(&power, &bits, sizeof(power));
  return mantissa * power;
}

inline float sigmoid(float v) { return 1.0f / (1.0f + exponential(-v)); }

// v tanh(ln(1 + e^v)), as a quotient of polynomials in e^v.
inline float mish(float v) {
  const float e = exponential(std::min(v, 20.0f));
  const float numerator = e * (e + 2.0f);
  return v * (numerator / (numerator + 2.0f));
}

template <typename Function>
void on_all(float* values, int64_t count, Function function) {
  for (int64_t i = 0; i < count; ++i) values[i] = function(values[i]);
}

}  // namespace

bool read_activation(const ncnn::ParamDict& pd, Activation* activation) {
  const int kind = pd.get(kParamActivation, 0);
  if (kind < 0 || kind > static_cast<int>(ActivationKind::kHardSwish)) return false;
  const ncnn::Mat params = pd.get(kParamActivationParams, ncnn::Mat());
  // A text array of whole numbers keeps integers in the Mat.
  const auto value = [&](int i) {
    if (params.w <= i) return 0.0f;
    return pd.type(kParamActivationParams) == kParamTypeIntArray
               ? static_cast<float>(static_cast<const int*>(params.data)[i])
               : static_cast<const float*>(params.data)[i];
  };
  *activation = {static_cast<ActivationKind>(kind), value(0), value(1)};
  return true;
}

void activate(const Activation& activation, float* values, int64_t count) {
  const float alpha = activation.alpha;
  const float beta = activation.beta;
  switch (activation.kind) {
    case ActivationKind::kNone:
      return;
    case ActivationKind::kRelu:
      return on_all(values, count, [](float v) { return v > 0 ? v : 0.0f; });
    case ActivationKind::kLeakyRelu:
      return on_all(values, count, [=](float v) { return v > 0 ? v : v * alpha; });
    case ActivationKind::kClip:
      return on_all(values, count, [=](float v) { return std::min(std::max(v, alpha), beta); });
    case ActivationKind::kSigmoid:
      return on_all(values, count, sigmoid);
    case ActivationKind::kMish:
      return on_all(values, count, mish);
    case ActivationKind::kHardSwish: {
      const float low = -beta / alpha;
      const float high = 1.0f / alpha + low;
      return on_all(values, count, [=](float v) { return v < low ? 0.0f : v > high ? v : v * (v * alpha + beta); });
    }
  }
}

}  // namespace edgedeploy
