// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// R-KV as its authors' own code scores and keeps.
#include "golden.hpp"

using namespace kvsieve;

namespace {
/// Plans of the three layers with every `step`-th query head, against a method of the file.
template <class C>
void check_layers(char const* method, int step, typename C::params const& params) {
  auto const sets = golden::read_json("r_kv.json");
  for (int const layer : {0, 9, 21}) {
    auto const inputs = golden::read_layer(layer);
    auto const& q = inputs.queries;
    auto const queries = make_rows<golden::head_dim>(q.as<float>(), q.shape[0] / step, q.shape[1],
                                                     step * q.shape[1] * golden::head_dim, golden::head_dim);
    kv_layer const cache{golden::rows_of(inputs.keys), golden::rows_of(inputs.values)};
    host::team team{2};
    host::on const on{team};
    support::workspace memory(workspace_bytes<C>(on, cache, queries, params));
    auto const chosen = plan<C>(on, cache, queries, params, memory.span());
    REQUIRE(chosen);
    auto const scores =
        golden::read_table("r_kv.safetensors", std::string(method) + "." + std::to_string(layer) + ".score");
    for (int head = 0; head < 3; ++head) {
      CAPTURE(method, layer, head);
      auto const want = scores.row(head);
      // A score is the difference of two shares of about 1 / 768 in float, and may be near 0.
      float const rounding = 1e-6f / golden::tokens;
      auto const got = chosen.scores(0, head);
      int differing = 0;
      for (std::size_t t = 0; t < want.size(); ++t)
        if (!(std::abs(got[t] - want[t]) <= 1e-4f * std::abs(want[t]) + rounding) && ++differing == 1)
          UNSCOPED_INFO("token " << t << ": " << got[t] << ", source " << want[t]);
      CHECK(differing == 0);
      auto const kept =
          sets[method]["kept"][std::to_string(layer)][static_cast<std::size_t>(head)].template get<std::vector<int>>();
      golden::check_kept(chosen, head, kept, want);
    }
  }
}
}  // namespace

TEST_CASE("r_kv_as_source is R-KV's own code") {
  check_layers<compressor<score::r_kv_as_source>>("r_kv", 1, {.budget = {.tokens = 192}});
}

TEST_CASE("r_kv is R-KV's own code with one query head to a KV head and a window that does not see itself") {
  r_kv<>::params params{.budget = {.tokens = 192}};
  params.score.first.score.sees_own = false;
  check_layers<r_kv<>>("r_kv_one", 3, params);
  check_layers<compressor<score::r_kv_as_source>>("r_kv_one", 3, {.budget = {.tokens = 192}});
}
