// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "emulated_plan.hpp"

#include <kvsieve/reference/lag_relative.hpp>
#include <kvsieve/reference/top_k.hpp>

using namespace kvsieve_test;
namespace ref = kvsieve::reference;

namespace {
template <class T, int D, int Threads>
void check_lag(int tokens, int sink, int lag, bool hostile) {
  CAPTURE(D, Threads, tokens, sink, lag, hostile);
  cache<T, D> c(2, tokens, static_cast<unsigned>(tokens));
  if (hostile) {
    c.keys.at(0, sink + 1, 2) = kvs::from_float<T>(not_a_number);
    c.values.at(1, sink + lag + 1, D - 1) = kvs::from_float<T>(infinite);
    for (int t = 0; t < tokens; ++t) c.keys.at(0, t, 7) = kvs::from_float<T>(1.0f);  // a channel without range
  }
  std::vector const layers{c.layer()};
  auto const ranked =
      emulated_plan<kvs::lag_kv<>, Threads>(layers, {.score = {.sink = sink, .lag = lag}, .budget = {.keep = 0.6}});
  auto const streamed = emulated_plan<kvs::lag_kv_streaming<>, Threads>(
      layers, {.score = {.sink = sink, .lag = lag, .value_share = 0.5f}, .budget = {.keep = 0.3}});
  int const kept_of_each = static_cast<int>(lag * 0.3);
  int const count = tokens < sink + 2 * lag ? 0 : (tokens - sink) / lag - 1;
  std::vector<double> expected(static_cast<std::size_t>(tokens));
  for (int h = 0; h < 2; ++h) {
    ref::lag_relative_streaming(c.keys.view(), c.values.view(), h, sink, lag, 0.5, expected);
    CHECK(near(scores(streamed.plan, 0, h), expected, 1e-5));
    CHECK(kept(streamed.plan, 0, h) ==
          (count == 0 ? ref::top_k_in_partitions(scores(streamed.plan, 0, h), tokens, 0, 0, 0)
                      : ref::top_k_in_partitions(scores(streamed.plan, 0, h), sink, lag, count, kept_of_each)));
    // Ranks jump where two scores are closer than rounding, so the ranks of the device's own order are compared.
    ref::lag_relative(c.keys.view(), c.values.view(), h, sink, lag, expected);
    CHECK(near(scores(ranked.plan, 0, h), expected, 1.5 / lag));
    kvs::forced_ends const ends = kvs::score::lag_relative::forced({sink, lag}, tokens);
    CHECK(kept(ranked.plan, 0, h) ==
          ref::top_k(scores(ranked.plan, 0, h), ranked.plan.count(0, h), {.sink = ends.head, .recent = ends.tail}));
  }
}
}  // namespace

TEST_CASE("per-chunk kernels: both forms of LagKV agree with the reference", "[device][score]") {
  check_lag<float, 64, 64>(100, 4, 16, true);
  check_lag<float, 64, 32>(5, 4, 16, false);
  check_lag<kvs::bf16, 128, 64>(75, 0, 20, true);
  check_lag<kvs::f16, 80, 64>(40, 3, 8, true);
  if constexpr (!race_check) check_lag<float, 128, 128>(700, 4, 128, false);
}
