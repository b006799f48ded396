# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Headers, exported targets, and the package files that find_package(kvsieve) reads: component `library`.
# tools/ installs the command line as component `tools`.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(_package_dir "${CMAKE_INSTALL_DATADIR}/cmake/kvsieve")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/kvsieve" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
  COMPONENT library FILES_MATCHING PATTERN "*.hpp" PATTERN "*.cuh"
)
# Two exports: the CUDA target is loaded only where a toolkit is found. Its C++20 requirement depends on the CMake of the
# project that uses it, so kvsieveConfig.cmake adds it anew.
install(TARGETS kvsieve EXPORT kvsieveTargets INCLUDES DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(TARGETS kvsieve_cuda EXPORT kvsieveCudaTargets)
install(EXPORT kvsieveTargets NAMESPACE kvsieve:: DESTINATION "${_package_dir}" COMPONENT library)
install(EXPORT kvsieveCudaTargets NAMESPACE kvsieve:: DESTINATION "${_package_dir}" COMPONENT library)

configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/kvsieveConfig.cmake.in"
  "${PROJECT_BINARY_DIR}/kvsieveConfig.cmake" INSTALL_DESTINATION "${_package_dir}"
)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/kvsieveConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT
)
install(FILES
  "${PROJECT_BINARY_DIR}/kvsieveConfig.cmake" "${PROJECT_BINARY_DIR}/kvsieveConfigVersion.cmake"
  "${PROJECT_SOURCE_DIR}/cmake/KvsieveCCCL.cmake"
  DESTINATION "${_package_dir}" COMPONENT library
)
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DATADIR}/licenses/kvsieve" COMPONENT library)
