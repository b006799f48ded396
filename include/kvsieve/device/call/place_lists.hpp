// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel bodies that say where lists lie, for heads that keep different numbers of tokens.
#pragma once
#include <kvsieve/core/views.hpp>
#include <kvsieve/device/block.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// Offsets that the host knows: they travel as parameters, so no memory has to outlive the call.
struct write_offsets_args {
  static constexpr int limit = 480;
  index* offset;
  int count;
  index value[limit];
};

/// Block (0, 0, 0): writes them.
struct write_offsets_body {
  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, write_offsets_args const& a, work, shared<Block>&) {
    for (int i = b.rank(); i < a.count; i += Block::threads) a.offset[i] = a.value[i];
  }
};

struct place_lists_args {
  int const* count;  ///< [plans, rows]: of all heads of all views
  index rows;
  index* offset;  ///< [plans, rows + 1]
};

/// Block (plan, 0, 0): its lists lie one behind another, in the order of the rows.
struct place_lists_body {
  template <block Block>
  struct shared {
    int count[Block::threads];
    index offset[Block::threads + 1];
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, place_lists_args const& a, work w, shared<Block>& s) {
    int const* const count = a.count + w.x * a.rows;
    index* const offset = a.offset + w.x * (a.rows + 1);
    if (b.rank() == 0) s.offset[Block::threads] = 0;
    for (index first = 0; first < a.rows; first += Block::threads) {
      index const i = first + b.rank();
      int const live = a.rows - first < Block::threads ? static_cast<int>(a.rows - first) : Block::threads;
      s.count[b.rank()] = i < a.rows ? count[i] : 0;
      b.sync();
      if (b.rank() == 0) {
        index at = s.offset[Block::threads];
        for (int j = 0; j < live; ++j) {
          s.offset[j] = at;
          at += s.count[j];
        }
        s.offset[Block::threads] = at;
      }
      b.sync();
      if (i < a.rows) offset[i] = s.offset[b.rank()];
    }
    if (b.rank() == 0) offset[a.rows] = s.offset[Block::threads];
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
