// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What absorb_tokens and attend refuse of LESS's tables and sums.
#include <kvsieve/evict/low_rank_state.hpp>
#include <kvsieve/host/absorb_tokens.hpp>

#include <catch2/catch_all.hpp>

#include <kvsieve/host/attend/attend.hpp>
#include <kvsieve/host/run.hpp>

#include "low_rank.hpp"
#include "refusal.hpp"
#include "workspace.hpp"

using namespace kvsieve;

TEST_CASE("low_rank_state refuses tables, sums and lists that do not fit") {
  support::low_rank_layer s;
  auto const layer = s.cache.const_view();
  cs::span<std::remove_const_t<decltype(layer)> const> const layers(&layer, 1);
  std::vector<int> const list{3, 7, 3, 7};
  leaving_tokens leaving{list.data(), 2, 2};
  auto const before = s.memory.data;
  auto const refused = [&](evict::low_rank_state::params const& p, leaving_tokens const& t, errc code,
                           std::vector<std::string> const& parts) {
    support::workspace memory(1 << 20);
    cs::span<leaving_tokens const> const all(&t, 1);
    CHECK(absorb_tokens_workspace_bytes(layers, all, p) == 0);
    support::check_refused(absorb_tokens(host::on{}, layers, all, p, memory.span()), code, parts);
    CHECK(memory.untouched());
  };
  auto const fine = s.tables.params(s.memory.span());
  auto p = fine;
  p.rank = 65;
  refused(p, leaving, errc::bad_params, {"evict.rank is 65", "at most 64"});
  p = fine;
  p.units = 24;
  refused(p, leaving, errc::bad_params, {"evict.units is 24", "multiple of 16"});
  p = fine;
  p.in = p.in.subspan(1);
  refused(p, leaving, errc::bad_shape, {"evict.in is 4095", "multiple of 4096"});
  p = fine;
  p.mix = {};
  refused(p, leaving, errc::bad_shape, {"evict.mix is 0", "128"});
  p = fine;
  p.state = {};
  refused(p, leaving, errc::bad_shape, {"evict.state is 0", "1"});
  auto const with_sums = [&](auto const& change, errc code, std::vector<std::string> const& parts) {
    low_rank_sums changed = s.memory.sums[0];
    change(changed);
    auto q = fine;
    q.state = {&changed, 1};
    refused(q, leaving, code, parts);
  };
  with_sums([](low_rank_sums& x) { x.data = nullptr; }, errc::bad_pointer, {"evict.state is 0", "null"});
  with_sums([](low_rank_sums& x) { x.heads = 3; }, errc::bad_shape, {"evict.state is 3", "2"});
  with_sums([](low_rank_sums& x) { x.rank = 4; }, errc::bad_shape, {"evict.state is 4", "8"});
  with_sums([](low_rank_sums& x) { x.channels = 128; }, errc::bad_shape, {"evict.state is 128", "64"});

  auto const list_of = [&](std::vector<int> const& tokens, errc code, std::vector<std::string> const& parts) {
    refused(fine, {tokens.data(), 2, 2}, code, parts);
  };
  list_of({3, 7, 7, 7}, errc::bad_params, {"leaving is 7", "at least 8"});
  list_of({3, 60, 3, 7}, errc::bad_params, {"leaving is 60", "less than 60"});
  list_of({-1, 6, 3, 7}, errc::bad_params, {"leaving is -1", "at least 0"});
  refused(fine, {nullptr, 2, 2}, errc::bad_pointer, {"leaving is 0", "null"});
  refused(fine, {list.data(), 61, 61}, errc::bad_shape, {"leaving.count is 61", "60"});
  refused(fine, {list.data(), 2, 1}, errc::bad_shape, {"leaving.head_stride is 1", "2"});
  CHECK(s.memory.data == before);

  s.memory.data[0][5] = NAN;
  refused(fine, leaving, errc::bad_params, {"evict.state is nan", "place is 5"});
  s.memory.data[0][5] = 0;
  s.memory.data[0].back() = -1;
  refused(fine, leaving, errc::bad_params, {"evict.state is -1", "place is 1039"});
  s.memory.data[0].back() = 0;
  support::workspace small(64);
  support::check_refused(
      absorb_tokens(host::on{}, layers, cs::span<leaving_tokens const>(&leaving, 1), fine, small.span()),
      errc::workspace_too_small, {"workspace is 64"});
}

TEST_CASE("attend refuses sums and tables that do not fit") {
  support::low_rank_layer s;
  auto const layer = s.cache.const_view();
  auto const queries = s.cache.queries.view();
  host::on const on;
  support::tensor<float, 64> out(6, 1);
  auto const refused = [&](attend_options const& options, errc code, std::vector<std::string> const& parts) {
    support::workspace memory(1 << 16);
    support::check_refused(attend(on, queries, layer, out.view(), memory.span(), options), code, parts);
    CHECK(memory.untouched());
  };
  attend_options const fine{{}, s.memory.span(), s.tables.queries()};
  attend_options o = fine;
  std::vector<low_rank_sums> const two(2, s.memory.sums[0]);
  o.evicted = {two.data(), 2};
  refused(o, errc::bad_shape, {"evicted is 2", "1"});
  o = fine;
  o.features.rank = 0;
  refused(o, errc::bad_params, {"features.rank is 0", "at least 1"});
  o = fine;
  o.features.in = o.features.in.subspan(64);
  refused(o, errc::bad_shape, {"features.in is 12224", "12288"});
  o = fine;
  o.features.rank = 4;
  o.features.out = o.features.out.first(6 * 32 * 4);
  refused(o, errc::bad_shape, {"evicted is 8", "4"});
  s.memory.data[0][9] = INFINITY;
  refused(fine, errc::bad_params, {"evicted is inf", "place is 9"});
}
