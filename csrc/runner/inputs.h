// From arrays to the engine's input Mats: preprocessing of images, plain copies of everything else.
#ifndef EDGEDEPLOY_RUNNER_INPUTS_H_
#define EDGEDEPLOY_RUNNER_INPUTS_H_

#include <mat.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kernels/table.h"
#include "runner/manifest.h"
#include "runner/npy.h"

namespace edgedeploy {

// One input: its array, the Mat it goes into, and how.
class InputFeed {
 public:
  // Checks the array against the manifest; `source` names it in errors (kFile). Sides beyond the kernel's limits too.
  InputFeed(const InputSpec& spec, Array array, const std::string& source);

  // Makes an image's Mat one of int8, `code_scale` codes a unit, for a first layer that takes them. Floats stay floats.
  void fill_codes(float code_scale);

  // Fills the Mat anew; what the benchmark times as "pre".
  void fill();

  const std::string& name() const { return spec_.name; }
  const ncnn::Mat& mat() const { return mat_; }
  // The kernel that preprocesses; null for an input of floats.
  const KernelRow* kernel() const { return kernel_; }

 private:
  void check_image(const std::string& source) const;
  void prepare_image();
  void lay_out_planes();
  void copy_floats();

  InputSpec spec_;
  Array array_;
  ncnn::Mat mat_;
  const KernelRow* kernel_ = nullptr;  // Null for an input without preprocessing.
  std::vector<uint8_t> scratch_;
  PreprocessU8F32Params params_{};
  PreprocessU8S8Params codes_{};
};

// An array file for each input: `chosen` by name, else the golden input. Throws RunnerError(kUsage) for a name in
// `chosen` that the model lacks.
std::vector<std::unique_ptr<InputFeed>> load_inputs(const Manifest& manifest,
                                                    const std::map<std::string, std::string>& chosen);

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_RUNNER_INPUTS_H_
