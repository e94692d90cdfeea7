#include <cstring>

#include "layers/codes_beside.h"
#include "layers/convolution_s8.h"
#include "layers/interleaved_input.h"
#include "layers/quantize_input.h"

namespace edgedeploy {

namespace {

// One padded pixel, as far as any plane reaches: 8 pad bytes at each plane's place, the rest is never touched.
int make_pad(const Window& window, const ncnn::Mat& blob, const ncnn::Option& opt, ncnn::Mat* pad) {
  const size_t stride = blob.cstep * blob.elemsize;
  const size_t steps = (static_cast<size_t>(blob.c) - 1) * stride / kConvS8Group + 1;
  pad->create(static_cast<int>(steps), size_t{kConvS8Group}, kConvS8Group, opt.workspace_allocator);
  if (pad->empty()) return kOutOfMemory;
  for (int group = 0; group < blob.c; ++group) {
    memset(static_cast<int8_t*>(pad->data) + static_cast<size_t>(group) * stride, window.pad_code, kConvS8Group);
  }
  return kOk;
}

int in_eights(const ConvolutionPlan& plan, const ncnn::Mat& blob, const ncnn::Mat& scale, const ncnn::Option& opt,
              ConvolutionInput* input) {
  const bool is_beside = plan.finds_codes_beside && has_codes_beside(blob);
  input->blob = blob;
  const int code = is_beside ? kOk : int8_input(blob, scale, opt, &input->blob);
  if (code != kOk) return code;
  const ncnn::Mat& bytes = input->blob;
  if (bytes.elempack != kConvS8Group) return kFailed;
  const Padding padding = plan.window.padding_for(bytes.w, bytes.h);
  const bool is_read = plan.winograd == nullptr && (padding.left | padding.top | padding.right | padding.bottom) != 0;
  const int made = is_read ? make_pad(plan.window, bytes, opt, &input->pad) : kOk;
  input->group_stride_bytes = static_cast<int64_t>(bytes.cstep * bytes.elemsize);
  input->layout = {is_beside ? codes_beside(bytes) : static_cast<const int8_t*>(bytes.data),
                   bytes.w,
                   bytes.h,
                   kConvS8Group,
                   int64_t{bytes.w} * kConvS8Group,
                   padding,
                   static_cast<const int8_t*>(input->pad.data)};
  return made;
}

int interleaved(const ConvolutionPlan& plan, const ncnn::Mat& blob, const ncnn::Mat& scale, const ncnn::Option& opt,
                ConvolutionInput* input) {
  InterleavedInput made;
  const int code = interleaved_input(blob, scale, plan.window, opt, &made);
  if (code != kOk) return code;
  input->blob = made.bytes;
  input->group_stride_bytes = kConvS8Group;
  input->layout.data = static_cast<const int8_t*>(made.bytes.data);
  input->layout.width = static_cast<int>(made.row_bytes / made.pixel_bytes);
  input->layout.height = static_cast<int>((made.bytes.w - kInterleavedSlack) / made.row_bytes);
  input->layout.pixel_bytes = made.pixel_bytes;
  input->layout.row_bytes = made.row_bytes;
  return kOk;
}

}  // namespace

int convolution_input(const ConvolutionPlan& plan, const ncnn::Mat& blob, const ncnn::Mat& scale,
                      const ncnn::Option& opt, ConvolutionInput* input) {
  switch (plan.form) {
    case InputForm::kEights:
      return in_eights(plan, blob, scale, opt, input);
    case InputForm::kInterleaved:
    case InputForm::kGathered:
      return interleaved(plan, blob, scale, opt, input);
    case InputForm::kPacked:
      return int8_input(blob, scale, opt, &input->blob);
  }
  return kFailed;
}

}  // namespace edgedeploy
