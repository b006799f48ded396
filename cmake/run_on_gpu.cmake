# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# cmake -DPROGRAM=<file> -P run_on_gpu.cmake: runs it where a GPU is, else says so (ctest then counts it as skipped).
execute_process(COMMAND nvidia-smi -L OUTPUT_VARIABLE gpus ERROR_QUIET RESULT_VARIABLE rc)
if(NOT rc EQUAL 0 OR NOT gpus MATCHES "GPU 0")
  message("skipped: no GPU here")
  return()
endif()
execute_process(COMMAND "${PROGRAM}" RESULT_VARIABLE rc)
if(NOT rc EQUAL 0)
  message(FATAL_ERROR "${PROGRAM} ended with ${rc}")
endif()
