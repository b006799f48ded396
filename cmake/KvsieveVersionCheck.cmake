# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# The version stands in project() and in version.hpp (users without CMake read the header). They must agree.
set(_header "${PROJECT_SOURCE_DIR}/include/kvsieve/version.hpp")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${_header}")
set(_found "")
foreach(_part MAJOR MINOR PATCH)
  file(STRINGS "${_header}" _line REGEX "^#define KVSIEVE_VERSION_${_part} [0-9]+$")
  string(REGEX MATCH "[0-9]+$" _number "${_line}")
  list(APPEND _found "${_number}")
endforeach()
list(JOIN _found "." _found)
if(NOT _found STREQUAL PROJECT_VERSION)
  message(FATAL_ERROR "kvsieve: version.hpp says ${_found}, project() says ${PROJECT_VERSION}; make them agree")
endif()
