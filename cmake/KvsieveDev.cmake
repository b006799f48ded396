# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# What our own programs (tests, tools, examples, benchmarks) are built with. A project that uses kvsieve never reads
# this file, so it gets none of these flags, languages and dependencies.

if(PROJECT_IS_TOP_LEVEL AND NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Debug, Release, RelWithDebInfo or MinSizeRel" FORCE)
endif()

find_program(KVSIEVE_CCACHE ccache)
mark_as_advanced(KVSIEVE_CCACHE)
if(PROJECT_IS_TOP_LEVEL AND KVSIEVE_CCACHE)
  foreach(_lang CXX CUDA)
    if(NOT DEFINED CMAKE_${_lang}_COMPILER_LAUNCHER)
      # Paths relative to the tree, so that a second clone finds what the first one compiled.
      set(CMAKE_${_lang}_COMPILER_LAUNCHER
        "${CMAKE_COMMAND}" -E env "CCACHE_BASEDIR=${PROJECT_SOURCE_DIR}" CCACHE_NOHASHDIR=1
        CCACHE_SLOPPINESS=pch_defines,time_macros "${KVSIEVE_CCACHE}"
      )
    endif()
  endforeach()
endif()

# ---- CUDA: sets KVSIEVE_CUDA ----

set(KVSIEVE_CUDA OFF)
if(KVSIEVE_ENABLE_CUDA STREQUAL "OFF")
  message(STATUS "kvsieve: CUDA parts skipped (KVSIEVE_ENABLE_CUDA is OFF)")
else()
  include(CheckLanguage)
  if(KVSIEVE_NVCC AND NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
    set(CMAKE_CUDA_COMPILER "${KVSIEVE_NVCC}" CACHE FILEPATH "CUDA compiler")
  endif()
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
      set(CMAKE_CUDA_ARCHITECTURES 80-real 90-real)
    endif()
    enable_language(CUDA)
    find_package(CUDAToolkit REQUIRED)
    set(KVSIEVE_CUDA ON)
    list(JOIN CMAKE_CUDA_ARCHITECTURES " " _archs)
    message(STATUS "kvsieve: CUDA parts built with nvcc ${CMAKE_CUDA_COMPILER_VERSION} for ${_archs}")
  elseif(KVSIEVE_ENABLE_CUDA STREQUAL "ON")
    message(FATAL_ERROR "kvsieve: KVSIEVE_ENABLE_CUDA is ON, but no working nvcc was found")
  else()
    message(STATUS "kvsieve: CUDA parts skipped (no nvcc found)")
  endif()
endif()

# ---- flags ----

set(KVSIEVE_WARNINGS -Wall -Wextra -Wpedantic -Wconversion -Wshadow)

# Link it PRIVATE to each of our own targets.
add_library(kvsieve_dev INTERFACE)
find_package(Threads REQUIRED)
target_link_libraries(kvsieve_dev INTERFACE Threads::Threads)
target_compile_options(kvsieve_dev INTERFACE
  "$<$<COMPILE_LANGUAGE:CXX>:${KVSIEVE_WARNINGS}>" "$<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-Wextra>"
)
# g++ 12 and 13 see an overlap inside std::string's own operator+ (GCC bug 105651).
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 14)
  target_compile_options(kvsieve_dev INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict>")
endif()
if(KVSIEVE_WERROR)
  target_compile_options(kvsieve_dev INTERFACE
    "$<$<COMPILE_LANGUAGE:CXX>:-Werror>" "$<$<COMPILE_LANGUAGE:CUDA>:-Werror=all-warnings;-Xcompiler=-Werror>"
  )
endif()
if(KVSIEVE_NATIVE)
  target_compile_options(kvsieve_dev INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:-march=native>")
endif()

# ---- dependencies: an installed package first, else fetched ----

include(FetchContent)
FetchContent_Declare(Catch2 GIT_REPOSITORY https://github.com/catchorg/Catch2.git GIT_TAG v3.7.1 GIT_SHALLOW ON
  FIND_PACKAGE_ARGS 3
)
FetchContent_Declare(rapidcheck GIT_REPOSITORY https://github.com/emil-e/rapidcheck.git
  GIT_TAG ff6af6fc683159deb51c543b065eba14dfcf329b FIND_PACKAGE_ARGS
)
FetchContent_Declare(CLI11 GIT_REPOSITORY https://github.com/CLIUtils/CLI11.git GIT_TAG v2.4.2 GIT_SHALLOW ON
  FIND_PACKAGE_ARGS 2
)
FetchContent_Declare(nlohmann_json GIT_REPOSITORY https://github.com/nlohmann/json.git GIT_TAG v3.11.3 GIT_SHALLOW ON
  FIND_PACKAGE_ARGS 3.10
)
FetchContent_Declare(benchmark GIT_REPOSITORY https://github.com/google/benchmark.git GIT_TAG v1.9.0 GIT_SHALLOW ON
  FIND_PACKAGE_ARGS 1.7
)
set(BENCHMARK_ENABLE_TESTING OFF)
set(BENCHMARK_ENABLE_GTEST_TESTS OFF)

if(KVSIEVE_BUILD_TESTS AND KVSIEVE_DEVICE_ONLY)
  # Built where a GPU is, often without a network: nothing is fetched.
  find_package(Catch2 3 QUIET)
  if(NOT Catch2_FOUND)
    message(STATUS "kvsieve: device tests skipped (no Catch2 3)")
  endif()
elseif(KVSIEVE_BUILD_TESTS)
  FetchContent_MakeAvailable(Catch2 rapidcheck)
  if(DEFINED Catch2_SOURCE_DIR AND EXISTS "${Catch2_SOURCE_DIR}/extras/Catch.cmake")
    list(APPEND CMAKE_MODULE_PATH "${Catch2_SOURCE_DIR}/extras")
  endif()
endif()
# The program's files, which tests read without the program.
set(KVSIEVE_WITH_FILES OFF)
if(KVSIEVE_BUILD_TOOLS OR KVSIEVE_BUILD_TESTS AND NOT KVSIEVE_DEVICE_ONLY)
  set(KVSIEVE_WITH_FILES ON)
  FetchContent_MakeAvailable(nlohmann_json)
  # One header; XXH3 is the same in every version since 0.8.0.
  find_path(KVSIEVE_XXHASH_INCLUDE_DIR xxhash.h DOC "Folder of xxhash.h")
  if(NOT KVSIEVE_XXHASH_INCLUDE_DIR)
    FetchContent_Declare(xxhash GIT_REPOSITORY https://github.com/Cyan4973/xxHash.git GIT_TAG v0.8.2 GIT_SHALLOW ON
      SOURCE_SUBDIR headers-only
    )
    FetchContent_MakeAvailable(xxhash)
    set(KVSIEVE_XXHASH_INCLUDE_DIR "${xxhash_SOURCE_DIR}" CACHE PATH "Folder of xxhash.h" FORCE)
  endif()
endif()
if(KVSIEVE_BUILD_TOOLS)
  FetchContent_MakeAvailable(CLI11)
endif()
if(KVSIEVE_BUILD_BENCHMARKS AND NOT KVSIEVE_DEVICE_ONLY)
  FetchContent_MakeAvailable(benchmark)
endif()

# ---- helpers ----

# Registers a test of a program that needs a GPU: label `gpu`, skipped where there is none.
function(kvsieve_add_gpu_test name target)
  add_test(NAME ${name} COMMAND "${CMAKE_COMMAND}" "-DPROGRAM=$<TARGET_FILE:${target}>"
    -P "${PROJECT_SOURCE_DIR}/cmake/run_on_gpu.cmake"
  )
  set_tests_properties(${name} PROPERTIES LABELS gpu SKIP_REGULAR_EXPRESSION "skipped: no GPU here")
endfunction()
