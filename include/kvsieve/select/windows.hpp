// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Whole windows of the prompt before the observed suffix, one choice for a group of layers. WindowKV, arXiv 2503.17922.
#pragma once
#include <kvsieve/core/counts.hpp>
#include <kvsieve/select/forced_fields.hpp>
#include <kvsieve/select/whole_pieces.hpp>

namespace kvsieve::inline v0 {
namespace select {

/// Cuts what lies before the tokens that the score itself keeps (the observed suffix) into windows of `length` tokens,
/// the last one maybe shorter, and drops as few windows as bring the rest within the budget, those with the smallest
/// mean score; equal means: the older window stays. With the suffix inside the budget, as all forced tokens are: the
/// authors count it beside. The layers of a group take the windows of the first of them, where both have the same
/// tokens.
struct windows : policy_base<stages::select> {
  static constexpr bool in_partitions = false;  ///< one selection for the whole row
  static constexpr bool counts_float = true;    ///< the last window may be shorter, and stays or goes

  /// Its numbers.
  struct params {
    int length = 8;                    ///< tokens of a window
    int group = 8;                     ///< layers that keep the same windows
    int layers = 0;                    ///< of the model; 0: as many as views
    cs::span<int const> layer{};       ///< the layer of each view, from 0; empty: views are the layers in order
    int sink = 0;                      ///< first tokens whose windows always stay
    int recent = 0;                    ///< last tokens that always stay, or their windows
    cs::span<int const> white_list{};  ///< as in top_k; their windows always stay
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("length", self.length, "tokens", "of a window");
      visit("group", self.group, "layers", "that keep the same windows");
      visit("layers", self.layers, "layers", "of the model; 0: as many as views");
      visit("layer", self.layer, "indices", "the layer of each view; empty: views are the layers in order");
      detail::each_forced(self, visit);
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check(call_shape const& call) const {
      status s =
          range::all(range::at_least("select.length", length, 1), range::within("select.group", group, 1, 1 << 20),
                     range::at_least("select.layers", layers, 0), detail::check_forced(*this));
      if (layer.empty()) return s;
      s = range::all(s, range::entries("select.layer", static_cast<double>(layer.size()), call.views));
      for (cs::size_t i = 0; s && i < layer.size(); ++i) s = range::within("select.layer", layer[i], 0, 1 << 20);
      return s;
    }
  };

  /// Counts differ by a shorter last window that one row keeps and another does not.
  [[nodiscard]] static constexpr uniformity least_uniformity(bool joined) {
    return joined ? uniformity::U2 : uniformity::U3;
  }
  /// Forced recent tokens of a head.
  KVSIEVE_HD static constexpr int recent(params const& p, int /*count*/) { return p.recent; }
  /// True when view `v` takes the choice of the view before it: the same sequence, the next layer of the same group.
  [[nodiscard]] static constexpr bool follows(params const& p, int v) {
    int const here = counts::layer_of(p.layer, p.layers, v), before = counts::layer_of(p.layer, p.layers, v - 1);
    return before < here && before / p.group == here / p.group;
  }
  /// Windows of `of` that stay when `budget` of the `tokens` before the suffix may.
  [[nodiscard]] static constexpr int kept(int length, int of, int tokens, int budget) {
    if (budget >= tokens) return of;
    int const drop = (tokens - budget) / length + ((tokens - budget) % length != 0 ? 1 : 0);
    return drop < of ? of - drop : 0;
  }
  /// How a row is selected: the suffix behind the windows stays, and has the budget first.
  [[nodiscard]] static constexpr piece_choice choice(params const& p, scored_view const& seen, row_share const& share) {
    int const suffix = suffix_of(seen), room = share.kept < suffix ? 0 : share.kept - suffix;
    row_pieces const before{seen.tokens - suffix, p.length};
    return {before, kept(p.length, before.count(), before.tokens, room), suffix < share.kept ? suffix : share.kept};
  }
  /// What the forced tokens need; `list` has room for the white list of `forced`.
  [[nodiscard]] static constexpr shortage short_of(params const& p, scored_view const& seen, row_share const& share,
                                                   forced_set const& forced, int* list) {
    int const suffix = suffix_of(seen);
    if (share.kept < suffix) return {share.kept, suffix};
    piece_choice const c = choice(p, seen, share);
    return {c.kept, detail::pieces_of(forced.within(0, c.pieces.tokens), c.pieces, list).size(),
            "windows, less than those with forced tokens,"};
  }

 private:
  static constexpr int suffix_of(scored_view const& seen) {
    return seen.ends.tail < seen.tokens ? seen.ends.tail : seen.tokens;
  }
};
}  // namespace select
}  // namespace kvsieve::inline v0
