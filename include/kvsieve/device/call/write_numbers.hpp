// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Numbers of the host's that kernels read: they travel as parameters, so no memory has to outlive the call.
#pragma once
#include <kvsieve/core/status.hpp>
#include <kvsieve/device/block.hpp>

namespace kvsieve::inline v0 {
namespace device {

template <class T>
struct write_numbers_args {
  static constexpr int limit = static_cast<int>(3840 / sizeof(T));
  T* to;
  int count;
  T value[limit];
};

/// Block (0, 0, 0): writes them.
template <class T>
struct write_numbers_body {
  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, write_numbers_args<T> const& a, work, shared<Block>&) {
    for (int i = b.rank(); i < a.count; i += Block::threads) a.to[i] = a.value[i];
  }
};

/// Writes value(i), i from 0 to `count`, to device memory.
template <class T, class Launcher, class Value>
[[nodiscard]] status write_numbers(Launcher const& on, T* to, cs::ptrdiff_t count, Value const& value) {
  write_numbers_args<T> args;
  for (cs::ptrdiff_t first = 0; first < count; first += args.limit) {
    args.to = to + first;
    args.count = static_cast<int>(count - first < args.limit ? count - first : args.limit);
    for (int i = 0; i < args.count; ++i) args.value[i] = value(first + i);
    if (status const s = on.template launch<write_numbers_body<T>>(grid{}, args); !s) return s;
  }
  return {};
}
}  // namespace device
}  // namespace kvsieve::inline v0
