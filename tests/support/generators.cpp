// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "generators.hpp"

#include <cstdlib>
#include <iostream>
#include <string>

template class rc::Gen<bool>;
template class rc::Gen<int>;
template class rc::Gen<long>;
template class rc::Gen<std::uint32_t>;
template class rc::Gen<std::uint64_t>;
template class rc::Gen<float>;
template class rc::Gen<double>;
template class rc::Gen<std::vector<int>>;
template class rc::Gen<support::shape>;
template rc::Gen<int> rc::gen::inRange<int>(int, int);
template rc::Gen<long> rc::gen::inRange<long>(long, long);
template rc::Gen<std::uint64_t> rc::gen::inRange<std::uint64_t>(std::uint64_t, std::uint64_t);
template rc::Gen<int> rc::gen::resize<int>(int, rc::Gen<int>);

namespace support {

std::ostream& operator<<(std::ostream& out, shape const& s) {
  out << "{kv_heads " << s.kv_heads << ", group " << s.group << ", tokens";
  for (int const n : s.tokens) out << ' ' << n;
  return out << ", combination " << s.combination << ", " << name_of(s.where) << ", content "
             << static_cast<int>(s.what) << ", executor " << s.executor << ", seed " << s.seed << "}";
}

rc::Gen<int> token_counts(int least, int most) {
  auto const up_to = [&](int n) { return rc::gen::inRange(least, std::max(least, std::min(n, most)) + 1); };
  return rc::gen::resize(100, rc::gen::weightedOneOf<int>({{4, up_to(40)}, {3, up_to(300)}, {1, up_to(most)}}));
}

rc::Gen<std::vector<int>> views_of(int least, int most) {
  return rc::gen::mapcat(rc::gen::weightedElement<int>({{3, 1}, {1, 2}, {1, 3}}), [=](int views) {
    return rc::gen::container<std::vector<int>>(static_cast<std::size_t>(views), token_counts(least, most));
  });
}

rc::Gen<shape> shapes(int least_tokens, int most_tokens) {
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

rc::Gen<double> fractions() {
  return rc::gen::weightedOneOf<double>(
      {{1, rc::gen::just(0.0)}, {1, rc::gen::just(1.0)}, {4, rc::gen::map(rc::gen::inRange(0, 1001), [](int x) {
                                                            return x / 1000.0;
                                                          })}});
}

namespace {
// Says nothing while a property is checked: the result tells.
struct silent : rc::detail::TestListener {
  void onTestCaseFinished(rc::detail::CaseDescription const&) override {}
  void onShrinkTried(rc::detail::CaseDescription const&, bool) override {}
  void onTestFinished(rc::detail::TestMetadata const&, rc::detail::TestResult const&) override {}
};

// FNV-1a.
std::uint64_t name_hash(char const* name) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (; *name != 0; ++name) hash = (hash ^ static_cast<unsigned char>(*name)) * 0x100000001b3u;
  return hash;
}
}  // namespace

bool detail::holds(char const* what, int cases, std::function<void()> const& property) {
  auto const& given = rc::detail::configuration();
  auto parameters = given.testParams;
  char const* const environment = std::getenv("RC_PARAMS");
  auto const chosen = [&](char const* name) {
    return environment != nullptr && std::string(environment).find(name) != std::string::npos;
  };
  if (!chosen("max_success=")) parameters.maxSuccess = cases;
  if (!chosen("seed=")) parameters.seed = name_hash(what);
  rc::detail::TestMetadata metadata;
  metadata.id = metadata.description = what;
  silent listener;
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
