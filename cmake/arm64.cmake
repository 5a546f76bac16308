# Builds for arm64 on amd64 with Debian's cross compiler. Headers and libraries, the C and C++
# libraries too, come from Debian's arm64 packages in build-arm64/sysroot (scripts/install-deps arm64):
# the ones of the cross compiler's own packages get no security updates.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc-12)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++-12)

cmake_path(GET CMAKE_CURRENT_LIST_DIR PARENT_PATH project)
set(CMAKE_SYSROOT ${project}/build-arm64/sysroot)
set(usr ${CMAKE_SYSROOT}/usr)
set(gcc ${usr}/lib/gcc/aarch64-linux-gnu/12)
set(headers "-isystem ${gcc}/include -isystem ${usr}/include/aarch64-linux-gnu -isystem ${usr}/include")
set(CMAKE_C_FLAGS_INIT "-nostdinc ${headers}")
set(CMAKE_CXX_FLAGS_INIT "-nostdinc -nostdinc++ -isystem ${usr}/include/c++/12 \
-isystem ${usr}/include/aarch64-linux-gnu/c++/12 ${headers}")
set(CMAKE_EXE_LINKER_FLAGS_INIT "-B${gcc} -B${usr}/lib/aarch64-linux-gnu -L${gcc} -L${usr}/lib/aarch64-linux-gnu")

set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(ENV{PKG_CONFIG_LIBDIR} ${usr}/lib/aarch64-linux-gnu/pkgconfig:${usr}/share/pkgconfig)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${CMAKE_SYSROOT})
