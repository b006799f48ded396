// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/store/level_sets.hpp>

#include <catch2/catch_all.hpp>

#include <algorithm>
#include <cmath>
#include <vector>

namespace store = kvsieve::store;

namespace {
/// Bytes of an entry of each level, without and with a bias.
template <int D, class Set>
std::vector<int> sizes(Set, bool biased) {
  std::vector<int> all;
  Set::each([&]<class Level>(int number) {
    CHECK(number == static_cast<int>(all.size()));
    all.push_back(Level::template entry_bytes<D>(biased));
  });
  return all;
}
/// Bytes of a key or value of B bits: in each group of 32 their codes and a scale in f16.
constexpr int row(int D, int bits) { return D / 32 * (bits * 32 / 8 + 2); }
}  // namespace

TEST_CASE("level sets: an entry takes what its formats say, and a byte for a bias") {
  CHECK(sizes<64>(store::finest_levels{}, false) ==
        std::vector{row(64, 8) + row(64, 8), row(64, 6) + row(64, 5), row(64, 4) + row(64, 3)});
  CHECK(sizes<64>(store::fine_levels{}, false) ==
        std::vector{row(64, 8) + row(64, 8), row(64, 6) + row(64, 5), row(64, 4) + row(64, 3)});
  CHECK(sizes<128>(store::coarse_levels{}, true) ==
        std::vector{row(128, 6) + row(128, 5) + 1, row(128, 5) + row(128, 4) + 1, row(128, 4) + row(128, 3) + 1});
  CHECK(store::fine_levels::fits(128));
  CHECK_FALSE(store::fine_levels::fits(80));
  int sets = 0;
  store::each_level_set([&]<class Set>(Set) {
    ++sets;
    typename Set::template table<64> const table(true);
    CHECK(table.view().check());
    CHECK(table.view().of.size() == static_cast<std::size_t>(Set::count));
    Set::each([&]<class Level>(int l) {
      CHECK(table.of[l].entry_bytes == Level::template entry_bytes<64>(true));
      CHECK(table.of[l].share == Catch::Approx(Level::percent / 100.0));
    });
  });
  CHECK(sets == 4);
}

TEST_CASE("level sets: a budget is counted in bits of each number of the whole cache") {
  // Two layers of three heads, 100 tokens of 64 channels: a key and a value of two bytes a number.
  CHECK(store::bits_a_number(2 * 3 * 100 * 2 * 64 * 2, 2 * 3 * 100, 64) == 16);
  CHECK(store::bits_a_number(2 * 3 * 100 * 2 * 64 / 4, 2 * 3 * 100, 64) == 2);
  CHECK(store::bits_a_number(100, 0, 64) == 0);
}

TEST_CASE("level sets: a set begins where its number of bits says, and less of a budget gives a coarser one") {
  // Bytes that a token takes in the mean, where every level has its share of the bytes.
  auto const mean_of = []<class Set>(Set) {
    double entries = 0;
    Set::each([&]<class Level>(int) { entries += Level::percent / 100.0 / Level::template entry_bytes<64>(false); });
    return 1 / entries;
  };
  auto const chosen = [&](double bits) { return store::with_levels(bits, mean_of); };
  std::vector<double> means;
  store::each_level_set([&]<class Set>(Set) { means.push_back(mean_of(Set{})); });
  REQUIRE(means.size() == 4);
  CHECK(std::is_sorted(means.rbegin(), means.rend()));
  double const from[] = {store::finest_from, store::fine_from, store::middle_from};
  CHECK(chosen(16) == means[0]);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(chosen(from[i]) == means[i]);
    CHECK(chosen(std::nextafter(from[i], 0)) == means[i + 1]);
  }
  CHECK(chosen(0) == means[3]);
}
