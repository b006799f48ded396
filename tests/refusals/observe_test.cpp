// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What observations of queries refuse: numbers out of range, and sets that do not fit the view or the queries given.
#include <kvsieve/aggregate/mean_variance.hpp>

#include "planned.hpp"
#include "refusal.hpp"

namespace {
using namespace kvsieve;
using support::check_refused;

/// 2 KV heads, 4 query heads, 40 tokens, 20 queries.
support::layer<float, 64> const& cache() {
  static support::layer<float, 64> const l{2, 2, 40, 20, support::layout::packed, support::content::normal, 1};
  return l;
}
template <class C>
void refused(typename C::params const& params, errc code, std::vector<std::string> const& parts) {
  host::on const on;
  auto const layer = cache().const_view();
  auto const queries = cache().queries.view();
  CHECK(workspace_bytes<C>(on, layer, queries, params) == 0);
  support::workspace memory(1 << 20);
  token_plan const p = plan<C>(on, layer, queries, params, memory.span());
  check_refused(p.state, code, parts);
  CHECK(memory.untouched());
}
template <class Observed, class... Ps>
using attention = compressor<score::attention<Observed>, Ps...>;
using of_sets = attention<observe::sets>;

void refused_sets(std::vector<query_set> const& sets, std::vector<std::string> const& parts, int own = 0) {
  refused<of_sets>({.score = {.sets = {sets.data(), sets.size()}, .own = own}}, errc::bad_params, parts);
}
template <class C>
void refused_chunks(std::vector<observe::repeated> const& chunks, int sink, std::vector<std::string> const& parts) {
  refused<C>({.score = {.chunks = {chunks.data(), chunks.size()}, .sink = sink}}, errc::bad_params, parts);
}
}  // namespace

TEST_CASE("plan refuses observations with numbers out of range") {
  refused<attention<observe::history>>({.score = {.window = -1}}, errc::bad_params,
                                       {"score.window is -1", "at least 0"});
  refused<attention<observe::proxy>>({.score = {.share = 1.5}}, errc::bad_params, {"score.share is 1.5", "at most 1"});
  refused<attention<observe::proxy>>({.score = {.queries = 0}}, errc::bad_params, {"score.queries is 0", "at least 1"});
  refused<attention<observe::proxy>>({.score = {.queries = 21}}, errc::bad_shape, {"queries.tokens is 20", "21"});
  refused<attention<observe::lookahead>>({.score = {.queries = 0}}, errc::bad_params, {"score.queries is 0"});
  refused<attention<observe::lookahead>>({.score = {.window = -1}}, errc::bad_params, {"score.window is -1"});
  refused<attention<observe::lookahead>>({.score = {.queries = 2, .window = 41}}, errc::bad_params,
                                         {"score.window is 41", "tokens, 40"});
  refused<attention<observe::lookahead>>({.score = {.queries = 15, .window = 8}}, errc::bad_shape,
                                         {"queries.tokens is 20", "23"});
}

TEST_CASE("plan refuses sets that do not fit the view") {
  refused_sets({}, {"score.sets is 0", "at least 1"});
  refused_sets({{0, 1, 3}, {20}}, {"score.sets.count is 0", "at least 1"});
  refused_sets({{20, -1.0f}}, {"score.sets.weight is -1", "at least 0"});
  refused_sets({{20, std::numeric_limits<float>::quiet_NaN()}}, {"score.sets.weight is nan"});
  refused_sets({{20, 0.0f}}, {"score.sets.weight, summed", "greater than 0"});
  refused_sets({{20, 1, -2}}, {"score.sets.position is -2", "at least -1"});
  refused_sets({{20, 1, 21}}, {"score.sets.position + count is 41", "at most 40"});
  refused_sets({{20, 1, 10, -1, 0, 5}}, {"score.sets.sink is -1"});
  refused_sets({{20, 1, 10, 4, 3, 5}}, {"score.sets.from is 3", "at least 4"});
  refused_sets({{20, 1, 10, 0, 3, 11}}, {"score.sets.to is 11", "at most 10"});
  refused_sets({{20}}, {"score.own is 40", "tokens, 40"}, 40);
  refused_sets({{20}}, {"score.own is -1"}, -1);
}

TEST_CASE("plan refuses more recent tokens than the cache has") {
  std::vector<query_set> const sets{{20}};
  refused<of_sets>({.score = {.sets = {sets.data(), 1}, .own = 5, .recent = 36}}, errc::bad_params,
                   {"score.recent is 36", "at most 35"});
  refused<of_sets>({.score = {.sets = {sets.data(), 1}, .recent = -1}}, errc::bad_params, {"score.recent is -1"});
}

TEST_CASE("plan refuses sets whose queries see nothing") {
  refused_sets({{20, 1, -1, 0, 7, 7}}, {"see nothing else", "is 0", "at least 1"});
}

TEST_CASE("plan refuses sets whose counts are not the queries given") {
  refused_sets({{12}, {7}}, {"score.sets.count, summed, is 19", "queries given, 20"});
  refused_sets({{12}, {9}}, {"score.sets.count, summed, is 21", "queries given, 20"});
}

TEST_CASE("plan refuses weights where queries count alike, and a variance of one query") {
  std::vector<query_set> const sets{{10, 0.5f}, {10}};
  refused<attention<observe::sets, aggregate::mean_variance>>({.score = {.sets = {sets.data(), 2}}}, errc::bad_params,
                                                              {"score.sets.weight is 0.5", "aggregate policy", "1"});
  refused<attention<observe::proxy, aggregate::mean_variance>>({.score = {.queries = 1}}, errc::bad_params,
                                                               {"observed queries is 1", "at least 2"});
}

TEST_CASE("plan refuses chunks of a reconstruction that do not fit") {
  using zip = attention<observe::reconstruction, aggregate::max, aggregate::group_max>;
  refused_chunks<zip>({}, 4, {"score.chunks is 0", "at least 1"});
  refused_chunks<zip>({{4, 20, 20}}, -1, {"score.sink is -1", "at least 0"});
  refused_chunks<zip>({{4, 20, 19}}, 4, {"score.chunks.queries, summed, is 19", "queries given, 20"});
  refused_chunks<zip>({{4, 12, 0}, {12, 20, 20}}, 4, {"score.chunks.queries is 0", "at least 1"});
  refused_chunks<zip>({{4, 4, 20}}, 4, {"score.chunks.to is 4", "at least 5"});
  refused_chunks<zip>({{-1, 4, 20}}, 4, {"score.chunks.from is -1", "at least 0"});
  refused_chunks<zip>({{4, 21, 20}}, 4, {"score.chunks.to is 21", "at most 20"});
}

TEST_CASE("plan refuses tables of query heads that do not fit the call") {
  int const heads[] = {0, 3, -1};
  using strategy = compress_kv<>;
  strategy::params p{.score = {.window = 8}};
  p.group = {.heads = {heads, 2}, .chosen = 3};
  refused<strategy>(p, errc::bad_shape, {"group.heads is 2", "3"});
  p.group = {.heads = {heads, 3}, .chosen = 3};
  refused<strategy>(p, errc::bad_params, {"group.heads is -1", "at least 0"});
  int const many[] = {0, 4};
  p.group = {.heads = {many, 2}, .chosen = 2};
  refused<strategy>(p, errc::bad_params, {"group.heads is 4", "query heads, 4"});
  p.group = {.heads = {heads, 2}, .chosen = 0};
  refused<strategy>(p, errc::bad_params, {"group.chosen is 0", "at least 1"});
  p.group = {.heads = {heads, 2}, .chosen = 2, .layers = 2};
  refused<strategy>(p, errc::bad_shape, {"group.layers is 2", "views, 1"});
}

TEST_CASE("plan refuses factors and weights that do not fit the call") {
  std::vector<observe::repeated> const chunks{{4, 20, 20}};
  std::vector<float> const scale(19, 1.0f), weight(4 * 20, 1.0f), negative(20, -1.0f);
  using strategy = kvzip_normalized<>;
  strategy::params p{.score = {.chunks = {chunks.data(), 1}},
                     .group = {.weight = weight, .query_heads = 4, .tokens = 20}};
  p.score.scale = scale;
  refused<strategy>(p, errc::bad_shape, {"score.scale is 19", "20"});
  p.score.scale = negative;
  refused<strategy>(p, errc::bad_params, {"score.scale is -1", "at least 0"});
  p.score.scale = {};
  p.group.tokens = 19;
  refused<strategy>(p, errc::bad_shape, {"group.weight is 80", "76"});
  p.group = {.weight = {weight.data(), 76}, .query_heads = 4, .tokens = 19};
  refused<strategy>(p, errc::bad_shape, {"group.tokens is 19", "20"});
  p.group = {.weight = weight, .query_heads = 2, .tokens = 40};
  refused<strategy>(p, errc::bad_shape, {"group.query_heads is 2", "4"});
}
