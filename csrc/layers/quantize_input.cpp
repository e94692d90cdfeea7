#include "layers/quantize_input.h"

#include "layers/output_tile.h"
#include "layers/over_stock.h"

namespace edgedeploy {

int int8_input(const ncnn::Mat& blob, const ncnn::Mat& scale, const ncnn::Option& opt, ncnn::Mat* input) {
  ncnn::Option workspace = opt;
  workspace.blob_allocator = opt.workspace_allocator;
  *input = blob;
  if (blob.elembits() != 8) {
    ncnn::quantize_to_int8(blob, *input, scale, workspace);
    if (input->empty()) return kOutOfMemory;
  }
  const int channels = input->c * input->elempack;
  const int elempack = channels % kChannelGroup == 0 ? kChannelGroup : 1;
  if (input->dims != 3 || input->elempack == elempack) return kOk;
  const ncnn::Mat as_it_came = *input;
  ncnn::convert_packing(as_it_came, *input, elempack, workspace);
  return input->empty() ? kOutOfMemory : kOk;
}

}  // namespace edgedeploy
