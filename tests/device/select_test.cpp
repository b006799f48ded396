// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "emulated_plan.hpp"

#include <kvsieve/device/select/select.hpp>
#include <kvsieve/reference/top_k.hpp>

using namespace kvsieve_test;
namespace ref = kvsieve::reference;

namespace {
/// Scores in which a part is tied, with the values that have no place in an order.
std::vector<float> awkward_scores(int n, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<float> s(static_cast<std::size_t>(n));
  for (float& x : s) x = static_cast<float>(static_cast<int>(random() % 200) - 100) / 7.0f;
  float const odd[] = {not_a_number, -infinite, infinite, -0.0f, 0.0f, 1e-42f, not_a_number, infinite};
  for (std::size_t i = 0; n > 10 && i < 8; ++i) s[random() % s.size()] = odd[i];
  return s;
}

template <int Threads>
std::vector<int> run_select(std::vector<float> score, int keep, ref::forced_tokens const& forced) {
  int const n = static_cast<int>(score.size());
  std::vector<int> list(static_cast<std::size_t>(keep) + 1, -7);
  kvs::device::select_args args{};
  args.views.part[0] = {score.data(), list.data(), n, keep, n, keep, forced.sink, forced.recent, {0, n, 1}};
  args.white_list = forced.white_list.data();
  args.white_count = static_cast<int>(forced.white_list.size());
  REQUIRE(emulated_device<Threads>{}.template launch<kvs::device::select_body>({1, 1, 1}, args));
  CHECK(list.back() == -7);
  list.pop_back();
  return list;
}

template <int Threads>
void check_select(int n, int keep, ref::forced_tokens const& forced = {}) {
  CAPTURE(Threads, n, keep, forced.sink, forced.recent, forced.white_list.size());
  auto const score = awkward_scores(n, static_cast<unsigned>(n + keep));
  std::vector<double> const wide(score.begin(), score.end());
  CHECK(run_select<Threads>(score, keep, forced) == ref::top_k(wide, keep, forced));
}
}  // namespace

TEST_CASE("select kernel: the kept set is the reference's", "[device][select]") {
  for (int const n : {1, 5, 63, 64, 65, 257}) {
    for (int const keep : {0, 1, n / 3, n / 2, n - 1, n}) check_select<64>(n, keep);
  }
  check_select<32>(100, 41);
  check_select<128>(1000, 333);
  if constexpr (!race_check) {
    check_select<64>(3001, 1500);
    check_select<128>(3001, 17);
    check_select<64>(70001, 35000);  // more than 16 bits count
  }
}

TEST_CASE("select kernel: equal scores keep the smaller indices", "[device][select]") {
  std::vector<float> const score(100, 2.5f);
  auto const list = run_select<64>(score, 37, {});
  for (int i = 0; i < 37; ++i) CHECK(list[static_cast<std::size_t>(i)] == i);
}

TEST_CASE("select kernel: forced tokens stay, and give way in their order", "[device][select]") {
  std::vector<int> const listed{3, 17, 18, 40, 61, 90, 95};
  for (int const keep : {0, 1, 2, 5, 9, 12, 15, 20, 30, 60, 100}) {
    check_select<64>(100, keep, {.sink = 4, .recent = 10});
    check_select<64>(100, keep, {.sink = 4, .recent = 10, .white_list = listed});
    check_select<32>(100, keep, {.sink = 0, .recent = 0, .white_list = listed});
  }
  check_select<64>(20, 10, {.sink = 15, .recent = 15});
  check_select<64>(50, 10, {.sink = 1, .recent = 3, .white_list = listed});  // entries beyond the row
}

TEST_CASE("forced set: size and cut follow the definition for every budget", "[device][select]") {
  std::mt19937 random(3);
  for (int round = 0; round < 300; ++round) {
    int const n = 1 + static_cast<int>(random() % 30);
    std::vector<int> listed;
    for (int t = 0; t < 34; ++t) {
      if (random() % 5 == 0) listed.push_back(t);
    }
    ref::forced_tokens const forced{static_cast<int>(random() % 33), static_cast<int>(random() % 33), listed};
    kvs::forced_set const set{n, forced.sink, forced.recent, listed.data(), static_cast<int>(listed.size())};
    for (int keep = 0; keep <= n; ++keep) {
      auto const cut = set.cut(keep);
      std::vector<double> const flat(static_cast<std::size_t>(n), 0.0);
      int held = 0, white = 0;
      auto const expected = ref::top_k(flat, keep, forced);
      for (int t = 0; t < n; ++t) {
        if (ref::reason_of(t, n, forced) == ref::reason::white_list) ++white;
        if (!cut.holds(t)) continue;
        ++held;
        bool const is_kept = std::find(expected.begin(), expected.end(), t) != expected.end();
        if (!is_kept && white <= keep) FAIL("token " << t << " is held, and the reference drops it");
      }
      CHECK(held == cut.size());
      CHECK((held <= keep || held == white));
    }
  }
}

TEST_CASE("select kernel: a white list that does not ascend is no danger", "[device][select]") {
  std::vector<int> const listed{90, -5, 3, 3, 2000000000, 7};
  for (int const keep : {0, 3, 50, 100}) {
    auto const list = run_select<64>(awkward_scores(100, 4), keep, {.sink = 2, .recent = 2, .white_list = listed});
    CHECK(std::is_sorted(list.begin(), list.end()));
    CHECK(std::adjacent_find(list.begin(), list.end()) == list.end());
    for (int const t : list) CHECK((t >= 0 && t < 100));
  }
}
