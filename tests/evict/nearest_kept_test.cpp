// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The blocked search by itself: every way of being near, sizes around its blocks, ties, and rows that are not finite.
#include <kvsieve/evict/nearest.hpp>
#include <kvsieve/host/evict/nearest_kept.hpp>
#include <kvsieve/reference/merge.hpp>

#include <numeric>

#include <catch2/catch_all.hpp>

#include "cache.hpp"

using namespace kvsieve;

namespace {
struct found {
  std::vector<int> target;
  std::vector<float> similarity;
};
template <class Nearest, class View>
found find(View const& keys, std::vector<int> const& kept, std::vector<int> const& evicted) {
  using search = host::nearest_kept<Nearest, View>;
  std::vector<float> scratch(static_cast<std::size_t>(search::room));
  found f{std::vector<int>(evicted.size()), std::vector<float>(evicted.size())};
  auto const count = static_cast<kvsieve::index>(evicted.size());
  for (kvsieve::index first = 0; first < count; first += search::rows)
    search::find(keys, 0, kept.data(), static_cast<kvsieve::index>(kept.size()), evicted.data() + first,
                 std::min(count - first, search::rows), scratch.data(), f.target.data() + first,
                 f.similarity.data() + first);
  return f;
}

// No kept token is nearer than the one found, but for rounding; equal ones have a larger index.
template <class Nearest, class T, int D, class Alike>
void matches(int kept, int evicted, support::content what, Alike const& alike) {
  std::mt19937 random(static_cast<unsigned>(kept * 1000 + evicted));
  support::tensor<T, D> keys(1, kept + evicted);
  keys.fill(random, what);
  std::vector<int> order(static_cast<std::size_t>(kept + evicted));
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), random);
  std::vector<int> stay(order.begin(), order.begin() + kept);
  std::sort(stay.begin(), stay.end());
  reference::head_to_merge const h(keys.view(), keys.view(), 0, stay);
  auto const f = find<Nearest>(keys.view(), h.kept, h.evicted);
  auto const want = reference::find_nearest(h, [&](int e, int j) {
    return reference::usable(h.key(e)) && reference::usable(h.key(j)) ? alike(h.key(e), h.key(j)) : std::nan("");
  });
  double scale = 1;
  for (auto const& k : h.keys)
    if (reference::usable(k)) scale = std::max(scale, reference::product(k, k));
  int wrong = 0;
  for (std::size_t i = 0; i < h.evicted.size(); ++i) {
    CAPTURE(i, f.target[i], want.target[i], f.similarity[i], want.similarity[i]);
    if (want.target[i] < 0) {
      CHECK(f.target[i] == -1);
      CHECK(f.similarity[i] == -HUGE_VALF);
      continue;
    }
    REQUIRE(f.target[i] >= 0);
    double const got = alike(h.key(h.evicted[i]), h.key(h.kept[static_cast<std::size_t>(f.target[i])])),
                 best = want.similarity[i];
    wrong += got == best ? f.target[i] != want.target[i] : best - got > 2e-6 * scale;
    wrong += std::abs(static_cast<double>(f.similarity[i]) - best) > 4e-6 * scale;
  }
  CHECK(wrong == 0);
}
}  // namespace

TEMPLATE_TEST_CASE("the nearest kept row by cosine, product and distance", "", float, bf16) {
  for (int const kept : {1, 2, 7, 8, 31, 32, 33, 100})
    for (int const evicted : {1, 15, 16, 17, 32, 129, 300}) {
      CAPTURE(kept, evicted);
      for (auto const what : {support::content::normal, support::content::non_finite, support::content::zero}) {
        matches<nearest::cosine, TestType, 80>(kept, evicted, what, reference::cosine);
        matches<nearest::dot, TestType, 80>(kept, evicted, what, reference::product);
        matches<nearest::l2, TestType, 80>(kept, evicted, what, reference::closeness);
      }
    }
}

TEST_CASE("rows that are all alike merge into the first kept one") {
  std::mt19937 random(3);
  support::tensor<float, 64> keys(1, 200);
  keys.fill(random, support::content::equal);
  std::vector<int> kept, evicted;
  for (int t = 0; t < 200; ++t) (t % 3 == 1 ? kept : evicted).push_back(t);
  for (int const t : find<nearest::cosine>(keys.view(), kept, evicted).target) CHECK(t == 0);
  for (int const t : find<nearest::dot>(keys.view(), kept, evicted).target) CHECK(t == 0);
  for (int const t : find<nearest::l2>(keys.view(), kept, evicted).target) CHECK(t == 0);
}

TEST_CASE("a key of zeros has the cosine 0 with all, and the first kept row") {
  std::mt19937 random(4);
  support::tensor<float, 64> keys(1, 50);
  keys.fill(random, support::content::normal);
  for (int d = 0; d < 64; ++d) keys.set(0, 20, d, 0.0f);
  std::vector<int> const kept{3, 8, 30, 49}, evicted{20};
  auto const f = find<nearest::cosine>(keys.view(), kept, evicted);
  CHECK(f.target[0] == 0);
  CHECK(f.similarity[0] == 0.0f);
}

TEST_CASE("nothing kept, or nothing kept that is finite: no target") {
  std::mt19937 random(5);
  support::tensor<float, 64> keys(1, 10);
  keys.fill(random, support::content::normal);
  std::vector<int> const evicted{0, 1, 2};
  CHECK(find<nearest::cosine>(keys.view(), {}, evicted).target == std::vector<int>{-1, -1, -1});
  keys.set(0, 7, 5, std::numeric_limits<float>::quiet_NaN());
  CHECK(find<nearest::l2>(keys.view(), {7}, evicted).target == std::vector<int>{-1, -1, -1});
  CHECK(find<nearest::l2>(keys.view(), {7, 9}, evicted).target == std::vector<int>{1, 1, 1});
}

TEST_CASE("by position the smaller index wins a tie, and the ends are no targets") {
  std::vector<int> const kept{0, 4, 6, 10}, evicted{1, 2, 3, 5, 7, 8, 9, 11};
  std::vector<int> target(8);
  std::vector<float> similarity(8);
  host::find_nearest_position(kept.data(), 4, 0, 12, evicted.data(), 8, target.data(), similarity.data());
  CHECK(target == std::vector<int>{0, 0, 1, 1, 2, 2, 3, 3});
  CHECK(similarity == std::vector<float>{-1, -2, -1, -1, -1, -2, -1, -1});
  host::find_nearest_position(kept.data(), 4, 1, 10, evicted.data(), 8, target.data(), similarity.data());
  CHECK(target == std::vector<int>{1, 1, 1, 1, 2, 2, 2, 2});
  host::find_nearest_position(kept.data(), 4, 7, 10, evicted.data(), 8, target.data(), similarity.data());
  CHECK(target == std::vector<int>(8, -1));
}
