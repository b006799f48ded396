// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "stored_cache.hpp"

#include <ggml.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include <kvsieve/core/dtype.hpp>
#include <kvsieve/core/entry_bias.hpp>

namespace kvsieve::llama_example {
namespace {

void append_f16(float const* from, std::size_t count, std::vector<unsigned char>& to) {
  std::size_t const at = to.size();
  to.resize(at + count * sizeof(std::uint16_t));
  ggml_fp32_to_fp16_row(from, reinterpret_cast<ggml_fp16_t*>(to.data() + at), static_cast<std::int64_t>(count));
}

/// Outputs of attention over parts of a cache, joined by their log-sum-exp one after another.
struct joined {
  std::vector<float> log_sum;  // [rows], -inf to begin with
  void add(std::span<float> out, std::span<float const> more, std::span<float const> more_log_sum, std::size_t dim) {
    for (std::size_t r = 0; r < log_sum.size(); ++r) {
      float const a = log_sum[r], b = more_log_sum[r], top = std::max(a, b);
      if (b == -std::numeric_limits<float>::infinity()) continue;
      float const own = std::exp(a - top), other = std::exp(b - top), all = own + other;
      for (std::size_t c = r * dim; c < (r + 1) * dim; ++c) out[c] = (out[c] * own + more[c] * other) / all;
      log_sum[r] = top + std::log(all);
    }
  }
};

}  // namespace

message stored_cache::take_parts(tool::cache_dump const& dump, tool::layer_outcome const& from, std::size_t index_of,
                                 layer& to) const {
  auto const dim = static_cast<std::size_t>(shape_.head_dim);
  if (!from.parts.empty()) {
    for (auto const& p : from.parts) {
      part& made = to.parts.emplace_back();
      if (message m = find_attend(p, shape_.head_dim, made.attend)) return m;
      made.rows.offset.assign(1, 0);
      for (int const count : p.rows) made.rows.offset.push_back(made.rows.offset.back() + count);
      made.rows.keys = p.keys;
      made.rows.values = p.values;
      made.rows.bias = p.bias;
      made.rows.channels = p.channels;
    }
    return {};
  }
  // Dense: rows as they were, or what they were merged to.
  part& made = to.parts.emplace_back();
  tool::stored_part::format const plain{"f16", 1, 2 * shape_.head_dim};
  if (message m = find_attend({"", plain, plain, {}, {}, {}, {}, {}, {}}, shape_.head_dim, made.attend)) return m;
  auto& rows = made.rows;
  rows.offset.assign(1, 0);
  if (from.stored.empty()) {
    auto const& l = dump.layers[index_of];
    for (std::size_t h = 0; h < from.kept.size(); ++h) {
      for (int const t : from.kept[h]) {
        std::size_t const at = (h * static_cast<std::size_t>(dump.tokens) + static_cast<std::size_t>(t)) * dim;
        append_f16(l.keys.as<float>() + at, dim, rows.keys);
        append_f16(l.values.as<float>() + at, dim, rows.values);
      }
      rows.offset.push_back(rows.offset.back() + static_cast<index>(from.kept[h].size()));
    }
    return {};
  }
  bool biased = false;
  for (auto const& head : from.stored) {
    if (!head.sums.empty())
      return "sums that are left of evicted tokens need the network of their queries at every step";
    append_f16(head.keys.data(), head.keys.size(), rows.keys);
    append_f16(head.values.data(), head.values.size(), rows.values);
    for (float const b : head.bias) {
      rows.bias.push_back(encode_bias(b));
      biased = biased || rows.bias.back() != 0;
    }
    rows.offset.push_back(rows.offset.back() + static_cast<index>(head.keys.size() / dim));
  }
  if (!biased) rows.bias.clear();
  return {};
}

message stored_cache::hold(model_shape const& shape, tool::cache_dump const& dump, tool::outcome const& kept, int room,
                           int threads) {
  stored_cache fresh;
  fresh.shape_ = shape;
  fresh.room_ = room;
  fresh.layers_.resize(static_cast<std::size_t>(shape.layers));
  if (kept.layers.size() != fresh.layers_.size())
    return "a plan of " + std::to_string(kept.layers.size()) + " layers for a model of " + std::to_string(shape.layers);
  for (std::size_t l = 0; l < fresh.layers_.size(); ++l) {
    if (message m = fresh.take_parts(dump, kept.layers[l], l, fresh.layers_[l])) return m;
    auto const size = static_cast<std::size_t>(shape.kv_heads) * static_cast<std::size_t>(room) *
                      static_cast<std::size_t>(shape.head_dim);
    fresh.layers_[l].keys.resize(size);
    fresh.layers_[l].values.resize(size);
  }
  fresh.team_ = std::make_unique<host::team>(threads);
  fresh.alone_ = std::make_unique<host::team>(1);
  *this = std::move(fresh);
  return {};
}

std::size_t stored_cache::bytes() const {
  std::size_t all = 0;
  for (auto const& l : layers_) {
    for (auto const& p : l.parts) all += p.rows.bytes();
    all += static_cast<std::size_t>(l.tokens) * static_cast<std::size_t>(shape_.kv_heads * shape_.head_dim) * 2 *
           sizeof(std::uint16_t);
  }
  return all;
}

bool stored_cache::attend(layer_step const& step, std::span<float> out) {
  failure_ = attend_layer(layers_[static_cast<std::size_t>(step.layer)], step, out);
  return !failure_;
}

message stored_cache::attend_layer(layer& to, layer_step const& step, std::span<float> out) {
  int const heads = shape_.query_heads, kv_heads = shape_.kv_heads, dim = shape_.head_dim, tokens = step.tokens;
  auto const size_of = [&](int h) { return static_cast<std::size_t>(tokens) * static_cast<std::size_t>(h * dim); };
  if (step.queries.size() != size_of(heads) || step.keys.size() != size_of(kv_heads) ||
      step.values.size() != size_of(kv_heads))
    return "layer " + std::to_string(step.layer) + " gave queries, keys or values of another shape than the model's";
  if (to.tokens + tokens > room_)
    return "the cache has room for " + std::to_string(room_) + " new tokens, not for " +
           std::to_string(to.tokens + tokens);
  for (int t = 0; t < tokens; ++t)
    for (int h = 0; h < kv_heads; ++h) {
      auto const from = (std::ptrdiff_t{t} * kv_heads + h) * dim,
                 at = (std::ptrdiff_t{h} * room_ + to.tokens + t) * dim;
      ggml_fp32_to_fp16_row(step.keys.data() + from, reinterpret_cast<ggml_fp16_t*>(to.keys.data() + at), dim);
      ggml_fp32_to_fp16_row(step.values.data() + from, reinterpret_cast<ggml_fp16_t*>(to.values.data() + at), dim);
    }
  std::vector<float> queries(size_of(heads)), result(size_of(heads), 0.0f), more(size_of(heads));
  by_head(step.queries, heads, dim, queries.data());
  auto const rows = static_cast<std::size_t>(heads) * static_cast<std::size_t>(tokens);
  host::team& team = tokens > 1 ? *team_ : *alone_;
  joined all{std::vector<float>(rows, -std::numeric_limits<float>::infinity())};
  std::vector<float> sums(rows);
  for (auto const& p : to.parts) {
    if (p.rows.offset.back() == 0) continue;
    if (message m =
            p.attend(team, p.rows, queries.data(), static_cast<int>(rows), kv_heads, more.data(), sums.data(), memory_))
      return m;
    all.add(result, more, sums, static_cast<std::size_t>(dim));
  }
  // The new tokens see each other in order, a few queries a call.
  constexpr int most = 8;
  for (int first = 0; first < tokens; first += most) {
    int const asked = std::min(most, tokens - first);
    auto const some = static_cast<std::size_t>(heads * asked);
    std::vector<float> few(some * static_cast<std::size_t>(dim)), out_of(few.size()), sums_of(some);
    auto const place = [&](int h, int i) { return static_cast<std::size_t>(h * tokens + first + i); };
    for (int h = 0; h < heads; ++h)
      std::copy_n(queries.data() + place(h, 0) * static_cast<std::size_t>(dim), asked * dim,
                  few.data() + std::ptrdiff_t{h} * asked * dim);
    if (message m = attend_own(team, to.keys.data(), to.values.data(), room_, to.tokens + first + asked, dim,
                               few.data(), heads, kv_heads, asked, out_of.data(), sums_of.data(), memory_))
      return m;
    for (int h = 0; h < heads; ++h)
      for (int i = 0; i < asked; ++i) {
        auto const from = static_cast<std::size_t>(h * asked + i), at = place(h, i);
        joined one{{all.log_sum[at]}};
        one.add(
            std::span(result).subspan(at * static_cast<std::size_t>(dim), static_cast<std::size_t>(dim)),
            std::span<float const>(out_of).subspan(from * static_cast<std::size_t>(dim), static_cast<std::size_t>(dim)),
            std::span<float const>(sums_of).subspan(from, 1), static_cast<std::size_t>(dim));
      }
  }
  to.tokens += tokens;
  for (int t = 0; t < tokens; ++t)
    for (int h = 0; h < heads; ++h)
      std::copy_n(result.data() + (std::ptrdiff_t{h} * tokens + t) * dim, dim,
                  out.data() + (std::ptrdiff_t{t} * heads + h) * dim);
  return {};
}

}  // namespace kvsieve::llama_example
