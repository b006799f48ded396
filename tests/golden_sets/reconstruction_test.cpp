// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// KVzip's own scorer, in one chunk and in two. The last rows of the dump play the reconstruction pass: their queries
// observe, and their keys are the ones that its softmax counts beside the chunk and the sinks.
#include "golden.hpp"

namespace {
using namespace kvsieve;

/// Rows of a dump in another order: the cache, and behind it the pass of every chunk.
std::vector<float> gather(tool::tensor const& t, int heads, std::vector<int> const& rows) {
  std::vector<float> out;
  auto const from = golden::rows_of(t);
  for (int h = 0; h < heads; ++h)
    for (int const r : rows)
      for (int d = 0; d < golden::head_dim; ++d) out.push_back(from(h, r, d));
  return out;
}

void agrees(std::string const& name, int pass) {
  auto const sets = golden::read_json("kvzip.json");
  auto const& params = sets[name]["params"];
  int const sink = params["sink"].get<int>();
  std::vector<observe::repeated> chunks;
  for (auto const& c : params["chunks"]) chunks.push_back({c[0].get<int>(), c[1].get<int>(), pass});
  int const cached = chunks.back().to;
  std::vector<int> rows(static_cast<std::size_t>(cached)), queries;
  for (int t = 0; t < cached; ++t) rows[static_cast<std::size_t>(t)] = t;
  for (std::size_t i = 0; i < chunks.size(); ++i)
    for (int t = golden::tokens - pass; t < golden::tokens; ++t) {
      rows.push_back(t);
      queries.push_back(t);
    }
  auto const inputs = golden::read_layer(9);
  auto const k = gather(inputs.keys, 3, rows), v = gather(inputs.values, 3, rows),
             q = gather(inputs.queries, 9, queries);
  auto const view = [](std::vector<float> const& x, int heads) {
    return make_rows<golden::head_dim>(x.data(), heads,
                                       static_cast<kvsieve::index>(x.size()) / heads / golden::head_dim);
  };
  kv_layer const cache{view(k, 3), view(v, 3)};
  int const columns = cached - sink, keep = static_cast<int>(columns * params["ratio_kept"].get<double>());

  using strategy = kvzip<budget::uniform, store::dense>;
  strategy::params const p{.score = {.chunks = {chunks.data(), chunks.size()}, .sink = sink},
                           .budget = {.tokens = keep + sink}};
  host::team team{2};
  host::on const on{team};
  support::workspace memory(workspace_bytes<strategy>(on, cache, view(q, 9), p));
  token_plan const made = plan<strategy>(on, cache, view(q, 9), p, memory.span());
  REQUIRE(made);
  REQUIRE(made.tokens() == cached);
  for (int head = 0; head < 3; ++head) {
    CAPTURE(name, head);
    std::vector<float> want(static_cast<std::size_t>(sink), 0.0f);  // forced
    auto const scored = golden::scores(name + ".9.score", head, "kvzip.safetensors");
    want.insert(want.end(), scored.begin(), scored.end());
    golden::check_scores(made, head, want);
    std::vector<int> kept(static_cast<std::size_t>(sink));
    for (int t = 0; t < sink; ++t) kept[static_cast<std::size_t>(t)] = t;
    for (auto const& t : sets[name]["kept"]["9"][static_cast<std::size_t>(head)]) kept.push_back(t.get<int>());
    golden::check_kept(made, head, kept, want);
  }
}
}  // namespace

TEST_CASE("kvzip is KVzip's, in one chunk") { agrees("kvzip_one_chunk", 256); }
TEST_CASE("kvzip is KVzip's, in two chunks") { agrees("kvzip_two_chunks", 128); }
