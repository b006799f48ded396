// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What dropping tokens costs: how far attention over the kept tokens is from attention over all of them.
// Everything is computed in double from the stored inputs.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "dump.hpp"
#include "strategy.hpp"

namespace kvsieve::tool {

/// The queries judged: at most this many, the last positions of the dump.
inline constexpr int judged_queries = 64;

/// A distribution in three numbers, all NaN without samples or with a NaN among them.
struct spread {
  double mean = 0, tail = 0, worst = 0;
  std::size_t samples = 0;
};

/// `tail` is the 99 % point and `worst` the maximum; a percentile f of T sorted samples is interpolated at f * (T - 1).
/// @param higher_is_worse  false for captured mass, whose bad tail is low: then `tail` is the 1 % point and `worst` the
///                         minimum
[[nodiscard]] spread summarise(std::vector<double> samples, bool higher_is_worse = true);

/// One query against one head's visible tokens.
namespace attention {

/// softmax(q K^T / sqrt(dim)) over `tokens` keys [tokens, dim]; sums to 1.
[[nodiscard]] std::vector<double> probabilities(std::span<float const> query, std::span<float const> keys);

/// What the query reads from the tokens of `kept` (ascending) below p.size(), p renormalised over them; zero when
/// there are none. With every token kept this is the attention output.
/// @param[out] mass  the share of p on them
[[nodiscard]] std::vector<double> output(std::span<double const> p, std::span<float const> values,
                                         std::span<int const> kept, int dim, double& mass);

/// What the query reads from stored rows: softmax(q K^T / sqrt(dim) + bias) V over those whose token is below `visible`
/// and those that stand for many; zero when there are none. With `features` [rank], beside the sums that are left of
/// evicted tokens, of all of them.
[[nodiscard]] std::vector<double> output(std::span<float const> query, stored_head const& rows, std::size_t visible,
                                         std::span<double const> features = {});

/// ||a - b|| / max(||b||, 1e-12).
[[nodiscard]] double relative_error(std::span<double const> a, std::span<double const> b);

}  // namespace attention

/// Fidelity of one layer.
struct layer_fidelity {
  int layer = 0;
  spread error;                    ///< attention-output relative error over query heads and queries
  spread mass;                     ///< captured attention mass, tail downwards
  std::vector<double> head_error;  ///< mean error of each KV head
  std::vector<double> head_mass;   ///< mean captured mass of each KV head
};

/// Fidelity of one kept set, over all layers of a dump.
struct fidelity {
  spread error, mass;  ///< pooled over layers, query heads and queries
  std::vector<layer_fidelity> layers;
};

/// How many queries of a dump are judged; 0 when it holds none.
[[nodiscard]] int queries_judged(cache_dump const& dump);

/// Judges several kept sets together: the full softmax of a query is computed once for all of them.
/// @param kept      one per set: the outcome's layers, in the order of the dump; of those that merged, the rows are
/// read
/// @param progress  called with the share done, from one thread at a time; may be empty
/// @pre every index is a token of the dump, and lists ascend
[[nodiscard]] std::vector<fidelity> judge(cache_dump const& dump,
                                          std::span<std::vector<layer_outcome> const* const> kept, int threads,
                                          std::function<void(double)> const& progress = {});

/// Whether an outcome can be judged and stored: layers and heads as in the dump, indices ascending and below `tokens`.
[[nodiscard]] message check_outcome(cache_dump const& dump, outcome const& result);

}  // namespace kvsieve::tool
