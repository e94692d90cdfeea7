# 32-bit ARM Linux (ARMv7-A with NEON, hard float) with glibc, by the Zig of the Python package `ziglang`.
#
# As the file for 64 bits: EDGEDEPLOY_TOOLCHAIN_PROGRAMS is a directory with cc, c++, ar and ranlib, which
# edgedeploy/build/zig.py writes for one glibc version. Their programs start from ARMv7-A with NEON and VFPv3; the engine
# puts -mfpu=neon-vfpv4 on files of its own, whose code is entered behind a run-time check. Nothing in this file knows a
# board or a core.

set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR armv7l)

list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES EDGEDEPLOY_TOOLCHAIN_PROGRAMS)
set(CMAKE_C_COMPILER "${EDGEDEPLOY_TOOLCHAIN_PROGRAMS}/cc")
set(CMAKE_CXX_COMPILER "${EDGEDEPLOY_TOOLCHAIN_PROGRAMS}/c++")
set(CMAKE_ASM_COMPILER "${EDGEDEPLOY_TOOLCHAIN_PROGRAMS}/cc")
set(CMAKE_AR "${EDGEDEPLOY_TOOLCHAIN_PROGRAMS}/ar")
set(CMAKE_RANLIB "${EDGEDEPLOY_TOOLCHAIN_PROGRAMS}/ranlib")

# Nothing of the host is looked for: Zig has the target's headers and libraries inside.
set(CMAKE_FIND_ROOT_PATH "${EDGEDEPLOY_TOOLCHAIN_PROGRAMS}")
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
