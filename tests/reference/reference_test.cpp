// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The oracle itself, on cases small enough to work out by hand.
#include <kvsieve/reference/attend.hpp>
#include <kvsieve/reference/attention.hpp>
#include <kvsieve/reference/average.hpp>
#include <kvsieve/reference/block_wise.hpp>
#include <kvsieve/reference/compact.hpp>
#include <kvsieve/reference/group.hpp>
#include <kvsieve/reference/heads.hpp>
#include <kvsieve/reference/key_diff.hpp>
#include <kvsieve/reference/key_norm.hpp>
#include <kvsieve/reference/lag_relative.hpp>
#include <kvsieve/reference/last.hpp>
#include <kvsieve/reference/max.hpp>
#include <kvsieve/reference/mean.hpp>
#include <kvsieve/reference/mean_visible.hpp>
#include <kvsieve/reference/position.hpp>
#include <kvsieve/reference/random.hpp>
#include <kvsieve/reference/sum.hpp>
#include <kvsieve/reference/top_k.hpp>
#include <kvsieve/reference/uniform.hpp>

#include <catch2/catch_all.hpp>

namespace {
namespace reference = kvsieve::reference;
using Catch::Approx;
using doubles = std::vector<double>;

// Rows of two channels, one head.
auto two(std::vector<float> const& x) {
  return kvsieve::make_rows<2>(x.data(), 1, static_cast<kvsieve::index>(x.size() / 2));
}
}  // namespace

TEST_CASE("reference::key_norm") {
  std::vector<float> const keys{3, 4, 0, 0, NAN, 1, HUGE_VALF, 1};
  doubles score(4);
  reference::key_norm(two(keys), 0, score);
  CHECK(score[0] == -5);
  CHECK(score[1] == 0);
  CHECK(std::isnan(score[2]));
  CHECK(score[3] == -HUGE_VAL);
}

TEST_CASE("reference::key_diff") {
  // Unit keys (1, 0), (0, 1), (1, 0); a = (2, 1) / 3; the zero key and the NaN add nothing.
  std::vector<float> const keys{5, 0, 0, 2, 1, 0};
  doubles score(3);
  reference::key_diff(two(keys), 0, score);
  CHECK(score[0] == Approx(-2 / std::sqrt(5.0)));
  CHECK(score[1] == Approx(-1 / std::sqrt(5.0)));
  CHECK(score[2] == Approx(score[0]));
  std::vector<float> const more{5, 0, 0, 2, 1, 0, 0, 0, NAN, 9};
  doubles longer(5);
  reference::key_diff(two(more), 0, longer);
  for (std::size_t t = 0; t < 3; ++t) CHECK(longer[t] == Approx(score[t]));
  CHECK(longer[3] == 0);
  CHECK(std::isnan(longer[4]));
}

TEST_CASE("reference::block_wise rescores only what it holds") {
  // Scored by the first channel: 5 1 4 2 9 3. Two stay: {0, 1}, then {0, 2} of 0 1 2 3, then {0, 4} of 0 2 4 5.
  std::vector<float> const keys{5, 0, 1, 0, 4, 0, 2, 0, 9, 0, 3, 0};
  std::vector<std::size_t> candidates;
  auto const first_channel = [&](auto const& rows, kvsieve::index head, std::span<double> score) {
    candidates.push_back(score.size());
    for (std::size_t t = 0; t < score.size(); ++t)
      score[t] = reference::element_at(rows, head, static_cast<kvsieve::index>(t), 0);
  };
  CHECK(reference::block_wise(two(keys), 0, 2, 2, first_channel) == std::vector<int>{0, 4});
  CHECK(candidates == std::vector<std::size_t>{4, 4});
  CHECK(reference::block_wise(two(keys), 0, 2, 100, first_channel) == std::vector<int>{0, 4});
  CHECK(reference::block_wise(two(keys), 0, 0, 2, first_channel).empty());
  CHECK(reference::block_wise(two(keys), 0, 6, 2, first_channel) == std::vector<int>{0, 1, 2, 3, 4, 5});
  // Equal scores: the smaller token index.
  std::vector<float> const equal(12, 1.0f);
  CHECK(reference::block_wise(two(equal), 0, 3, 1, first_channel) == std::vector<int>{0, 1, 2});
}

TEST_CASE("reference::block_wise with one block is one-shot top-k") {
  std::vector<float> const keys{5, 0, 0, 2, 1, 0.5f, -1, 2, 3, 3, 0, -1, 2, 2};
  doubles score(7);
  reference::key_diff(two(keys), 0, score);
  auto const scorer = [](auto const& rows, kvsieve::index head, std::span<double> out) {
    reference::key_diff(rows, head, out);
  };
  CHECK(reference::block_wise(two(keys), 0, 3, 7, scorer) == reference::top_k(score, 3));
}

TEST_CASE("reference::lag_relative_streaming") {
  // One sink, partitions of two: {1, 2}, {3, 4}, {5, 6}, remainder {7}. Ranges of {3, 4}: [0, 2] and [1, 3].
  std::vector<float> const x{9, 9, 0, 1, 4, 1, 0, 3, 2, 1, 1, 1, 1, 1, 7, 7};
  doubles score(8);
  reference::lag_relative_streaming(two(x), two(x), 0, 1, 2, 0.5, score);
  // Token 1: y = (0, 0), u = 0. Token 2: y = (2, 0), u = sqrt(2). Shares 1 / (1 + e^u) and the rest.
  double const share = 1 / (1 + std::exp(std::sqrt(2.0)));
  CHECK(score[1] == Approx(1.5 * share));
  CHECK(score[2] == Approx(1.5 * (1 - share)));
  // Partition {3, 4} against {5, 6}: all ranges are 0, so y = 0 and the shares are equal.
  CHECK(score[3] == Approx(0.75));
  CHECK(score[4] == Approx(0.75));
  for (int const forced : {0, 5, 6, 7}) CHECK(score[static_cast<std::size_t>(forced)] == HUGE_VAL);
  doubles too_short(4);
  reference::lag_relative_streaming(two({1, 2, 3, 4, 5, 6, 7, 8}), two({1, 2, 3, 4, 5, 6, 7, 8}), 0, 1, 2, 1,
                                    too_short);
  for (double const s : too_short) CHECK(s == HUGE_VAL);
}

TEST_CASE("reference::lag_relative passes over tokens that are not finite") {
  // Partition {0, 1, 2} against {3, 4, 5}, whose token 3 is not finite and sets no range.
  std::vector<float> const keys{0, 1, NAN, 1, 4, 1, HUGE_VALF, 0, 2, 1, 0, 3}, ones(12, 1.0f);
  doubles score(6);
  reference::lag_relative_streaming(two(keys), two(ones), 0, 0, 3, 0.0, score);
  double const share = 1 / (1 + std::exp(std::sqrt(2.0)));
  CHECK(score[0] == Approx(share));
  CHECK(std::isnan(score[1]));
  CHECK(score[2] == Approx(1 - share));
}

TEST_CASE("reference::lag_relative ranks, equal shares in their order") {
  std::vector<float> const x{9, 9, 0, 1, 4, 1, 0, 3, 2, 1, 1, 1, 1, 1, 7, 7};
  doubles score(8);
  reference::lag_relative(two(x), two(x), 0, 1, 2, score);
  CHECK(score == doubles{HUGE_VAL, 0, 0.5, 0, 0.5, HUGE_VAL, HUGE_VAL, HUGE_VAL});
  doubles recent(4);
  reference::lag_relative(two({1, 2, 3, 4, 5, 6, 7, 8}), two({1, 2, 3, 4, 5, 6, 7, 8}), 0, 1, 2, recent);
  CHECK(recent == doubles{HUGE_VAL, 0, 1.0 / 3, 2.0 / 3});
}

TEST_CASE("reference::attention") {
  // Two queries over three keys: query 0 stands at position 1 and does not see key 2.
  float const step = std::sqrt(2.0f);  // times 1 / sqrt(D) is 1
  std::vector<float> const keys{0, 0, 1, 0, 2, 0}, queries{step, 0, step, 0};
  doubles p(6);
  reference::attention(two(queries), 0, two(keys), 0, 2, p);
  double const e = std::exp(1.0);
  doubles const want{1 / (1 + e), e / (1 + e), 0, 1 / (1 + e + e * e), e / (1 + e + e * e), e * e / (1 + e + e * e)};
  for (std::size_t i = 0; i < 6; ++i) CHECK(p[i] == Approx(want[i]));
  doubles last(3);
  reference::attention(two(queries), 0, two(keys), 0, 1, last);
  for (std::size_t t = 0; t < 3; ++t) CHECK(last[t] == Approx(want[3 + t]));
}

TEST_CASE("reference::attention passes over what is not finite") {
  std::vector<float> const keys{0, 0, NAN, 0, 0, 0}, queries{1, 0, HUGE_VALF, 0, 1, 1};
  doubles p(9);
  reference::attention(two(queries), 0, two(keys), 0, 3, p);
  CHECK(p[0] == 1);
  CHECK(p[2] == 0);
  CHECK(p[3] == 0);
  CHECK(p[5] == 0);
  CHECK(p[6] == Approx(0.5));
  CHECK(p[8] == Approx(0.5));
  for (std::size_t row = 0; row < 3; ++row) CHECK(std::isnan(p[row * 3 + 1]));
}

TEST_CASE("reference accumulators") {
  doubles const p{0.5, 0.5, 0, 0.25, 0.25, 0.5};  // two queries, three tokens
  doubles score(3);
  reference::sum(p, 2, score);
  CHECK(score == doubles{0.75, 0.75, 0.5});
  reference::mean(p, 2, score);
  CHECK(score == doubles{0.375, 0.375, 0.25});
  reference::mean_visible(p, 2, score);
  CHECK(score == doubles{0.375, 0.375, 0.5});
  reference::max(p, 2, score);
  CHECK(score == doubles{0.5, 0.5, 0.5});
  reference::last(p, 2, score);
  CHECK(score == doubles{0.25, 0.25, 0.5});
}

TEST_CASE("reference group and heads") {
  doubles const each{1, 2, 3, 6};
  doubles score(2);
  reference::group_sum(each, 2, score);
  CHECK(score == doubles{4, 8});
  reference::group_mean(each, 2, score);
  CHECK(score == doubles{2, 4});
  reference::group_max(each, 2, score);
  CHECK(score == doubles{3, 6});
  reference::heads_mean(each, 2, score);
  CHECK(score == doubles{2, 4});
}

TEST_CASE("reference pools") {
  doubles const score{3, 0, 6, HUGE_VAL, 9, NAN};
  doubles pooled(6);
  reference::average_pool(score, 3, pooled);
  CHECK(pooled[0] == 1);
  CHECK(pooled[1] == 3);
  CHECK(pooled[2] == 2);
  CHECK(pooled[3] == HUGE_VAL);
  CHECK(pooled[4] == 3);
  CHECK(std::isnan(pooled[5]));
  reference::max_pool(score, 3, pooled);
  CHECK(pooled[0] == 3);
  CHECK(pooled[1] == 6);
  CHECK(pooled[2] == 6);
  CHECK(pooled[3] == HUGE_VAL);
  CHECK(pooled[4] == 9);
  CHECK(std::isnan(pooled[5]));
}

TEST_CASE("reference::top_k") {
  doubles const score{NAN, 1, -HUGE_VAL, 1, HUGE_VAL, -0.0, 0.0};
  CHECK(reference::top_k(score, 0).empty());
  CHECK(reference::top_k(score, 1) == std::vector<int>{4});
  CHECK(reference::top_k(score, 2) == std::vector<int>{1, 4});
  CHECK(reference::top_k(score, 4) == std::vector<int>{1, 3, 4, 5});
  CHECK(reference::top_k(score, 6) == std::vector<int>{1, 2, 3, 4, 5, 6});
  CHECK(reference::top_k(score, 7).size() == 7);
  CHECK(reference::top_k(score, 99).size() == 7);
  int const listed[] = {2, 5};
  reference::forced_tokens const forced{1, 2, listed};
  CHECK(reference::top_k(score, 1, forced) == std::vector<int>{2});
  CHECK(reference::top_k(score, 2, forced) == std::vector<int>{2, 5});
  CHECK(reference::top_k(score, 3, forced) == std::vector<int>{0, 2, 5});
  CHECK(reference::top_k(score, 4, forced) == std::vector<int>{0, 2, 5, 6});
  CHECK(reference::top_k(score, 5, forced) == std::vector<int>{0, 2, 4, 5, 6});
}

TEST_CASE("reference::top_k_in_partitions") {
  doubles const score{0, 1, 2, 4, 3, 0, 0};
  CHECK(reference::top_k_in_partitions(score, 1, 2, 2, 1) == std::vector<int>{0, 2, 3, 5, 6});
  CHECK(reference::top_k_in_partitions(score, 1, 2, 2, 0) == std::vector<int>{0, 5, 6});
}

TEST_CASE("reference::uniform, position, random") {
  CHECK(reference::uniform(0.5, -1, 7) == 3);
  CHECK(reference::uniform(0.5, 9, 7) == 7);
  CHECK(reference::uniform(0.5, 0, 7) == 0);
  doubles score(3);
  reference::position(score);
  CHECK(score == doubles{0, 1, 2});
  reference::random(1, 2, score);
  doubles again(3), other(3);
  reference::random(1, 2, again);
  reference::random(2, 2, other);
  CHECK(score == again);
  CHECK(score != other);
}

TEST_CASE("reference::compact and attend") {
  std::vector<float> const rows{0, 1, 2, 3, 4, 5};
  std::vector<float> out(4);
  int const kept[] = {0, 2};
  reference::compact(two(rows), 0, kept, kvsieve::make_rows<2>(out.data(), 1, 2));
  CHECK(out == std::vector<float>{0, 1, 4, 5});
  std::vector<float> const keys{0, 0, std::sqrt(2.0f), 0}, values{1, 2, 3, 4}, query{1, 0};
  doubles result(2);
  reference::attend(two(query), 0, two(keys), two(values), 0, result);
  double const e = std::exp(1.0);
  CHECK(result[0] == Approx((1 + 3 * e) / (1 + e)));
  CHECK(result[1] == Approx((2 + 4 * e) / (1 + e)));
}
