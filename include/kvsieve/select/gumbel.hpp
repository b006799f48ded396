// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A part of the budget is drawn, so that a mistaken score costs a token a chance and not its place. NACL, arXiv
// 2408.03675; the draw is Gumbel top-k (Kool et al., arXiv 1903.06059).
#pragma once
#include <cuda/std/cstdint>

#include <kvsieve/core/log.hpp>
#include <kvsieve/core/math.hpp>
#include <kvsieve/select/forced_fields.hpp>

namespace kvsieve::inline v0 {
namespace select {

/// Forced tokens stay; of what the budget has left, the share `drawn` (rounded down) is drawn and the rest goes to the
/// largest scores. Draws are without replacement, with probabilities softmax(score / temperature) over the tokens that
/// are left: those with the largest score / temperature + g stay, g = -log(-log u) being a function of (seed, head,
/// token) alone, so that the same call gives the same list. A NaN ranks below -inf in both parts.
struct gumbel : policy_base<stages::select> {
  static constexpr bool in_partitions = false;  ///< one selection for the whole row

  /// Its numbers.
  struct params {
    double drawn = 0.07 / 0.19;        ///< share of the budget behind the forced tokens that is drawn
    double temperature = 1.0;          ///< of the softmax; more makes the draw more even
    cs::uint64_t seed = 0;             ///< of the draw
    int sink = 0;                      ///< first tokens that always stay
    int recent = 0;                    ///< last tokens that always stay
    cs::span<int const> white_list{};  ///< as in top_k
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("drawn", self.drawn, "fraction", "of the budget behind the forced tokens that is drawn");
      visit("temperature", self.temperature, "score", "of the softmax that is drawn from");
      visit("seed", self.seed, "", "the draw; heads and views of a call draw apart");
      detail::each_forced(self, visit);
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const {
      return range::all(range::within("select.drawn", drawn, 0, 1), range::above("select.temperature", temperature, 0),
                        range::at_most("select.temperature", temperature, 1e30), detail::check_forced(*this));
    }
  };

  /// Every head draws for itself.
  [[nodiscard]] static constexpr uniformity least_uniformity(bool /*joined*/) { return uniformity::U1; }
  /// Forced recent tokens of a head.
  KVSIEVE_HD static constexpr int recent(params const& p, int /*count*/) { return p.recent; }
  /// A number inside (0, 1); `head` counts through the heads of all views of a call.
  [[nodiscard]] KVSIEVE_HD static constexpr double uniform(params const& p, int token, int head) {
    cs::uint64_t const bits =
        mix(mix(p.seed ^ mix(static_cast<cs::uint64_t>(head))) + static_cast<cs::uint64_t>(token));
    return (static_cast<double>(bits >> 11) + 0.5) * 0x1p-53;
  }
  /// Of a row that keeps `keep`, `forced` tokens being forced: how many are not drawn, the forced included.
  [[nodiscard]] KVSIEVE_HD static constexpr int first_round(params const& p, int keep, int forced) {
    int const left = forced < 0 ? keep : forced < keep ? keep - forced : 0;
    return keep - static_cast<int>(static_cast<double>(left) * p.drawn);
  }
  /// What a draw goes by: the same bits on every machine.
  [[nodiscard]] KVSIEVE_HD static float noisy(params const& p, float score, int token, int head) {
    double const g = -natural_log(-natural_log(uniform(p, token, head)));
    return static_cast<float>(static_cast<double>(score) / p.temperature + g);
  }
};
}  // namespace select
}  // namespace kvsieve::inline v0
