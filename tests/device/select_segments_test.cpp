// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Selection of long rows by several blocks each: the reference's lists, whether the sample brackets the cut or not.
#include <algorithm>

#include <kvsieve/budget/head_shares.hpp>
#include <kvsieve/device/select/select_segments.hpp>
#include <kvsieve/reference/top_k.hpp>

#include "agreement.hpp"

using namespace kvsieve_test;
namespace ref = kvs::reference;

namespace {
enum class path { counted, gathered, whole };

/// One call: rows of `tokens` scores, `length` tokens a block, of which row h keeps keep[h].
template <int Threads>
struct segmented_call {
  using select = kvs::select::top_k;
  int tokens, length;
  std::vector<int> keep;
  ref::forced_tokens forced{};

  /// The lists of `scores` [rows, tokens]. `taken` gets how the cut of each row was found.
  std::vector<std::vector<int>> run(std::vector<float>& scores, bool by_offsets, std::vector<path>& taken) const {
    int const rows = static_cast<int>(keep.size());
    std::vector<kvs::index> offset{0};
    for (int const k : keep) offset.push_back(offset.back() + k);
    std::vector<int> list(static_cast<std::size_t>(offset.back()) + 1, -7);
    kvs::device::segmented_shape const shape{tokens, length};
    auto const words = static_cast<std::size_t>(shape.words());
    std::vector<unsigned> scratch(words * keep.size(), 0xcdcdcdcdu);
    kvs::device::segmented_args<select> args{};
    args.select.white_list = {forced.white_list.data(), forced.white_list.size()};
    args.select.recent = forced.recent;
    args.views.part[0] = {
        scores.data(), list.data(), by_offsets ? offset.data() : nullptr, scratch.data(), tokens, keep[0],
        keep[0],       forced.sink, by_offsets ? 0 : forced.recent,       shape};
    emulated_device<Threads> const on;
    using namespace kvs::device;
    REQUIRE(on.template launch<bracket_row_body<select>>({1, rows, 1}, args));
    REQUIRE(on.template launch<gather_keys_body<select>>({shape.segments(), rows, 1}, args));
    for (std::size_t h = 0; h < keep.size(); ++h) {
      segmented_scratch const s{scratch.data() + h * words, shape};
      unsigned above = 0, equal = 0;
      for (int i = 0; i < shape.segments(); ++i) {
        above += s.above()[i];
        equal += s.equal()[i];
      }
      auto const asked = static_cast<unsigned>(keep[h]);
      bool const single = s.least() == s.most();
      unsigned const inside = single ? equal : s.found();
      bool const found = keep[h] > 0 && above < asked && asked <= above + inside;
      taken.push_back(!found || (!single && inside > static_cast<unsigned>(shape.room())) ? path::whole
                      : single                                                            ? path::counted
                                                                                          : path::gathered);
    }
    REQUIRE(on.template launch<cut_row_body<select>>({1, rows, 1}, args));
    REQUIRE(on.template launch<write_kept_body<select>>({shape.segments(), rows, 1}, args));
    CHECK(list.back() == -7);
    std::vector<std::vector<int>> lists;
    for (std::size_t h = 0; h < keep.size(); ++h)
      lists.emplace_back(list.begin() + offset[h], list.begin() + offset[h + 1]);
    return lists;
  }

  /// Compares the lists, and the marks of forced tokens.
  std::vector<path> check(std::vector<float> const& scores, bool by_offsets) const {
    CAPTURE(tokens, length, keep, forced.sink, forced.recent, by_offsets);
    std::vector<path> taken;
    auto written = scores;
    auto const lists = run(written, by_offsets, taken);
    for (std::size_t h = 0; h < keep.size(); ++h) {
      auto const first = static_cast<std::ptrdiff_t>(h) * tokens;
      std::vector<double> const row(scores.begin() + first, scores.begin() + first + tokens);
      CHECK(lists[h] == ref::top_k(row, keep[h], forced));
      bool marked = true;
      for (int t = 0; t < tokens; ++t)
        if (ref::reason_of(t, tokens, forced) != ref::reason::score)
          marked = marked && written[h * static_cast<std::size_t>(tokens) + static_cast<std::size_t>(t)] == infinite;
      CHECK(marked);
    }
    return taken;
  }
};

std::vector<float> drawn(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> s(count);
  for (float& x : s) x = normal(random);
  return s;
}
}  // namespace

TEST_CASE("segmented rows: the kept set is the reference's", "[device][select]") {
  int const n = race_check ? 3000 : 9001;
  auto scores = drawn(static_cast<std::size_t>(3 * n), 1);
  for (std::size_t i = 0; i < 40; ++i) scores[i * 71] = i % 2 == 0 ? not_a_number : infinite;
  for (int const keep : {1, n / 10, n / 2, n - 7, n}) {
    segmented_call<64> const call{n, 1000, {keep, keep, keep}};
    call.check(scores, false);
  }
  segmented_call<32>{n, 512, {n / 3, 0, n - 1}}.check(scores, true);
  segmented_call<128>{n, n, {n / 3, n / 7, 0}}.check(scores, true);
}

TEST_CASE("segmented rows: the sample brackets the cut", "[device][select]") {
  int const n = 20000;
  segmented_call<64> const call{n, 4096, {n / 4, n / 2}};
  for (path const p : call.check(drawn(static_cast<std::size_t>(2 * n), 2), true)) CHECK(p == path::gathered);
}

TEST_CASE("segmented rows: ties at the cut are counted, the smaller indices stay", "[device][select]") {
  int const n = 5000;
  std::vector<float> const flat(static_cast<std::size_t>(n), 2.5f);
  CHECK(segmented_call<64>{n, 700, {1234}}.check(flat, false) == std::vector{path::counted});
  auto coarse = drawn(static_cast<std::size_t>(n), 3);
  for (float& x : coarse) x = std::floor(4 * x);
  segmented_call<64>{n, 700, {n / 3}}.check(coarse, false);
}

TEST_CASE("segmented rows: where the sample misleads, the row is read", "[device][select]") {
  int const n = 8192;  // every fourth token is in the sample
  auto scores = drawn(static_cast<std::size_t>(n), 4);
  for (std::size_t t = 0; t < scores.size(); t += 4) scores[t] += 100;
  CHECK(segmented_call<64>{n, 1024, {n / 2}}.check(scores, false) == std::vector{path::whole});
  for (std::size_t t = 0; t < scores.size(); ++t) scores[t] = t % 4 == 0 ? scores[t] : t % 3 == 0 ? 200.0f : 0.5f;
  segmented_call<64>{n, 1024, {n / 2}}.check(scores, false);
  // More inside of the bracket than there is room for: nine tenths lie in one value's neighbourhood, tied.
  for (std::size_t t = 0; t < scores.size(); ++t) scores[t] = t % 10 == 0 ? static_cast<float>(t) : 1.0f;
  CHECK(segmented_call<64>{n, 1024, {n / 10}}.check(scores, false) == std::vector{path::whole});
}

TEST_CASE("segmented rows: forced tokens stay, and give way in their order", "[device][select]") {
  int const n = 3000;
  auto const scores = drawn(static_cast<std::size_t>(2 * n), 5);
  std::vector<int> const listed{3, 17, 700, 701, 1500, 2900, 2999, 4000};
  for (int const keep : {1, 5, 20, 900, n})
    for (bool const by_offsets : {false, true})
      segmented_call<64>{n, 500, {keep, keep}, {.sink = 4, .recent = 30, .white_list = listed}}.check(scores,
                                                                                                      by_offsets);
}

TEST_CASE("plans of long rows are the host's", "[device][select]") {
  int const n = kvs::device::segmented_shape::longest_whole + 700;
  cache<float, 16> a(2, n, 21), b(2, 300, 22), c(2, n + 5000, 23);
  std::vector const layers{a.layer(), b.layer(), c.layer()};
  using plain = kvs::key_norm<>;
  check_agreement<plain>(layers, {.budget = {.keep = 0.3}, .select = {.sink = 4, .recent = 50}}, 2e-5, 1e-3);
  using halves = kvs::key_norm<kvs::select::heavy_hitters>;
  check_agreement<halves>(layers, {.budget = {.keep = 0.5}}, 2e-5, 1e-3);
  using ranked = kvs::key_norm<kvs::budget::over_heads, kvs::store::ragged>;
  check_agreement<ranked>(layers, {.budget = {.keep = 0.25}, .select = {.recent = 9}}, 2e-5, 1e-3);
}
