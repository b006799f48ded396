// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Merging into the nearest kept token, of four pieces: nearest by what, which tokens, with which weight, and what of
// them. Published methods are combinations.
#pragma once
#include <kvsieve/core/check.hpp>
#include <kvsieve/core/entry_bias.hpp>
#include <kvsieve/evict/gate.hpp>
#include <kvsieve/evict/merge_weight.hpp>
#include <kvsieve/evict/merging.hpp>
#include <kvsieve/evict/nearest.hpp>

namespace kvsieve::inline v0 {

/// What of a token is merged; what is not stays that of the kept token.
namespace merged {
/// Keys alone.
struct keys {
  static constexpr bool of_keys = true;     ///< whether keys are merged
  static constexpr bool of_values = false;  ///< whether values are merged
};
/// Values alone.
struct values {
  static constexpr bool of_keys = false;   ///< whether keys are merged
  static constexpr bool of_values = true;  ///< whether values are merged
};
/// Keys as they are, rotated for their positions, and values, with the same weights.
struct both {
  static constexpr bool of_keys = true;    ///< whether keys are merged
  static constexpr bool of_values = true;  ///< whether values are merged
};
}  // namespace merged

namespace evict {

/// Each evicted token e that the gate lets through merges into the nearest kept token j of its head:
///   x_j <- (own x_j + sum over e of source x_e) / divisor,  in float, with factors as the weight says.
/// Kept tokens into which nothing merges stay bit for bit. An evicted token whose key or value is not finite, or whose
/// weight is not above 0, is dropped. What an entry stands for is its divisor: its bias, where one is asked for, is
/// log(divisor / divisor before), at most `most_bias`.
template <class Nearest, class Gate, class Weight, class What>
struct merge : policy_base<stages::evict, needs::keys | needs::values> {
  using merge_pattern = merge_patterns::into_nearest;  ///< how it walks the cache
  using nearest = Nearest;                             ///< one of kvsieve::nearest
  using gate = Gate;                                   ///< one of kvsieve::gate
  using weight = Weight;                               ///< one of kvsieve::merge_weight
  using what = What;                                   ///< one of kvsieve::merged
  static constexpr bool biased = Weight::biased;       ///< its entries want their bias

  /// The numbers of its pieces.
  struct params {
    typename Nearest::params nearest{};  ///< of the search
    typename Gate::params gate{};        ///< of the gate
    typename Weight::params weight{};    ///< of the weights
    float most_bias = 3.0f;              ///< largest bias of an entry
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      Nearest::params::each(self.nearest, visit);
      Gate::params::each(self.gate, visit);
      Weight::params::each(self.weight, visit);
      visit("most_bias", self.most_bias, "nats", "largest attention bias of an entry, where one is asked for");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check(call_shape const& call) const {
      return range::all(
          check::one_stage(nearest, call), check::one_stage(gate, call), check::one_stage(weight, call),
          range::within("evict.most_bias", static_cast<double>(most_bias), 0, static_cast<double>(kvsieve::most_bias)));
    }
  };
};

/// Values weighed by their scores, and the log of the mass that an entry stands for as its bias (../docs/axes/evict.md
/// has the figures). For scores that are masses: those of attention.
using merge_nearest = merge<nearest::cosine, gate::none, merge_weight::score, merged::values>;

/// The merging press of kvpress: values by cosine times the share of their norms.
using merge_on_evict = merge<nearest::cosine, gate::fraction, merge_weight::value_norm_ratio, merged::values>;

/// LOOK-M's pivot form as KVCache-Factory has it (arXiv 2406.18139).
using look_m_pivot = merge<nearest::cosine, gate::none, merge_weight::half, merged::both>;
/// LOOK-M's weighted form as KVCache-Factory has it.
using look_m_weighted = merge<nearest::cosine, gate::none, merge_weight::shifted_cosine, merged::both>;
/// LOOK-M's averaged form.
using look_m_averaged = merge<nearest::cosine, gate::none, merge_weight::count, merged::both>;

/// D2O's merging (arXiv 2406.13035).
using d2o_merge = merge<nearest::cosine, gate::running_mean, merge_weight::similarity, merged::both>;

/// Elastic Cache's merging into the nearest position, the rule its paper describes (arXiv 2407.18121).
using elastic_merge = merge<nearest::position, gate::none, merge_weight::count, merged::both>;

/// KVMerger's Gaussian merging of each run into its pivot, behind select::runs (arXiv 2407.08454; sigma is our choice).
using merge_runs = merge<nearest::in_run, gate::none, merge_weight::gaussian, merged::both>;
}  // namespace evict
}  // namespace kvsieve::inline v0
