// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/reference/attend.hpp>

#include <catch2/catch_all.hpp>

#include "attention_reference.hpp"

namespace {
// out = sum p v / sum p. An error e of the logits moves every p by a factor exp(e), which moves the output by at most
// expm1(2 e) sum p |v - out| (the part that all p share cancels). Weighing, adding and joining: one chain through the
// rows of a segment of 1024, one addition a segment, two roundings a block of 128 rows, and a few exponentials of 2.6
// u; once in the numerator and once in the denominator. Weights below 2^-126 count as 0.
template <int D>
support::expected reference_of(auto const& layer, int query_head, int head) {
  auto const queries = layer.queries.view();
  auto const keys = layer.keys.view();
  auto const values = layer.values.view();
  int const tokens = layer.keys.tokens();
  support::expected e(D);
  kvsieve::reference::attend(queries, query_head, keys, values, head, e.score);

  std::vector<double> p(static_cast<std::size_t>(tokens));
  kvsieve::reference::attention(queries, query_head, keys, head, 1, std::span<double>(p));
  double largest = 0;
  for (int t = 0; t < tokens; ++t) {
    double magnitude = 0;
    for (int d = 0; d < D; ++d)
      magnitude += std::abs(static_cast<double>(layer.queries.get(query_head, 0, d)) * layer.keys.get(head, t, d));
    largest = std::max(largest, magnitude / std::sqrt(static_cast<double>(D)));
  }
  double const moved = std::expm1(2 * (support::gamma(D + 3) + 4 * support::u) * largest);
  double const chain = 2 * support::gamma(std::min(tokens, 1024) + tokens / 1024.0 + 16.0 + 64.0);
  for (int d = 0; d < D; ++d) {
    auto const i = static_cast<std::size_t>(d);
    double spread = 0, magnitude = 0, most = 0;
    for (int t = 0; t < tokens; ++t) {
      double const v = layer.values.get(head, t, d);
      spread += p[static_cast<std::size_t>(t)] * std::abs(v - e.score[i]);
      magnitude += p[static_cast<std::size_t>(t)] * std::abs(v);
      most = std::max(most, std::abs(v));
    }
    e.bound[i] = moved * spread + chain * magnitude + tokens * (most * 0x1p-124 + 0x1p-149);
  }
  return e;
}

template <class T, int D, bool Strided>
void check(support::shape const& s) {
  auto const layers = support::make_layers<T, D, Strided>(s, [](int) { return 1; });
  std::vector<support::tensor<float, D, Strided>> out;
  for (int v = 0; v < s.views(); ++v) out.emplace_back(s.kv_heads * s.group, 1, s.where);
  auto const before = out;

  std::vector<decltype(layers[0].const_view())> caches;
  std::vector<decltype(layers[0].queries.view())> queries;
  std::vector<decltype(out[0].view())> results;
  for (std::size_t v = 0; v < layers.size(); ++v) {
    caches.push_back(layers[v].const_view());
    queries.push_back(layers[v].queries.view());
    results.push_back(out[v].view());
  }
  auto const span_of = []<class V>(std::vector<V> const& views) {
    return kvsieve::cs::span<V const>(views.data(), views.size());
  };
  auto const done = support::with_executor(s.executor, [&](auto const& on) {
    if (s.views() == 1) {
      support::workspace memory(kvsieve::attend_workspace_bytes(on, queries[0], caches[0]));
      auto const state = kvsieve::attend(on, queries[0], caches[0], results[0], memory.span());
      RC_ASSERT(memory.guards_hold());
      return state;
    }
    support::workspace memory(kvsieve::attend_workspace_bytes(on, span_of(queries), span_of(caches)));
    auto const state = kvsieve::attend(on, span_of(queries), span_of(caches), span_of(results), memory.span());
    RC_ASSERT(memory.guards_hold());
    return state;
  });
  RC_ASSERT(static_cast<bool>(done));
  for (int v = 0; v < s.views(); ++v)
    for (int q = 0; q < s.kv_heads * s.group; ++q) {
      auto const i = static_cast<std::size_t>(v);
      auto const e = reference_of<D>(layers[i], q, q / s.group);
      for (int d = 0; d < D; ++d) {
        double const got = out[i].get(q, 0, d), want = e.score[static_cast<std::size_t>(d)];
        RC_LOG() << "view " << v << ", head " << q << ", channel " << d << ": " << got << ", reference " << want
                 << ", bound " << e.bound[static_cast<std::size_t>(d)] << std::endl;
        RC_ASSERT(std::abs(got - want) <= e.bound[static_cast<std::size_t>(d)]);
      }
    }
}
}  // namespace

TEST_CASE("attend: the output is the reference's") {
  CHECK(support::holds("attend: the output is the reference's", 100, [] {
    auto s = *support::shapes();
    if (s.what == support::content::non_finite) s.what = support::content::normal;
    if (s.combination == 0)
      check<kvsieve::bf16, 64, true>(s);
    else
      support::with_combination<5>(s.combination, [&]<class T, int D, bool Strided>() { check<T, D, Strided>(s); });
  }));
}

TEST_CASE("attend: one token gives its value") {
  support::layer<float, 64> const l(2, 3, 1, 1, support::layout::packed, support::content::normal, 5);
  support::tensor<float, 64> out(6, 1);
  kvsieve::host::on const on;
  support::workspace memory(kvsieve::attend_workspace_bytes(on, l.queries.view(), l.const_view()));
  REQUIRE(kvsieve::attend(on, l.queries.view(), l.const_view(), out.view(), memory.span()));
  for (int q = 0; q < 6; ++q)
    for (int d = 0; d < 64; ++d) CHECK(out.get(q, 0, d) == l.values.get(q / 3, 0, d));
}

TEST_CASE("attend: logits far apart neither overflow nor lose the largest") {
  support::layer<float, 64> l(1, 1, 300, 1, support::layout::packed, support::content::normal, 6);
  for (int t = 0; t < 300; ++t)
    for (int d = 0; d < 64; ++d) l.keys.set(0, t, d, t == 131 ? 100.0f : t % 2 == 0 ? -100.0f : 0.0f);
  for (int d = 0; d < 64; ++d) l.queries.set(0, 0, d, 10.0f);
  support::tensor<float, 64> out(1, 1);
  kvsieve::host::on const on;
  support::workspace memory(kvsieve::attend_workspace_bytes(on, l.queries.view(), l.const_view()));
  REQUIRE(kvsieve::attend(on, l.queries.view(), l.const_view(), out.view(), memory.span()));
  for (int d = 0; d < 64; ++d) CHECK(out.get(0, 0, d) == l.values.get(0, 131, d));
}
