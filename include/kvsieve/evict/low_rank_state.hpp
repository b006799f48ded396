// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Evicted tokens leave their share of attention in sums of a fixed size. Dong et al., "Get More with LESS: Synthesizing
// Recurrence with KV Cache Compression for Efficient LLM Inference", arXiv 2402.09398.
#pragma once
#include <kvsieve/core/low_rank.hpp>
#include <kvsieve/core/rules.hpp>
#include <kvsieve/evict/merging.hpp>

namespace kvsieve::inline v0 {
namespace evict {

/// Kept rows move together as in evict::compact. Of every evicted token e of a KV head, H += psi(k_e) v_e^T and z +=
/// psi(k_e) are added to the caller's sums, with features of the key after RoPE
///   b = |d1| * gelu(gelu(k W1) W2),  psi(k) = |b + d2 * (b Wi)|   (products * channel by channel)
/// and attention over what stays reads them beside it (attend_options::evicted): each counts as an entry with the
/// weight phi(q) . psi(k_e) in place of exp(q k_e / sqrt(D)). No number of what is kept changes. Sums of a call are
/// formed in double and rounded once. A token whose key, value or features are not finite is dropped.
struct low_rank_state : policy_base<stages::evict, needs::keys | needs::values> {
  using merge_pattern = merge_patterns::into_sums;  ///< how it walks the cache
  static constexpr bool biased = false;             ///< biases are 0

  /// Its tables, of a network that was trained for the model; as the authors' code holds them, [in, out].
  struct params {
    cs::span<low_rank_sums const> state{};  ///< [views]; what they point to is changed
    int rank = 8;                           ///< features, at most 64
    int units = 512;                        ///< of the hidden layer, a multiple of 16
    cs::span<float const> in{};             ///< W1 [layers, Hkv, D, units]
    cs::span<float const> out{};            ///< W2 [layers, Hkv, units, rank]
    cs::span<float const> mix{};            ///< Wi [layers, Hkv, rank, rank]
    cs::span<float const> scale{};          ///< d1 [layers, Hkv, rank]
    cs::span<float const> mix_scale{};      ///< d2 [layers, Hkv, rank]
    cs::span<int const> layer{};            ///< the layer of each view, from 0; empty: views are the layers in order
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("state", self.state, "sums", "of each view, zeros before the first token; they are added to");
      visit("rank", self.rank, "features", "of a key, at most 64");
      visit("units", self.units, "units", "of the hidden layer, a multiple of 16");
      visit("in", self.in, "numbers", "for each layer, head, channel and unit");
      visit("out", self.out, "numbers", "for each layer, head, unit and feature");
      visit("mix", self.mix, "numbers", "for each layer, head, feature and feature");
      visit("scale", self.scale, "factors", "for each layer, head and feature");
      visit("mix_scale", self.mix_scale, "factors", "for each layer, head and feature, of what is mixed");
      visit("layer", self.layer, "indices", "the layer of each view; empty: views are the layers in order");
    }
    /// Ok, or what does not fit the call.
    [[nodiscard]] constexpr status check(call_shape const& call) const {
      if (status const s = low_rank::check_sizes("evict.rank", rank, "evict.units", units); !s) return s;
      auto const table = [&](char const* name, cs::span<float const> t, cs::int64_t per_head) {
        return tables::check(name, t.size(), cs::int64_t{call.heads} * per_head, "evict.layer", layer, call.views);
      };
      return range::all(range::entries("evict.state", static_cast<double>(state.size()), call.views),
                        table("evict.in", in, cs::int64_t{call.head_dim} * units),
                        table("evict.out", out, cs::int64_t{units} * rank),
                        table("evict.mix", mix, cs::int64_t{rank} * rank), table("evict.scale", scale, rank),
                        table("evict.mix_scale", mix_scale, rank));
    }
  };
};
}  // namespace evict
}  // namespace kvsieve::inline v0
