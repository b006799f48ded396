# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Each public header must compile on its own, twice in a row, with warnings as errors and without exceptions and RTTI,
# with the compiler of this build (the presets host and clang), of which no code is asked. Together they also compile
# with clang++, where there is one beside g++, and with nvcc when CUDA is on.

file(GLOB_RECURSE _headers CONFIGURE_DEPENDS RELATIVE "${PROJECT_SOURCE_DIR}/include"
  "${PROJECT_SOURCE_DIR}/include/kvsieve/*.hpp"
)
file(GLOB_RECURSE _cuda_headers CONFIGURE_DEPENDS RELATIVE "${PROJECT_SOURCE_DIR}/include"
  "${PROJECT_SOURCE_DIR}/include/kvsieve/*.cuh"
)
set(_dir "${CMAKE_CURRENT_BINARY_DIR}/headers")
set(_flags ${KVSIEVE_WARNINGS} -Werror)

# the compiler of this build, which makes no code of them
# Of this library, only its include folders are used, and by clang-tidy (./dev lint) its flags.
add_library(kvsieve_header_tests OBJECT EXCLUDE_FROM_ALL "${_dir}/kvsieve/kvsieve.hpp.cpp")
target_link_libraries(kvsieve_header_tests PRIVATE kvsieve::kvsieve)
target_compile_options(kvsieve_header_tests PRIVATE ${_flags} -fno-exceptions -fno-rtti)
# Ours as -I, so that it is warned about; all else as system folders.
set(_all "$<TARGET_PROPERTY:kvsieve_header_tests,INCLUDE_DIRECTORIES>")
set(_others "$<FILTER:${_all},EXCLUDE,^${PROJECT_SOURCE_DIR}/include$>")
set(_folders "$<$<BOOL:${_others}>:-isystem$<JOIN:${_others},;-isystem>>")
set(_alone "${CMAKE_CXX_COMPILER}" -std=c++20 ${_flags} -fno-exceptions -fno-rtti "-I${PROJECT_SOURCE_DIR}/include")
set(_first "")
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # CCCL is parsed once: with it, each header takes three times as long. What of it is missing, the preset clang sees.
  set(_first "${_dir}/first.hpp")
  file(CONFIGURE OUTPUT "${_first}" CONTENT
    "#include <cuda/std/cmath>\n#include <cuda/std/mdspan>\n#include <cuda/std/tuple>\n"
  )
  add_custom_command(OUTPUT "${_first}.gch"
    COMMAND ${_alone} "${_folders}" -MD -MF "${_first}.d" -MT "${_first}.gch" -x c++-header "${_first}" -o "${_first}.gch"
    DEPENDS "${_first}" DEPFILE "${_first}.d" COMMAND_EXPAND_LISTS VERBATIM COMMENT "what headers alone include"
  )
  list(APPEND _alone -include "${_first}")
endif()
set(_checked "")
foreach(_header IN LISTS _headers)
  set(_tu "${_dir}/${_header}.cpp")
  file(CONFIGURE OUTPUT "${_tu}" CONTENT "#include <${_header}>\n#include <${_header}>\n")
  add_custom_command(OUTPUT "${_tu}.checked"
    COMMAND ${_alone} "${_folders}" -fsyntax-only -MD -MF "${_tu}.d" -MT "${_tu}.checked" "${_tu}"
    COMMAND "${CMAKE_COMMAND}" -E touch "${_tu}.checked"
    DEPENDS "${_tu}" "$<$<BOOL:${_first}>:${_first}.gch>" DEPFILE "${_tu}.d" COMMAND_EXPAND_LISTS VERBATIM
    COMMENT "${_header} alone"
  )
  list(APPEND _checked "${_tu}.checked")
endforeach()
add_custom_target(kvsieve_headers_alone ALL DEPENDS ${_checked})

# all .hpp files in one unit, for the compilers beside
set(_includes "")
foreach(_header IN LISTS _headers)
  string(APPEND _includes "#include <${_header}>\n")
endforeach()

# clang++ beside g++: no second build tree, only the front end
find_program(KVSIEVE_CLANG NAMES clang++ clang++-19 clang++-16 clang++-14)
mark_as_advanced(KVSIEVE_CLANG)
if(KVSIEVE_CLANG AND NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  set(_tu "${_dir}/all_hpp.cpp")
  file(CONFIGURE OUTPUT "${_tu}" CONTENT "${_includes}")
  add_custom_command(OUTPUT "${_tu}.clang"
    COMMAND "${KVSIEVE_CLANG}" -std=c++20 -fsyntax-only ${_flags} "-I${PROJECT_SOURCE_DIR}/include"
      "${_folders}" -MD -MF "${_tu}.clang.d" -MT "${_tu}.clang" "${_tu}"
    COMMAND "${CMAKE_COMMAND}" -E touch "${_tu}.clang"
    DEPENDS "${_tu}" DEPFILE "${_tu}.clang.d" COMMAND_EXPAND_LISTS VERBATIM COMMENT "clang++ on all headers"
  )
  add_custom_target(kvsieve_header_tests_clang ALL DEPENDS "${_tu}.clang")
endif()

# nvcc: the .cuh files alone, as the device sees them; the .hpp files together (nvcc starts slowly)
if(KVSIEVE_CUDA)
  add_library(kvsieve_header_tests_cuda OBJECT)
  target_link_libraries(kvsieve_header_tests_cuda PRIVATE kvsieve_cuda)
  set_target_properties(kvsieve_header_tests_cuda PROPERTIES CUDA_ARCHITECTURES 80-real)
  target_compile_options(kvsieve_header_tests_cuda PRIVATE -Xcompiler=-Wall,-Wextra,-Werror -Werror=all-warnings)
  file(CONFIGURE OUTPUT "${_dir}/all_hpp.cu" CONTENT "${_includes}")
  target_sources(kvsieve_header_tests_cuda PRIVATE "${_dir}/all_hpp.cu")
  foreach(_header IN LISTS _cuda_headers)
    file(CONFIGURE OUTPUT "${_dir}/${_header}.cu" CONTENT "#include <${_header}>\n#include <${_header}>\n")
    set_source_files_properties("${_dir}/${_header}.cu" PROPERTIES COMPILE_OPTIONS -cubin)
    target_sources(kvsieve_header_tests_cuda PRIVATE "${_dir}/${_header}.cu")
  endforeach()
endif()
