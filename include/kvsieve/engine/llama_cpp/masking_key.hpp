// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Heads with numbers of tokens of their own in an engine whose cells are tokens of all heads: what is missing to the
// longest head is hidden by a key that no query of the step looks at.
#pragma once
#include <cmath>

#include <kvsieve/core/views.hpp>

namespace kvsieve::inline v0 {
namespace engine {

/// What a padded key does.
struct masking {
  double cosine = 0;  ///< the smallest between -key and a query
  double logit = 0;   ///< the largest product of key and a query, before the scale of the logits
};

/// A key whose product with every query is far below 0, so that a padded entry (its value zeros) has no weight. It is
/// to be written into the padded rows of a KV head at every step, after its queries are known and before they attend.
/// It exists where the queries lie in an open half-space: those of one step do, almost always. -key is along the point
/// nearest to 0 among the averages of the queries' directions (Gilbert 1966).
/// @param queries  [G, T, D]: of the heads that share the KV head, after RoPE, all that attend in the step; turned as
///                 the cache is, where that is rotated
/// @param key      [D]; no number exceeds 60000, so that it fits f16
/// @param found    how well it hides
/// @returns ok, or what was refused, and then `key` and `found` are as they were; cosines below 1/16, which rounding to
///          bf16 could turn, are refused
template <row_view Queries>
[[nodiscard]] status masking_key(Queries const& queries, float* key, masking& found) noexcept {
  constexpr int D = head_dim_of<Queries>, most_steps = 1000;
  constexpr double enough = 0.9, least_cosine = 1.0 / 16, wanted = 4000, most_number = 60000;
  if (key == nullptr) return fail(errc::bad_pointer, "key", 0, "must not be null;", 0);
  index const heads = queries.extent(0), tokens = queries.extent(1);
  if (heads < 1 || tokens < 1)
    return fail(errc::bad_shape, "queries", static_cast<double>(heads < 1 ? heads : tokens),
                "heads, or tokens; there must be at least", 1);
  auto const at = [&](index r, int d) { return static_cast<double>(to_float(queries(r / tokens, r % tokens, d))); };
  auto const length = [&](index r) {
    double sum = 0;
    for (int d = 0; d < D; ++d) sum += at(r, d) * at(r, d);
    return std::sqrt(sum);
  };
  for (index r = 0; r < heads * tokens; ++r)
    if (double const x = length(r); !(x > 0) || !std::isfinite(x))
      return fail(errc::bad_params, "queries", x, "is the length of one, which must be finite and above", 0);
  double y[D];
  for (int d = 0; d < D; ++d) y[d] = at(0, d) / length(0);
  double cosine = 0, least_product = 0;
  for (int step = 0; step < most_steps; ++step) {
    double square = 0, least = 0;
    for (double const x : y) square += x * x;
    index nearest = 0;
    for (index r = 0; r < heads * tokens; ++r) {
      double dot = 0;
      for (int d = 0; d < D; ++d) dot += at(r, d) * y[d];
      least_product = r == 0 || dot < least_product ? dot : least_product;
      dot /= length(r);
      if (r == 0 || dot < least) least = dot, nearest = r;
    }
    cosine = square > 0 ? least / std::sqrt(square) : 0;
    if (least >= enough * square) break;
    double const scale = 1 / length(nearest);
    double apart = 0, towards = 0;
    for (int d = 0; d < D; ++d) {
      double const x = at(nearest, d) * scale - y[d];
      apart += x * x;
      towards -= x * y[d];
    }
    double const part = apart > towards ? towards / apart : 1;
    for (int d = 0; d < D; ++d) y[d] += part * (at(nearest, d) * scale - y[d]);
  }
  if (!(cosine >= least_cosine))
    return fail(errc::bad_params, "queries", cosine,
                "is the smallest cosine to a key that hides, which must be at least", least_cosine);
  double most = 0;
  for (double const x : y) most = most < std::fabs(x) ? std::fabs(x) : most;
  double const by_number = most_number / most, by_product = wanted / least_product,
               scale = by_number < by_product ? by_number : by_product;
  for (int d = 0; d < D; ++d) key[d] = static_cast<float>(-scale * y[d]);
  found = {cosine, -scale * least_product};
  return {};
}
}  // namespace engine
}  // namespace kvsieve::inline v0
