// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Test cases of the units that nvcc compiles, as constants that main.cpp hands to Catch. TEST_CASE would do it by a
// variable with an initialiser that runs: in a unit with kernels nvcc's device compiler then does not come to an end.
#pragma once
#include <span>

namespace kvsieve_test {
struct gpu_case {
  char const* name;
  char const* tags;
  void (*run)();
};
/// Those of one unit each.
std::span<gpu_case const> accumulator_cases();
std::span<gpu_case const> apply_cases();
std::span<gpu_case const> attend_cases();
std::span<gpu_case const> chunk_cases();
std::span<gpu_case const> head_cases();
std::span<gpu_case const> page_cases();
std::span<gpu_case const> plan_cases();
std::span<gpu_case const> rows_bf16_cases();
std::span<gpu_case const> rows_f16_cases();
std::span<gpu_case const> rows_f32_cases();
std::span<gpu_case const> schedule_cases();
std::span<gpu_case const> stage_cases();
std::span<gpu_case const> threshold_cases();
}  // namespace kvsieve_test
