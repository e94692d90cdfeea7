#include "layers/code_blobs.h"

#include <layer_type.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "layers/pack_layer.h"

namespace edgedeploy {

namespace {

// Layers around blobs that hold the same values, or parts of them: what makes them, and what reads them.
struct Region {
  std::vector<PackLayer*> writers;
  std::vector<PackLayer*> passers;
  std::vector<PackLayer*> readers;
  bool has_foreigners = false;  // Layers that are not of the pack, or nobody, at either end.
  bool is_kept = false;
};

bool passes_codes(const ncnn::Layer& layer) {
  if (layer.typeindex == ncnn::LayerType::Split) return true;
  const PackLayer* pack = pack_layer(layer);
  return pack != nullptr && pack->passes_codes();
}

// Each blob's region, named by one of its blobs.
std::vector<int> regions_of(const ncnn::Net& net) {
  std::vector<int> region(net.blobs().size());
  std::iota(region.begin(), region.end(), 0);
  // Blobs are numbered in the order in which they come up, so that the bottoms have their final names already.
  for (const ncnn::Layer* layer : net.layers()) {
    if (!passes_codes(*layer)) continue;
    std::vector<int> joined = layer->bottoms;
    joined.insert(joined.end(), layer->tops.begin(), layer->tops.end());
    const int name = region[static_cast<size_t>(joined.front())];
    for (const int blob : joined) {
      std::replace(region.begin(), region.end(), int{region[static_cast<size_t>(blob)]}, name);
    }
  }
  return region;
}

void add_end(const ncnn::Net& net, int layer, bool writes, Region* region) {
  if (layer < 0) {
    region->has_foreigners = true;
    return;
  }
  ncnn::Layer& end = *net.layers()[static_cast<size_t>(layer)];
  PackLayer* pack = pack_layer(end);
  if (passes_codes(end)) {
    if (pack != nullptr) region->passers.push_back(pack);
  } else if (pack == nullptr) {
    region->has_foreigners = true;
  } else {
    (writes ? region->writers : region->readers).push_back(pack);
  }
}

// The one scale at which all readers want their codes, or 0.
float common_scale(const Region& region) {
  const float scale = region.readers.empty() ? 0 : region.readers.front()->read_scale();
  const bool same = std::all_of(region.readers.begin(), region.readers.end(),
                                [&](const PackLayer* reader) { return reader->read_scale() == scale; });
  return same && scale > 0 ? scale : 0;
}

template <typename Condition>
bool all_writers(const Region& region, Condition condition) {
  return !region.writers.empty() && std::all_of(region.writers.begin(), region.writers.end(), condition);
}

// Where some readers want codes at one scale, and the others halves, what is last to write them writes both.
void plan_codes_beside(const Region& region) {
  if (region.has_foreigners || region.is_kept) return;
  std::vector<PackLayer*> of_codes;
  for (PackLayer* reader : region.readers) {
    if (!reader->reads_planes_apart()) return;
    if (reader->read_scale() != 0) of_codes.push_back(reader);
  }
  std::vector<PackLayer*> last;
  for (PackLayer* passer : region.passers) {
    if (passer->could_write_codes_beside()) {
      last.push_back(passer);
    } else if (!passer->only_rectifies()) {
      return;
    }
  }
  if (last.empty()) last = region.writers;
  const auto could = [](const PackLayer* layer) { return layer->could_write_codes_beside(); };
  if (of_codes.empty() || last.empty() || !std::all_of(last.begin(), last.end(), could)) return;
  const float scale = of_codes.front()->read_scale();
  const auto at_scale = [scale](const PackLayer* reader) { return reader->read_scale() == scale; };
  if (scale <= 0 || !std::all_of(of_codes.begin(), of_codes.end(), at_scale)) return;
  for (PackLayer* writer : last) writer->write_codes_beside(scale);
  for (PackLayer* reader : of_codes) reader->expect_codes_beside();
}

// Whether all of it holds codes from now on.
bool plan(const Region& region) {
  const float scale = common_scale(region);
  const bool could = all_writers(region, [](const PackLayer* writer) { return writer->could_write_codes(); });
  if (!could || scale <= 0 || region.has_foreigners || region.is_kept) return false;
  for (PackLayer* writer : region.writers) writer->write_codes(scale);
  for (PackLayer* passer : region.passers) passer->pass_codes();
  return true;
}

std::vector<int> readers_of_blobs(const ncnn::Net& net) {
  std::vector<int> readers(net.blobs().size());
  for (const ncnn::Layer* layer : net.layers()) {
    for (const int blob : layer->bottoms) ++readers[static_cast<size_t>(blob)];
  }
  return readers;
}

bool holds(const std::vector<int>& blobs, int blob) {
  return std::find(blobs.begin(), blobs.end(), blob) != blobs.end();
}

void tell_of_given(ncnn::Net& net, const std::vector<int>& given, const std::vector<int>& kept) {
  const std::vector<int> readers = readers_of_blobs(net);
  for (ncnn::Layer* layer : net.mutable_layers()) {
    PackLayer* pack = pack_layer(*layer);
    if (pack == nullptr || layer->bottoms.size() != 1) continue;
    const int blob = layer->bottoms.front();
    if (readers[static_cast<size_t>(blob)] == 1 && holds(given, blob) && !holds(kept, blob)) pack->expect_given();
  }
}

// A ReLU is done by the layer before it where that can and nobody else sees what it would write without.
void join_rectifiers(ncnn::Net& net, const std::vector<int>& given, const std::vector<int>& kept) {
  const std::vector<int> readers = readers_of_blobs(net);
  for (ncnn::Layer* layer : net.mutable_layers()) {
    PackLayer* rectifier = pack_layer(*layer);
    if (rectifier == nullptr || !rectifier->only_rectifies()) continue;
    const int blob = layer->bottoms.front();
    const int producer = net.blobs()[static_cast<size_t>(blob)].producer;
    if (producer < 0 || readers[static_cast<size_t>(blob)] != 1 || holds(given, blob) || holds(kept, blob)) continue;
    PackLayer* writer = pack_layer(*net.layers()[static_cast<size_t>(producer)]);
    if (writer == nullptr || !writer->could_rectify()) continue;
    writer->rectify();
    rectifier->leave_it_to_the_writer();
  }
}

// Writers of a region that has foreign readers are known as well, and readers may be several.
void tell_readers(const Region& region, bool has_foreign_writers) {
  if (has_foreign_writers) return;
  const bool by_eights = all_writers(region, [](const PackLayer* writer) { return writer->written().by_eights; });
  if (by_eights) {
    for (PackLayer* reader : region.readers) reader->expect_eights();
  }
  if (!all_writers(region, [](const PackLayer* writer) { return writer->written().not_negative; })) return;
  for (PackLayer* reader : region.readers) reader->expect_no_negatives(by_eights);
  for (PackLayer* passer : region.passers) passer->expect_no_negatives(by_eights);
}

}  // namespace

void plan_code_blobs(ncnn::Net& net, const std::vector<int>& given, const std::vector<int>& kept) {
  tell_of_given(net, given, kept);
  join_rectifiers(net, given, kept);
  const std::vector<int> names = regions_of(net);
  std::map<int, Region> regions;
  std::map<int, bool> has_foreign_writers;
  for (size_t blob = 0; blob < names.size(); ++blob) {
    add_end(net, net.blobs()[blob].producer, true, &regions[names[blob]]);
  }
  for (const int blob : given) regions[names[static_cast<size_t>(blob)]].has_foreigners = true;
  for (const auto& [name, region] : regions) has_foreign_writers[name] = region.has_foreigners;
  // A blob names one of its consumers alone.
  std::vector<bool> is_read(names.size());
  for (size_t layer = 0; layer < net.layers().size(); ++layer) {
    for (const int blob : net.layers()[layer]->bottoms) {
      is_read[static_cast<size_t>(blob)] = true;
      add_end(net, static_cast<int>(layer), false, &regions[names[static_cast<size_t>(blob)]]);
    }
  }
  for (size_t blob = 0; blob < names.size(); ++blob) {
    if (!is_read[blob]) regions[names[blob]].has_foreigners = true;
  }
  for (const int blob : kept) regions[names[static_cast<size_t>(blob)]].is_kept = true;
  for (auto& [name, region] : regions) {
    const bool holds_codes = plan(region);
    tell_readers(region, has_foreign_writers[name]);
    if (!holds_codes) plan_codes_beside(region);
  }
}

}  // namespace edgedeploy
