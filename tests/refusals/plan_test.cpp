// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Everything that plan() has to refuse: the code, the argument and both values, and not a byte written.
#include <cmath>
#include <limits>

#include "planned.hpp"
#include "refusal.hpp"

namespace {
using namespace kvsieve;
using support::check_refused;

constexpr double nan_value = std::numeric_limits<double>::quiet_NaN();

struct cache {
  support::layer<float, 64> l{2, 3, 40, 20, support::layout::packed, support::content::normal, 1};
  [[nodiscard]] auto view() const { return l.const_view(); }
  [[nodiscard]] auto queries() const { return l.queries.view(); }
};

// Refused whatever the workspace; asking how much workspace it takes is no crime and gives some number.
template <class C, class... Views>
void refused(typename C::params const& params, errc code, std::vector<std::string> const& parts,
             Views const&... views) {
  host::on const on;
  [[maybe_unused]] std::size_t const volatile bytes = workspace_bytes<C>(on, views..., params);
  support::workspace memory(1 << 20);
  token_plan const p = plan<C>(on, views..., params, memory.span());
  check_refused(p.state, code, parts);
  CHECK(!p);
  CHECK(memory.untouched());
}
template <class C>
void bad_params(typename C::params const& params, std::vector<std::string> const& parts) {
  cache const c;
  if constexpr (C::observes_queries)
    refused<C>(params, errc::bad_params, parts, c.view(), c.queries());
  else
    refused<C>(params, errc::bad_params, parts, c.view());
}
}  // namespace

TEST_CASE("plan refuses a keep outside [0, 1]") {
  bad_params<key_norm<>>({.budget = {.keep = -0.5}}, {"budget.keep is -0.5", "at least 0"});
  bad_params<key_norm<>>({.budget = {.keep = 1.5}}, {"budget.keep is 1.5", "at most 1"});
  bad_params<key_norm<>>({.budget = {.keep = 1.0 + 1e-9}}, {"budget.keep is 1.000000001", "at most 1"});
  bad_params<key_norm<>>({.budget = {.keep = nan_value}}, {"budget.keep is nan"});
  bad_params<snap_kv<>>({.score = {.window = 8}, .budget = {.keep = HUGE_VAL}}, {"budget.keep is inf", "at most 1"});
}

TEST_CASE("plan refuses negative counts") {
  bad_params<key_norm<>>({.budget = {.tokens = -2}}, {"budget.tokens is -2", "at least -1"});
  bad_params<key_norm<>>({.select = {.sink = -1}}, {"select.sink is -1", "at least 0"});
  bad_params<key_norm<>>({.select = {.recent = -3}}, {"select.recent is -3", "at least 0"});
  bad_params<streaming_llm<>>({.score = {.sink = -1}}, {"score.sink is -1", "at least 0"});
  bad_params<lag_kv<>>({.score = {.sink = -1}}, {"score.sink is -1", "at least 0"});
  bad_params<lag_kv_streaming<>>({.score = {.sink = -7}}, {"score.sink is -7", "at least 0"});
}

TEST_CASE("plan refuses an empty partition") {
  bad_params<lag_kv<>>({.score = {.lag = 0}}, {"score.lag is 0", "at least 1"});
  bad_params<lag_kv<>>({.score = {.lag = -1}}, {"score.lag is -1", "at least 1"});
  bad_params<lag_kv_streaming<>>({.score = {.sink = 0, .lag = 0}}, {"score.lag is 0", "at least 1"});
}

TEST_CASE("plan refuses a pool without a middle") {
  bad_params<snap_kv<>>({.score = {.window = 8}, .smooth = {.kernel = 4}}, {"smooth.kernel is 4", "odd"});
  bad_params<snap_kv<>>({.score = {.window = 8}, .smooth = {.kernel = 0}}, {"smooth.kernel is 0", "at least 1"});
  bad_params<snap_kv<>>({.score = {.window = 8}, .smooth = {.kernel = -5}}, {"smooth.kernel is -5", "at least 1"});
}

TEST_CASE("plan refuses a share outside [0, 1]") {
  cache const c;
  auto const share = [&](double x, std::vector<std::string> const& parts) {
    refused<compressor<score::key_norm, select::heavy_hitters>>({.select = {.recent_share = x}}, errc::bad_params,
                                                                parts, c.view());
  };
  share(-0.1, {"select.recent_share is -0.1", "at least 0"});
  share(1.1, {"select.recent_share is 1.1", "at most 1"});
  share(nan_value, {"select.recent_share is nan"});
}

TEST_CASE("plan refuses a white list that is not ascending token indices") {
  int const descending[] = {3, 9, 7}, twice[] = {5, 5}, negative[] = {-1, 4}, beyond[] = {0, 40};
  bad_params<key_norm<>>({.select = {.white_list = {descending, 3}}}, {"select.white_list is 7", "9"});
  bad_params<key_norm<>>({.select = {.white_list = {twice, 2}}}, {"select.white_list is 5", "5"});
  bad_params<key_norm<>>({.select = {.white_list = {negative, 2}}}, {"select.white_list is -1"});
  bad_params<key_norm<>>({.select = {.white_list = {beyond, 2}}}, {"select.white_list is 40", "tokens, 40"});
}

TEST_CASE("plan refuses a window without queries, over the tokens, and over the queries") {
  bad_params<snap_kv<>>({.score = {.window = 0}}, {"score.window is 0", "at least 1"});
  bad_params<snap_kv<>>({.score = {.window = -8}}, {"score.window is -8", "at least 1"});
  bad_params<snap_kv<>>({.score = {.window = 41}}, {"score.window is 41", "40"});
  bad_params<snap_kv<>>({.score = {.window = std::numeric_limits<int>::max()}}, {"score.window is 2147483647", "40"});
  cache const c;  // 20 queries
  refused<snap_kv<>>({.score = {.window = 21}}, errc::bad_shape, {"queries.tokens is 20", "21"}, c.view(), c.queries());
  refused<h2o<>>({}, errc::bad_shape, {"queries.tokens is 20", "40"}, c.view(), c.queries());
}

TEST_CASE("plan refuses a cache without tokens or heads") {
  float x[64] = {};
  auto const none = make_rows<64>(static_cast<float const*>(x), 2, 0);
  refused<key_norm<>>({}, errc::bad_shape, {"keys.tokens is 0", "at least 1"}, kv_layer{none, none});
  auto const headless = make_rows<64>(static_cast<float const*>(x), 0, 1);
  refused<key_norm<>>({}, errc::bad_shape, {"keys.heads is 0", "at least 1"}, kv_layer{headless, headless});
  refused<lag_kv<>>({}, errc::bad_shape, {"keys.tokens is 0", "at least 1"}, kv_layer{none, none});
  refused<streaming_llm<>>({}, errc::bad_shape, {"keys.tokens is 0", "at least 1"}, kv_layer{none, none});
  refused<snap_kv<>>({}, errc::bad_shape, {"keys.tokens is 0", "at least 1"}, kv_layer{none, none}, none);
  refused<snap_kv<>>({}, errc::bad_shape, {"keys.heads is 0", "at least 1"}, kv_layer{headless, headless}, headless);
}

TEST_CASE("plan refuses extents that leave the range of its indices") {
  float x[64] = {};
  for (kvsieve::index const n : {kvsieve::index{1} << 31, kvsieve::index{3'000'000'000}, kvsieve::index{1} << 62,
                                 std::numeric_limits<kvsieve::index>::max() / 64}) {
    CAPTURE(n);
    auto const many = make_rows<64>(static_cast<float const*>(x), 1, n, 64, 64);
    refused<key_norm<>>({}, errc::bad_shape, {"keys.tokens is ", "at most"}, kv_layer{many, many});
    refused<lag_kv<>>({}, errc::bad_shape, {"keys.tokens is ", "at most"}, kv_layer{many, many});
    refused<snap_kv<>>({}, errc::bad_shape, {"keys.tokens is ", "at most"}, kv_layer{many, many}, many);
    auto const wide = make_rows<64>(static_cast<float const*>(x), n, 1, 64, 64);
    refused<key_diff<>>({}, errc::bad_shape, {"keys.heads is ", "at most"}, kv_layer{wide, wide});
    refused<snap_kv<>>({}, errc::bad_shape, {"keys.heads is ", "at most"}, kv_layer{wide, wide}, wide);
  }
#ifdef NDEBUG  // else mdspan's own assertion stops the program
  auto const negative = make_rows<64>(static_cast<float const*>(x), 1, -5, 64, 64);
  refused<key_norm<>>({}, errc::bad_shape, {"keys.tokens is -5", "at least 1"}, kv_layer{negative, negative});
#endif
}

TEST_CASE("plan refuses keys and values that do not fit each other") {
  cache const c;
  support::layer<float, 64> const longer(2, 1, 41, 1, support::layout::packed, support::content::normal, 2);
  support::layer<float, 64> const wider(3, 1, 40, 1, support::layout::packed, support::content::normal, 2);
  refused<lag_kv<>>({}, errc::bad_shape, {"values.tokens is 41", "40"},
                    kv_layer{c.l.keys.view(), longer.values.view()});
  refused<lag_kv<>>({}, errc::bad_shape, {"values.heads is 3", "2"}, kv_layer{c.l.keys.view(), wider.values.view()});
}

TEST_CASE("plan refuses queries whose heads do not divide among the KV heads") {
  cache const c;
  for (int const heads : {0, 1, 3, 7}) {
    CAPTURE(heads);
    support::tensor<float, 64> const q(heads, 20);
    refused<snap_kv<>>({.score = {.window = 8}}, errc::bad_shape,
                       {"queries.heads is " + std::to_string(heads), "multiple", " 2"}, c.view(), q.view());
  }
}

TEST_CASE("plan refuses groups that do not fit: none, other heads, other numbers of queries") {
  cache const c;
  support::layer<float, 64> const wider(3, 1, 40, 20, support::layout::packed, support::content::normal, 2);
  using view = decltype(c.view());
  using query = decltype(c.queries());
  std::vector<view> const none, two{c.view(), wider.const_view()}, same{c.view(), c.view()};
  std::vector<query> const one{c.queries()}, three{c.queries(), c.queries(), c.queries()};
  auto const span_of = []<class V>(std::vector<V> const& v) { return cs::span<V const>(v.data(), v.size()); };
  refused<key_norm<>>({}, errc::bad_shape, {"layers is 0", "at least 1"}, span_of(none));
  refused<key_norm<>>({}, errc::bad_shape, {"view 1", "keys.heads is 3", "2"}, span_of(two));
  refused<snap_kv<>>({.score = {.window = 8}}, errc::bad_shape, {"queries is 3", "2"}, span_of(same), span_of(three));
  refused<snap_kv<>>({.score = {.window = 8}}, errc::bad_shape, {"queries is 1", "2"}, span_of(same), span_of(one));
}

TEST_CASE("plan names the view that is wrong") {
  support::layer<float, 64> const a(2, 1, 40, 8, support::layout::packed, support::content::normal, 1);
  support::layer<float, 64> const b(2, 1, 6, 6, support::layout::packed, support::content::normal, 2);
  using view = decltype(a.const_view());
  using query = decltype(a.queries.view());
  std::vector<view> const views{a.const_view(), a.const_view(), b.const_view()};
  std::vector<query> const queries{a.queries.view(), a.queries.view(), b.queries.view()};
  refused<snap_kv<>>({.score = {.window = 8}}, errc::bad_params, {"view 2", "score.window is 8", "6"},
                     cs::span<view const>(views.data(), 3), cs::span<query const>(queries.data(), 3));
}

TEST_CASE("plan refuses null and misaligned memory") {
  cache const c;
  auto const null = make_rows<64>(static_cast<float const*>(nullptr), 2, 40);
  auto const bytes = reinterpret_cast<char const*>(c.l.keys.memory().data());
  auto const odd = make_rows<64>(reinterpret_cast<float const*>(bytes + 2), 2, 39);
  auto const fine = c.l.keys.view();
  refused<key_norm<>>({}, errc::bad_pointer, {"keys is 0", "null"}, kv_layer{null, fine});
  refused<lag_kv<>>({}, errc::bad_pointer, {"values is 0", "null"}, kv_layer{fine, null});
  refused<key_norm<>>({}, errc::bad_pointer, {"keys is 2", "alignment", "4"}, kv_layer{odd, odd});
  auto const null_queries = make_rows<64>(static_cast<float const*>(nullptr), 6, 20);
  refused<snap_kv<>>({.score = {.window = 8}}, errc::bad_pointer, {"queries is 0", "null"}, c.view(), null_queries);
  auto const odd_queries = make_rows<64>(reinterpret_cast<float const*>(bytes + 1), 6, 10);
  refused<snap_kv<>>({.score = {.window = 8}}, errc::bad_pointer, {"queries is 1", "alignment", "4"}, c.view(),
                     odd_queries);
}

TEST_CASE("plan refuses null memory under a layout of the caller's") {
  cs::layout_stride::mapping<row_extents<64>> const mapping(row_extents<64>(2, 40),
                                                            cs::array<kvsieve::index, 3>{40 * 128, 128, 2});
  support::strided_rows<float const, 64> const null(nullptr, mapping);
  refused<key_norm<>>({}, errc::bad_pointer, {"keys is 0", "null"}, kv_layer{null, null});
}

TEST_CASE("plan refuses a workspace that is too small or misaligned, and writes nothing") {
  cache const c;
  host::team team{3};
  auto const run = [&]<class C>(typename C::params const& params, auto const&... views) {
    std::size_t const needed = workspace_bytes<C>(host::on{team}, views..., params);
    REQUIRE(needed > 0);
    for (std::size_t const size : {needed - 1, needed / 2, std::size_t{64}, std::size_t{0}}) {
      CAPTURE(size, needed);
      support::workspace memory(size);
      auto const p = plan<C>(host::on{team}, views..., params, memory.span());
      check_refused(p.state, errc::workspace_too_small,
                    {"workspace is " + std::to_string(size), std::to_string(needed)});
      CHECK(memory.untouched());
    }
    support::workspace memory(needed + 64);
    for (auto const past : {std::size_t{1}, std::size_t{32}, std::size_t{63}}) {
      auto const p = plan<C>(host::on{team}, views..., params, memory.span().subspan(past));
      check_refused(p.state, errc::bad_pointer, {"workspace is " + std::to_string(past), "64"});
      CHECK(memory.untouched());
    }
  };
  run.operator()<key_norm<>>({}, c.view());
  run.operator()<key_diff<>>({}, c.view());
  run.operator()<lag_kv<>>({}, c.view());
  run.operator()<snap_kv<>>({.score = {.window = 8}}, c.view(), c.queries());
}

TEST_CASE("a budget under the forced tokens is no failure: the plan notes it with both numbers") {
  cache const c;
  host::on const on;
  snap_kv<>::params const params{.score = {.window = 20}, .budget = {.tokens = 5}};
  support::workspace memory(workspace_bytes<snap_kv<>>(on, c.view(), c.queries(), params));
  auto const p = plan<snap_kv<>>(on, c.view(), c.queries(), params, memory.span());
  REQUIRE(p);
  check_refused(p.note, errc::bad_params, {"budget is 5", "20"});
  auto const kept = p.kept(0, 0);
  CHECK(std::vector<int>(kept.begin(), kept.end()) == std::vector<int>{35, 36, 37, 38, 39});
}
