// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once

/// @file
/// The version of the library. CMake refuses to configure when these three numbers and project() disagree.

/// Major version. Before 1.0 the minor version marks incompatible changes.
#define KVSIEVE_VERSION_MAJOR 0
/// Minor version.
#define KVSIEVE_VERSION_MINOR 1
/// Patch version.
#define KVSIEVE_VERSION_PATCH 0

/// The version as one number that compares as versions do: 10000 * major + 100 * minor + patch.
#define KVSIEVE_VERSION (KVSIEVE_VERSION_MAJOR * 10000 + KVSIEVE_VERSION_MINOR * 100 + KVSIEVE_VERSION_PATCH)

/// Helper of KVSIEVE_VERSION_STRING: joins three numbers after their macros are expanded.
#define KVSIEVE_DETAIL_VERSION_JOIN_(a, b, c) #a "." #b "." #c
/// Helper of KVSIEVE_VERSION_STRING: expands the three macros.
#define KVSIEVE_DETAIL_VERSION_JOIN(a, b, c) KVSIEVE_DETAIL_VERSION_JOIN_(a, b, c)
/// The version as text, e.g. "0.1.0".
#define KVSIEVE_VERSION_STRING \
  KVSIEVE_DETAIL_VERSION_JOIN(KVSIEVE_VERSION_MAJOR, KVSIEVE_VERSION_MINOR, KVSIEVE_VERSION_PATCH)

namespace kvsieve {

/// The version as text, e.g. "0.1.0".
inline constexpr char version[] = KVSIEVE_VERSION_STRING;

}  // namespace kvsieve
