// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A scorer whose scores a test writes down, to reach every case of what comes after scoring.
#pragma once
#include <kvsieve/core/stages.hpp>
#include <kvsieve/score/pattern.hpp>

namespace support {

struct scripted : kvsieve::policy_base<kvsieve::stages::score> {
  using pattern = kvsieve::patterns::by_position;
  static constexpr bool same_for_all_heads = false;

  struct params {
    float const* table = nullptr;  ///< [heads of all views, stride]
    int stride = 0;
    kvsieve::forced_ends ends{};
    template <class Self, class Visit>
    static constexpr void each(Self&, Visit&&) {}
  };

  static constexpr kvsieve::forced_ends forced(params const& p, int) { return p.ends; }
  static constexpr float score(params const& p, int token, int head) { return p.table[head * p.stride + token]; }
};
}  // namespace support
