// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Applies strategies that merge, and holds rows and biases against the reference.
#pragma once
#include <cmath>
#include <cstring>

#include <kvsieve/core/entry_bias.hpp>
#include <kvsieve/reference/merge.hpp>

#include "planned.hpp"

namespace support {

/// A plan of random scores, what a merging strategy made of it, and the biases it gave.
template <class C, class T, int D, bool Strided>
struct merged {
  std::vector<layer<T, D, Strided>> layers;
  planned p;
  std::vector<layer<T, D, Strided>> result;
  std::vector<std::vector<kvsieve::cs::uint8_t>> codes;
  kvsieve::status done;
  bool guards = false;

  merged(shape const& s, typename C::params const& params, layout where = layout::packed, int executor = -1)
      : layers(make_layers<T, D, Strided>(s, [](int n) { return n; })), p(make_plan<C>(s.executor, layers, params)) {
    RC_ASSERT(static_cast<bool>(p.plan));
    std::vector<decltype(layers[0].const_view())> from;
    std::vector<decltype(layers[0].view())> to;
    std::vector<kvsieve::entry_bias_target> bias;
    for (int v = 0; v < s.views(); ++v) {
      auto const i = static_cast<std::size_t>(v);
      int const rows = this->rows(v, params);
      result.emplace_back(s.kv_heads, 1, rows, 1, where, content::normal, 7u);
      codes.emplace_back(static_cast<std::size_t>(rows * s.kv_heads + 1), kvsieve::cs::uint8_t{77});
      from.push_back(layers[i].const_view());
    }
    for (auto& r : result) to.push_back(r.view());
    for (int v = 0; v < s.views(); ++v)
      bias.push_back({codes[static_cast<std::size_t>(v)].data(), rows(v, params), nullptr});
    using view = typename decltype(from)::value_type;
    using target = typename decltype(to)::value_type;
    kvsieve::cs::span<view const> const all(from.data(), from.size());
    kvsieve::cs::span<target const> const out(to.data(), to.size());
    with_executor(executor < 0 ? s.executor : executor, [&](auto const& on) {
      workspace memory(kvsieve::apply_workspace_bytes<C>(on, p.plan, all, params));
      done = kvsieve::apply<C>(on, p.plan, all, out, params, memory.span(),
                               kvsieve::cs::span<kvsieve::entry_bias_target const>(bias.data(), bias.size()));
      guards = memory.guards_hold();
    });
    RC_ASSERT(static_cast<bool>(done));
    RC_ASSERT(guards);
    for (auto const& c : codes) RC_ASSERT(c.back() == 77);
  }

  [[nodiscard]] int rows(int v, typename C::params const& params) const {
    int most = 0;
    for (int h = 0; h < p.plan.heads; ++h) most = std::max(most, kvsieve::merged_rows<C>(p.plan, params, v, h));
    return most;
  }
  [[nodiscard]] kvsieve::reference::head_to_merge head(int v, int h) const {
    auto const& l = layers[static_cast<std::size_t>(v)];
    auto const kept = p.plan.kept(v, h);
    return {l.keys.view(), l.values.view(), h, std::span<int const>(kept.data(), kept.size())};
  }
  [[nodiscard]] std::vector<double> scores(int v, int h) const {
    auto const s = p.plan.scores(v, h);
    return {s.begin(), s.end()};
  }
  [[nodiscard]] float bias(int v, int h, int row) const {
    auto const& l = result[static_cast<std::size_t>(v)];
    return kvsieve::decode_bias(
        codes[static_cast<std::size_t>(v)][static_cast<std::size_t>(h * l.keys.tokens() + row)]);
  }
};

/// How far a result may be from the reference: float sums, and one rounding to the element.
template <class T>
[[nodiscard]] double element_rounding() {
  return std::is_same_v<T, float> ? 0 : std::is_same_v<T, kvsieve::f16> ? 0x1p-11 : 0x1p-8;
}

/// Asserts that a head's rows are the expected ones.
template <class T, class View>
void assert_rows(View const& got, int head, kvsieve::reference::rows_of_head const& want, double largest) {
  RC_ASSERT(got.extent(1) >= static_cast<kvsieve::index>(want.size()));
  for (std::size_t r = 0; r < want.size(); ++r)
    for (std::size_t d = 0; d < want[r].size(); ++d) {
      double const w = want[r][d];
      double const g = kvsieve::reference::element_at(got, head, static_cast<int>(r), static_cast<int>(d));
      bool const agrees = std::isnan(w) ? std::isnan(g)
                          : std::isinf(w)
                              ? g == w
                              : std::abs(g - w) <= 2e-5 * largest + element_rounding<T>() * std::abs(w) + 6e-8;
      if (!agrees) RC_LOG() << "head " << head << ", row " << r << ", channel " << d << ": " << g << ", " << w << '\n';
      RC_ASSERT(agrees);
    }
}
/// The largest finite magnitude of rows.
[[nodiscard]] inline double largest_of(kvsieve::reference::rows_of_head const& rows) {
  double most = 0;
  for (auto const& r : rows)
    for (double const x : r)
      if (std::isfinite(x)) most = std::max(most, std::abs(x));
  return most;
}
/// Asserts rows and biases of one head.
template <class M>
void assert_merged(M const& m, int v, int h, kvsieve::reference::merged_head const& want, double most_bias) {
  auto const& l = m.result[static_cast<std::size_t>(v)];
  auto const before = m.head(v, h);
  using T = kvsieve::element_of<typename decltype(l.keys)::view_type>;
  assert_rows<T>(l.keys.view(), h, want.keys, largest_of(before.keys));
  assert_rows<T>(l.values.view(), h, want.values, largest_of(before.values));
  for (std::size_t r = 0; r < want.mass.size(); ++r) {
    double const nats = std::min(std::max(std::log(want.mass[r]), 0.0), most_bias);
    RC_ASSERT(std::abs(static_cast<double>(m.bias(v, h, static_cast<int>(r))) - nats) <= 0.03125 + 1e-4);
  }
}

/// True where rounding may make the search choose another target than the reference: two kept tokens are as near as
/// float can tell, and not the same.
template <class Alike>
[[nodiscard]] bool close_call(kvsieve::reference::head_to_merge const& h, Alike const& alike, double tolerance) {
  auto const n = kvsieve::reference::find_nearest(h, alike);
  for (std::size_t i = 0; i < h.evicted.size(); ++i)
    for (int const j : h.kept) {
      double const a = alike(h.evicted[i], j), behind = n.similarity[i] - a;
      if (behind != 0 && behind < tolerance) return true;
    }
  return false;
}
[[nodiscard]] inline bool close_cosines(kvsieve::reference::head_to_merge const& h) {
  namespace reference = kvsieve::reference;
  return close_call(
      h,
      [&](int e, int j) {
        bool const numbers = reference::usable(h.key(e)) && reference::usable(h.key(j));
        return numbers ? reference::cosine(h.key(e), h.key(j)) : std::nan("");
      },
      1e-5);
}
/// True where some number is as near to `cut` as float can tell, and not the same.
[[nodiscard]] inline bool close_cut(std::vector<double> const& numbers, double cut) {
  for (double const x : numbers)
    if (x != cut && std::abs(x - cut) < 1e-5) return true;
  return false;
}
}  // namespace support
