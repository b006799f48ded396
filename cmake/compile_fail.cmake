# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# cmake -DCXX=<compiler> -DFILE=<source> -DINCLUDES=<list> -P compile_fail.cmake
# The source must not compile, and the message must hold the text of each of its lines `// expected-error: text`.
# With -DKVSIEVE_SHOULD_COMPILE it must compile: so the failure is the intended one.

file(READ "${FILE}" source)
string(REGEX MATCHALL "// expected-error: [^\n]+" expectations "${source}")
if(NOT expectations)
  message(FATAL_ERROR "${FILE} has no line `// expected-error: text`")
endif()

set(command "${CXX}" -std=c++20 -fsyntax-only -fmessage-length=0)
foreach(folder IN LISTS INCLUDES)
  list(APPEND command "-I${folder}")
endforeach()
if(FIRST)
  list(APPEND command -include "${FIRST}") # precompiled beside it
endif()

execute_process(COMMAND ${command} -DKVSIEVE_SHOULD_COMPILE "${FILE}" RESULT_VARIABLE rc ERROR_VARIABLE output)
if(NOT rc EQUAL 0)
  message(FATAL_ERROR "with KVSIEVE_SHOULD_COMPILE this should compile, but:\n${output}")
endif()

execute_process(COMMAND ${command} "${FILE}" RESULT_VARIABLE rc ERROR_VARIABLE output)
if(rc EQUAL 0)
  message(FATAL_ERROR "compiles, but should not")
endif()
foreach(line IN LISTS expectations)
  string(REPLACE "// expected-error: " "" text "${line}")
  string(FIND "${output}" "${text}" at)
  if(at EQUAL -1)
    message(FATAL_ERROR "fails to compile, but the message lacks: ${text}\n${output}")
  endif()
endforeach()
