// Holds the assembly's view of WinogradS8Products to the C++ one.
#include "kernels/winograd_s8/winograd_s8_offsets.h"

#include <cstddef>
#include <type_traits>

#include "kernels/winograd_s8/winograd_s8.h"

namespace edgedeploy {

static_assert(std::is_standard_layout_v<WinogradS8Products> && std::is_standard_layout_v<WinogradS8Product>);
static_assert(offsetof(WinogradS8Products, products) == WINOGRAD_S8_PRODUCTS);
static_assert(offsetof(WinogradS8Products, count) == WINOGRAD_S8_COUNT);
static_assert(offsetof(WinogradS8Products, u) == WINOGRAD_S8_U);
static_assert(offsetof(WinogradS8Products, groups) == WINOGRAD_S8_GROUPS);
static_assert(offsetof(WinogradS8Products, spare) == WINOGRAD_S8_SPARE);
static_assert(offsetof(WinogradS8Product, v) == WINOGRAD_S8_PRODUCT_V);
static_assert(offsetof(WinogradS8Product, m) == WINOGRAD_S8_PRODUCT_M);
static_assert(offsetof(WinogradS8Product, u_bytes) == WINOGRAD_S8_PRODUCT_U_BYTES);
static_assert(offsetof(WinogradS8Product, tiles) == WINOGRAD_S8_PRODUCT_TILES);
static_assert(sizeof(WinogradS8Product) == WINOGRAD_S8_PRODUCT_BYTES);

}  // namespace edgedeploy
