// A plugin for qemu-aarch64 that counts how often each block of instructions runs, by the slot that the program has
// marked last, and on request simulates the data caches. docs/cycles-format.md says what comes out.
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <string>

#include "plugin/blocks.h"
#include "plugin/counters.h"
#include "plugin/dump.h"
#include "plugin/error.h"
#include "plugin/marks.h"
#include "plugin/memory.h"
#include "plugin/options.h"
#include "plugin/qemu_plugin_api.h"

namespace edgedeploy::plugin {

namespace {

constexpr char kArchitecture[] = "aarch64";
constexpr size_t kMaxVcpus = 4096;
// STR(B, H, W, X) with an unsigned immediate offset.
constexpr uint32_t kStoreMask = 0x3fc00000;
constexpr uint32_t kStoreWord = 0x39000000;

struct Vcpu {
  BlockCounters blocks;
  std::unique_ptr<CpuMemory> memory;  // Null without the simulation.
};

class Plugin {
 public:
  explicit Plugin(const Options& options) : options_(options), marks_(options.from, options.to) {
    if (options_.l2) l2_ = std::make_unique<SharedCache>(*options_.l2);
  }

  void add_vcpu(unsigned int index) {
    if (index >= kMaxVcpus) throw PluginError("more than " + std::to_string(kMaxVcpus) + " threads");
    // The number of a thread that has ended is given out again.
    if (vcpus_[index] != nullptr) return;
    auto vcpu = std::make_unique<Vcpu>();
    if (l2_) vcpu->memory = std::make_unique<CpuMemory>(*options_.l1d, *l2_);
    vcpus_[index] = std::move(vcpu);
  }

  void translate(qemu_plugin_tb* tb);

  void execute(unsigned int vcpu, size_t block) {
    const int64_t place = marks_.place();
    if (place >= 0) vcpus_[vcpu]->blocks.add(static_cast<size_t>(place), block);
  }

  void access(unsigned int vcpu, const Access& access) {
    const int64_t place = marks_.place();
    if (place != Marks::kAway) vcpus_[vcpu]->memory->access(place, access);
  }

  void mark(uint64_t address) { marks_.mark(address); }

  void dump() const;

 private:
  const Options options_;
  Marks marks_;
  Blocks blocks_;
  std::unique_ptr<SharedCache> l2_;
  // An entry is made before its thread runs and stays where it is.
  std::array<std::unique_ptr<Vcpu>, kMaxVcpus> vcpus_;
};

// The emulator offers no place for it.
Plugin* the_plugin = nullptr;

void print_error(const char* what) { fprintf(stderr, "error: block counter: %s\n", what); }

// Calls into the emulator's callbacks must not throw.
template <typename Action>
void or_exit(const Action& action) {
  try {
    action();
  } catch (const std::exception& error) {
    print_error(error.what());
    _exit(EXIT_FAILURE);
  }
}

void on_vcpu(qemu_plugin_id_t /*id*/, unsigned int vcpu) {
  or_exit([=] { the_plugin->add_vcpu(vcpu); });
}

void on_translation(qemu_plugin_id_t /*id*/, qemu_plugin_tb* tb) {
  or_exit([=] { the_plugin->translate(tb); });
}

void on_block(unsigned int vcpu, void* block) {
  or_exit([=] { the_plugin->execute(vcpu, reinterpret_cast<size_t>(block)); });
}

void on_access(unsigned int vcpu, qemu_plugin_meminfo_t info, uint64_t address, void* /*userdata*/) {
  or_exit([=] {
    const uint64_t size_bytes = uint64_t{1} << qemu_plugin_mem_size_shift(info);
    the_plugin->access(vcpu, {address, size_bytes, qemu_plugin_mem_is_store(info)});
  });
}

void on_mark(unsigned int /*vcpu*/, qemu_plugin_meminfo_t /*info*/, uint64_t address, void* /*userdata*/) {
  or_exit([=] { the_plugin->mark(address); });
}

void on_exit(qemu_plugin_id_t /*id*/, void* /*userdata*/) {
  or_exit([] { the_plugin->dump(); });
}

Words words_of(const qemu_plugin_tb* tb) {
  Words words(qemu_plugin_tb_n_insns(tb));
  for (size_t i = 0; i < words.size(); ++i) {
    memcpy(&words[i], qemu_plugin_insn_data(qemu_plugin_tb_get_insn(tb, i)), sizeof(words[i]));
  }
  return words;
}

bool is_mark_store(const Words& words, size_t i) {
  return i > 0 && words[i - 1] == kMarkWord && (words[i] & kStoreMask) == kStoreWord;
}

void Plugin::translate(qemu_plugin_tb* tb) {
  Words words = words_of(tb);
  for (size_t i = 0; i < words.size(); ++i) {
    qemu_plugin_insn* insn = qemu_plugin_tb_get_insn(tb, i);
    // Marks are not the program's own accesses.
    if (is_mark_store(words, i)) {
      qemu_plugin_register_vcpu_mem_cb(insn, on_mark, QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_MEM_W, nullptr);
    } else if (l2_) {
      qemu_plugin_register_vcpu_mem_cb(insn, on_access, QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_MEM_RW, nullptr);
    }
  }
  const size_t number = blocks_.number_of({qemu_plugin_tb_vaddr(tb), std::move(words)});
  qemu_plugin_register_vcpu_tb_exec_cb(tb, on_block, QEMU_PLUGIN_CB_NO_REGS, reinterpret_cast<void*>(number));
}

void Plugin::dump() const {
  Counted counted{marks_, blocks_, {}, {}};
  for (const std::unique_ptr<Vcpu>& vcpu : vcpus_) {
    // Their numbers have no gaps.
    if (vcpu == nullptr) break;
    counted.vcpus.push_back(&vcpu->blocks);
    if (vcpu->memory == nullptr) continue;
    const std::vector<MemoryCounts>& memory = vcpu->memory->counts();
    if (memory.size() > counted.memory.size()) counted.memory.resize(memory.size());
    for (size_t slot = 0; slot < memory.size(); ++slot) counted.memory[slot] += memory[slot];
  }
  write_dump(options_.out, counted);
}

void install(qemu_plugin_id_t id, const qemu_info_t& info, int argc, char** argv) {
  if (info.system_emulation || std::string(info.target_name) != kArchitecture) {
    throw PluginError("only for qemu-aarch64, the emulator of one program");
  }
  const Options options = parse_options(argc, argv);
  check_writable(options.out);
  // Never freed: other threads may still run when the emulator exits.
  the_plugin = new Plugin(options);
  qemu_plugin_register_vcpu_init_cb(id, on_vcpu);
  qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
  qemu_plugin_register_atexit_cb(id, on_exit, nullptr);
}

}  // namespace

}  // namespace edgedeploy::plugin

extern "C" {

// The version of the interface; the emulator refuses one it does not speak.
__attribute__((visibility("default"))) int qemu_plugin_version = 1;

__attribute__((visibility("default"))) int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t* info, int argc,
                                                               char** argv) {
  try {
    edgedeploy::plugin::install(id, *info, argc, argv);
    return 0;
  } catch (const std::exception& error) {
    edgedeploy::plugin::print_error(error.what());
    return -1;
  }
}
}
