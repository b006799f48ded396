// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/evict/low_rank_state.hpp>
#include <kvsieve/host/absorb_tokens.hpp>
#include <kvsieve/reference/attend.hpp>
#include <kvsieve/reference/low_rank_state.hpp>

#include <catch2/catch_all.hpp>

#include "low_rank.hpp"
#include "merging.hpp"

namespace low_rank_tests {
namespace {
using namespace kvsieve;
using strategy = compressor<score::random, evict::low_rank_state>;

// The reference's sums of a head, and those of the features' largest possible magnitudes.
struct expected_sums {
  reference::low_rank_state sums, magnitudes;
  expected_sums(int rank, int channels)
      : sums(static_cast<std::size_t>(rank), static_cast<std::size_t>(channels)),
        magnitudes(static_cast<std::size_t>(rank), static_cast<std::size_t>(channels)) {}
  void add(reference::low_rank_network const& w, std::vector<double> const& key, std::vector<double> const& value) {
    sums.add(w, key, value);
    if (!reference::usable(key) || !reference::usable(value)) return;
    auto const absolute = [](std::span<float const> t) {
      std::vector<float> a(t.begin(), t.end());
      for (float& x : a) x = std::abs(x);
      return a;
    };
    auto const in = absolute(w.in), out = absolute(w.out), mix = absolute(w.mix);
    std::vector<double> k = key;
    for (double& x : k) x = std::abs(x);
    auto b = reference::times(reference::times(k, in), out);
    for (std::size_t c = 0; c < b.size(); ++c) b[c] *= std::abs(static_cast<double>(w.scale[c]));
    auto const mixed = reference::times(b, mix);
    for (std::size_t c = 0; c < b.size(); ++c) {
      double const most = b[c] + std::abs(static_cast<double>(w.mix_scale[c])) * mixed[c];
      magnitudes.z[c] += most;
      for (std::size_t d = 0; d < value.size(); ++d) magnitudes.h[c][d] += most * std::abs(value[d]);
    }
  }
};

// A layer whose tokens can be absorbed.
struct setting : support::low_rank_layer {
  using support::low_rank_layer::low_rank_layer;
  [[nodiscard]] status absorb(std::vector<int> const& list, support::low_rank_memory const& into) const {
    auto const layer = cache.const_view();
    leaving_tokens const leaving{list.data(), static_cast<int>(list.size()) / heads,
                                 static_cast<kvsieve::index>(list.size()) / heads};
    cs::span<std::remove_const_t<decltype(layer)> const> const layers(&layer, 1);
    cs::span<leaving_tokens const> const all(&leaving, 1);
    auto const params = tables.params(into.span());
    support::workspace memory_of(absorb_tokens_workspace_bytes(layers, all, params));
    status const done = absorb_tokens(host::on{}, layers, all, params, memory_of.span());
    CHECK(memory_of.guards_hold());
    return done;
  }
  [[nodiscard]] std::vector<double> row(support::tensor<float, D> const& t, int head, int token) const {
    std::vector<double> x;
    for (int d = 0; d < D; ++d) x.push_back(static_cast<double>(t.get(head, token, d)));
    return x;
  }
  [[nodiscard]] expected_sums expected(int head, std::vector<int> const& evicted) const {
    expected_sums e(rank, D);
    for (int const t : evicted) e.add(tables.keys_of(0, head), row(cache.keys, head, t), row(cache.values, head, t));
    return e;
  }
};
// The same tokens for both heads.
std::vector<int> twice(std::vector<int> list) {
  auto const once = list;
  list.insert(list.end(), once.begin(), once.end());
  return list;
}
}  // namespace

TEST_CASE("low_rank_state: kept rows move, and the sums are the reference's") {
  CHECK(support::holds("low_rank_state", 40, [] {
    auto const s = *support::shapes(1, 300);
    int const rank = *rc::gen::element(1, 3, 8, 64), units = *rc::gen::element(16, 48);
    strategy::params params{.score = {.seed = s.seed}, .budget = {.keep = *support::fractions()}};
    support::with_combination<3>(s.combination, [&]<class T, int D, bool Strided>() {
      support::low_rank_tables const tables(s.views(), s.kv_heads, s.kv_heads, D, rank, units, s.seed);
      support::low_rank_memory const memory(s.views(), s.kv_heads, rank, D);
      params.evict = tables.params(memory.span());
      support::merged<strategy, T, D, Strided> const m(s, params);
      for (int v = 0; v < s.views(); ++v)
        for (int h = 0; h < s.kv_heads; ++h) {
          auto const head = m.head(v, h);
          expected_sums e(rank, D);
          for (int const t : head.evicted) e.add(tables.keys_of(v, h), head.key(t), head.value(t));
          RC_ASSERT(support::same_sums(memory.sums[static_cast<std::size_t>(v)], h, e.sums, e.magnitudes));
          auto const& l = m.result[static_cast<std::size_t>(v)];
          auto const& before = m.layers[static_cast<std::size_t>(v)];
          for (std::size_t r = 0; r < head.kept.size(); ++r)
            for (int d = 0; d < D; ++d) {
              float const key = before.keys.get(h, head.kept[r], d), value = before.values.get(h, head.kept[r], d);
              float const got_key = l.keys.get(h, static_cast<int>(r), d),
                          got = l.values.get(h, static_cast<int>(r), d);
              RC_ASSERT(std::memcmp(&key, &got_key, sizeof key) == 0 && std::memcmp(&value, &got, sizeof value) == 0);
              RC_ASSERT(m.bias(v, h, static_cast<int>(r)) == 0.0f);
            }
        }
    });
  }));
}

TEST_CASE("low_rank_state: every executor gives the same bits") {
  support::shape s;
  s.kv_heads = 2;
  s.tokens = {3000, 1500};
  strategy::params params{.budget = {.keep = 0.1}};
  support::low_rank_tables const tables(2, 2, 2, 64, 8, 16, 3);
  std::vector<std::vector<float>> first;
  for (int const executor : {0, 1, 2}) {
    support::low_rank_memory const memory(2, 2, 8, 64);
    params.evict = tables.params(memory.span());
    support::merged<strategy, float, 64, false> const m(s, params, support::layout::packed, executor);
    if (executor == 0) first = memory.data;
    CHECK(memory.data == first);
  }
}

TEST_CASE("low_rank_state: tokens one by one, in batches and in any order sum alike") {
  CHECK(support::holds("absorb_tokens", 20, [] {
    setting s(*rc::gen::arbitrary<std::uint32_t>());
    std::vector<int> const evicted = [&] {
      std::vector<int> list;
      for (int t = 0; t < setting::tokens; ++t)
        if (*rc::gen::inRange(0, 3) != 0) list.push_back(t);
      return list;
    }();
    support::low_rank_memory one_by_one(1, setting::heads, setting::rank, setting::D), backwards = one_by_one,
                                                                                       batches = one_by_one;
    for (auto* m : {&one_by_one, &backwards, &batches}) m->sums[0].data = m->data[0].data();
    RC_ASSERT(static_cast<bool>(s.absorb(twice(evicted), s.memory)));
    for (std::size_t i = 0; i < evicted.size(); ++i) {
      RC_ASSERT(static_cast<bool>(s.absorb(twice({evicted[i]}), one_by_one)));
      RC_ASSERT(static_cast<bool>(s.absorb(twice({evicted[evicted.size() - 1 - i]}), backwards)));
    }
    for (std::size_t i = 0; i < evicted.size();) {
      std::size_t const n = std::min(evicted.size() - i, static_cast<std::size_t>(*rc::gen::inRange(1, 9)));
      auto const from = evicted.begin() + static_cast<std::ptrdiff_t>(i);
      RC_ASSERT(static_cast<bool>(s.absorb(twice({from, from + static_cast<std::ptrdiff_t>(n)}), batches)));
      i += n;
    }
    for (int h = 0; h < setting::heads; ++h) {
      auto const e = s.expected(h, evicted);
      for (auto const* m : {&s.memory, &one_by_one, &backwards, &batches})
        RC_ASSERT(support::same_sums(m->sums[0], h, e.sums, e.magnitudes));
    }
    // A call rounds its sum once: those of other cuts are within a rounding of the magnitudes for every call.
    for (std::size_t i = 0; i < s.memory.data[0].size(); ++i) {
      double largest = 0;
      for (float const x : s.memory.data[0]) largest = std::max(largest, std::abs(static_cast<double>(x)));
      for (auto const* m : {&one_by_one, &backwards, &batches})
        RC_ASSERT(std::abs(static_cast<double>(m->data[0][i]) - static_cast<double>(s.memory.data[0][i])) <=
                  0x1p-24 * 2 * static_cast<double>(evicted.size()) * largest);
    }
  }));
}

TEST_CASE("low_rank_state: attention reads the sums as the reference does") {
  CHECK(support::holds("attend with sums", 40, [] {
    int const asked = *rc::gen::inRange(1, 4), gone = *rc::gen::element(0, 1, 30);
    setting s(*rc::gen::arbitrary<std::uint32_t>(), asked);
    std::vector<int> evicted;
    for (int t = 0; t < gone; ++t) evicted.push_back(t);
    RC_ASSERT(static_cast<bool>(s.absorb(twice(evicted), s.memory)));
    auto const rest = [&](support::tensor<float, 64> const& t) {
      return make_rows<64>(t.memory().data() + gone * 64, setting::heads, setting::tokens - gone,
                           kvsieve::index{setting::tokens} * 64, 64);
    };
    kv_layer const layer{rest(s.cache.keys), rest(s.cache.values)};
    support::tensor<float, 64> out(setting::heads * setting::group, asked);
    std::vector<float> numbers(static_cast<std::size_t>(setting::heads * setting::group * asked));
    query_numbers const sums(numbers.data(), setting::heads * setting::group, asked);
    attend_options const options{cs::span<query_numbers const>(&sums, 1), s.memory.span(), s.tables.queries()};
    auto const queries = s.cache.queries.view();
    auto const done = support::with_executor(*rc::gen::inRange(0, 3), [&](auto const& on) {
      support::workspace memory(attend_workspace_bytes(on, queries, layer));
      auto const state = attend(on, queries, layer, out.view(), memory.span(), options);
      RC_ASSERT(memory.guards_hold());
      return state;
    });
    RC_ASSERT(static_cast<bool>(done));
    for (int q = 0; q < setting::heads * setting::group; ++q)
      for (int i = 0; i < asked; ++i) {
        int const h = q / setting::group;
        auto const query = s.row(s.cache.queries, q, i);
        std::vector<double> want(64);
        reference::attended entries(query);
        entries.see(layer.keys, layer.values, h, setting::tokens - gone - (asked - 1 - i),
                    [](kvsieve::index, kvsieve::index) { return 0.0; });
        double log_sum = entries.finish(want);
        s.expected(h, evicted).sums.join(reference::query_features(s.tables.queries_of(0, q), query), want, log_sum);
        RC_ASSERT(std::abs(static_cast<double>(sums(q, i)) - log_sum) <= 5e-5);
        for (int d = 0; d < 64; ++d)
          RC_ASSERT(std::abs(static_cast<double>(out.get(q, i, d)) - want[static_cast<std::size_t>(d)]) <= 5e-5);
      }
  }));
}

TEST_CASE("low_rank_state: empty sums change no bit, and sums alone are an output") {
  setting s;
  auto const layer = s.cache.const_view();
  auto const queries = s.cache.queries.view();
  host::on const on;
  support::workspace memory(attend_workspace_bytes(on, queries, layer));
  support::tensor<float, 64> plain(6, 1), with(6, 1);
  attend_options options{{}, s.memory.span(), s.tables.queries()};
  REQUIRE(attend(on, queries, layer, plain.view(), memory.span()));
  REQUIRE(attend(on, queries, layer, with.view(), memory.span(), options));
  CHECK(plain.memory() == with.memory());

  // One token in the sums, nothing beside them that a query sees: its value.
  REQUIRE(s.absorb({7, 9}, s.memory));
  std::vector<kvsieve::index> const none(3, 0);
  float nothing[64] = {};
  auto const empty = make_ragged<64>(static_cast<float const*>(nothing), 2, none.data());
  auto const sink = make_rows<64>(static_cast<float const*>(nothing), 2, 0);
  auto const parts = make_parts(kv_layer{sink, sink}, kv_layer{empty, empty});
  support::workspace small(attend_workspace_bytes(on, queries, parts));
  REQUIRE(attend(on, queries, parts, with.view(), small.span(), options));
  for (int q = 0; q < 6; ++q)
    for (int d = 0; d < 64; ++d)
      CHECK(with.get(q, 0, d) == Catch::Approx(s.cache.values.get(q / 3, q < 3 ? 7 : 9, d)).epsilon(1e-5));
}

TEST_CASE("low_rank_state: a token or a query that is not finite touches nothing else") {
  setting s;
  s.cache.keys.set(0, 4, 3, NAN);
  s.cache.values.set(1, 5, 3, INFINITY);
  REQUIRE(s.absorb(twice({3, 4, 5}), s.memory));
  for (int h = 0; h < 2; ++h) {
    auto const e = s.expected(h, {3, 4, 5});
    CHECK(support::same_sums(s.memory.sums[0], h, e.sums, e.magnitudes));
  }
  s.cache.queries.set(1, 0, 0, NAN);
  s.cache.keys.set(0, 4, 3, 0);
  s.cache.values.set(1, 5, 3, 0);
  auto const layer = s.cache.const_view();
  auto const queries = s.cache.queries.view();
  host::on const on;
  support::workspace memory(attend_workspace_bytes(on, queries, layer));
  support::tensor<float, 64> out(6, 1);
  REQUIRE(attend(on, queries, layer, out.view(), memory.span(), {{}, s.memory.span(), s.tables.queries()}));
  for (int q = 0; q < 6; ++q)
    for (int d = 0; d < 64; ++d) CHECK(std::isfinite(out.get(q, 0, d)) == (q != 1));
}
}  // namespace low_rank_tests
