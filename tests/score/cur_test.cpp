// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/reference/cur.hpp>
#include <kvsieve/score/cur.hpp>

#include <catch2/catch_all.hpp>

#include "planned.hpp"
#include "refusal.hpp"
#include "tolerance.hpp"

namespace {
using namespace kvsieve;

// A squared norm is off by gamma(D); the sum of a block by another gamma(D + block), its inverse and the product by
// three roundings; joining by two; the sum over the head by twice all that and its own length, which lanes only
// shorten.
template <class Of>
void check_cur(support::shape const& s, int block, int sink, double keep, reference::cur_of of) {
  support::with_combination<3>(s.combination, [&]<class T, int D, bool Strided>() {
    auto const layers = support::make_layers<T, D, Strided>(s, [](int) { return 1; });
    auto const p = support::make_plan<compressor<score::cur<Of>>>(
        s.executor, layers, {.score = {.sink = sink, .block_size = block}, .budget = {.keep = keep}});
    auto const expect = [&](int v, int h) {
      auto const& l = layers[static_cast<std::size_t>(v)];
      int const tokens = l.keys.tokens();
      support::expected e(tokens);
      reference::cur(l.keys.view(), l.values.view(), h, of, static_cast<std::size_t>(block), e.score);
      double const share = 2.0 * D + std::min(block, tokens) + 5;
      for (std::size_t t = 0; t < e.score.size(); ++t)
        e.bound[t] = support::gamma(4 * share + tokens + 4) * e.score[t] + 1e-30;
      return e;
    };
    support::assert_plan(p, s, keep, expect, [&](int) { return support::ends(sink, 0); });
  });
}
}  // namespace

TEST_CASE("cur: scores and kept tokens are the reference's") {
  CHECK(support::holds("cur: scores and kept tokens are the reference's", 80, [] {
    auto const s = *support::shapes();
    double const keep = *support::fractions();
    int const block = *rc::gen::element(0, 1, 3, 16, 16, 50, 1000, 2000, 1 << 24), sink = *rc::gen::element(0, 4, 50);
    int const type = *rc::gen::inRange(0, 4);
    if (type == 0) check_cur<leverage_of::keys>(s, block, sink, keep, reference::cur_of::keys);
    if (type == 1) check_cur<leverage_of::values>(s, block, sink, keep, reference::cur_of::values);
    if (type == 2) check_cur<leverage_of::mean>(s, block, sink, keep, reference::cur_of::mean);
    if (type == 3) check_cur<leverage_of::product>(s, block, sink, keep, reference::cur_of::product);
  }));
}

TEST_CASE("cur: blocks of zeros score 0, and so does a cache of them") {
  support::layer<float, 64> l(1, 1, 40, 1, support::layout::packed, support::content::normal, 1);
  for (int t = 16; t < 32; ++t)
    for (int d = 0; d < 64; ++d) l.values.set(0, t, d, 0.0f);
  std::vector<support::layer<float, 64>> layers{l};
  auto const some = support::make_plan<compressor<score::cur<>>>(0, layers, {});
  REQUIRE(some.plan);
  for (std::size_t t = 4; t < 40; ++t) CHECK((some.plan.scores(0, 0)[t] == 0.0f) == (t >= 16 && t < 32));
  for (int t = 0; t < 40; ++t)
    for (int d = 0; d < 64; ++d) layers[0].keys.set(0, t, d, 0.0f);
  auto const none = support::make_plan<compressor<score::cur<>>>(0, layers, {});
  REQUIRE(none.plan);
  for (std::size_t t = 4; t < 40; ++t) CHECK(none.plan.scores(0, 0)[t] == 0.0f);
}

TEST_CASE("cur refuses numbers out of range") {
  support::layer<float, 64> const l(2, 1, 40, 1, support::layout::packed, support::content::normal, 1);
  support::workspace memory(1 << 16);
  auto const refused = [&](score::cur<>::params const& params, std::vector<std::string> const& parts) {
    auto const p = plan<compressor<score::cur<>>>(host::on{}, l.const_view(), {.score = params}, memory.span());
    support::check_refused(p.state, errc::bad_params, parts);
    CHECK(memory.untouched());
  };
  refused({.sink = -1}, {"score.sink is -1", "at least 0"});
  refused({.block_size = -16}, {"score.block_size is -16", "at least 0"});
  refused({.block_size = (1 << 24) + 1}, {"score.block_size is 16777217", "at most 16777216"});
}
