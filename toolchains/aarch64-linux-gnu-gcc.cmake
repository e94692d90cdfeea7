# 64-bit ARM Linux with glibc, by Debian's and Ubuntu's cross GCC (package g++-aarch64-linux-gnu).
#
# The compiler's own baseline is ARMv8.0-A, which every supported board runs; kernels for later instruction sets live in
# files of their own with their own -march, chosen at run time. No -march here: CMake puts these flags after those of its
# compile checks, and the engine's checks for fp16, dotprod, i8mm and SVE would all fail.
# Nothing in this file knows a board or a core.

set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)

set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_ASM_COMPILER aarch64-linux-gnu-gcc)

# Programs come from the host; headers, libraries and packages only from the target's directories or from a <name>_DIR
# given on the command line, so that nothing of the host's architecture slips in.
set(CMAKE_FIND_ROOT_PATH /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
