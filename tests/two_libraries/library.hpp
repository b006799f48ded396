// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <cstddef>

/// What a library says of one plan.
struct library_answer {
  unsigned tag;  ///< of its architectures and checks
  std::size_t device_bytes, host_bytes;
  int refused, native, kept;  ///< the status, the CUDA error, and tokens that stay
};
extern "C" library_answer ask_first(void* rows, void* memory);
extern "C" library_answer ask_second(void* rows, void* memory);
