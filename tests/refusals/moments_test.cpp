// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What scores made of moments, and scores made of two scores, have to refuse.
#include <limits>

#include "planned.hpp"
#include "refusal.hpp"

namespace {
using namespace kvsieve;
using support::check_refused;

constexpr float nan_value = std::numeric_limits<float>::quiet_NaN();

// Refused whatever the workspace, and not a byte written.
template <class C>
void refused(typename C::params const& params, errc code, std::vector<std::string> const& parts, int queries = 40) {
  support::layer<float, 64> const l{2, 3, 40, queries, support::layout::packed, support::content::normal, 1};
  host::on const on;
  support::workspace memory(1 << 20);
  token_plan const p = [&] {
    if constexpr (C::observes_queries)
      return plan<C>(on, l.const_view(), l.queries.view(), params, memory.span());
    else
      return plan<C>(on, l.const_view(), params, memory.span());
  }();
  check_refused(p.state, code, parts);
  CHECK(memory.untouched());
}
}  // namespace

TEST_CASE("plan refuses a rotation that is none") {
  using lev = leverage<>;
  refused<lev>({.score = {.rope = {.rope_base = 0.5}}}, errc::bad_params, {"score.rope_base is 0.5", "at least 1"});
  refused<lev>({.score = {.rope = {.rope_base = static_cast<double>(nan_value)}}}, errc::bad_params,
               {"score.rope_base is nan"});
  refused<lev>({.score = {.rope = {.rope_factor = 0}}}, errc::bad_params, {"score.rope_factor is 0"});
  refused<lev>({.score = {.rope = {.first_position = -1}}}, errc::bad_params, {"score.first_position is -1"});
  double const turns[31] = {};
  refused<expected_attention<>>({.score = {.rope = {.rope_frequencies = {turns, 31}}}}, errc::bad_shape,
                                {"score.rope_frequencies is 31", "32"});
}

TEST_CASE("plan refuses numbers of moment scores out of range") {
  refused<leverage<>>({.score = {.sketch = 0}}, errc::bad_params, {"score.sketch is 0", "at least 1"});
  refused<leverage<>>({.score = {.sketch = 513}}, errc::bad_params, {"score.sketch is 513", "at most 512"});
  refused<leverage<>>({.score = {.ridge = 0}}, errc::bad_params, {"score.ridge is 0"});
  refused<leverage<>>({.score = {.sink = -1}}, errc::bad_params, {"score.sink is -1"});
  refused<leverage<>>({.score = {.recent = -1}}, errc::bad_params, {"score.recent is -1"});
  refused<non_causal_attention<>>({.score = {.chunk = 0}}, errc::bad_params, {"score.chunk is 0", "at least 1"});
  refused<expected_attention<>>({.score = {.future = 0}}, errc::bad_params, {"score.future is 0", "at least 1"});
  refused<expected_attention<>>({.score = {.sink = -4}}, errc::bad_params, {"score.sink is -4"});
  refused<cap_kv<>>({.score = {.sharpness = nan_value}}, errc::bad_params, {"score.sharpness is nan"});
  refused<cap_kv<>>({.score = {.epsilon = -1.0f}}, errc::bad_params, {"score.epsilon is -1"});
  compactor<>::params p;
  p.score.second.score.sketch = 0;
  refused<compactor<>>(p, errc::bad_params, {"score.sketch is 0"});
  p = {};
  p.score.weight = nan_value;
  refused<compactor<>>(p, errc::bad_params, {"score.weight is nan"});
}

TEST_CASE("plan refuses fewer queries than a moment score observes") {
  refused<expected_attention<>>({}, errc::bad_shape, {"queries.tokens is 35", "36"}, 35);
  refused<cap_kv<>>({}, errc::bad_shape, {"queries.tokens is 35", "36"}, 35);
  refused<non_causal_attention<>>({}, errc::bad_shape, {"queries.tokens is 39", "40"}, 39);
  refused<compactor<>>({}, errc::bad_shape, {"queries.tokens is 31", "32"}, 31);
}

TEST_CASE("plan refuses stored statistics of the wrong size") {
  float const mean[6 * 64] = {};
  expected_attention_stored<>::params p;
  refused<expected_attention_stored<>>(p, errc::bad_params, {"score.mean is 0", "at least 128"});
  p.score.statistics.mean = {mean, 200};
  refused<expected_attention_stored<>>(p, errc::bad_shape, {"score.mean is 200", "128"});
  p.score.statistics.mean = {mean, 6 * 64};
  refused<expected_attention_stored<>>(p, errc::bad_shape, {"score.covariance is 0", "24576"});
}
