# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# Finds the CUDA C++ Core Libraries (CCCL) and defines
#   kvsieve::cccl   cuda::std headers, for any compiler
#   kvsieve::cub    the above and CUB, for nvcc
#
# This file is used by the build and installed beside kvsieveConfig.cmake. The search order:
#   1. targets that the surrounding project has already (CCCL::libcudacxx)
#   2. KVSIEVE_CCCL_INCLUDE_DIR: a folder that holds cuda/std/mdspan
#   3. find_package(CCCL), with the CUDA toolkit as a hint, then the PyPI headers in <source tree>/.deps/cccl
#   4. headers without a CMake package in the same places
#   5. FetchContent (from a source tree only, and not when FETCHCONTENT_FULLY_DISCONNECTED is set)

set(KVSIEVE_CCCL_MINIMUM 2.5) # the one in CUDA 12.6
set(KVSIEVE_CCCL_FETCH_TAG v3.0.1)

# kvsieve_provide_cccl([SOURCE_TREE <folder>] [FOUND <variable>])
# Without FOUND, failing is an error; with it, the variable tells.
function(kvsieve_provide_cccl)
  cmake_parse_arguments(arg "" "SOURCE_TREE;FOUND" "" ${ARGN})
  if(arg_FOUND)
    set(${arg_FOUND} TRUE PARENT_SCOPE)
  endif()
  if(TARGET kvsieve::cccl)
    return()
  endif()

  if(NOT TARGET CCCL::libcudacxx AND NOT KVSIEVE_CCCL_INCLUDE_DIR)
    _kvsieve_cccl_roots(roots "${arg_SOURCE_TREE}")
    # CCCL's own targets are preferred to a bare folder: they make nvcc take these headers before its own copy.
    find_package(CCCL CONFIG QUIET COMPONENTS libcudacxx CUB
      HINTS ${roots} PATH_SUFFIXES lib64/cmake/cccl lib/cmake/cccl
    )
    if(CCCL_FOUND AND CCCL_VERSION VERSION_LESS KVSIEVE_CCCL_MINIMUM)
      message(FATAL_ERROR "kvsieve needs CCCL ${KVSIEVE_CCCL_MINIMUM} or later, found ${CCCL_VERSION} in ${CCCL_DIR}; "
        "name another with -DCCCL_DIR=... or -DKVSIEVE_CCCL_INCLUDE_DIR=...")
    endif()
    if(NOT CCCL_FOUND)
      find_path(KVSIEVE_CCCL_INCLUDE_DIR cuda/std/mdspan
        HINTS ${roots} PATH_SUFFIXES include/cccl include
        DOC "Folder that holds cuda/std/mdspan"
      )
    endif()
  endif()

  if(TARGET CCCL::libcudacxx)
    set(cccl CCCL::libcudacxx)
    set(cub CCCL::libcudacxx)
    if(TARGET CCCL::CUB)
      set(cub CCCL::CUB)
    endif()
    set(where "${CCCL_DIR}")
  elseif(KVSIEVE_CCCL_INCLUDE_DIR)
    if(NOT EXISTS "${KVSIEVE_CCCL_INCLUDE_DIR}/cuda/std/mdspan")
      message(FATAL_ERROR "kvsieve: KVSIEVE_CCCL_INCLUDE_DIR=${KVSIEVE_CCCL_INCLUDE_DIR} holds no cuda/std/mdspan")
    endif()
    set(folders "${KVSIEVE_CCCL_INCLUDE_DIR}")
    set(where "${KVSIEVE_CCCL_INCLUDE_DIR}")
  elseif(arg_SOURCE_TREE AND NOT FETCHCONTENT_FULLY_DISCONNECTED)
    message(STATUS "kvsieve: CCCL not found, fetching ${KVSIEVE_CCCL_FETCH_TAG}")
    include(FetchContent)
    # Headers only: no folder of this name exists, so CCCL's own CMakeLists.txt is not run.
    FetchContent_Declare(kvsieve_cccl GIT_REPOSITORY https://github.com/NVIDIA/cccl.git
      GIT_TAG ${KVSIEVE_CCCL_FETCH_TAG} GIT_SHALLOW ON SOURCE_SUBDIR headers-only
    )
    FetchContent_MakeAvailable(kvsieve_cccl)
    set(where "${kvsieve_cccl_SOURCE_DIR}")
    set(folders "${where}/libcudacxx/include" "${where}/cub" "${where}/thrust")
  else()
    if(arg_FOUND)
      set(${arg_FOUND} FALSE PARENT_SCOPE)
      return()
    endif()
    message(FATAL_ERROR "kvsieve needs the CCCL headers (cuda/std/mdspan): install a CUDA toolkit, "
      "or the Python package nvidia-cuda-cccl, and name its include folder with -DKVSIEVE_CCCL_INCLUDE_DIR=...")
  endif()

  if(NOT CCCL_FIND_QUIETLY AND NOT kvsieve_FIND_QUIETLY)
    message(STATUS "kvsieve: CCCL from ${where}")
  endif()
  foreach(name IN ITEMS cccl cub)
    # IMPORTED: its include folders are system folders, and an export of kvsieve refers to it by name.
    add_library(kvsieve::${name} INTERFACE IMPORTED GLOBAL)
    if(folders)
      set_target_properties(kvsieve::${name} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${folders}")
    else()
      set_target_properties(kvsieve::${name} PROPERTIES INTERFACE_LINK_LIBRARIES "${${name}}")
    endif()
  endforeach()
endfunction()

# Folders that may hold CCCL: the CUDA toolkit's, then what `./dev` put into the source tree.
function(_kvsieve_cccl_roots result source_tree)
  set(roots ${CUDAToolkit_ROOT} "$ENV{CUDAToolkit_ROOT}" "$ENV{CUDA_PATH}" "$ENV{CUDA_HOME}")
  find_program(KVSIEVE_NVCC nvcc PATHS "$ENV{CUDA_PATH}/bin" "$ENV{CUDA_HOME}/bin" /usr/local/cuda/bin)
  mark_as_advanced(KVSIEVE_NVCC)
  if(KVSIEVE_NVCC)
    file(REAL_PATH "${KVSIEVE_NVCC}" nvcc)
    cmake_path(GET nvcc PARENT_PATH bin)
    cmake_path(GET bin PARENT_PATH toolkit)
    list(APPEND roots "${toolkit}")
  endif()
  list(APPEND roots /usr/local/cuda)
  if(source_tree)
    file(GLOB wheel "${source_tree}/.deps/cccl/nvidia/*")
    list(APPEND roots ${wheel})
  endif()
  list(REMOVE_ITEM roots "")
  set(${result} "${roots}" PARENT_SCOPE)
endfunction()

# CUDA sources that link the target are compiled as C++20. CMake before 3.26 cannot say so for nvcc: there the flag
# stands in. It is not exported; kvsieveConfig.cmake calls this with the CMake of the project that uses kvsieve.
function(kvsieve_require_cuda20 target)
  if(CMAKE_VERSION VERSION_LESS 3.26)
    target_compile_options(${target} INTERFACE "$<BUILD_INTERFACE:$<$<COMPILE_LANGUAGE:CUDA>:-std=c++20>>")
  else()
    target_compile_features(${target} INTERFACE "$<BUILD_INTERFACE:cuda_std_20>")
  endif()
endfunction()
