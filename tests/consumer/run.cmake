# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Installs kvsieve into WORK/prefix, then configures, builds and runs the project CONSUMER. See CMakeLists.txt here.
function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE rc OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT rc EQUAL 0)
    list(JOIN ARGN " " command)
    message(FATAL_ERROR "failed (${rc}): ${command}\n${output}")
  endif()
endfunction()

file(REMOVE_RECURSE "${WORK}")
run("${CMAKE_COMMAND}" --install "${KVSIEVE_BUILD}" --prefix "${WORK}/prefix" --component library)

set(options "-DCMAKE_CXX_COMPILER=${CXX}" "-DCMAKE_PREFIX_PATH=${WORK}/prefix" "-DKVSIEVE_SOURCE=${KVSIEVE_SOURCE}"
  "-DFETCHCONTENT_SOURCE_DIR_KVSIEVE=${KVSIEVE_SOURCE}"
)
foreach(name IN ITEMS CCCL_DIR KVSIEVE_CCCL_INCLUDE_DIR)
  if(${name})
    list(APPEND options "-D${name}=${${name}}")
  endif()
endforeach()
if(CONSUMER MATCHES "cuda$")
  list(APPEND options "-DCMAKE_CUDA_COMPILER=${CUDA}" -DCMAKE_CUDA_ARCHITECTURES=80-real)
endif()
run("${CMAKE_COMMAND}" -G "${GENERATOR}" -S "${CONSUMER}" -B "${WORK}/build" ${options})
run("${CMAKE_COMMAND}" --build "${WORK}/build")
run("${WORK}/build/consumer")
message("built and ran")
