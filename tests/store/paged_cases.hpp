// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Sequences whose rows lie in dense memory and in pages of a pool.
#pragma once
#include <kvsieve/store/paged.hpp>

#include <catch2/catch_all.hpp>

#include "page_pool.hpp"
#include "planned.hpp"

namespace paged_tests {
using kvsieve::index;
namespace host = kvsieve::host;

template <class V>
auto span_of(std::vector<V> const& v) {
  return kvsieve::cs::span<V const>(v.data(), v.size());
}

// Some sequences with the same rows twice.
template <class T, int P, int D>
struct twice {
  int heads, group;
  std::vector<int> tokens;
  std::vector<support::layer<T, D>> dense;
  support::page_pool<T, P, D> pool;

  twice(int kv_heads, int of_group, std::vector<int> const& n, support::page_order order, std::uint32_t seed,
        support::content what = support::content::normal)
      : heads(kv_heads), group(of_group), tokens(n), pool(kv_heads, n, order, seed) {
    for (std::size_t s = 0; s < n.size(); ++s) {
      dense.emplace_back(heads, group, n[s], n[s], support::layout::packed, what, seed + static_cast<std::uint32_t>(s));
      pool.take(static_cast<int>(s), dense[s].const_view());
    }
  }
  [[nodiscard]] auto dense_views() {
    std::vector<decltype(dense[0].view())> views;
    for (auto& l : dense) views.push_back(l.view());
    return views;
  }
  [[nodiscard]] auto paged_views() {
    std::vector<decltype(pool.layer(0))> views;
    for (std::size_t s = 0; s < dense.size(); ++s) views.push_back(pool.layer(static_cast<int>(s)));
    return views;
  }
  [[nodiscard]] auto queries() {
    std::vector<decltype(dense[0].queries.view())> views;
    for (auto& l : dense) views.push_back(l.queries.view());
    return views;
  }
};
inline std::vector<int> random_tokens(std::mt19937& random, int P) {
  std::vector<int> n(1 + random() % 3);
  int const likely[] = {1, P, P + 1, 2 * P - 1, 3 * P};
  for (int& x : n) x = random() % 2 == 0 ? likely[random() % 5] : 1 + static_cast<int>(random() % 700);
  return n;
}

template <class C, class Views, class Queries>
support::planned plan_of(Views const& views, [[maybe_unused]] Queries const& queries,
                         typename C::params const& params) {
  host::on const on;
  if constexpr (C::observes_queries) {
    support::planned p{support::workspace(kvsieve::workspace_bytes<C>(on, span_of(views), span_of(queries), params)),
                       {}};
    p.plan = kvsieve::plan<C>(on, span_of(views), span_of(queries), params, p.memory.span());
    return p;
  } else {
    support::planned p{support::workspace(kvsieve::workspace_bytes<C>(on, span_of(views), params)), {}};
    p.plan = kvsieve::plan<C>(on, span_of(views), params, p.memory.span());
    return p;
  }
}

}  // namespace paged_tests
