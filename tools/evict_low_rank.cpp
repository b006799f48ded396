// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/evict/low_rank_state.hpp>
#include <kvsieve/reference/low_rank_state.hpp>

#include "dump_tables.hpp"
#include "evict_choice_row.hpp"
#include "fidelity.hpp"

namespace kvsieve::tool {
namespace {

/// The networks of all layers of a dump, one behind another.
struct networks {
  std::vector<float> query_in, query_out, in, out, mix, scale, mix_scale;
  int rank = 0, units = 0;
};
message read(cache_dump const& dump, networks& to) {
  struct part {
    char const* name;
    tensor dump_layer::* member;
    std::vector<float>* to;
  };
  for (part const& p : {part{"less.query_in", &dump_layer::less_query_in, &to.query_in},
                        {"less.query_out", &dump_layer::less_query_out, &to.query_out},
                        {"less.in", &dump_layer::less_in, &to.in},
                        {"less.out", &dump_layer::less_out, &to.out},
                        {"less.mix", &dump_layer::less_mix, &to.mix},
                        {"less.scale", &dump_layer::less_scale, &to.scale},
                        {"less.mix_scale", &dump_layer::less_mix_scale, &to.mix_scale}})
    if (message m = detail::stack_layers(dump, p.name, p.member, *p.to)) return m;
  auto const& shape = dump.layers[0].less_out.shape;
  to.units = static_cast<int>(shape[1]);
  to.rank = static_cast<int>(shape[2]);
  return {};
}

/// phi of the judged queries of a head's group.
std::vector<double> features_of(cache_dump const& dump, std::size_t layer, int head, networks const& w) {
  auto const& queries = dump.layers[layer].queries;
  int const judged = queries_judged(dump), group = dump.query_heads / dump.kv_heads;
  std::vector<double> all;
  for (int q = head * group; q < (head + 1) * group && judged > 0; ++q) {
    auto const of_head = [&](std::vector<float> const& t) {
      std::size_t const each = t.size() / (dump.layers.size() * static_cast<std::size_t>(dump.query_heads));
      std::size_t const at = layer * static_cast<std::size_t>(dump.query_heads) + static_cast<std::size_t>(q);
      return std::span<float const>(t).subspan(at * each, each);
    };
    for (std::int64_t i = queries.shape[1] - judged; i < queries.shape[1]; ++i) {
      auto const* const row = queries.as<float>() + (q * queries.shape[1] + i) * dump.head_dim;
      std::vector<double> const query(row, row + dump.head_dim);
      auto const phi = reference::query_features({of_head(w.query_in), of_head(w.query_out), {}, {}, {}}, query);
      all.insert(all.end(), phi.begin(), phi.end());
    }
  }
  return all;
}
}  // namespace

evict_choice low_rank_choice() {
  return {"low_rank_state",
          {},
          [](team_executor const& on, token_plan const& plan, cache_dump const& dump, run_options const&, outcome& out,
             std::vector<std::vector<stored_head>>& merged) -> message {
            networks w;
            if (message m = read(dump, w)) return m;
            auto const size = static_cast<std::size_t>(low_rank_sums::floats(dump.kv_heads, w.rank, dump.head_dim));
            std::vector<std::vector<float>> memory(dump.layers.size(), std::vector<float>(size));
            std::vector<low_rank_sums> state;
            for (auto& m : memory) state.push_back({m.data(), dump.kv_heads, w.rank, dump.head_dim});
            auto const span_of = [](std::vector<float> const& t) {
              return cuda::std::span<float const>(t.data(), t.size());
            };
            evict::low_rank_state::params const params{{state.data(), state.size()},
                                                       w.rank,
                                                       w.units,
                                                       span_of(w.in),
                                                       span_of(w.out),
                                                       span_of(w.mix),
                                                       span_of(w.scale),
                                                       span_of(w.mix_scale),
                                                       {}};
            if (message m = built_head_dims::call(dump.head_dim, [&]<int D>(cs::integral_constant<int, D>) {
                  return detail::merge_rows<evict::low_rank_state, D>(on, plan, dump, params, out, merged);
                }))
              return m;
            for (std::size_t l = 0; l < merged.size(); ++l) {
              for (int h = 0; h < dump.kv_heads; ++h) {
                auto& head = merged[l][static_cast<std::size_t>(h)];
                for (int c = 0; c < w.rank; ++c) {
                  head.sums.insert(head.sums.end(), state[l].row(h, c), state[l].row(h, c) + dump.head_dim);
                  head.sums.push_back(state[l].mass(h)[c]);
                }
                head.features = features_of(dump, l, h, w);
              }
              out.bytes_after += size * sizeof(float);
            }
            return {};
          }};
}
}  // namespace kvsieve::tool
