// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Shapes for property tests: mostly small, sometimes large, every awkward value likely.
#pragma once
#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <ostream>
#include <string>
#include <vector>

#include <rapidcheck.h>

#include "cache.hpp"

namespace support {

struct shape {
  int kv_heads = 1, group = 1, combination = 0;
  std::vector<int> tokens{1};  ///< of each view: one view, or a group of up to three
  layout where = layout::packed;
  content what = content::normal;
  int executor = 0;
  std::uint32_t seed = 0;

  [[nodiscard]] int views() const { return static_cast<int>(tokens.size()); }
  [[nodiscard]] int shortest() const { return *std::min_element(tokens.begin(), tokens.end()); }

  friend std::ostream& operator<<(std::ostream& out, shape const& s) {
    out << "{kv_heads " << s.kv_heads << ", group " << s.group << ", tokens";
    for (int const n : s.tokens) out << ' ' << n;
    return out << ", combination " << s.combination << ", " << name_of(s.where) << ", content "
               << static_cast<int>(s.what) << ", executor " << s.executor << ", seed " << s.seed << "}";
  }
};

/// Numbers of tokens from `least` to `most`: half of them below 40.
inline rc::Gen<int> token_counts(int least, int most) {
  auto const up_to = [&](int n) { return rc::gen::inRange(least, std::max(least, std::min(n, most)) + 1); };
  return rc::gen::resize(100, rc::gen::weightedOneOf<int>({{4, up_to(40)}, {3, up_to(300)}, {1, up_to(most)}}));
}

inline rc::Gen<std::vector<int>> views_of(int least, int most) {
  return rc::gen::mapcat(rc::gen::weightedElement<int>({{3, 1}, {1, 2}, {1, 3}}), [=](int views) {
    return rc::gen::container<std::vector<int>>(static_cast<std::size_t>(views), token_counts(least, most));
  });
}

inline rc::Gen<shape> shapes(int least_tokens = 1, int most_tokens = 3001) {
  using rc::gen::inRange, rc::gen::resize, rc::gen::set;
  return rc::gen::build<shape>(
      set(&shape::kv_heads, resize(100, inRange(1, 5))), set(&shape::group, resize(100, inRange(1, 9))),
      set(&shape::combination, resize(100, inRange(0, combinations))),
      set(&shape::tokens, views_of(least_tokens, most_tokens)),
      set(&shape::where, rc::gen::element(layout::packed, layout::nhd, layout::padded)),
      set(&shape::what, rc::gen::weightedElement<content>({{3, content::normal},
                                                           {1, content::equal},
                                                           {1, content::denormal},
                                                           {2, content::non_finite},
                                                           {1, content::zero}})),
      set(&shape::executor, resize(100, inRange(0, 3))), set(&shape::seed, rc::gen::arbitrary<std::uint32_t>()));
}

/// A fraction of [0, 1], its ends likely.
inline rc::Gen<double> fractions() {
  return rc::gen::weightedOneOf<double>(
      {{1, rc::gen::just(0.0)}, {1, rc::gen::just(1.0)}, {4, rc::gen::map(rc::gen::inRange(0, 1001), [](int x) {
                                                            return x / 1000.0;
                                                          })}});
}

namespace detail {
// Says nothing while a property is checked: the result tells.
struct silent : rc::detail::TestListener {
  void onTestCaseFinished(rc::detail::CaseDescription const&) override {}
  void onShrinkTried(rc::detail::CaseDescription const&, bool) override {}
  void onTestFinished(rc::detail::TestMetadata const&, rc::detail::TestResult const&) override {}
};
}  // namespace detail

/// Checks a property with a number of cases that keeps the whole suite short; RC_PARAMS="max_success=..." overrides it.
template <class Property>
[[nodiscard]] bool holds(char const* what, int cases, Property const& property) {
  auto const& given = rc::detail::configuration();
  auto parameters = given.testParams;
  char const* const environment = std::getenv("RC_PARAMS");
  if (environment == nullptr || std::string(environment).find("max_success") == std::string::npos)
    parameters.maxSuccess = cases;
  rc::detail::TestMetadata metadata;
  metadata.id = metadata.description = what;
  detail::silent listener;
  auto const result =
      rc::detail::checkProperty(rc::detail::toProperty(property), metadata, parameters, listener, given.reproduce);
  rc::detail::SuccessResult success;
  if (result.match(success)) return true;
  std::cerr << "- " << what << std::endl;
  rc::detail::printResultMessage(result, std::cerr);
  std::cerr << std::endl;
  return false;
}
}  // namespace support
