// Every preprocess_u8f32 row against the reference: sizes, colour orders, strides of both signs, guard pages.
#include "preprocess_cases.h"

namespace edgedeploy_tests {
namespace {

using edgedeploy::KernelRow;

bool run_row(const CaseId& id, const KernelRow& row, const ImageShape& s, const GuardedBuffer<uint8_t>& image,
             size_t src_stride, Planes<float>* out) {
  edgedeploy::PreprocessU8F32Params params = image_params(id.seed, s, image, src_stride, *out);
  params.dst = out->values.data();
  GuardedBuffer<uint64_t> scratch(edgedeploy::preprocess_u8f32_scratch_bytes(s.dst_width, s.dst_height) / 8);
  params.scratch = scratch.data();
  edgedeploy::preprocess_u8f32_prepare(&params);
  return call_kernel(id, row.preprocess, params);
}

}  // namespace

Outcome test_preprocess(const KernelRow& row, const Selection& selection) {
  return test_images<float>(row, selection, run_row);
}

}  // namespace edgedeploy_tests
