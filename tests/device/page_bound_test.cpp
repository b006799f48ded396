// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Bounds of pages on emulated blocks: against the reference, and the pages that the host takes by them.
#include "emulated_plan.hpp"

#include <kvsieve/host/run.hpp>
#include <kvsieve/reference/page_bound.hpp>

using namespace kvsieve_test;

namespace {
template <class C, class T, int D, int Threads>
void check(int heads, int group, int tokens, typename C::params const& p) {
  CAPTURE(D, Threads, group, tokens, p.score.page, p.score.part);
  cache<T, D> c(heads, tokens, 5);
  tensor<T, D> q(heads * group, 3, 9);
  if (tokens > 40) {
    c.keys.at(0, 30, 5) = kvs::from_float<T>(infinite);
    for (int t = p.score.page; t < 2 * p.score.page && t < tokens; ++t)
      c.keys.at(0, t, 0) = kvs::from_float<T>(not_a_number);
    q.at(heads * group - 1, 2, 1) = kvs::from_float<T>(infinite);  // with a group of one nobody asks
  }
  std::vector const layers{c.layer()};
  std::vector const queries{q.view()};
  auto const made = emulated_plan<C, Threads>(layers, p, queries);
  kvs::host::on<> const inline_;
  std::vector<workspace_line> memory(kvs::workspace_bytes<C>(inline_, layers[0], queries[0], p) / 64 + 1);
  auto const there = kvs::plan<C>(inline_, layers[0], queries[0], p,
                                  std::span(reinterpret_cast<std::byte*>(memory.data()), memory.size() * 64));
  REQUIRE(there);
  for (int h = 0; h < heads; ++h) {
    CAPTURE(h);
    std::vector<double> expected(static_cast<std::size_t>(tokens));
    kvs::reference::page_bound(c.keys.view(), q.view(), h, kvs::index{h} * group, group, p.score.page, p.score.part,
                               p.score.mean_of_group, expected);
    CHECK(near(scores(made.plan, 0, h), expected, 2e-5));
    CHECK(kept(made.plan, 0, h) == kept(there, 0, h));
  }
}
}  // namespace

TEST_CASE("page bound kernel: scores are the reference's and pages the host's", "[device][score][host]") {
  check<kvs::quest<>, float, 64, 64>(2, 3, 150, {.budget = {.keep = 0.4}});
  check<kvs::quest<>, kvs::bf16, 128, 32>(1, 1, 97, {.budget = {.keep = 0.5}});
  check<kvs::quest<>, kvs::f16, 80, 64>(2, 5, 60, {.score = {.page = 7, .part = 3}, .select = {.page = 7}});
  check<kvs::quest<>, kvs::f16, 80, 64>(
      2, 5, 60, {.score = {.page = 7, .part = 3, .mean_of_group = true}, .select = {.page = 7}});
  check<kvs::l_serve<>, float, 96, 128>(1, 9, 300, {.budget = {.keep = 0.5}});
  check<kvs::quest<>, float, 64, 64>(1, 2, 1, {.budget = {.keep = 1}});
}
