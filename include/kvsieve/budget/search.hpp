// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Counts for the layers of a model, searched for offline; what is found is a table for budget::per_layer.
#pragma once
#include <span>

#include <kvsieve/core/counts.hpp>
#include <kvsieve/core/math.hpp>

namespace kvsieve::inline v0 {
namespace budget {

/// Numbers of search().
struct search_params {
  int generations = 150;   ///< in each of which the offspring compete with their parent
  int offspring = 16;      ///< of a generation
  int step = 16;           ///< tokens that a switch moves from one layer to another
  int least = 0;           ///< tokens that a layer keeps
  int most = most_tokens;  ///< tokens that a layer keeps
  bool redraws = false;    ///< the loss differs by generation: parents are judged anew in each
  cs::uint64_t seed = 0;   ///< of what is drawn
  /// Ok, or the number that is out of range.
  [[nodiscard]] constexpr status check() const {
    return range::all(range::at_least("search.generations", generations, 0),
                      range::at_least("search.offspring", offspring, 1),
                      range::within("search.step", step, 1, most_tokens), range::at_least("search.least", least, 0),
                      range::within("search.most", most, least, most_tokens));
  }
};

/// What a search came to.
struct search_result {
  status state{};       ///< ok, or why nothing was searched
  double loss = 0;      ///< of the tokens found, in the last generation
  int evaluations = 0;  ///< calls of the loss
};

/// EvoPress's level switches (IST-DASLab/EvoPress) over layers, as a (1 + offspring) strategy of one selection stage.
/// `tokens` [layers] is where the search starts, and afterwards the best that was found; its sum never changes.
/// loss(tokens, generation) is the caller's, a number, the lower the better; NaN is the worst. A child is its parent
/// after up to three switches, each of which takes `step` tokens from one layer and gives them to another, within
/// [least, most]. The first of the best children becomes the parent where it is better. Deterministic by seed.
/// `scratch` [2 * layers].
template <class Loss>
[[nodiscard]] search_result search(search_params const& p, std::span<int> tokens, Loss const& loss,
                                   std::span<int> scratch) {
  search_result r;
  auto const layers = tokens.size();
  r.state = range::all(p.check(), range::at_least("tokens", static_cast<double>(layers), 1));
  if (r.state && scratch.size() < 2 * layers)
    r.state = fail(errc::workspace_too_small, "scratch", static_cast<double>(scratch.size()), "must have, at least,",
                   static_cast<double>(2 * layers));
  for (std::size_t i = 0; r.state && i < layers; ++i) r.state = range::within("tokens", tokens[i], p.least, p.most);
  if (!r.state) return r;

  std::span<int> const child = scratch.first(layers), best = scratch.subspan(layers, layers);
  cs::uint64_t draws = 0;
  auto const below = [&](std::size_t n) { return static_cast<std::size_t>(mix(p.seed ^ mix(++draws)) % n); };
  auto const judge = [&](std::span<int> of, int generation) {
    ++r.evaluations;
    double const x = loss(std::span<int const>(of), generation);
    return x == x ? x : __builtin_inf();
  };
  // One of the layers that `open` says, each as likely; none: layers.
  auto const pick = [&](auto const& open) {
    std::size_t count = 0;
    for (std::size_t i = 0; i < layers; ++i) count += open(i) ? 1 : 0;
    if (count == 0) return layers;
    std::size_t which = below(count), i = 0;
    for (;; ++i)
      if (open(i) && which-- == 0) return i;
  };
  auto const mutate = [&] {
    bool differs = false;
    for (std::size_t i = 0; i < layers; ++i) child[i] = tokens[i];
    std::size_t const first = below(3), second = below(3), switches = 1 + (first < second ? first : second);
    for (std::size_t k = 0; k < switches; ++k) {
      std::size_t const from = pick([&](std::size_t i) { return child[i] - p.step >= p.least; });
      std::size_t const to = pick([&](std::size_t i) { return child[i] <= p.most - p.step; });
      if (from == layers || to == layers) continue;
      child[from] -= p.step;
      child[to] += p.step;
    }
    for (std::size_t i = 0; i < layers; ++i) differs = differs || child[i] != tokens[i];
    return differs;
  };

  r.loss = judge(tokens, 0);
  for (int g = 0; g < p.generations; ++g) {
    if (p.redraws && g > 0) r.loss = judge(tokens, g);
    double least = __builtin_inf();
    bool any = false;
    for (int k = 0; k < p.offspring; ++k) {
      constexpr int tries = 64;  // a space of one point has no other children
      bool differs = false;
      for (int t = 0; t < tries && !differs; ++t) differs = mutate();
      if (!differs) break;
      double const x = judge(child, g);
      if (any && !(x < least)) continue;
      any = true;
      least = x;
      for (std::size_t i = 0; i < layers; ++i) best[i] = child[i];
    }
    if (!any || !(least < r.loss)) continue;
    r.loss = least;
    for (std::size_t i = 0; i < layers; ++i) tokens[i] = best[i];
  }
  return r;
}

/// EvolKV's fitness (arXiv 2509.08315) of counts with that task score, the higher the better: what is above the
/// `target` mean of tokens costs, what is below it gains a little. For searches in which the sum may change.
[[nodiscard]] constexpr double fitness(double score, double mean, double target, double lambda = 0.3,
                                       double gamma = 0.2) {
  double const above = 1 - (mean - target) / target;
  return score * (1 + lambda * (mean > target ? (above > 0 ? above : 0) : 1 - gamma * (1 - mean / target)));
}

/// EvolKV's completion: scales counts to sum to `total`, each within [least, most], in proportion; fractions are cut,
/// and what they leave goes to the layers with the largest ones. (The paper's rule rounds up, and overshoots by up to a
/// token a layer.) `share` [layers] is memory of the call.
[[nodiscard]] inline status complete(std::span<int> tokens, cs::int64_t total, int least, int most,
                                     std::span<cs::int64_t> share) {
  auto const layers = static_cast<cs::int64_t>(tokens.size());
  status s =
      range::all(range::at_least("complete.least", least, 0), range::within("complete.most", most, least, most_tokens),
                 range::within("complete.total", static_cast<double>(total), static_cast<double>(layers * least),
                               static_cast<double>(layers * most)));
  if (s && share.size() < tokens.size())
    s = fail(errc::workspace_too_small, "share", static_cast<double>(share.size()), "must have, at least,",
             static_cast<double>(layers));
  for (std::size_t i = 0; s && i < tokens.size(); ++i) s = range::within("tokens", tokens[i], 0, most_tokens);
  if (!s) return s;
  counts::apportion(
      layers, total, [&](cs::int64_t i) { return cs::int64_t{tokens[static_cast<std::size_t>(i)]}; },
      [&](cs::int64_t) { return cs::int64_t{least}; }, [&](cs::int64_t) { return cs::int64_t{most}; }, share.data());
  for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<int>(share[i]);
  return {};
}
}  // namespace budget
}  // namespace kvsieve::inline v0
