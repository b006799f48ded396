// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What other implementations computed on a real cache (../golden/README.md), and the comparison with it.
#pragma once
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include <catch2/catch_all.hpp>
#include <nlohmann/json.hpp>

#include <kvsieve/kvsieve.hpp>

#include "dump.hpp"
#include "safetensors.hpp"
#include "workspace.hpp"

namespace golden {

inline constexpr int head_dim = 64, tokens = 768;

/// Reads one layer's inputs.
inline kvsieve::tool::dump_layer read_layer(int layer) {
  std::filesystem::path const file =
      layer == 9 ? std::filesystem::path(KVSIEVE_TEST_DATA_DIR) / "smollm2_135m_layer9.safetensors"
                 : std::filesystem::path(KVSIEVE_GOLDEN_DIR) / "smollm2_135m_layers0_21.safetensors";
  kvsieve::tool::cache_dump dump;
  auto const wrong = kvsieve::tool::read_dump(file, {layer}, dump);
  INFO(wrong.value_or(""));
  REQUIRE(!wrong);
  REQUIRE(dump.layers.size() == 1);
  REQUIRE(dump.head_dim == head_dim);
  REQUIRE(dump.tokens == tokens);
  return dump.layers[0];
}
inline auto rows_of(kvsieve::tool::tensor const& t) {
  return kvsieve::make_rows<head_dim>(t.as<float>(), t.shape[0], t.shape[1]);
}

/// Kept tokens of one head, as the source has them.
inline nlohmann::json const& kept_sets() {
  static nlohmann::json const sets = [] {
    nlohmann::json all = nlohmann::json::object();
    for (char const* const name : {"kept.json", "moments.json"}) {
      std::ifstream file(std::filesystem::path(KVSIEVE_GOLDEN_DIR) / name);
      all.update(nlohmann::json::parse(file));
    }
    return all;
  }();
  return sets;
}
inline std::vector<int> kept(std::string const& method, int layer, int head) {
  return kept_sets()[method]["kept"][std::to_string(layer)][static_cast<std::size_t>(head)].get<std::vector<int>>();
}

/// A tensor [rows, columns] of a file of tests/golden.
struct table {
  std::vector<float> number;
  std::ptrdiff_t columns = 0;
  [[nodiscard]] std::vector<float> row(int i) const {
    auto const first = number.begin() + i * columns;
    return {first, first + columns};
  }
};
inline table read_table(char const* of, std::string const& name) {
  kvsieve::tool::input_file file;
  kvsieve::tool::safetensors::contents contents;
  REQUIRE(!file.open(std::filesystem::path(KVSIEVE_GOLDEN_DIR) / of));
  REQUIRE(!kvsieve::tool::safetensors::read_contents(file, contents));
  auto const* const entry = contents.find(name);
  INFO(name);
  REQUIRE(entry != nullptr);
  std::shared_ptr<std::byte const> bytes;
  REQUIRE(!kvsieve::tool::safetensors::read_tensor(file, contents, *entry, bytes));
  auto const* const first = reinterpret_cast<float const*>(bytes.get());
  return {{first, first + entry->shape[0] * entry->shape[1]}, static_cast<std::ptrdiff_t>(entry->shape[1])};
}
/// What another file of tests/golden says.
inline nlohmann::json read_json(char const* of) {
  std::ifstream file(std::filesystem::path(KVSIEVE_GOLDEN_DIR) / of);
  return nlohmann::json::parse(file);
}

/// Scores of one head as the source has them.
inline std::vector<float> scores(std::string const& name, int head, char const* of = "scores.safetensors") {
  return read_table(of, name).row(head);
}

/// Plans one layer on two threads.
template <class C>
struct plan_of_layer {
  kvsieve::tool::dump_layer inputs;
  support::workspace memory{0};
  kvsieve::token_plan plan;

  plan_of_layer(int layer, typename C::params const& params) : inputs(read_layer(layer)) {
    kvsieve::host::team team{2};
    kvsieve::host::on const on{team};
    kvsieve::kv_layer const cache{rows_of(inputs.keys), rows_of(inputs.values)};
    auto const run = [&](auto const&... views) {
      memory = support::workspace(kvsieve::workspace_bytes<C>(on, views..., params));
      plan = kvsieve::plan<C>(on, views..., params, memory.span());
    };
    if constexpr (C::observes_queries)
      run(cache, rows_of(inputs.queries));
    else
      run(cache);
    REQUIRE(plan);
  }
};

/// Scores agree to 1e-4 relative wherever they are not forced.
inline void check_scores(kvsieve::token_plan const& plan, int head, std::vector<float> const& want) {
  auto const got = plan.scores(0, head);
  int compared = 0, differing = 0;
  for (std::size_t t = 0; t < want.size(); ++t) {
    if (std::isinf(got[t])) continue;
    ++compared;
    if (!(std::abs(got[t] - want[t]) <= 1e-4f * std::abs(want[t]))) {
      ++differing;
      UNSCOPED_INFO("token " << t << ": " << got[t] << ", source " << want[t]);
    }
  }
  CHECK(differing == 0);
  CHECK(compared > tokens / 4);
}

/// The same tokens, but for pairs that the source's own scores cannot tell apart: exact ties, and float rounding of the
/// source (two numbers 1e-6 apart, relative).
inline void check_kept(kvsieve::token_plan const& plan, int head, std::vector<int> const& want,
                       std::vector<float> const& score = {}) {
  auto const kept = plan.kept(0, head);
  CHECK(kept.size() == want.size());
  std::vector<int> mine, theirs;
  std::set_difference(kept.begin(), kept.end(), want.begin(), want.end(), std::back_inserter(mine));
  std::set_difference(want.begin(), want.end(), kept.begin(), kept.end(), std::back_inserter(theirs));
  CAPTURE(mine, theirs);
  if (score.empty()) CHECK(mine.empty());
  for (std::size_t i = 0; i < mine.size() && !score.empty(); ++i) {
    auto const a = static_cast<std::size_t>(mine[i]);
    for (int const other : theirs) {
      auto const b = static_cast<std::size_t>(other);
      REQUIRE(a < score.size());
      REQUIRE(b < score.size());
      CHECK(std::abs(score[a] - score[b]) <= 1e-6f * std::abs(score[b]));
    }
  }
}
}  // namespace golden
