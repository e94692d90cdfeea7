#include "layers/around_stock.h"

namespace edgedeploy {

AroundStock::AroundStock(int type_index) : stock_(ncnn::create_layer_cpu(type_index)) { take_stock_properties(); }

AroundStock::~AroundStock() = default;

void AroundStock::give_stock_my_place() {
  stock_->type = type;
  stock_->name = name;
  stock_->bottoms = bottoms;
  stock_->tops = tops;
  stock_->bottom_shapes = bottom_shapes;
  stock_->top_shapes = top_shapes;
  stock_->featmask = featmask;
}

void AroundStock::take_stock_properties() {
  one_blob_only = stock_->one_blob_only;
  support_inplace = stock_->support_inplace;
  support_packing = stock_->support_packing;
  support_any_packing = stock_->support_any_packing;
  support_bf16_storage = stock_->support_bf16_storage;
  support_fp16_storage = stock_->support_fp16_storage;
  support_int8_storage = stock_->support_int8_storage;
  support_batch = stock_->support_batch;
}

int AroundStock::load_param(const ncnn::ParamDict& pd) {
  give_stock_my_place();
  const int code = stock_->load_param(pd);
  take_stock_properties();
  return code;
}

int AroundStock::load_model(const ncnn::ModelBin& mb) { return stock_->load_model(mb); }

int AroundStock::create_pipeline(const ncnn::Option& opt) {
  give_stock_my_place();
  const int code = stock_->create_pipeline(opt);
  take_stock_properties();
  return code;
}

int AroundStock::destroy_pipeline(const ncnn::Option& opt) { return stock_ ? stock_->destroy_pipeline(opt) : kOk; }

int AroundStock::forward(const std::vector<ncnn::Mat>& bottom_blobs, std::vector<ncnn::Mat>& top_blobs,
                         const ncnn::Option& opt) const {
  return stock_ ? stock_->forward(bottom_blobs, top_blobs, opt) : kFailed;
}

int AroundStock::forward(const ncnn::Mat& bottom_blob, ncnn::Mat& top_blob, const ncnn::Option& opt) const {
  return stock_ ? stock_->forward(bottom_blob, top_blob, opt) : kFailed;
}

int AroundStock::forward_inplace(std::vector<ncnn::Mat>& bottom_top_blobs, const ncnn::Option& opt) const {
  return stock_ ? stock_->forward_inplace(bottom_top_blobs, opt) : kFailed;
}

int AroundStock::forward_inplace(ncnn::Mat& bottom_top_blob, const ncnn::Option& opt) const {
  return stock_ ? stock_->forward_inplace(bottom_top_blob, opt) : kFailed;
}

}  // namespace edgedeploy
