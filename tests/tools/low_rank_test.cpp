// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// LESS behind any plan: networks from a dump or a file of weights, sums, and what judges them.
#include <catch2/catch_all.hpp>

#include <kvsieve/reference/attend.hpp>
#include <kvsieve/reference/low_rank_state.hpp>

#include "container.hpp"
#include "evict_choice.hpp"
#include "fidelity.hpp"
#include "low_rank.hpp"
#include "scratch.hpp"
#include "workspace.hpp"

using Catch::Matchers::ContainsSubstring;
using kvsieve::test::scratch;
using kvsieve::test::small_dump;
using namespace kvsieve::tool;

namespace {
constexpr int rank = 4, units = 16;

/// The networks of layers 1 and 3 of small_dump.
std::vector<small_dump::part> networks() {
  support::low_rank_tables const t(2, 2, 4, 64, rank, units, 9);
  std::vector<small_dump::part> parts;
  for (int l = 0; l < 2; ++l) {
    auto const add = [&](std::string const& name, std::vector<std::int64_t> shape, std::vector<float> const& all) {
      auto const half = all.size() / 2;
      auto const first = all.begin() + static_cast<std::ptrdiff_t>(half) * l;
      parts.push_back({std::string("layers.") + (l == 0 ? "1" : "3") + ".less." + name,
                       "F32",
                       std::move(shape),
                       {first, first + static_cast<std::ptrdiff_t>(half)}});
    };
    add("query_in", {4, 64, units}, t.query_in);
    add("query_out", {4, units, rank}, t.query_out);
    add("in", {2, 64, units}, t.in);
    add("out", {2, units, rank}, t.out);
    add("mix", {2, rank, rank}, t.mix);
    add("scale", {2, rank}, t.scale);
    add("mix_scale", {2, rank}, t.mix_scale);
  }
  return parts;
}

/// What the choice makes of every third token kept.
struct ran {
  cache_dump dump;
  std::vector<std::vector<stored_head>> merged;
  outcome out;
  message failed;
  kvsieve::token_plan plan;
  std::vector<kvsieve::index> offset{0};
  std::vector<int> list, tokens;
  std::vector<float> score = std::vector<float>(2 * 2 * 32);
  std::vector<kvsieve::index> score_offset{0, 64};

  explicit ran(std::string const& file, std::string const& weights = {}) {
    REQUIRE(!read_dump(file, {}, dump));
    if (!weights.empty()) REQUIRE(!read_weights(weights, dump));
    for (int r = 0; r < 4; ++r) {
      for (int t = 0; t < 32; t += 3) list.push_back(t);
      offset.push_back(static_cast<kvsieve::index>(list.size()));
    }
    tokens.assign(2, 32);
    plan.views = plan.heads = 2;
    plan.logical_tokens = tokens.data();
    plan.offset = offset.data();
    plan.list = list.data();
    plan.score = score.data();
    plan.score_offset = score_offset.data();
    evict_choice const* choice = nullptr;
    REQUIRE(!find_evict_choice("low_rank_state", choice));
    kvsieve::host::team team(2);
    kvsieve::host::on const on(team);
    failed = choice->run(on, plan, dump, {}, out, merged);
  }
};
}  // namespace

TEST_CASE("low_rank_state: sums and what queries read of them are the reference's", "[tools]") {
  scratch const at;
  small_dump plain, with;
  auto const parts = networks();
  with.parts.insert(with.parts.end(), parts.begin(), parts.end());
  plain.write(at / "plain");
  with.write(at / "with");
  small_dump weights;
  weights.metadata = {{"format", "pt"}};
  weights.parts = parts;
  weights.write(at / "weights");
  support::low_rank_tables const t(2, 2, 4, 64, rank, units, 9);
  for (auto const& r : {ran(at / "with"), ran(at / "plain", at / "weights")}) {
    REQUIRE(!r.failed);
    // 11 rows of 2 heads and layers, and the sums.
    CHECK(r.out.bytes_after == 2u * (2 * 2 * 11 * 64 * 4 + 2 * rank * 65 * 4));
    for (int l = 0; l < 2; ++l)
      for (int h = 0; h < 2; ++h) {
        auto const& layer = r.dump.layers[static_cast<std::size_t>(l)];
        auto const row = [](tensor const& x, int head, std::int64_t token) {
          auto const* const first = x.as<float>() + (head * x.shape[1] + token) * 64;
          return std::vector<double>(first, first + 64);
        };
        kvsieve::reference::low_rank_state sums(rank, 64);
        for (int k = 0; k < 32; ++k)
          if (k % 3 != 0) sums.add(t.keys_of(l, h), row(layer.keys, h, k), row(layer.values, h, k));
        auto const& stored = r.merged[static_cast<std::size_t>(l)][static_cast<std::size_t>(h)];
        REQUIRE(stored.sums.size() == rank * 65);
        for (std::size_t c = 0; c < rank; ++c) {
          CHECK(static_cast<double>(stored.sums[c * 65 + 64]) == Catch::Approx(sums.z[c]).epsilon(1e-5));
          for (std::size_t d = 0; d < 64; ++d)
            CHECK(static_cast<double>(stored.sums[c * 65 + d]) == Catch::Approx(sums.h[c][d]).margin(1e-4));
        }
        auto const query = row(layer.queries, 2 * h + 1, 15);
        std::vector<float> const as_floats(query.begin(), query.end());
        std::vector<double> want(64);
        kvsieve::reference::attended kept(query);
        auto const rows = [](std::vector<float> const& x) { return kvsieve::make_rows<64>(x.data(), 1, 11); };
        kept.see(rows(stored.keys), rows(stored.values), 0, 11, [](auto, auto) { return 0.0; });
        double log_sum = kept.finish(want);
        auto const phi = kvsieve::reference::query_features(t.queries_of(l, 2 * h + 1), query);
        sums.join(phi, want, log_sum);
        REQUIRE(stored.features.size() == 2 * 16 * rank);
        auto const features = std::span(stored.features).last(rank);
        auto const got = attention::output(as_floats, stored, 32, features);
        for (std::size_t d = 0; d < 64; ++d) CHECK(got[d] == Catch::Approx(want[d]).margin(1e-5));
      }
  }
}

TEST_CASE("low_rank_state: judged, and neither stored nor run without networks", "[tools]") {
  scratch const at;
  small_dump d;
  d.write(at / "d");
  ran const without(at / "d");
  REQUIRE(without.failed);
  CHECK_THAT(*without.failed, ContainsSubstring("layers.1.less.query_in is missing"));

  auto const parts = networks();
  d.parts.insert(d.parts.end(), parts.begin(), parts.end());
  d.write(at / "d");
  ran r(at / "d");
  REQUIRE(!r.failed);
  for (std::size_t l = 0; l < 2; ++l) {
    layer_outcome one;
    one.layer = r.dump.layers[l].layer;
    for (int h = 0; h < 2; ++h) one.kept.emplace_back(r.list.begin(), r.list.begin() + 11);
    one.stored = r.merged[l];
    r.out.layers.push_back(one);
  }
  auto plain = r.out.layers;
  for (auto& l : plain) l.stored.clear();
  std::vector<layer_outcome> const* const sets[] = {&r.out.layers, &plain};
  auto const judged = judge(r.dump, sets, 2);
  CHECK(judged[0].error.samples == judged[1].error.samples);
  CHECK(std::isfinite(judged[0].error.mean));
  CHECK(judged[0].error.mean != judged[1].error.mean);
  auto const failed = write_kept(at / "out", r.dump, r.out, false);
  REQUIRE(failed);
  CHECK_THAT(*failed, ContainsSubstring("no sums"));
  CHECK(!std::filesystem::exists(at / "out"));

  auto spoiled = d;
  spoiled["layers.3.less.mix"].shape = {2, rank * rank};
  spoiled.write(at / "d");
  cache_dump dump;
  auto const wrong = read_dump(at / "d", {}, dump);
  REQUIRE(wrong);
  CHECK_THAT(*wrong,
             ContainsSubstring("layers.3.less.mix\": shape [2, 16] does not fit the metadata, which needs [2, 4, 4]"));
}
