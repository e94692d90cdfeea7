// Every preprocess_u8s8 row against the reference: sizes, colour orders, strides of both signs, guard pages.
#include "preprocess_cases.h"

namespace edgedeploy_tests {
namespace {

using edgedeploy::KernelRow;

bool run_row(const CaseId& id, const KernelRow& row, const ImageShape& s, const GuardedBuffer<uint8_t>& image,
             size_t src_stride, Planes<int8_t>* out) {
  edgedeploy::PreprocessU8S8Params params{};
  params.image = image_params(id.seed, s, image, src_stride, *out);
  GuardedBuffer<uint64_t> scratch(edgedeploy::preprocess_u8f32_scratch_bytes(s.dst_width, s.dst_height) / 8);
  params.image.scratch = scratch.data();
  edgedeploy::preprocess_u8f32_prepare(&params.image);
  params.dst = out->values.data();
  // Codes within their range, halves (at 0.5 a step of the second channel's scale 1/3), saturation, none at all.
  const float code_scales[] = {40.0f, 1.5f, -0.75f, 3.0e9f, 0.0f};
  params.code_scale = code_scales[id.seed % 5];
  return call_kernel(id, row.preprocess_codes, params);
}

}  // namespace

Outcome test_preprocess_codes(const KernelRow& row, const Selection& selection) {
  return test_images<int8_t>(row, selection, run_row);
}

}  // namespace edgedeploy_tests
