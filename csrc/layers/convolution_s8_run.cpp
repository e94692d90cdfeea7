// The product itself: stretches of output pixels shared among threads; over each, the output channels by eights.
#include <cpu.h>

#include <algorithm>

#include "layers/convolution_s8.h"
#include "layers/gathered_windows.h"
#include "layers/output_tile.h"
#include "layers/whole_parts.h"

namespace edgedeploy {

namespace {

constexpr int64_t kL1Share = 16 * 1024;       // Activations of a stretch: half of the smallest L1 data cache.
constexpr int64_t kLargeL1Share = 32 * 1024;  // Of the larger cores with SDOT.
constexpr int64_t kL2Share = 128 * 1024;      // Where the weights do not stay in the L2 cache themselves.
constexpr int64_t kWeightsInL2 = 256 * 1024;
constexpr int64_t kMaxTiles = 32;  // Bounds the pointers of a stretch.
constexpr int64_t kStepsWorthACall = 64;
constexpr int64_t kTasksOfThread = 4;  // Fewer stretches than that are cut by channels too.

// How the work is cut: stretches of tiles, and each stretch's channel groups into parts. Threads get neighbouring
// tasks, all stretches of a part one after the other, and as many each: so the tasks are a multiple of the threads
// where the work allows it, and alike.
struct Cut {
  int64_t all_tiles = 0;
  int64_t tiles = 0;  // of a stretch but the last; 0: stretches are alike
  int64_t stretches = 0;
  int64_t parts = 1;

  int64_t first_tile(int64_t stretch) const {
    return tiles > 0 ? std::min(all_tiles, tiles * stretch) : all_tiles * stretch / stretches;
  }
  int64_t most_tiles() const { return tiles > 0 ? tiles : divide_up(all_tiles, stretches); }
};

// Bytes of input that a further tile of a stretch touches: neighbouring windows share most of theirs.
int64_t tile_bytes(const ConvolutionPlan& plan) {
  const Window& window = plan.window;
  const int64_t pixel_bytes = plan.taps * plan.groups * kConvS8Group;
  if (plan.form == InputForm::kPacked || plan.form == InputForm::kGathered) return pixel_bytes * plan.kernel->tile_m;
  const int64_t columns = plan.form == InputForm::kEights ? window.kernel_w : 1;
  return pixel_bytes / columns * std::min<int64_t>(columns, window.stride_w) * plan.kernel->tile_m;
}

Cut cut_work(const ConvolutionPlan& plan, int64_t pixels, int threads) {
  const int64_t all_tiles = divide_up(pixels, plan.kernel->tile_m);
  const int64_t l1_share = (plan.kernel->isa & kIsaAsimdDp) != 0 ? kLargeL1Share : kL1Share;
  const int64_t budget = plan.packed_weights.w > kWeightsInL2 ? kL2Share : l1_share;
  const int64_t tiles = std::clamp<int64_t>(budget / tile_bytes(plan), 1, kMaxTiles);
  const int64_t groups = divide_up(plan.channels_out, kChannelGroup);
  Cut cut;
  cut.all_tiles = all_tiles;
  cut.stretches = divide_up(all_tiles, tiles);
  if (threads == 1) {
    cut.tiles = tiles;
  } else if (cut.stretches < kTasksOfThread * threads && groups % threads == 0) {
    cut.parts = threads;
    cut.tiles = tiles;
  } else if (cut.stretches < kTasksOfThread * threads) {
    cut.parts = std::min(groups, round_up(divide_up(kTasksOfThread * threads, cut.stretches), threads));
  }
  if (cut.parts % threads != 0) cut.stretches = std::min(all_tiles, round_up(cut.stretches, threads));
  return cut;
}

class Convolver {
 public:
  Convolver(const ConvolutionPlan& plan, const Epilogue& epilogue, const ConvolutionInput& input,
            const ncnn::Mat& output)
      : plan_(plan),
        epilogue_(epilogue),
        input_(input),
        output_(output),
        halves_(halves_for(plan, epilogue)),
        tiles_(window_of_taps(plan), input.layout, output.w),
        pixels_(int64_t{output.w} * output.h),
        tile_m_(plan.kernel->tile_m),
        block_bytes_(plan.taps * plan.groups * kConvS8Group * kChannelGroup) {}

  // Bytes that find() needs for a stretch of `tiles`: pointers, and behind them what it makes them of.
  size_t scratch_bytes(int64_t tiles) const {
    const int64_t pixels = tiles * tile_m_;
    if (!is_packed() && !is_gathered()) return pointer_bytes(tiles) + tiles_.row_bytes(pixels);
    return pointer_bytes(tiles) + static_cast<size_t>(pixels * plan_.groups * kConvS8Group + kGatherSlack);
  }

  // Pointers to the inputs of the tiles from `first` on, which are packed first if they must be.
  void find(int64_t first, int64_t tiles, int8_t* scratch) const {
    const int8_t** pointers = reinterpret_cast<const int8_t**>(scratch);
    const int64_t first_pixel = first * tile_m_;
    const int64_t count = std::min(tiles * tile_m_, pixels_ - first_pixel);
    int8_t* packed = scratch + pointer_bytes(tiles);
    if (!is_packed() && !is_gathered()) {
      const int64_t apart = pixels_apart(count);
      const int8_t** rows = reinterpret_cast<const int8_t**>(packed);
      tiles_.point(first_pixel, count - apart, tile_m_, pointers, rows);
      if (apart > 0) {
        tiles_.point(first_pixel + count - apart, apart, tile_m_, pointers + (tiles - 1) * plan_.taps * tile_m_, rows);
      }
      return;
    }
    if (is_gathered()) {
      const int64_t bytes = plan_.groups * kConvS8Group;
      gather_windows(plan_.window, input_.layout, output_.w, first_pixel, count, bytes, packed);
      point_by_eights(packed, bytes, count, pointers);
      return;
    }
    for (int64_t tile = 0; tile < tiles; ++tile, pointers += plan_.taps * tile_m_) {
      const int64_t pixel = (first + tile) * tile_m_;
      const int64_t rows = std::min<int64_t>(tile_m_, pixels_ - pixel);
      pack_tile(plan_.window, input_.blob, plan_.channels_in, output_.w, pixel, rows, tile_m_, packed);
      for (int64_t row = 0; row < rows; ++row) pointers[row] = packed + row * kConvS8Group;
      packed += plan_.groups * tile_m_ * kConvS8Group;
    }
  }

  // What the kernel is told of the tiles that find() prepared, whatever the channels.
  ConvS8Params params_of(int64_t first, int64_t tiles, const int8_t* scratch, const OutputTile& out) const {
    ConvS8Params params{};
    params.a = reinterpret_cast<const int8_t* const*>(scratch);
    params.taps = plan_.taps;
    params.groups = plan_.groups;
    params.a_group_stride_bytes = is_packed() ? int64_t{tile_m_} * kConvS8Group : input_.group_stride_bytes;
    params.pixels = std::min(tiles * tile_m_, pixels_ - first * tile_m_);
    params.epilogue = out.sums();
    const bool knows = halves_.output != kSumsToF16Shifted || plan_.kernel->conv_all_f16;
    if (params.epilogue.output == kSumsToF16 && knows) params.epilogue.output = halves_.output;
    params.half_step = plan_.taps == 1 && (plan_.k - 1) % kConvS8Group < kConvS8Group / 2 ? 1 : 0;
    return params;
  }

  // Channel group `group` of them.
  void compute(int64_t first, int group, ConvS8Params* params, OutputTile& out) const {
    const int channel = group * kChannelGroup;
    params->b = static_cast<const int8_t*>(plan_.packed_weights.data) + group * block_bytes_;
    const int32_t to = params->epilogue.output;
    const bool folds = to == kSumsToF16Folded || to == kSumsToF16Shifted || to == kSumsToF16Rectified;
    const std::vector<int32_t>& start = folds ? halves_.start : epilogue_.start;
    params->scale = (folds ? halves_.scale : epilogue_.scale).data() + channel;
    params->offset = (folds ? halves_.offset : epilogue_.offset).data() + channel;
    params->start = start.empty() ? nullptr : start.data() + channel;
    const int64_t apart = pixels_apart(params->pixels);
    if (apart > 0) return compute_in_two(first * tile_m_, group, apart, *params, out);
    call(first * tile_m_, group, params, out);
  }

 private:
  void call(int64_t pixel, int group, ConvS8Params* params, OutputTile& out) const {
    params->c = out.place(pixel, group);
    params->c_quad_stride_bytes = out.quad_stride_bytes();
    plan_.kernel->conv(params);
    out.store(pixel, params->pixels, group);
  }

  void compute_in_two(int64_t pixel, int group, int64_t apart, ConvS8Params params, OutputTile& out) const {
    params.pixels -= apart;
    call(pixel, group, &params, out);
    params.a += divide_up(params.pixels, tile_m_) * plan_.taps * tile_m_;
    pixel += params.pixels;
    params.pixels = apart;
    call(pixel, group, &params, out);
  }

  // How many of a stretch's last pixels get a call of their own. A tile of one pixel takes as long as one of two, for
  // its sums wait for one another: so that nine at the end are five and four.
  int64_t pixels_apart(int64_t pixels) const {
    const bool pays = plan_.taps * plan_.groups >= kStepsWorthACall && !is_packed() && !is_gathered();
    return pays && pixels > tile_m_ && pixels % tile_m_ == 1 ? tile_m_ / 2 : 0;
  }

  static const HalvesEpilogue& halves_for(const ConvolutionPlan& plan, const Epilogue& epilogue) {
    const bool rectifies = plan.kernel->conv_all_f16 && epilogue.rectified_halves.output == kSumsToF16Rectified;
    return rectifies ? epilogue.rectified_halves : epilogue.halves;
  }

  bool is_packed() const { return plan_.form == InputForm::kPacked; }
  bool is_gathered() const { return plan_.form == InputForm::kGathered; }
  size_t pointer_bytes(int64_t tiles) const {
    return static_cast<size_t>(tiles * tile_m_ * plan_.taps) * sizeof(const int8_t*) + PixelTiles::kSlackBytes;
  }

  // Where a row of the window is one tap, its columns are no taps of their own, and the padding lies in the input.
  static Window window_of_taps(const ConvolutionPlan& plan) {
    Window window = plan.window;
    if (plan.form == InputForm::kInterleaved) window.kernel_w = 1;
    return window;
  }

  const ConvolutionPlan& plan_;
  const Epilogue& epilogue_;
  const ConvolutionInput& input_;
  const ncnn::Mat& output_;
  const HalvesEpilogue& halves_;
  const PixelTiles tiles_;
  const int64_t pixels_;
  const int32_t tile_m_;
  const int64_t block_bytes_;
};

}  // namespace

int run_convolution(const ConvolutionPlan& plan, const Epilogue& epilogue, const ConvolutionInput& input,
                    ncnn::Mat& output, const ncnn::Option& opt) {
  const Convolver convolver(plan, epilogue, input, output);
  const Cut cut = cut_work(plan, int64_t{output.w} * output.h, opt.num_threads);
  ncnn::Mat scratch;
  scratch.create(static_cast<int>(convolver.scratch_bytes(cut.most_tiles())), opt.num_threads, size_t{1},
                 opt.workspace_allocator);
  if (scratch.empty()) return kOutOfMemory;
  const int64_t groups = divide_up(plan.channels_out, kChannelGroup);
  const int tasks = static_cast<int>(cut.stretches * cut.parts);

#pragma omp parallel for num_threads(opt.num_threads)
  for (int task = 0; task < tasks; ++task) {
    const int64_t first = cut.first_tile(task % cut.stretches);
    const int64_t tiles = cut.first_tile(task % cut.stretches + 1) - first;
    const int64_t part = task / cut.stretches;
    int8_t* mine = scratch.row<int8_t>(ncnn::get_omp_thread_num());
    convolver.find(first, tiles, mine);
    alignas(16) float tile_room[kMaxTiles * kConvS8MaxTile * kChannelGroup];
    OutputTile out(epilogue, plan.channels_out, output, tile_room, kMaxTiles * kConvS8MaxTile,
                   plan.kernel->conv_to_f16);
    ConvS8Params params = convolver.params_of(first, tiles, mine, out);
    const int end = static_cast<int>(groups * (part + 1) / cut.parts);
    for (int group = static_cast<int>(groups * part / cut.parts); group < end; ++group) {
      convolver.compute(first, group, &params, out);
    }
  }
  return kOk;
}

}  // namespace edgedeploy
