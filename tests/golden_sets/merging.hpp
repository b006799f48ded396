// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Plans from kept sets of other implementations, and what merging makes of them on a real cache.
#pragma once
#include "golden.hpp"

namespace golden {

inline constexpr char const* merge_file = "merge.safetensors";
inline std::vector<int> integers(std::vector<float> const& numbers) { return {numbers.begin(), numbers.end()}; }

/// A plan of one view that keeps given tokens of each head, with given scores or zeros.
struct given_plan {
  int count;  ///< tokens of the view
  std::vector<kvsieve::index> offset{0};
  std::vector<int> list;
  std::vector<float> score;
  kvsieve::index score_offset = 0;
  kvsieve::token_plan plan;

  given_plan(int tokens_of_view, std::vector<std::vector<int>> kept, std::vector<std::vector<float>> const& scores = {})
      : count(tokens_of_view) {
    for (auto& k : kept) {
      std::sort(k.begin(), k.end());
      list.insert(list.end(), k.begin(), k.end());
      offset.push_back(static_cast<kvsieve::index>(list.size()));
    }
    auto const stride = static_cast<std::size_t>(kvsieve::score_stride(count));
    score.resize(stride * kept.size());
    for (std::size_t h = 0; h < scores.size(); ++h)
      std::copy(scores[h].begin(), scores[h].end(), score.begin() + static_cast<std::ptrdiff_t>(h * stride));
    plan.views = 1;
    plan.heads = static_cast<int>(kept.size());
    plan.logical_tokens = &count;
    plan.offset = offset.data();
    plan.list = list.data();
    plan.score = score.data();
    plan.score_offset = &score_offset;
  }
  given_plan(given_plan const&) = delete;
  given_plan& operator=(given_plan const&) = delete;
};

/// The first tokens of one layer's inputs, merged.
struct merged_layer {
  kvsieve::tool::dump_layer inputs;
  std::vector<float> keys, values;  ///< [heads][rows][D]
  int rows = 0;

  /// The row of a head's result.
  [[nodiscard]] std::vector<float> row(std::vector<float> const& of, int head, int i) const {
    auto const first = of.begin() + (std::ptrdiff_t{head} * rows + i) * head_dim;
    return {first, first + head_dim};
  }
};
template <class C>
merged_layer merge_layer(int layer, given_plan const& given, typename C::params const& params) {
  using namespace kvsieve;
  merged_layer m;
  m.inputs = read_layer(layer);
  m.rows = merged_rows<C>(given.plan, params, 0, 0);
  m.keys.resize(static_cast<std::size_t>(given.plan.heads * m.rows * head_dim));
  m.values = m.keys;
  auto const rows_of_inputs = [&](tool::tensor const& t) {
    return make_rows<head_dim>(t.as<float>(), given.plan.heads, given.count, t.shape[1] * head_dim, head_dim);
  };
  kv_layer const from{rows_of_inputs(m.inputs.keys), rows_of_inputs(m.inputs.values)};
  kv_layer const to{make_rows<head_dim>(m.keys.data(), given.plan.heads, m.rows),
                    make_rows<head_dim>(m.values.data(), given.plan.heads, m.rows)};
  host::team team{2};
  host::on const on{team};
  support::workspace memory(apply_workspace_bytes<C>(on, given.plan, from, params));
  status const done = apply<C>(on, given.plan, from, to, params, memory.span());
  char line[256];
  INFO(std::string(done.message(line)));
  REQUIRE(done);
  return m;
}

/// Rows of a head against a golden table, whose row i belongs to row place(i) of the result: 1e-5 of the largest
/// magnitude of the table.
template <class Place>
void check_rows(merged_layer const& m, std::vector<float> const& of, int head, table const& want, int first_row,
                int count, Place const& place) {
  float largest = 0;
  for (float const x : want.number) largest = std::max(largest, std::abs(x));
  int differing = 0;
  for (int i = 0; i < count; ++i) {
    auto const got = m.row(of, head, place(i));
    auto const row = want.row(first_row + i);
    for (std::size_t d = 0; d < row.size(); ++d)
      if (!(std::abs(got[d] - row[d]) <= 1e-5f * largest)) {
        if (++differing == 1)
          UNSCOPED_INFO("row " << i << ", channel " << d << ": " << got[d] << ", source " << row[d]);
      }
  }
  CHECK(differing == 0);
}
/// Where tokens stand among others, ascending.
inline auto place_among(std::vector<int> const& tokens_in_order) {
  auto sorted = tokens_in_order;
  std::sort(sorted.begin(), sorted.end());
  return [tokens_in_order, sorted](int i) {
    auto const at = std::lower_bound(sorted.begin(), sorted.end(), tokens_in_order[static_cast<std::size_t>(i)]);
    return static_cast<int>(at - sorted.begin());
  };
}
}  // namespace golden
