// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Which channels are held: ThinK's choice and LeanK's masks against the reference, and a layer of heads of different
// widths.
#include <kvsieve/encode/kept_channels.hpp>
#include <kvsieve/encode/plain.hpp>
#include <kvsieve/reference/attend.hpp>
#include <kvsieve/reference/think.hpp>
#include <kvsieve/store/channels.hpp>
#include <kvsieve/store/divide.hpp>

#include <catch2/catch_all.hpp>

#include "planned.hpp"
#include "refusal.hpp"

namespace channels_tests {
namespace {
using kvsieve::errc;
using kvsieve::index;
using kvsieve::store::lean_k;
using kvsieve::store::mask_words;
using kvsieve::store::think;

std::vector<int> channels_of(std::uint64_t const* mask, int D) {
  std::vector<int> list;
  for (int d = 0; d < D; ++d)
    if ((mask[d / 64] >> d % 64 & 1) != 0) list.push_back(d);
  return list;
}
template <class T>
kvsieve::cs::span<T const> span_of(std::vector<T> const& x) {
  return {x.data(), x.size()};
}
kvsieve::cs::span<std::uint64_t> out_of(std::vector<std::uint64_t>& x) { return {x.data(), x.size()}; }
}  // namespace

TEST_CASE("think: the channels of the largest products of queries and keys stay") {
  CHECK(support::holds("think: channels", 120, [] {
    auto const s = *support::shapes(1, 700);
    support::with_combination(s.combination, [&]<class T, int D, bool Strided>() {
      int const queries = *rc::gen::inRange(1, 40), window = *rc::gen::inRange(1, 50),
                keep = *rc::gen::inRange(0, D + 1);
      auto const layers = support::make_layers<T, D, Strided>(s, [&](int) { return queries; });
      std::vector<decltype(layers[0].const_view())> views;
      std::vector<decltype(layers[0].queries.view())> asked;
      for (auto const& l : layers) {
        views.push_back(l.const_view());
        asked.push_back(l.queries.view());
      }
      std::vector<std::uint64_t> masks(static_cast<std::size_t>(s.views() * s.kv_heads * mask_words(D)), 5u);
      support::with_executor(s.executor, [&](auto const& on) {
        RC_ASSERT(static_cast<bool>(
            kvsieve::store::think_channels(on, span_of(views), span_of(asked), think{keep, window}, out_of(masks))));
      });
      for (int v = 0; v < s.views(); ++v)
        for (int h = 0; h < s.kv_heads; ++h) {
          auto const at = static_cast<std::size_t>(v);
          auto const importance = kvsieve::reference::think(asked[at], views[at].keys, h, views[at].tokens(), window);
          auto const want = kvsieve::reference::largest_channels(importance, keep);
          std::uint64_t const* const mask = masks.data() + (v * s.kv_heads + h) * mask_words(D);
          RC_ASSERT(kvsieve::store::mask_count(mask, D) == keep);
          auto const got = channels_of(mask, D);
          std::vector<int> mine, theirs;
          std::set_difference(got.begin(), got.end(), want.begin(), want.end(), std::back_inserter(mine));
          std::set_difference(want.begin(), want.end(), got.begin(), got.end(), std::back_inserter(theirs));
          // Sums of up to 256 squares in float, each off by half a unit, and squares below 2^-149 that are lost.
          auto const value = [&](int d) { return importance[static_cast<std::size_t>(d)]; };
          for (int const a : mine)
            for (int const b : theirs)
              RC_ASSERT(value(b) - value(a) <= 2 * 260 * 0x1p-24 * (value(a) + value(b)) + 1e-30);
        }
    });
  }));
}

TEST_CASE("think: equal channels go by number, NaN counts least, any number of workers gives the same") {
  constexpr int D = 64;
  std::vector<float> keys(3 * D, 1.0f), queries(2 * D, 1.0f);
  keys[5] = std::nanf("");
  std::vector<std::uint64_t> masks(1);
  auto const rows = kvsieve::make_rows<D>(static_cast<float const*>(keys.data()), 1, 3);
  auto const q = kvsieve::make_rows<D>(static_cast<float const*>(queries.data()), 1, 2);
  kvsieve::kv_layer const layer{rows, rows};
  REQUIRE(kvsieve::store::think_channels(kvsieve::host::on{}, layer, q, think{8}, out_of(masks)));
  CHECK(masks[0] == 0x1df);
  REQUIRE(kvsieve::store::think_channels(kvsieve::host::on{}, layer, q, think{64}, out_of(masks)));
  CHECK(masks[0] == ~0ull);
  REQUIRE(kvsieve::store::think_channels(kvsieve::host::on{}, layer, q, think{0}, out_of(masks)));
  CHECK(masks[0] == 0);
  support::layer<kvsieve::bf16, 96> const big(4, 2, 3000, 32, support::layout::nhd, support::content::normal, 3);
  std::vector<std::uint64_t> one(8), other(8);
  for (auto* const to : {&one, &other})
    support::with_executor(to == &one ? 0 : 1, [&](auto const& on) {
      REQUIRE(kvsieve::store::think_channels(on, big.const_view(), big.queries.view(), think{40}, out_of(*to)));
    });
  CHECK(one == other);
}

TEST_CASE("think refuses what does not fit and writes nothing") {
  support::layer<float, 64> const l(2, 2, 9, 3, support::layout::packed, support::content::normal, 1);
  std::vector<std::uint64_t> masks(2, 77u);
  kvsieve::host::on const on;
  auto const refused = [&](auto const& layer, auto const& q, think const& p, errc code,
                           std::vector<std::string> const& parts, std::size_t words = 2) {
    support::check_refused(
        kvsieve::store::think_channels(on, layer, q, p, kvsieve::cs::span<std::uint64_t>(masks.data(), words)), code,
        parts);
    CHECK(masks == std::vector<std::uint64_t>(2, 77u));
  };
  auto const layer = l.const_view();
  auto const q = l.queries.view();
  refused(layer, q, {65}, errc::bad_params, {"think.keep is 65", "64"});
  refused(layer, q, {-1}, errc::bad_params, {"think.keep is -1", "0"});
  refused(layer, q, {32, 0}, errc::bad_params, {"think.window is 0", "1"});
  refused(layer, q, {32}, errc::bad_shape, {"masks is 1", "2"}, 1);
  support::tensor<float, 64> const odd(3, 2), none(4, 0);
  refused(layer, odd.view(), {32}, errc::bad_shape, {"queries.heads is 3", "2"});
  refused(layer, none.view(), {32}, errc::bad_shape, {"queries.tokens is 0", "1"});
  auto const null = kvsieve::make_rows<64>(static_cast<float const*>(nullptr), 2, 9);
  refused(kvsieve::kv_layer{null, null}, q, {32}, errc::bad_pointer, {"keys is 0", "null"});
}

TEST_CASE("lean_k: widths of heads and channels are the reference's") {
  CHECK(support::holds("lean_k: masks", 200, [] {
    int const D = *rc::gen::element(64, 80, 128), align = *rc::gen::element(1, 16, D == 80 ? 80 : 32);
    int const heads = *rc::gen::inRange(1, 9);
    double const ratio = *support::fractions();
    std::mt19937 random(*rc::gen::arbitrary<std::uint32_t>());
    bool const ties = random() % 3 == 0;
    std::vector<float> importance;
    for (int i = 0; i < heads * D; ++i)
      importance.push_back(ties ? static_cast<float>(random() % 5) : static_cast<float>(random()) * 0x1p-30f);
    std::vector<std::uint64_t> masks(static_cast<std::size_t>(heads * mask_words(D)));
    support::workspace memory(kvsieve::store::lean_k_workspace_bytes(importance.size()));
    RC_ASSERT(static_cast<bool>(
        kvsieve::store::lean_k_channels(span_of(importance), D, lean_k{ratio, align}, memory.span(), out_of(masks))));
    RC_ASSERT(memory.guards_hold());
    std::vector<double> const wide(importance.begin(), importance.end());
    auto const want = kvsieve::reference::lean_k(wide, D, ratio, align);
    for (int h = 0; h < heads; ++h)
      RC_ASSERT(channels_of(masks.data() + h * mask_words(D), D) == want[static_cast<std::size_t>(h)]);
  }));
}

TEST_CASE("lean_k refuses what does not fit and writes nothing") {
  std::vector<float> importance(2 * 64, 1.0f);
  std::vector<std::uint64_t> masks(2, 77u);
  support::workspace memory(kvsieve::store::lean_k_workspace_bytes(importance.size()));
  auto const refused = [&](lean_k const& p, int D, std::size_t words, errc code, std::vector<std::string> const& parts,
                           std::size_t bytes = 1 << 9) {
    support::check_refused(kvsieve::store::lean_k_channels(span_of(importance), D, p, memory.span().first(bytes),
                                                           kvsieve::cs::span<std::uint64_t>(masks.data(), words)),
                           code, parts);
    CHECK(masks == std::vector<std::uint64_t>(2, 77u));
    CHECK(memory.untouched());
  };
  refused({0.7, 24}, 64, 2, errc::bad_params, {"lean_k.align is 24", "64"});
  refused({1.5, 32}, 64, 2, errc::bad_params, {"lean_k.ratio is 1.5", "1"});
  refused({0.7, 0}, 64, 2, errc::bad_params, {"lean_k.align is 0", "1"});
  refused({0.7, 32}, 96, 2, errc::bad_shape, {"importance is 128", "96"});
  refused({0.7, 32}, 64, 1, errc::bad_shape, {"masks is 1", "2"});
  refused({0.7, 32}, 64, 2, errc::workspace_too_small, {"workspace is 64", "512"}, 64);
  importance[3] = INFINITY;
  refused({0.7, 32}, 64, 2, errc::bad_params, {"importance is inf", "finite"});
}

TEST_CASE("lean_k: sinks and recent tokens as they were, the middle in the width of its head, and attention over all") {
  constexpr int D = 64, heads = 3, tokens = 200;
  support::layer<kvsieve::f16, D> const l(heads, 2, tokens, 1, support::layout::packed, support::content::normal, 11);
  // Heads of 0, 32 and 64 channels.
  std::vector<std::uint64_t> const masks{0, 0x0f0ff00ff00f0ff0ull, ~0ull};
  std::vector<index> offset;
  std::vector<int> list;
  for (int h = 0; h <= heads; ++h) offset.push_back(h * tokens);
  for (int i = 0; i < heads * tokens; ++i) list.push_back(i % tokens);
  kvsieve::token_plan plan;
  plan.views = 1;
  plan.heads = heads;
  plan.logical_tokens = &tokens;
  plan.offset = offset.data();
  plan.list = list.data();
  // Parts: as it was, 32 channels, not stored. A head that keeps none has no middle at all.
  kvsieve::store::windows const rule{.sink = 4, .recent = 30};
  kvsieve::token_plan parts[3];
  support::workspace memory(kvsieve::store::divide_workspace_bytes(plan, 3));
  REQUIRE(kvsieve::store::divide(
      plan,
      [&](int v, int h, int i) {
        if (rule.part_of(plan.count(v, h), i) == 1) return 0;
        int const width = kvsieve::store::mask_count(masks.data() + h, D);
        return width == 64 ? 0 : width == 32 ? 1 : 2;
      },
      memory.span(), kvsieve::cs::span<kvsieve::token_plan>(parts, 3)));
  CHECK(parts[1].count(0, 1) == tokens - 34);
  CHECK(parts[2].count(0, 0) == tokens - 34);
  using held = kvsieve::encode::kept_channels<32, kvsieve::encode::plain<kvsieve::f16>>;
  using whole = kvsieve::encode::plain<kvsieve::f16>;
  std::vector<kvsieve::byte> bytes[4];
  auto const rows = [&](int p) { return parts[p].offset[heads]; };
  bytes[0].resize(static_cast<std::size_t>(rows(0) * whole::tile_bytes<D>));
  bytes[1] = bytes[0];
  bytes[2].resize(static_cast<std::size_t>(rows(1) * held::tile_bytes<D>));
  bytes[3].resize(static_cast<std::size_t>(rows(1) * whole::tile_bytes<D>));
  kvsieve::kv_layer const dense{kvsieve::make_encoded_ragged<whole, D>(bytes[0].data(), heads, parts[0].offset),
                                kvsieve::make_encoded_ragged<whole, D>(bytes[1].data(), heads, parts[0].offset)};
  kvsieve::kv_layer const narrow{kvsieve::make_encoded_ragged<held, D>(bytes[2].data(), heads, parts[1].offset,
                                                                       {masks.data(), 1, heads, parts[1].offset}),
                                 kvsieve::make_encoded_ragged<whole, D>(bytes[3].data(), heads, parts[1].offset)};
  kvsieve::host::on const on;
  auto const source = l.const_view();
  // A mask of 64 channels belongs to a head without rows here, and is refused all the same.
  support::check_refused(kvsieve::apply<kvsieve::key_norm<>>(on, parts[1], source, narrow), errc::bad_params,
                         {"keys is 64", "32"});
  std::vector<std::uint64_t> const own{0, masks[1], 0};
  kvsieve::kv_layer const middle{kvsieve::make_encoded_ragged<held, D>(bytes[2].data(), heads, parts[1].offset,
                                                                       {own.data(), 1, heads, parts[1].offset}),
                                 narrow.values};
  REQUIRE(kvsieve::apply<kvsieve::key_norm<>>(on, parts[0], source, dense));
  REQUIRE(kvsieve::apply<kvsieve::key_norm<>>(on, parts[1], source, middle));
  std::vector<float> out(6 * D);
  auto const o = kvsieve::make_rows<D>(out.data(), 6, 1);
  auto const layer = kvsieve::make_parts(dense, middle);
  auto const q = l.queries.view();
  support::workspace scratch(kvsieve::attend_workspace_bytes(on, q, layer));
  REQUIRE(kvsieve::attend(on, q, layer, o, scratch.span()));
  for (int g = 0; g < 6; ++g) {
    int const h = g / 2;
    double total = 0;
    std::vector<double> want(D);
    for (int t = 0; t < tokens; ++t) {
      bool const full = t < 4 || t >= tokens - 30;
      if (!full && h == 0) continue;
      double z = 0;
      for (int d = 0; d < D; ++d)
        if (full || (masks[static_cast<std::size_t>(h)] >> d & 1) != 0)
          z += double{l.queries.get(g, 0, d)} * double{l.keys.get(h, t, d)};
      double const w = std::exp(z / 8);
      total += w;
      for (int d = 0; d < D; ++d) want[static_cast<std::size_t>(d)] += w * double{l.values.get(h, t, d)};
    }
    for (int d = 0; d < D; ++d)
      CHECK(std::abs(double{out[static_cast<std::size_t>(g * D + d)]} - want[static_cast<std::size_t>(d)] / total) <=
            1e-4);
  }
}
}  // namespace channels_tests
