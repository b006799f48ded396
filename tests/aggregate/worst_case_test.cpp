// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/aggregate/worst_case.hpp>
#include <kvsieve/reference/worst_case.hpp>

#include <kvsieve/lift/mean.hpp>
#include "accumulators.hpp"

#include "refusal.hpp"

namespace {
/// Of the observed queries' own tokens none is scored, but where all tokens have one.
auto fold(kvsieve::aggregate::worst_case::params const& numbers) {
  return [kernel = numbers.kernel](auto p, int observed, auto score) {
    int const unscored = observed == static_cast<int>(score.size()) ? 0 : observed;
    kvsieve::reference::worst_case(p, observed, unscored, kernel, score);
  };
}
/// The sum over all pools is a difference; at the ends it is a kernel-th of what is subtracted from. A row whose
/// exponentials are below 2^-126 loses them, and its pools are scaled up.
auto slack(kvsieve::aggregate::worst_case::params const& numbers) {
  return [kernel = numbers.kernel](std::span<double const>, int, double relative, std::span<double const> score,
                                   std::span<double> bound) {
    for (std::size_t t = 0; t < score.size(); ++t)
      bound[t] = relative * (3 + 2 * kernel) * std::abs(score[t]) + static_cast<double>(score.size()) * 0x1p-118;
  };
}
}  // namespace

TEST_CASE("worst_case over the queries is the reference's, for every way to join a group") {
  CHECK(aggregate_tests::agrees_with_reference<kvsieve::aggregate::worst_case>(
      "worst_case over the queries", {{}, {.kernel = 1}, {.kernel = 7}, {.kernel = 31}}, fold, slack));
}

TEST_CASE("plan refuses a pool of worst_case without a middle") {
  using worst = kvsieve::aggregate::worst_case::params;
  support::check_refused(worst{.kernel = 4}.check(), kvsieve::errc::bad_params, {"aggregate.kernel is 4", "odd"});
  support::check_refused(worst{.kernel = 0}.check(), kvsieve::errc::bad_params,
                         {"aggregate.kernel is 0", "at least 1"});
  support::check_refused(worst{.kernel = 33}.check(), kvsieve::errc::bad_params,
                         {"aggregate.kernel is 33", "at most 31"});
}

TEST_CASE("worst_case, group_max and lift::mean: no token counts less than the mean of its head") {
  using namespace kvsieve;
  using strategy = compressor<score::attention<>, aggregate::worst_case, aggregate::group_max, lift::mean>;
  constexpr int tokens = 300, window = 8, past = tokens - window, group = 3;
  support::layer<float, 64> const l{2, group, tokens, window, support::layout::packed, support::content::normal, 1};
  strategy::params const params{.score = {.window = window}, .budget = {.tokens = 60}};
  host::on const on;
  support::workspace memory(workspace_bytes<strategy>(on, l.const_view(), l.queries.view(), params));
  token_plan const p = plan<strategy>(on, l.const_view(), l.queries.view(), params, memory.span());
  REQUIRE(p);
  for (int head = 0; head < 2; ++head) {
    auto const e = support::attention_reference(l, head, group, window, fold({}), reference::group_max, slack({}));
    double mean = 0;
    for (std::size_t t = 0; t < past; ++t) mean += e.score[t] / past;
    auto const got = p.scores(0, head);
    for (std::size_t t = 0; t < past; ++t)
      CHECK(std::abs(got[t] - std::max(mean, e.score[t])) <= 1e-5 * std::max(mean, e.score[t]));
    CHECK(p.kept(0, head).back() == tokens - 1);
  }
}
