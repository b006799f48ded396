// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The page allocator against a model that searches a list of references from the front.
#include <kvsieve/store/page_pool.hpp>

#include <algorithm>
#include <random>
#include <vector>

#include <catch2/catch_all.hpp>

#include "generators.hpp"
#include "refusal.hpp"
#include "workspace.hpp"

namespace page_pool_tests {
namespace {
using kvsieve::errc, kvsieve::index;
using kvsieve::store::page_pool;

struct model {
  std::vector<int> references;
  [[nodiscard]] int free() const { return static_cast<int>(std::count(references.begin(), references.end(), 0)); }
  bool allocate(std::vector<int>& out) {
    if (static_cast<int>(out.size()) > free()) return false;
    std::size_t given = 0;
    for (std::size_t p = 0; given < out.size(); ++p)
      if (references[p] == 0) {
        references[p] = 1;
        out[given++] = static_cast<int>(p);
      }
    return true;
  }
  bool count(std::vector<int> const& list, int more) {
    auto const before = references;
    for (int const p : list) {
      if (p < 0 || p >= static_cast<int>(references.size()) || references[static_cast<std::size_t>(p)] == 0) {
        references = before;
        return false;
      }
      references[static_cast<std::size_t>(p)] += more;
    }
    return true;
  }
};

// Lists with pages of the pool, some of them free, some of them twice, some outside.
std::vector<int> any_list(std::mt19937& random, model const& m) {
  std::vector<int> list;
  int const pages = static_cast<int>(m.references.size());
  for (std::size_t n = random() % 8; n > 0; --n) {
    int page = static_cast<int>(random() % static_cast<unsigned>(pages));
    for (int tries = 0; tries < 20 && m.references[static_cast<std::size_t>(page)] == 0; ++tries)
      page = (page + 1) % pages;
    if (random() % 16 == 0) page = static_cast<int>(random() % static_cast<unsigned>(2 * pages)) - pages / 2;
    list.push_back(page);
    if (random() % 16 == 0) list.push_back(page);
  }
  return list;
}
}  // namespace

TEST_CASE("page_pool: any calls give what a search from the front gives; a refused one changes nothing") {
  CHECK(support::holds("page_pool: random calls", 200, [] {
    std::mt19937 random(*rc::gen::arbitrary<std::uint32_t>());
    int const pages = 1 + static_cast<int>(random() % 300);
    support::workspace memory(page_pool::bytes(pages));
    page_pool pool;
    RC_ASSERT(static_cast<bool>(pool.open(memory.span(), pages)));
    model m{std::vector<int>(static_cast<std::size_t>(pages))};
    for (int call = 0; call < 200; ++call) {
      bool want = false;
      kvsieve::status got;
      if (random() % 3 == 0) {
        std::vector<int> mine(random() % static_cast<unsigned>(pages / 3 + 2), -9), theirs = mine;
        want = m.allocate(mine);
        got = pool.allocate(theirs);
        RC_ASSERT(mine == theirs);
      } else {
        auto const list = any_list(random, m);
        bool const more = random() % 3 == 0;
        want = m.count(list, more ? 1 : -1);
        got = more ? pool.share(list) : pool.release(list);
      }
      RC_ASSERT(static_cast<bool>(got) == want);
      RC_ASSERT(pool.free() == m.free());
      RC_ASSERT(std::equal(m.references.begin(), m.references.end(), pool.references()));
    }
    RC_ASSERT(memory.guards_hold());
  }));
}

TEST_CASE("page_pool refuses what it does not have, and double release") {
  support::workspace memory(page_pool::bytes(70));
  page_pool pool;
  support::check_refused(pool.open(memory.span(), 0), errc::bad_shape, {"pages is 0", "1"});
  support::check_refused(pool.open(memory.span().first(64), 70), errc::workspace_too_small, {"workspace is 64"});
  CHECK(memory.untouched());
  std::vector<int> one(1);
  support::check_refused(pool.allocate(one), errc::out_of_pages, {"pages is 1", "free", "0"});
  REQUIRE(pool.open(memory.span(), 70));
  std::vector<int> all(70);
  REQUIRE(pool.allocate(all));
  CHECK(all.front() == 0);
  CHECK(all.back() == 69);
  support::check_refused(pool.allocate(one), errc::out_of_pages, {"pages is 1", "0"});
  CHECK(pool.allocate({}));
  int const twice[] = {3, 3}, outside[] = {3, 70}, below[] = {-1}, three[] = {3};
  support::check_refused(pool.release(twice), errc::bad_params, {"page is 3", "at most as often", "1"});
  support::check_refused(pool.release(outside), errc::bad_params, {"page is 70", "70"});
  support::check_refused(pool.release(below), errc::bad_params, {"page is -1", "70"});
  CHECK(pool.references()[3] == 1);
  REQUIRE(pool.share(three));
  REQUIRE(pool.release(twice));
  CHECK(pool.free() == 1);
  support::check_refused(pool.release(three), errc::bad_params, {"page is 3", "0"});
  support::check_refused(pool.share(three), errc::bad_params, {"page is 3", "0"});
  REQUIRE(pool.allocate(one));
  CHECK(one[0] == 3);
}
}  // namespace page_pool_tests
