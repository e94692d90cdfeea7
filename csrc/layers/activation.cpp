#include "layers/activation.h"

#include <cstring>

namespace edgedeploy {

namespace {

constexpr int kParamActivation = 9;
constexpr int kParamActivationParams = 10;
constexpr int kParamTypeIntArray = 5;

// Four values at once. GCC's and Clang's vectors compile to NEON, SSE or plain code.
using Four = float __attribute__((vector_size(16)));
using FourInts = int32_t __attribute__((vector_size(16)));

inline Four four(float value) { return Four{value, value, value, value}; }
inline Four smaller(Four a, Four b) { return a < b ? a : b; }
inline Four larger(Four a, Four b) { return a > b ? a : b; }

inline Four floor_of(Four v) {
  const Four towards_zero = __builtin_convertvector(__builtin_convertvector(v, FourInts), Four);
  return towards_zero > v ? towards_zero - four(1) : towards_zero;
}

// e^x within 2 units in the last place: 2^n times a polynomial in the rest of x / ln 2. The limits keep 2^n normal;
// beyond them the callers' results have long reached their ends. Coefficients: Cephes' expf.
inline Four exponential(Four x) {
  x = smaller(larger(x, four(-87.0f)), four(88.0f));
  const Four n = floor_of(x * four(1.44269504088896341f) + four(0.5f));
  const Four rest = (x - n * four(0.693359375f)) + n * four(2.12194440e-4f);
  Four p = four(1.9875691500e-4f);
  p = p * rest + four(1.3981999507e-3f);
  p = p * rest + four(8.3334519073e-3f);
  p = p * rest + four(4.1665795894e-2f);
  p = p * rest + four(1.6666665459e-1f);
  p = p * rest + four(5.0000001201e-1f);
  const Four mantissa = p * rest * rest + rest + four(1);
  const FourInts bits = (__builtin_convertvector(n, FourInts) + 127) << 23;
  Four power;
  std::memcpy(&power, &bits, sizeof(power));
  return mantissa * power;
}

inline Four sigmoid(Four v) { return four(1) / (four(1) + exponential(-v)); }

// v tanh(ln(1 + e^v)), as a quotient of polynomials in e^v.
inline Four mish(Four v) {
  const Four e = exponential(smaller(v, four(20)));
  const Four numerator = e * (e + four(2));
  return v * (numerator / (numerator + four(2)));
}

inline Four load(const float* values) {
  Four v;
  std::memcpy(&v, values, sizeof(v));
  return v;
}

// v within 0 and 1: floats that are not negative compare as their bits do, and the others' bits are negative.
inline Four within_0_and_1(Four v) {
  const Four ends = four(1);
  FourInts one;
  FourInts bits;
  std::memcpy(&one, &ends, sizeof(one));
  std::memcpy(&bits, &v, sizeof(bits));
  const FourInts above = bits > 0 ? bits : FourInts{};
  const FourInts inside = above < one ? above : one;
  std::memcpy(&v, &inside, sizeof(v));
  return v;
}

inline void store(float* values, Four v) { std::memcpy(values, &v, sizeof(v)); }

// Sixteen values a turn, so that the turns do not wait for one another.
template <typename Function>
void on_all(float* values, int64_t count, Function function) {
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    float* const at = values + i;
    const Four a = function(load(at));
    const Four b = function(load(at + 4));
    const Four c = function(load(at + 8));
    const Four d = function(load(at + 12));
    store(at, a);
    store(at + 4, b);
    store(at + 8, c);
    store(at + 12, d);
  }
  for (; i < count; i += 4) store(values + i, function(load(values + i)));
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
  const Four zero = four(0);
  const Four alpha = four(activation.alpha);
  const Four beta = four(activation.beta);
  switch (activation.kind) {
    case ActivationKind::kNone:
      return;
    case ActivationKind::kRelu:
      return on_all(values, count, [=](Four v) { return v > zero ? v : zero; });
    case ActivationKind::kLeakyRelu:
      return on_all(values, count, [=](Four v) { return v > zero ? v : v * alpha; });
    case ActivationKind::kClip:
      return on_all(values, count, [=](Four v) { return smaller(larger(v, alpha), beta); });
    case ActivationKind::kSigmoid:
      return on_all(values, count, sigmoid);
    case ActivationKind::kMish:
      return on_all(values, count, mish);
    case ActivationKind::kHardSwish: {
      if (activation.alpha > 0)
        return on_all(values, count, [=](Four v) { return v * within_0_and_1(v * alpha + beta); });
      const Four low = -beta / alpha;
      const Four high = four(1) / alpha + low;
      return on_all(values, count, [=](Four v) {
        const Four inside = v > high ? v : v * (v * alpha + beta);
        return v < low ? zero : inside;
      });
    }
  }
}

}  // namespace edgedeploy
