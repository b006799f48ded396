// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// How a model turns its rows by their position (rotary embedding), for scores that look at rows before the rotation or
// at positions to come. Su et al., "RoFormer", arXiv 2104.09864.
#pragma once
#include <cuda/std/span>

#include <kvsieve/core/range.hpp>
#include <kvsieve/core/rules.hpp>

namespace kvsieve::inline v0 {

/// The model's rotation: at position p pair i of a row is turned by p * f_i and multiplied by `rope_factor`.
struct rope_params {
  double rope_base = 10000;                   ///< f_i = base^(-2 i / D)
  cs::span<double const> rope_frequencies{};  ///< [D / 2]: f_i themselves, for models that stretch them
  bool rope_interleaved = false;              ///< pair i is channels 2 i and 2 i + 1, else i and i + D / 2
  double rope_factor = 1;                     ///< multiplies rotated rows (YaRN)
  int first_position = 0;                     ///< of the first token of each view
  template <class Self, class Visit>
  static constexpr void each(Self& self, Visit&& visit) {
    visit("rope_base", self.rope_base, "", "pair i turns by base^(-2 i / D) from a position to the next");
    visit("rope_frequencies", self.rope_frequencies, "radians", "D / 2 turns of the pairs, instead of the base");
    visit("rope_interleaved", self.rope_interleaved, "", "pairs are neighbours, not halves of a row");
    visit("rope_factor", self.rope_factor, "factor", "what the model multiplies rotated rows by");
    visit("first_position", self.first_position, "tokens", "position of the first token");
  }
  /// Ok, or the number that is out of range.
  [[nodiscard]] constexpr status check(call_shape const& call) const {
    int const pairs = call.head_dim / 2;
    return range::all(range::within("score.rope_base", rope_base, 1, 1e12),
                      rope_frequencies.empty() ? status{}
                                               : range::entries("score.rope_frequencies",
                                                                static_cast<double>(rope_frequencies.size()), pairs),
                      range::within("score.rope_factor", rope_factor, 1e-6, 1e6),
                      range::at_least("score.first_position", first_position, 0));
  }
};
}  // namespace kvsieve::inline v0
