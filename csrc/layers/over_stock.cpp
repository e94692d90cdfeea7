#include "layers/over_stock.h"

namespace edgedeploy {

OverStock::OverStock(int type_index) : stock_(ncnn::create_layer_cpu(type_index)) { take_stock_properties(); }

OverStock::~OverStock() = default;

void OverStock::give_stock_my_place() {
  stock_->type = type;
  stock_->name = name;
  stock_->bottoms = bottoms;
  stock_->tops = tops;
  stock_->bottom_shapes = bottom_shapes;
  stock_->top_shapes = top_shapes;
  stock_->featmask = featmask;
}

void OverStock::take_stock_properties() {
  one_blob_only = stock_->one_blob_only;
  support_inplace = stock_->support_inplace;
  support_packing = stock_->support_packing;
  support_any_packing = stock_->support_any_packing;
  support_bf16_storage = stock_->support_bf16_storage;
  support_fp16_storage = stock_->support_fp16_storage;
  support_int8_storage = stock_->support_int8_storage;
  support_batch = stock_->support_batch;
}

int OverStock::load_param(const ncnn::ParamDict& pd) {
  give_stock_my_place();
  const int code = stock_->load_param(pd);
  take_stock_properties();
  is_candidate_ = code == kOk && read_params(pd);
  return code;
}

int OverStock::load_model(const ncnn::ModelBin& mb) {
  if (!is_candidate_) return stock_->load_model(mb);
  const RecordingModelBin recorder(mb);
  const int code = stock_->load_model(recorder);
  if (code == kOk) is_candidate_ = weights_.take(recorder.loaded(), weights_layout());
  return code;
}

int OverStock::create_pipeline(const ncnn::Option& opt) {
  give_stock_my_place();
  const bool takes_over = is_candidate_ && opt.use_int8_inference && opt.use_packing_layout && !opt.use_bf16_storage &&
                          covers(weights_, opt);
  const int code = takes_over ? prepare(weights_, opt) : stock_->create_pipeline(opt);
  weights_ = Int8Weights();
  if (!takes_over) {
    take_stock_properties();
    return code;
  }
  // The kernels take the pixels of one image; the net splits a batch for layers that say so.
  support_batch = false;
  // The built-in layer is not needed any more, nor is its reference to the weights.
  stock_.reset();
  return code;
}

int OverStock::destroy_pipeline(const ncnn::Option& opt) { return stock_ ? stock_->destroy_pipeline(opt) : kOk; }

int OverStock::forward(const std::vector<ncnn::Mat>& bottom_blobs, std::vector<ncnn::Mat>& top_blobs,
                       const ncnn::Option& opt) const {
  return stock_ ? stock_->forward(bottom_blobs, top_blobs, opt) : kFailed;
}

int OverStock::forward(const ncnn::Mat& bottom_blob, ncnn::Mat& top_blob, const ncnn::Option& opt) const {
  return stock_ ? stock_->forward(bottom_blob, top_blob, opt) : run(bottom_blob, top_blob, opt);
}

int OverStock::forward_inplace(std::vector<ncnn::Mat>& bottom_top_blobs, const ncnn::Option& opt) const {
  return stock_ ? stock_->forward_inplace(bottom_top_blobs, opt) : kFailed;
}

int OverStock::forward_inplace(ncnn::Mat& bottom_top_blob, const ncnn::Option& opt) const {
  return stock_ ? stock_->forward_inplace(bottom_top_blob, opt) : kFailed;
}

}  // namespace edgedeploy
