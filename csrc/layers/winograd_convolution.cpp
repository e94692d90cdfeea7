#include "layers/winograd_convolution.h"

#include <cpu.h>

#include <algorithm>
#include <cstdlib>

#include "dispatch/dispatch.h"
#include "layers/output_tile.h"
#include "layers/whole_parts.h"

namespace edgedeploy {

namespace {

constexpr int64_t kTilesOfStep = 4;  // Of the products: fewer take as long.

// How the work is cut for threads: as many whole steps of tiles for each, and of the tiles that are left, which are all
// where these are few, as many channels, though each thread transforms the input of those.
struct Cut {
  int64_t tiles;
  int64_t threads;
  int64_t shared;  // tiles that are dealt out, from the first on

  int64_t first_tile(int64_t thread) const {
    return std::min(shared, divide_up(shared * thread / threads, kTilesOfStep) * kTilesOfStep);
  }
};

Cut cut_work(int64_t tiles, int64_t blocks, int threads) {
  const int64_t calls = divide_up(tiles, kWinogradS8MaxTiles);
  const int64_t round = kTilesOfStep * threads;
  if (threads == 1 || blocks < threads) return {tiles, threads, tiles};
  return {tiles, threads, calls < 2 * threads ? 0 : tiles / round * round};
}

void run_tiles(const WinogradS8Variant& variant, int64_t first, int64_t end, WinogradS8Params* params) {
  for (int64_t tile = first; tile < end; tile += kWinogradS8MaxTiles) {
    params->first_tile = tile;
    params->tiles = std::min(end - tile, kWinogradS8MaxTiles);
    variant.run(params);
  }
}

bool is_exact(const ConvolutionPlan& plan, const ncnn::Mat& weights, int64_t parts) {
  constexpr int64_t kLargestInput = 128;
  const int64_t group_values = int64_t{kChannelGroup} * plan.window.taps();
  const signed char* next = weights;
  for (int n = 0; n < plan.channels_out; ++n) {
    for (int64_t part = 0; part < parts; ++part) {
      const signed char* end = next + group_values * (winograd_s8_part(plan.groups, parts, part + 1) -
                                                      winograd_s8_part(plan.groups, parts, part));
      int64_t magnitude = 0;
      for (; next != end; ++next) magnitude += std::abs(*next);
      if (magnitude * kLargestInput >= kWinogradS8MaxSum) return false;
    }
  }
  return true;
}

}  // namespace

bool winograd_fits(const ConvolutionPlan& plan, const Epilogue& epilogue, bool fp16_storage, const ncnn::Option& opt) {
  const OutputForm form = output_form(plan.channels_out, epilogue.requantizes, fp16_storage, opt);
  return select_kernel(kOpWinogradS8) != nullptr && plan.form == InputForm::kEights &&
         plan.channels_out % kChannelGroup == 0 && epilogue.in_registers &&
         (epilogue.requantizes || (form.elempack == kQuad && form.value_bytes == sizeof(float)));
}

int64_t winograd_parts(const ConvolutionPlan& plan, const ncnn::Mat& weights) {
  int64_t parts = 1;
  while (parts <= kWinogradS8MaxParts && !is_exact(plan, weights, parts)) ++parts;
  return parts <= kWinogradS8MaxParts ? parts : 0;
}

int pack_winograd(const ncnn::Mat& weights, ConvolutionPlan* plan) {
  const WinogradS8Variant* variant = select_kernel(kOpWinogradS8)->winograd;
  plan->packed_weights.create(static_cast<int>(variant->packed_bytes(plan->channels_out, plan->groups)), size_t{1});
  if (plan->packed_weights.empty()) return kOutOfMemory;
  variant->pack(weights, plan->channels_out, plan->groups, plan->packed_weights.data);
  plan->winograd = variant;
  return kOk;
}

int run_winograd(const ConvolutionPlan& plan, const Epilogue& epilogue, const ConvolutionInput& input,
                 ncnn::Mat& output, const ncnn::Option& opt) {
  const int64_t tiles = divide_up(output.w, kWinogradS8Tile) * divide_up(output.h, kWinogradS8Tile);
  const int64_t blocks = divide_up(plan.channels_out, kWinogradS8Block);
  const Cut cut = cut_work(tiles, blocks, opt.num_threads);
  ncnn::Mat scratch;
  scratch.create(static_cast<int>(plan.winograd->scratch_bytes(plan.groups)), opt.num_threads, size_t{1},
                 opt.workspace_allocator);
  if (scratch.empty()) return kOutOfMemory;

  WinogradS8Params shared{};
  shared.a = input.layout.data;
  shared.a_width = input.layout.width;
  shared.a_height = input.layout.height;
  shared.a_stride_bytes = input.group_stride_bytes;
  shared.groups = plan.groups;
  shared.parts = plan.winograd_parts;
  shared.pad_left = input.layout.padding.left;
  shared.pad_top = input.layout.padding.top;
  shared.pad_code = plan.window.pad_code;
  shared.b = plan.packed_weights.data;
  shared.channels = plan.channels_out;
  shared.c_width = output.w;
  shared.c_height = output.h;
  shared.scale = epilogue.scale.data();
  shared.offset = epilogue.offset.data();
  shared.epilogue = epilogue.sums;
  shared.start = epilogue.start.data();
  shared.c = output.data;
  shared.c_stride_bytes = static_cast<int64_t>(output.cstep * output.elemsize);

#pragma omp parallel for num_threads(opt.num_threads)
  for (int thread = 0; thread < opt.num_threads; ++thread) {
    WinogradS8Params params = shared;
    params.scratch = scratch.row<int8_t>(ncnn::get_omp_thread_num());
    params.first_block = 0;
    params.blocks = blocks;
    run_tiles(*plan.winograd, cut.first_tile(thread), cut.first_tile(thread + 1), &params);
    params.first_block = blocks * thread / opt.num_threads;
    params.blocks = blocks * (thread + 1) / opt.num_threads - params.first_block;
    run_tiles(*plan.winograd, cut.shared, tiles, &params);
  }
  return kOk;
}

}  // namespace edgedeploy
