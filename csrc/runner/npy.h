// Arrays on disk: the `.npy` format, version 1.0, C order, unsigned bytes or 32-bit floats.
//
// Source: NEP 1, "A Simple File Format for NumPy Arrays".
#ifndef EDGEDEPLOY_RUNNER_NPY_H_
#define EDGEDEPLOY_RUNNER_NPY_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace edgedeploy {

enum class Dtype { kUint8, kFloat32 };

// A dense array in C order. Exactly one of `bytes` and `floats` holds the elements, by `dtype`.
struct Array {
  Dtype dtype = Dtype::kFloat32;
  std::vector<size_t> shape;
  std::vector<uint8_t> bytes;
  std::vector<float> floats;

  size_t count() const;
};

// Number of elements of a shape; 1 for a scalar's empty shape.
size_t element_count(const std::vector<size_t>& shape);

// `[1, 3, 32, 32]`, for messages.
std::string shape_text(const std::vector<size_t>& shape);

// `uint8 [32, 32, 3]`, for messages.
std::string array_text(const Array& array);

// Reads a file whole. Throws RunnerError(kFile) naming the file and what is wrong with it.
Array read_npy(const std::string& path);

// Writes to a temporary name beside `path` and renames, so that nobody sees half a file.
void write_npy(const std::string& path, const Array& array);

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_RUNNER_NPY_H_
