#include "layers/over_stock.h"

namespace edgedeploy {

int OverStock::load_param(const ncnn::ParamDict& pd) {
  const int code = AroundStock::load_param(pd);
  is_candidate_ = code == kOk && read_params(pd);
  return code;
}

int OverStock::load_model(const ncnn::ModelBin& mb) {
  if (!is_candidate_) return AroundStock::load_model(mb);
  const RecordingModelBin recorder(mb);
  const int code = AroundStock::load_model(recorder);
  if (code == kOk) is_candidate_ = weights_.take(recorder.loaded(), weights_layout());
  return code;
}

int OverStock::create_pipeline(const ncnn::Option& opt) {
  const bool takes_over = is_candidate_ && opt.use_int8_inference && opt.use_packing_layout && !opt.use_bf16_storage &&
                          covers(weights_, opt);
  if (!takes_over) {
    weights_ = Int8Weights();
    return AroundStock::create_pipeline(opt);
  }
  const int code = prepare(weights_, opt);
  weights_ = Int8Weights();
  // The kernels take the pixels of one image; the net splits a batch for layers that say so.
  support_batch = false;
  drop_stock();
  return code;
}

int OverStock::forward(const ncnn::Mat& bottom_blob, ncnn::Mat& top_blob, const ncnn::Option& opt) const {
  return has_stock() ? AroundStock::forward(bottom_blob, top_blob, opt) : run(bottom_blob, top_blob, opt);
}

}  // namespace edgedeploy
