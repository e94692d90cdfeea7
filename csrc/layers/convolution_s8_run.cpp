// The product itself: stretches of output pixels shared among threads; over each, the output channels by eights.
#include <cpu.h>

#include <algorithm>
#include <cstring>

#include "layers/convolution_s8.h"
#include "layers/output_tile.h"
#include "layers/pixel_tiles.h"

namespace edgedeploy {

namespace {

constexpr int64_t kL1Share = 16 * 1024;  // Activations of a stretch: half of the smallest L1 data cache.
constexpr int64_t kL2Share = 64 * 1024;  // Where the weights do not stay in the L2 cache themselves.
constexpr int64_t kWeightsInL2 = 256 * 1024;
constexpr int64_t kMaxTiles = 32;  // Bounds the pointers of a stretch.

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// How the work is cut: stretches of tiles, and each stretch's channel groups into parts.
struct Cut {
  int64_t tiles = 0;  // of one stretch
  int64_t stretches = 0;
  int parts = 1;
};

Cut cut_work(const ConvolutionPlan& plan, int64_t pixels, int threads) {
  const int64_t tile_m = plan.kernel->tile_m;
  const int64_t all_tiles = divide_up(pixels, tile_m);
  const int64_t k = plan.taps() * plan.groups() * kConvS8Group;
  const int64_t budget = plan.packed_weights.w > kWeightsInL2 ? kL2Share : kL1Share;
  Cut cut;
  cut.tiles = std::clamp<int64_t>(budget / (k * tile_m), 1, kMaxTiles);
  cut.stretches = divide_up(all_tiles, cut.tiles);
  // Few stretches would leave threads idle: share the channels as well.
  const int groups = static_cast<int>(divide_up(plan.channels_out, kChannelGroup));
  if (threads > 1 && cut.stretches < 4 * threads) {
    cut.parts = static_cast<int>(std::min<int64_t>(groups, divide_up(4 * threads, cut.stretches)));
  }
  return cut;
}

// One padded pixel, as far as any plane reaches: 8 pad bytes at each plane's place, the rest is never touched.
int make_pad(const ConvolutionPlan& plan, const ncnn::Mat& input, const ncnn::Option& opt, ncnn::Mat* pad) {
  const Padding padding = plan.window.padding_for(input.w, input.h);
  if (!plan.in_eights || (padding.left | padding.top | padding.right | padding.bottom) == 0) return kOk;
  const size_t stride = input.cstep * input.elemsize;
  const size_t bytes = (static_cast<size_t>(input.c) - 1) * stride + kConvS8Group;
  pad->create(static_cast<int>(divide_up(static_cast<int64_t>(bytes), kConvS8Group)), size_t{kConvS8Group},
              kConvS8Group, opt.workspace_allocator);
  if (pad->empty()) return kOutOfMemory;
  for (int group = 0; group < input.c; ++group) {
    memset(static_cast<int8_t*>(pad->data) + static_cast<size_t>(group) * stride, plan.window.pad_code, kConvS8Group);
  }
  return kOk;
}

class Convolver {
 public:
  Convolver(const ConvolutionPlan& plan, const ncnn::Mat& input, const ncnn::Mat& output, const ncnn::Mat& pad)
      : plan_(plan),
        input_(input),
        output_(output),
        tiles_(plan.window, input, output.w, static_cast<const int8_t*>(pad.data)),
        pixels_(int64_t{output.w} * output.h),
        tile_m_(plan.kernel->tile_m),
        block_bytes_(plan.taps() * plan.groups() * kConvS8Group * kChannelGroup) {}

  // Bytes that find() needs for a stretch of `tiles`.
  size_t scratch_bytes(int64_t tiles) const {
    const int64_t packed = plan_.in_eights ? 0 : plan_.groups() * kConvS8Group;
    const int64_t pointers = plan_.taps() * static_cast<int64_t>(sizeof(const int8_t*));
    return static_cast<size_t>(tiles * tile_m_ * (packed + pointers));
  }

  // Pointers to the inputs of the tiles from `first` on, which are packed first if they must be.
  void find(int64_t first, int64_t tiles, int8_t* scratch) const {
    const int8_t** pointers = reinterpret_cast<const int8_t**>(scratch);
    int8_t* packed = scratch + tiles * tile_m_ * plan_.taps() * static_cast<int64_t>(sizeof(const int8_t*));
    for (int64_t tile = 0; tile < tiles; ++tile, pointers += plan_.taps() * tile_m_) {
      const int64_t pixel = (first + tile) * tile_m_;
      const int64_t rows = std::min<int64_t>(tile_m_, pixels_ - pixel);
      if (plan_.in_eights) {
        tiles_.point(pixel, rows, tile_m_, pointers);
        continue;
      }
      pack_tile(plan_.window, input_, plan_.channels_in, output_.w, pixel, rows, tile_m_, packed);
      for (int64_t row = 0; row < rows; ++row) pointers[row] = packed + row * kConvS8Group;
      packed += plan_.groups() * tile_m_ * kConvS8Group;
    }
  }

  // Channel group `group` of the tiles that find() prepared.
  void compute(int64_t first, int64_t tiles, int group, const int8_t* scratch) const {
    alignas(16) float tile_room[kConvS8MaxTile * kChannelGroup];
    OutputTile out(plan_.epilogue, plan_.channels_out, output_, tile_room, kConvS8MaxTile);
    ConvS8TileParams params{};
    params.taps = plan_.taps();
    params.groups = plan_.groups();
    params.a_group_stride_bytes =
        plan_.in_eights ? static_cast<int64_t>(input_.cstep * input_.elemsize) : int64_t{tile_m_} * kConvS8Group;
    params.b = static_cast<const int8_t*>(plan_.packed_weights.data) + group * block_bytes_;
    params.scale = plan_.epilogue.scale.data() + group * kChannelGroup;
    params.offset = plan_.epilogue.offset.data() + group * kChannelGroup;
    params.epilogue = plan_.epilogue.sums;
    params.a = reinterpret_cast<const int8_t* const*>(scratch);
    for (int64_t tile = 0; tile < tiles; ++tile, params.a += params.taps * tile_m_) {
      const int64_t pixel = (first + tile) * tile_m_;
      params.rows = std::min<int64_t>(tile_m_, pixels_ - pixel);
      params.c = out.place(pixel, group);
      params.c_quad_stride_bytes = out.quad_stride_bytes();
      plan_.kernel->conv(&params);
      out.store(pixel, params.rows, group);
    }
  }

 private:
  const ConvolutionPlan& plan_;
  const ncnn::Mat& input_;
  const ncnn::Mat& output_;
  const PixelTiles tiles_;
  const int64_t pixels_;
  const int32_t tile_m_;
  const int64_t block_bytes_;
};

}  // namespace

int run_convolution(const ConvolutionPlan& plan, const ncnn::Mat& input, ncnn::Mat& output, const ncnn::Option& opt) {
  ncnn::Mat pad;
  const int code = make_pad(plan, input, opt, &pad);
  if (code != kOk) return code;
  const Convolver convolver(plan, input, output, pad);
  const int64_t all_tiles = divide_up(int64_t{output.w} * output.h, plan.kernel->tile_m);
  const Cut cut = cut_work(plan, int64_t{output.w} * output.h, opt.num_threads);
  ncnn::Mat scratch;
  scratch.create(static_cast<int>(convolver.scratch_bytes(cut.tiles)), opt.num_threads, size_t{1},
                 opt.workspace_allocator);
  if (scratch.empty()) return kOutOfMemory;
  const int groups = static_cast<int>(divide_up(plan.channels_out, kChannelGroup));
  const int tasks = static_cast<int>(cut.stretches) * cut.parts;

#pragma omp parallel for num_threads(opt.num_threads)
  for (int task = 0; task < tasks; ++task) {
    const int64_t first = task / cut.parts * cut.tiles;
    const int64_t tiles = std::min(cut.tiles, all_tiles - first);
    const int part = task % cut.parts;
    int8_t* mine = scratch.row<int8_t>(ncnn::get_omp_thread_num());
    convolver.find(first, tiles, mine);
    for (int group = groups * part / cut.parts; group < groups * (part + 1) / cut.parts; ++group) {
      convolver.compute(first, tiles, group, mine);
    }
  }
  return kOk;
}

}  // namespace edgedeploy
