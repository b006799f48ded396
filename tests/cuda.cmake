# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# kernels/*.cu: kernels compiled without register spills. gpu/: the program of the tests that need a GPU, which is built
# where CUDA was asked for (presets cuda and gpu) and not merely found: most of a minute for each unit.
if(NOT KVSIEVE_CUDA)
  return()
endif()
file(GLOB _kernels CONFIGURE_DEPENDS "${CMAKE_CURRENT_LIST_DIR}/kernels/*.cu")
file(GLOB _gpu_tests CONFIGURE_DEPENDS "${CMAKE_CURRENT_LIST_DIR}/gpu/*_test.cu")
set(_gate "$<$<COMPILE_LANGUAGE:CUDA>:-Xptxas=--warn-on-spills,-Werror>")
if(NOT KVSIEVE_DEVICE_ONLY)
  add_library(kvsieve_kernels_compile OBJECT ${_kernels})
  target_link_libraries(kvsieve_kernels_compile PRIVATE kvsieve_cuda kvsieve_dev)
  target_include_directories(kvsieve_kernels_compile PRIVATE support)
  target_compile_options(kvsieve_kernels_compile PRIVATE "${_gate}")
  # What ptxas says of registers and shared memory, kept beside the objects and held against the table.
  find_package(Python3 COMPONENTS Interpreter QUIET)
  if(Python3_FOUND)
    set(_budgets "${Python3_EXECUTABLE}" "${CMAKE_CURRENT_LIST_DIR}/kernels/budgets.py")
    set_target_properties(kvsieve_kernels_compile PROPERTIES
      CUDA_COMPILER_LAUNCHER "${_budgets};capture;${CMAKE_CUDA_COMPILER_LAUNCHER}"
    )
    target_compile_options(kvsieve_kernels_compile PRIVATE "$<$<COMPILE_LANGUAGE:CUDA>:-Xptxas=-v>")
    add_test(NAME "kernel budgets"
      COMMAND ${_budgets} check "${CMAKE_CUDA_COMPILER}" $<TARGET_OBJECTS:kvsieve_kernels_compile> COMMAND_EXPAND_LISTS
    )
    add_custom_target(kvsieve_update_kernel_budgets
      COMMAND ${_budgets} update "${CMAKE_CUDA_COMPILER}" $<TARGET_OBJECTS:kvsieve_kernels_compile>
      COMMAND_EXPAND_LISTS VERBATIM
    )
    add_dependencies(kvsieve_update_kernel_budgets kvsieve_kernels_compile)
  else()
    message(STATUS "kvsieve: registers and shared memory of kernels are not compared (no python3)")
  endif()
  list(LENGTH CMAKE_CUDA_ARCHITECTURES _archs)
  if(NOT KVSIEVE_ENABLE_CUDA STREQUAL "ON" AND _archs EQUAL 1)
    # Nothing links them: only the device's code, half the time. The host's is in the headers, examples and consumers.
    target_compile_options(kvsieve_kernels_compile PRIVATE -cubin)
  endif()
  # The other architectures, of the kernels that time is spent in: code depends on none, so that of sm_80 is assembled
  # for its relatives as well. No nvcc before 12.8 knows sm_100.
  add_library(kvsieve_kernels_elsewhere OBJECT kernels/attend.cu kernels/store.cu)
  if(KVSIEVE_ENABLE_CUDA STREQUAL "ON")
    target_sources(kvsieve_kernels_elsewhere PRIVATE kernels/query.cu)
  endif()
  target_link_libraries(kvsieve_kernels_elsewhere PRIVATE kvsieve_cuda kvsieve_dev)
  target_include_directories(kvsieve_kernels_elsewhere PRIVATE support)
  set_target_properties(kvsieve_kernels_elsewhere PROPERTIES CUDA_ARCHITECTURES OFF)
  target_compile_options(kvsieve_kernels_elsewhere PRIVATE "${_gate}" -fatbin
    "SHELL:-gencode arch=compute_80,code=sm_80" "SHELL:-gencode arch=compute_80,code=sm_86"
    "SHELL:-gencode arch=compute_80,code=sm_89"
  )
  if(CMAKE_CUDA_COMPILER_VERSION VERSION_GREATER_EQUAL 12.8)
    target_compile_options(kvsieve_kernels_elsewhere PRIVATE "SHELL:-gencode arch=compute_100,code=sm_100")
  else()
    message(STATUS "kvsieve: kernels are not compiled for sm_100 (nvcc ${CMAKE_CUDA_COMPILER_VERSION})")
  endif()
endif()
if(TARGET Catch2::Catch2 AND KVSIEVE_ENABLE_CUDA STREQUAL "ON")
  add_executable(kvsieve_test_gpu ${_gpu_tests} "${CMAKE_CURRENT_LIST_DIR}/gpu/main.cpp")
  target_link_libraries(kvsieve_test_gpu PRIVATE kvsieve_cuda kvsieve_dev Catch2::Catch2)
  if(TARGET kvsieve_kernels_compile)
    target_link_libraries(kvsieve_test_gpu PRIVATE kvsieve_kernels_compile)
  endif()
  if(NOT KVSIEVE_DEVICE_ONLY)
    target_compile_options(kvsieve_test_gpu PRIVATE "${_gate}")
  endif()
  kvsieve_add_gpu_test(device kvsieve_test_gpu)
endif()

# two_libraries/: two shared libraries that use kvsieve by themselves, for different architectures and flags, in one
# program; and the same two linked into it.
if(NOT KVSIEVE_DEVICE_ONLY AND KVSIEVE_COMPILE_TESTS)
  set(_two "${CMAKE_CURRENT_LIST_DIR}/two_libraries")
  set(_first_flags 80-real "KVSIEVE_LIBRARY=ask_first")
  set(_second_flags 90-real "KVSIEVE_LIBRARY=ask_second;KVSIEVE_CHECK_POINTERS=1")
  foreach(_which first second)
    list(POP_FRONT _${_which}_flags _architecture)
    add_library(kvsieve_two_${_which}_objects OBJECT "${_two}/library.cu")
    set_target_properties(kvsieve_two_${_which}_objects PROPERTIES
      POSITION_INDEPENDENT_CODE ON CUDA_ARCHITECTURES ${_architecture}
    )
    target_compile_definitions(kvsieve_two_${_which}_objects PRIVATE ${_${_which}_flags})
    target_link_libraries(kvsieve_two_${_which}_objects PRIVATE kvsieve_cuda kvsieve_dev)
    add_library(kvsieve_two_${_which} SHARED $<TARGET_OBJECTS:kvsieve_two_${_which}_objects>)
    set_target_properties(kvsieve_two_${_which} PROPERTIES LINKER_LANGUAGE CXX)
    target_link_libraries(kvsieve_two_${_which} PRIVATE kvsieve_cuda)
  endforeach()
  add_executable(kvsieve_test_two_libraries "${_two}/main.cpp")
  target_link_libraries(kvsieve_test_two_libraries PRIVATE kvsieve_two_first kvsieve_two_second kvsieve_cuda kvsieve_dev)
  add_executable(kvsieve_test_two_objects "${_two}/main.cpp" $<TARGET_OBJECTS:kvsieve_two_first_objects>
    $<TARGET_OBJECTS:kvsieve_two_second_objects>
  )
  target_link_libraries(kvsieve_test_two_objects PRIVATE kvsieve_cuda kvsieve_dev)
  add_test(NAME "two_libraries" COMMAND kvsieve_test_two_libraries)
  add_test(NAME "two_libraries: in one program" COMMAND kvsieve_test_two_objects)
  add_test(NAME "two_libraries: symbols" COMMAND "${CMAKE_COMMAND}" "-DNM=${CMAKE_NM}"
    "-DLIBRARIES=$<TARGET_FILE:kvsieve_two_first>;$<TARGET_FILE:kvsieve_two_second>"
    -P "${PROJECT_SOURCE_DIR}/cmake/check_symbols.cmake"
  )
endif()
