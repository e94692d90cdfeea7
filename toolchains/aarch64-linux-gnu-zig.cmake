# 64-bit ARM Linux with glibc, by the Zig of the Python package `ziglang`: clang, lld, libc++ and every glibc's stubs.
#
# EDGEDEPLOY_TOOLCHAIN_PROGRAMS is a directory with cc, c++, ar and ranlib, which edgedeploy/build/zig.py writes for one
# glibc version: they name the target and translate GCC's -march. No -march here, for the reason given in the file for
# GCC. Nothing in this file knows a board or a core.

set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)

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
