#include "plugin/dump.h"

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstring>

#include "plugin/error.h"

namespace edgedeploy::plugin {

namespace {

std::string partial_name(const std::string& path) { return path + ".part"; }

PluginError failed(const std::string& path) { return PluginError("out=: " + path + ": " + strerror(errno)); }

FILE* open_partial(const std::string& path) {
  FILE* file = fopen(partial_name(path).c_str(), "we");
  if (file == nullptr) throw failed(partial_name(path));
  return file;
}

void write_head(FILE* file, const Counted& counted) {
  fprintf(file, "edgedeploy-blocks 1\nboundaries %" PRIu64 "\nvcpus %zu\nsequence", counted.marks.boundaries(),
          counted.vcpus.size());
  for (const uint64_t slot : counted.marks.sequence()) fprintf(file, " %" PRIu64, slot);
  fputc('\n', file);
}

void write_block_line(FILE* file, const BlockKey& block) {
  fprintf(file, "block %" PRIx64 " ", block.first);
  for (const uint32_t word : block.second) fprintf(file, "%08x", word);
  fputc('\n', file);
}

void write_block(FILE* file, const BlockKey& block, size_t number, size_t slots,
                 const std::vector<const BlockCounters*>& vcpus) {
  bool executed = false;
  for (size_t slot = 0; slot < slots; ++slot) {
    for (size_t vcpu = 0; vcpu < vcpus.size(); ++vcpu) {
      const uint64_t count = vcpus[vcpu]->get(slot, number);
      if (count == 0) continue;
      if (!executed) write_block_line(file, block);
      executed = true;
      fprintf(file, "count %zu %zu %" PRIu64 "\n", slot, vcpu, count);
    }
  }
}

void write_memory(FILE* file, size_t slot, const MemoryCounts& counts) {
  fprintf(file, "memory %zu %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", slot,
          counts.loads, counts.stores, counts.l1_misses, counts.l1_stream_misses, counts.l2_misses,
          counts.l2_stream_misses);
}

}  // namespace

void check_writable(const std::string& path) {
  fclose(open_partial(path));
  remove(partial_name(path).c_str());
}

void write_dump(const std::string& path, const Counted& counted) {
  FILE* file = open_partial(path);
  write_head(file, counted);
  size_t slots = 0;
  for (const BlockCounters* vcpu : counted.vcpus) slots = std::max(slots, vcpu->slots());
  for (const auto& [block, number] : counted.blocks.all()) write_block(file, block, number, slots, counted.vcpus);
  for (size_t slot = 0; slot < counted.memory.size(); ++slot) {
    if (counted.memory[slot].any()) write_memory(file, slot, counted.memory[slot]);
  }
  const bool written = ferror(file) == 0;
  const bool closed = fclose(file) == 0;
  if (!written || !closed || rename(partial_name(path).c_str(), path.c_str()) != 0) throw failed(path);
}

}  // namespace edgedeploy::plugin
