// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/budget/preference.hpp>
#include <kvsieve/reference/preference.hpp>

#include <catch2/catch_all.hpp>

#include "budgets.hpp"
#include "refusal.hpp"

namespace {
using kvsieve::budget::preference;

std::vector<int> before_window(std::vector<double> const& preferences, int cap, int layers) {
  std::vector<int> count;
  int const known = static_cast<int>(preferences.size());
  for (int v = 0; v < known; ++v)
    count.push_back(
        preference::count({.tokens = cap, .preference = {preferences.data(), preferences.size()}, .layers = layers},
                          {.tokens = 768, .view = v, .views = known}) -
        32);
  return count;
}
}  // namespace

TEST_CASE("preference: the budgets of CAKE's own code") {
  // antgroup/cakekv on SmolLM2-135M, 768 tokens, window 32, three layers: preferences and budgets before the window.
  std::vector<double> const mild{29.67815589904785, 84.02301025390625, 334.8876647949219};
  std::vector<double> const sharp{0.004975731950253248, 0.323908269405365, 19.12423324584961};
  CHECK(before_window(mild, 160, 0) == std::vector{26, 72, 286});
  CHECK(before_window(sharp, 160, 0) == std::vector{1, 6, 377});
  CHECK(before_window(mild, 256, 3) == std::vector{45, 126, 501});
  CHECK(before_window(sharp, 256, 3) == std::vector{1, 11, 660});
  // The cascade: the first layers as long as the others are not known.
  CHECK(before_window({mild[0]}, 256, 3) == std::vector{672});
  CHECK(before_window({mild[0], mild[1]}, 256, 3) == std::vector{176, 496});
  CHECK(before_window({sharp[0], sharp[1]}, 256, 3) == std::vector{11, 661});
}

TEST_CASE("preference: corner cases") {
  std::vector<double> const none{0, 0, 0}, one{0, 5, 0};
  CHECK(before_window(none, 256, 0) == std::vector{224, 224, 224});
  CHECK(before_window(one, 256, 0) == std::vector{0, 672, 0});
  CHECK(before_window(one, 300, 0) == std::vector{34, 736, 34});    // 804: 68 above the limit
  CHECK(before_window(one, 736, 0) == std::vector{736, 736, 736});  // 768 <= cap + window: whole
  CHECK(before_window(one, 32, 0) == std::vector{0, 0, 0});
  CHECK(before_window(one, 20, 0) == std::vector{-12, -12, -12});  // less than the window: cap everywhere
}

TEST_CASE("preference: counts are the reference's") {
  CHECK(support::holds("preference: counts are the reference's", 2000, [] {
    using rc::gen::inRange, rc::gen::resize;
    int const known = *resize(100, inRange(1, 40)), tokens = *resize(100, inRange(1, 3000));
    int const cap = *resize(100, inRange(0, 3000)), window = *rc::gen::element(0, 8, 32);
    int const layers = known + *rc::gen::element(0, 0, 1, 20);
    std::vector<double> preferences;
    bool const sharp = *rc::gen::arbitrary<bool>();
    for (int k = 0; k < known; ++k) {
      double const x = *support::fractions();
      preferences.push_back(sharp ? x * x * x * x * 1000 : x);
    }
    auto const want = kvsieve::reference::preference(preferences, long{cap - window} * layers, tokens - window);
    long sum = 0;
    for (int v = 0; v < known; ++v) {
      int const count = preference::count(
          {.tokens = cap, .window = window, .preference = {preferences.data(), preferences.size()}, .layers = layers},
          {.tokens = tokens, .view = v, .views = known});
      int expected = window + static_cast<int>(want[static_cast<std::size_t>(v)]);
      if (cap <= window) expected = cap;
      if (tokens <= cap + window) expected = tokens;
      RC_ASSERT(count == expected);
      sum += count - window;
    }
    if (tokens > cap + window && cap > window) RC_ASSERT(sum <= long{cap - window} * layers);
  }));
}

TEST_CASE("preference: numbers out of range are refused") {
  using support::check_refused, support::state_of;
  auto const bad = kvsieve::errc::bad_params;
  double const negative[] = {1, -2, 1}, not_a_number[] = {1, NAN, 1}, two[] = {1, 1};
  check_refused(state_of<preference>({}), bad, {"budget.preference", "0", "1"});
  check_refused(state_of<preference>({.preference = negative}), bad, {"budget.preference", "-2", "0"});
  check_refused(state_of<preference>({.preference = not_a_number}), bad, {"budget.preference"});
  check_refused(state_of<preference>({.preference = two}), kvsieve::errc::bad_shape, {"budget.preference", "2", "3"});
  check_refused(state_of<preference>({.preference = two, .layers = 1}), bad, {"budget.layers", "1", "2"});
}
