# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# cmake -DNM=<nm> -DLIBRARIES=<list> -P check_symbols.cmake
# Shared libraries that were made with kvsieve: each has kernels, exports none and nothing that launches them, and what
# it exports beside carries a tag of its own, so that no other library's code is taken for it.
cmake_minimum_required(VERSION 3.25)

set(tags "")
foreach(library IN LISTS LIBRARIES)
  execute_process(COMMAND "${NM}" --defined-only "${library}" OUTPUT_VARIABLE all COMMAND_ERROR_IS_FATAL ANY)
  execute_process(COMMAND "${NM}" -D --defined-only "${library}" OUTPUT_VARIABLE exported COMMAND_ERROR_IS_FATAL ANY)
  if(NOT all MATCHES "8run_bodyI")
    message(FATAL_ERROR "${library} has no kernels: is this the right file?")
  endif()
  # Parameters of what is exported may name a launcher; what is exported must not be one.
  string(REGEX MATCHALL "[^\n]*(8run_bodyI|__device_stub__|_ZNK?7kvsieve[a-z0-9]*15stream_launcherI)[^\n]*" kernels
    "${exported}"
  )
  if(kernels)
    list(JOIN kernels "\n" kernels)
    message(FATAL_ERROR "${library} exports kernels or launchers:\n${kernels}")
  endif()
  string(REGEX MATCHALL "15stream_launcherILj[0-9]+E" own "${exported}")
  list(REMOVE_DUPLICATES own)
  list(LENGTH own count)
  if(NOT count EQUAL 1)
    message(FATAL_ERROR "${library}: expected the tag of one build in its symbols, found ${count}: ${own}")
  endif()
  if(own IN_LIST tags)
    message(FATAL_ERROR "${library} has the tag of another library, ${own}")
  endif()
  list(APPEND tags ${own})
  message("${library}: no kernel exported, tag ${own}")
endforeach()
