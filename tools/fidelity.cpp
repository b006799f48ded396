// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "fidelity.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <mutex>
#include <numeric>
#include <thread>

namespace kvsieve::tool {
namespace {

/// The dot product in double, in eight sums so that the compiler can use vectors without reordering anything.
double dot(float const* a, float const* b, std::size_t size) {
  double sum[8] = {};
  std::size_t i = 0;
  for (; i + 8 <= size; i += 8)
    for (std::size_t j = 0; j < 8; ++j) sum[j] += static_cast<double>(a[i + j]) * static_cast<double>(b[i + j]);
  for (; i < size; ++i) sum[0] += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

std::span<float const> floats(tensor const& t) {
  return {t.as<float>(), t.present() ? static_cast<std::size_t>(t.elements()) : 0};
}

/// Samples of one kept set in one layer, [query heads, queries].
struct samples {
  std::vector<double> error, mass;
};

/// One layer, and the judging of one of its query heads.
struct layer_judge {
  cache_dump const& dump;
  std::span<float const> keys, values, queries;
  int observed;  ///< queries in the dump
  int judged;    ///< the last of them

  layer_judge(cache_dump const& d, dump_layer const& l, int count)
      : dump{d},
        keys{floats(l.keys)},
        values{floats(l.values)},
        queries{floats(l.queries)},
        observed{static_cast<int>(l.queries.shape[1])},
        judged{count} {}

  void run(int head, std::span<layer_outcome const* const> sets, std::span<samples> out) const {
    auto const dim = static_cast<std::size_t>(dump.head_dim), tokens = static_cast<std::size_t>(dump.tokens);
    auto const kv_head = static_cast<std::size_t>(head / (dump.query_heads / dump.kv_heads));
    std::vector<int> all(tokens);
    std::iota(all.begin(), all.end(), 0);
    for (int i = 0; i < judged; ++i) {
      auto const row = static_cast<std::size_t>(head) * static_cast<std::size_t>(observed) +
                       static_cast<std::size_t>(observed - judged + i);
      auto const visible = tokens - static_cast<std::size_t>(judged - 1 - i);
      auto const k = keys.subspan(kv_head * tokens * dim, visible * dim);
      auto const v = values.subspan(kv_head * tokens * dim, visible * dim);
      auto const p = attention::probabilities(queries.subspan(row * dim, dim), k);
      double mass = 0;
      auto const exact = attention::output(p, v, all, dump.head_dim, mass);
      auto const slot = static_cast<std::size_t>(head) * static_cast<std::size_t>(judged) + static_cast<std::size_t>(i);
      for (std::size_t s = 0; s < sets.size(); ++s) {
        auto y = attention::output(p, v, sets[s]->kept[kv_head], dump.head_dim, mass);
        if (!sets[s]->stored.empty()) {
          auto const& stored = sets[s]->stored[kv_head];
          std::size_t const rank = stored.sums.size() / (dim + 1), group = static_cast<std::size_t>(dump.query_heads) /
                                                                           static_cast<std::size_t>(dump.kv_heads);
          std::size_t const query =
              (static_cast<std::size_t>(head) % group) * static_cast<std::size_t>(judged) + static_cast<std::size_t>(i);
          y = attention::output(queries.subspan(row * dim, dim), stored, visible,
                                std::span(stored.features).subspan(query * rank, rank));
        }
        out[s].error[slot] = attention::relative_error(y, exact);
        out[s].mass[slot] = mass;
      }
    }
  }
};

/// Runs body(0 .. count-1) on several threads; which thread takes which index does not matter to the result.
void for_each_index(int count, int threads, std::function<void(int)> const& body) {
  std::atomic<int> next{0};
  auto const work = [&] {
    for (int i = next++; i < count; i = next++) body(i);
  };
  std::vector<std::jthread> helpers;
  for (int t = 1; t < std::min(threads, count); ++t) helpers.emplace_back(work);
  work();
}

double mean_of(std::span<double const> x) {
  return std::accumulate(x.begin(), x.end(), 0.0) / static_cast<double>(x.size());
}

layer_fidelity conclude(int layer, samples const& s, int kv_heads) {
  layer_fidelity out{layer, summarise(s.error), summarise(s.mass, false), {}, {}};
  auto const share = s.error.size() / static_cast<std::size_t>(kv_heads);  // a KV head's queries are consecutive
  for (std::size_t h = 0; h < static_cast<std::size_t>(kv_heads); ++h) {
    out.head_error.push_back(mean_of(std::span{s.error}.subspan(h * share, share)));
    out.head_mass.push_back(mean_of(std::span{s.mass}.subspan(h * share, share)));
  }
  return out;
}

}  // namespace

namespace attention {

std::vector<double> probabilities(std::span<float const> query, std::span<float const> keys) {
  auto const dim = query.size(), tokens = keys.size() / dim;
  double const scale = 1.0 / std::sqrt(static_cast<double>(dim));
  std::vector<double> p(tokens);
  for (std::size_t t = 0; t < tokens; ++t) p[t] = dot(query.data(), keys.data() + t * dim, dim) * scale;
  double const highest = p.empty() ? 0.0 : *std::max_element(p.begin(), p.end());
  double sum = 0;
  for (auto& x : p) sum += x = std::exp(x - highest);
  for (auto& x : p) x /= sum;
  return p;
}

std::vector<double> output(std::span<double const> p, std::span<float const> values, std::span<int const> kept, int dim,
                           double& mass) {
  std::vector<double> y(static_cast<std::size_t>(dim), 0.0);
  mass = 0;
  for (auto const token : kept) {
    auto const t = static_cast<std::size_t>(token);
    if (t >= p.size()) break;
    mass += p[t];
    auto const* const row = values.data() + t * y.size();
    for (std::size_t d = 0; d < y.size(); ++d) y[d] += p[t] * static_cast<double>(row[d]);
  }
  if (mass > 0)
    for (auto& x : y) x /= mass;
  return y;
}

std::vector<double> output(std::span<float const> query, stored_head const& rows, std::size_t visible,
                           std::span<double const> features) {
  auto const dim = query.size();
  double const scale = 1.0 / std::sqrt(static_cast<double>(dim));
  std::vector<double> z(rows.token.size(), -std::numeric_limits<double>::infinity()), y(dim, 0.0);
  double highest = -std::numeric_limits<double>::infinity(), sum = 0;
  for (std::size_t r = 0; r < z.size(); ++r) {
    if (rows.token[r] >= 0 && static_cast<std::size_t>(rows.token[r]) >= visible) continue;
    z[r] = dot(query.data(), rows.keys.data() + r * dim, dim) * scale + static_cast<double>(rows.bias[r]);
    highest = std::max(highest, z[r]);
  }
  double mass = 0;
  for (std::size_t c = 0; c < features.size(); ++c)
    mass += features[c] * static_cast<double>(rows.sums[c * (dim + 1) + dim]);
  if (mass > 0) highest = std::max(highest, std::log(mass));
  if (!(highest > -std::numeric_limits<double>::infinity())) return y;
  for (std::size_t c = 0; c < features.size() && mass > 0; ++c) {
    double const w = features[c] * std::exp(-highest);
    sum += w * static_cast<double>(rows.sums[c * (dim + 1) + dim]);
    for (std::size_t d = 0; d < dim; ++d) y[d] += w * static_cast<double>(rows.sums[c * (dim + 1) + d]);
  }
  for (std::size_t r = 0; r < z.size(); ++r) {
    double const w = std::exp(z[r] - highest);
    sum += w;
    for (std::size_t d = 0; d < dim && w > 0; ++d) y[d] += w * static_cast<double>(rows.values[r * dim + d]);
  }
  for (auto& x : y) x /= sum;
  return y;
}

double relative_error(std::span<double const> a, std::span<double const> b) {
  double difference = 0, norm = 0;
  for (std::size_t d = 0; d < b.size(); ++d) {
    difference += (a[d] - b[d]) * (a[d] - b[d]);
    norm += b[d] * b[d];
  }
  return std::sqrt(difference) / std::max(std::sqrt(norm), 1e-12);
}

}  // namespace attention

spread summarise(std::vector<double> x, bool higher_is_worse) {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  auto const count = x.size();
  if (count == 0 || std::any_of(x.begin(), x.end(), [](double v) { return std::isnan(v); }))
    return {nan, nan, nan, count};
  double const mean = mean_of(x);
  if (higher_is_worse)
    std::sort(x.begin(), x.end());
  else
    std::sort(x.begin(), x.end(), std::greater<>{});
  double const position = 0.99 * static_cast<double>(count - 1);
  auto const below = static_cast<std::size_t>(position);
  auto const above = std::min(below + 1, count - 1);
  double const share = position - static_cast<double>(below);
  return {mean, x[below] + share * (x[above] - x[below]), x.back(), count};
}

int queries_judged(cache_dump const& dump) {
  int fewest = judged_queries;
  for (auto const& l : dump.layers)
    fewest = l.queries.present() ? static_cast<int>(std::min<std::int64_t>(fewest, l.queries.shape[1])) : 0;
  return dump.layers.empty() ? 0 : fewest;
}

std::vector<fidelity> judge(cache_dump const& dump, std::span<std::vector<layer_outcome> const* const> kept,
                            int threads, std::function<void(double)> const& progress) {
  std::vector<fidelity> out(kept.size());
  std::vector<samples> pooled(kept.size());
  int const queries = queries_judged(dump);
  std::mutex reporting;
  int done = 0;
  for (std::size_t l = 0; l < dump.layers.size() && queries > 0; ++l) {
    layer_judge const judging{dump, dump.layers[l], queries};
    std::vector<layer_outcome const*> sets;
    for (auto const* const k : kept) sets.push_back(&(*k)[l]);
    auto const slots = static_cast<std::size_t>(dump.query_heads) * static_cast<std::size_t>(queries);
    std::vector<samples> found(kept.size(), {std::vector<double>(slots), std::vector<double>(slots)});
    for_each_index(dump.query_heads, threads, [&](int head) {
      judging.run(head, sets, found);
      std::lock_guard const lock{reporting};
      ++done;
      if (progress) progress(static_cast<double>(done) / (static_cast<double>(dump.layers.size()) * dump.query_heads));
    });
    for (std::size_t s = 0; s < kept.size(); ++s) {
      out[s].layers.push_back(conclude(dump.layers[l].layer, found[s], dump.kv_heads));
      pooled[s].error.insert(pooled[s].error.end(), found[s].error.begin(), found[s].error.end());
      pooled[s].mass.insert(pooled[s].mass.end(), found[s].mass.begin(), found[s].mass.end());
    }
  }
  for (std::size_t s = 0; s < kept.size(); ++s) {
    out[s].error = summarise(std::move(pooled[s].error));
    out[s].mass = summarise(std::move(pooled[s].mass), false);
  }
  return out;
}

message check_outcome(cache_dump const& dump, outcome const& result) {
  auto const where = "strategy " + result.strategy + ": ";
  if (result.layers.size() != dump.layers.size())
    return where + std::to_string(result.layers.size()) + " layers in the outcome, " +
           std::to_string(dump.layers.size()) + " in the dump";
  for (auto const& l : result.layers) {
    if (l.kept.size() != static_cast<std::size_t>(dump.kv_heads))
      return where + "layer " + std::to_string(l.layer) + " has kept lists for " + std::to_string(l.kept.size()) +
             " heads of " + std::to_string(dump.kv_heads);
    for (auto const& head : l.kept) {
      int before = -1;
      for (auto const token : head) {
        if (token <= before || token >= dump.tokens)
          return where + "layer " + std::to_string(l.layer) + " keeps token " + std::to_string(token) + " after " +
                 std::to_string(before) + ", of " + std::to_string(dump.tokens);
        before = token;
      }
    }
  }
  return {};
}

}  // namespace kvsieve::tool
