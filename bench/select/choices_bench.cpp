// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A quarter of the tokens by each selection, from scores to a plan, beside the same choice by top-k.
#include <kvsieve/kvsieve.hpp>
#include <kvsieve/reference/chunks.hpp>
#include <kvsieve/reference/gumbel.hpp>
#include <kvsieve/reference/page_representatives.hpp>
#include <kvsieve/reference/pages.hpp>
#include <kvsieve/reference/threshold.hpp>
#include <kvsieve/reference/top_k_in_chunks.hpp>

#include <algorithm>
#include <vector>

#include "paired.hpp"
#include "row_scores.hpp"

namespace kvsieve::bench {
namespace {
constexpr double keep = 0.25;

/// Scores of a layer by key norm, and room for a choice among them.
template <class Select>
class choosing {
 public:
  choosing(int heads, int tokens, float const* scores, typename Select::params const& params)
      : seen_{tokens, {}, {}},
        scores_{{}, {1, heads, head_dim}, &seen_, const_cast<float*>(scores), &offset_},
        params_(params),
        memory_(choose_tokens_workspace_bytes<budget::uniform, Select>(on(), scores_, {.keep = keep}, params)) {}
  choosing(choosing const&) = delete;

  [[nodiscard]] token_plan run() const {
    return choose_tokens<budget::uniform, Select>(on(), scores_, {.keep = keep}, params_, memory_.bytes());
  }

 private:
  index offset_ = 0;
  scored_view seen_;
  token_scores scores_;
  typename Select::params params_;
  workspace memory_;
};

template <class Select, class Want>
bool matches(typename Select::params const& params, Want const& want) {
  row_scores<score::key_norm, float> const scores(small_heads, small_tokens);
  scores.run(small_layer<float>());
  choosing<Select> const c(small_heads, small_tokens, scores.out().row(0), params);
  auto const plan = c.run();
  if (!plan) return false;
  for (int h = 0; h < small_heads; ++h) {
    float const* const row = scores.out().row(h);
    std::vector<double> const score(row, row + small_tokens);
    if (!std::ranges::equal(want(score, h), plan.kept(0, h))) return false;
  }
  return true;
}

template <class Select, class Want>
bool add(char const* name, typename Select::params const& params, double goal, Want const& want) {
  register_shapes<float>(name, [=](auto, benchmark::State& state, int tokens) {
    if (!matches<Select>(params, want)) return state.SkipWithError("the choice differs from the reference");
    row_scores<score::key_norm, float> const scores(kv_heads, tokens);
    scores.run(cold_layer_of_keys<float>(tokens));
    choosing<Select> const own(kv_heads, tokens, scores.out().row(0), params);
    choosing<select::top_k> const plain(kv_heads, tokens, scores.out().row(0), {});
    in_turns(
        state, name, dtype::f32, tokens,
        {.limit = "top-k (times)", .bytes = 4.0 * kv_heads * tokens, .goal = goal, .inverse = true},
        [&] { benchmark::DoNotOptimize(own.run()); }, [&] { benchmark::DoNotOptimize(plain.run()); });
  });
  return true;
}

using doubles = std::vector<double>;
auto const chunks = add<select::chunks>("select/chunks", {}, -0.6,
                                        [](doubles const& s, int) { return reference::chunks(s, 20, keep); });
auto const pages = add<select::pages>("select/pages", {.sink = 0}, -0.6, [](doubles const& s, int) {
  return reference::pages(s, 16, static_cast<int>(static_cast<double>(s.size()) * keep));
});
auto const representatives =
    add<select::page_representatives>("select/page_representatives", {.sink = 0}, -4.5, [](doubles const& s, int) {
      select::page_representatives::params const p;
      return reference::page_representatives(
          s, 16, static_cast<int>(static_cast<double>(s.size()) * keep), p.representatives,
          [&](int place, int ones, int of) { return select::page_representatives::anchor_bit(p, place, ones, of); });
    });
auto const in_chunks = add<select::top_k_in_chunks>("select/top_k_in_chunks", {}, -1.5, [](doubles const& s, int) {
  return reference::top_k_in_chunks(s, 1024, keep);
});
auto const by_threshold =
    add<select::threshold>("select/threshold", {.threshold = -8.0f, .recent = 0}, -0.6,
                           [](doubles const& s, int) { return reference::threshold(s, -8.0, {}); });
auto const drawn = add<select::gumbel>("select/gumbel", {}, -6.0, [](doubles const& s, int h) {
  int const count = static_cast<int>(static_cast<double>(s.size()) * keep);
  return reference::gumbel(s, count, select::gumbel::params{}.drawn, 1.0, 0, h);
});
}  // namespace
}  // namespace kvsieve::bench
