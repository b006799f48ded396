// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A row scorer with its memory, and whether it agrees with the reference.
#pragma once
#include <kvsieve/host/score/score_per_row.hpp>

#include "scoring.hpp"
#include "shapes.hpp"
#include "team.hpp"

namespace kvsieve::bench {

/// Cold keys as a layer; a row scorer does not look at the values.
template <class T>
cache<T> cold_layer_of_keys(int tokens) {
  auto const keys = cold_keys<T>(tokens);
  return {keys, keys};
}

template <class Scorer, class T>
class row_scores {
 public:
  row_scores(int heads, int tokens, typename Scorer::params const& params = {})
      : params_(params), out_(heads, tokens), memory_(scratch_bytes(heads, tokens, params)) {}

  void run(cache<T> const& layer) const {
    arena a(memory_.bytes());
    cs::span<cache<T> const> const layers(&layer, 1);
    host::score_per_row<Scorer>::carve(a, layers, on().workers(), params_).run(on(), layers, out_.rows());
  }
  [[nodiscard]] score_memory const& out() const { return out_; }

 private:
  static std::size_t scratch_bytes(int heads, int tokens, typename Scorer::params const& params) {
    auto const keys = make_rows<head_dim>(static_cast<T const*>(nullptr), heads, tokens);
    cache<T> const layer{keys, keys};
    arena a;
    (void)host::score_per_row<Scorer>::carve(a, cs::span<cache<T> const>(&layer, 1), on().workers(), params);
    return a.used();
  }
  typename Scorer::params params_;
  score_memory out_;
  workspace memory_;
};

template <class Scorer, class T, class Reference>
bool row_scores_match(Reference const& reference, typename Scorer::params const& params = {}) {
  auto const layer = small_layer<T>();
  row_scores<Scorer, T> const scores(small_heads, small_tokens, params);
  scores.run(layer);
  return deviation(scores.out(), 0, small_tokens,
                   [&](int h, std::span<double> out) { reference(layer.keys, h, out); }) < 1e-4;
}
}  // namespace kvsieve::bench
