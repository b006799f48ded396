// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// online_cache for one policy and head dimension: rows in f16, [Hkv, capacity, D] by layer.
#pragma once
#include <algorithm>
#include <chrono>

#include <kvsieve/host/team.hpp>
#include <kvsieve/online.hpp>

#include "online_cache.hpp"
#include "text.hpp"

namespace kvsieve::llama_example {

template <online_strategy C, int D>
class policy_cache final : public online_cache {
  using A = typename C::aggregate_policy;
  using state = observed_state<A>;
  using view = kvsieve::rows<f16, D>;

 public:
  explicit policy_cache(typename C::params const& params) : params_(params) {}

  [[nodiscard]] tool::field_refs fields() override {
    tool::field_refs all;
    C::params::each_stage(params_, [&](char const* stage, auto& p) {
      if (std::string_view(stage) != "budget") tool::add_fields(all, stage, p);
    });
    return all;
  }

  [[nodiscard]] message check() const override {
    status const s = check::params(params_, {1, 1, D});
    return s ? message{} : tool::text_of(s);
  }

  [[nodiscard]] message begin(online_shape const& shape, eviction_schedule const& schedule, int room,
                              int threads) override {
    if (status const s = schedule.check(); !s) return tool::text_of(s);
    shape_ = shape;
    schedule_ = schedule;
    params_.budget.tokens = schedule.tokens;
    steps_ = 0;
    counts_ = {};
    layers_.assign(static_cast<std::size_t>(shape.layers), {});
    team_ = std::make_unique<host::team>(threads);
    alone_ = std::make_unique<host::team>(1);
    set_capacity(std::max(room, static_cast<int>(schedule.room())));
    return {};
  }

  [[nodiscard]] message add(int l, int tokens, head_rows const& keys, head_rows const& values) override {
    layer& to = layers_[static_cast<std::size_t>(l)];
    if (message m = check_room(to, tokens)) return m;
    append(to, tokens, keys, values);
    return {};
  }

  [[nodiscard]] message attend(int l, int tokens, head_rows const& queries, head_rows const& keys,
                               head_rows const& values, float* out) override {
    layer& to = layers_[static_cast<std::size_t>(l)];
    if (message m = check_room(to, tokens)) return m;
    host::team& team = tokens > 1 ? *team_ : *alone_;
    for (int first = 0; first < tokens; first += most_new_queries) {
      int const some = std::min(most_new_queries, tokens - first);
      append(to, some, keys.from(first), values.from(first));
      head_rows const q = queries.from(first);
      auto const query = make_rows<D>(q.data, shape_.query_heads, some, q.head_stride, q.token_stride);
      std::int64_t const width = std::int64_t{shape_.query_heads} * D;
      auto const result = make_rows<D>(out + first * width, shape_.query_heads, some, index{D}, width);
      if (status const s = attend_piece(team, query, layer_of(to), result, to); !s) return tool::text_of(s);
    }
    return {};
  }

  [[nodiscard]] message end_tokens(int tokens) override {
    steps_ += tokens;
    counts_.most_rows = std::max(counts_.most_rows, rows());
    return schedule_.due(rows(), steps_) ? evict() : message{};
  }

  [[nodiscard]] message evict() override {
    auto const start = std::chrono::steady_clock::now();
    if (rows() <= schedule_.tokens) return {};
    host::on const on(*team_);
    std::vector<state> states;
    std::vector<int> const entries(layers_.size(), rows());
    std::vector<kv_layer<view>> views;
    for (auto& l : layers_) {
      if (l.rows != rows()) return "layers hold other numbers of rows: a layer was left out";
      states.push_back(state_of(l));
      views.push_back(layer_of(l));
    }
    cs::span<state const> const seen(states.data(), states.size());
    cs::span<int const> const counts(entries.data(), entries.size());
    auto const size = plan_observed_workspace_bytes<C>(on, seen, counts, shape_.kv_heads, params_);
    token_plan const plan = plan_observed<C>(on, seen, counts, shape_.kv_heads, params_, workspace(size));
    if (!plan) return tool::text_of(plan.state);
    if (!plan.note) counts_.note = tool::text_of(plan.note);
    if (status const s = apply_observed(on, plan, cs::span<kv_layer<view> const>(views.data(), views.size()), seen,
                                        params_.aggregate);
        !s)
      return tool::text_of(s);
    for (auto& l : layers_) l.rows = schedule_.tokens;
    if (capacity_ > schedule_.room()) {
      // What a prompt needed is not needed again.
      set_capacity(static_cast<int>(schedule_.room()));
      counts_.most_rows = rows();
    }
    ++counts_.evictions;
    counts_.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return {};
  }

  [[nodiscard]] int next_tokens() const override {
    return schedule_.every - static_cast<int>(steps_ % schedule_.every);
  }
  [[nodiscard]] int rows() const override { return layers_.front().rows; }
  [[nodiscard]] std::size_t row_bytes() const override {
    return layers_.size() * static_cast<std::size_t>(shape_.kv_heads) * static_cast<std::size_t>(rows()) * D * 2 *
           sizeof(f16);
  }
  [[nodiscard]] std::size_t state_bytes() const override {
    return layers_.size() * static_cast<std::size_t>(state_heads() * state::rows) * static_cast<std::size_t>(rows()) *
           sizeof(float);
  }
  [[nodiscard]] online_counts const& counts() const override { return counts_; }

 private:
  struct layer {
    std::vector<f16> keys, values;  ///< [Hkv, capacity, D]
    std::vector<float> remembered;  ///< [heads of the state, rows of the state, capacity up to a multiple of 16]
    int rows = 0;                   ///< of each head
    int queries = 0;                ///< that were observed
  };

  [[nodiscard]] int state_heads() const { return folds_groups<A> ? shape_.kv_heads : shape_.query_heads; }
  [[nodiscard]] state state_of(layer& l) const {
    return {l.remembered.data(), round_up<index>(capacity_, 16), state_heads(), l.queries};
  }
  [[nodiscard]] kv_layer<view> layer_of(layer& l) const {
    auto const of = [&](std::vector<f16>& x) {
      return make_rows<D>(x.data(), shape_.kv_heads, l.rows, index{capacity_} * D, index{D});
    };
    return {of(l.keys), of(l.values)};
  }
  [[nodiscard]] message check_room(layer const& to, int tokens) const {
    if (to.rows + tokens <= capacity_) return {};
    return "the cache has room for " + std::to_string(capacity_) + " rows, not for " + std::to_string(to.rows + tokens);
  }
  void append(layer& to, int tokens, head_rows const& keys, head_rows const& values) const {
    auto const put = [&](head_rows const& from, std::vector<f16>& rows_of) {
      auto const target = make_rows<D>(rows_of.data(), shape_.kv_heads, capacity_);
      for (int h = 0; h < shape_.kv_heads; ++h)
        for (int t = 0; t < tokens; ++t)
          host::store_row(target, h, to.rows + t, from.data + h * from.head_stride + t * from.token_stride);
    };
    put(keys, to.keys);
    put(values, to.values);
    to.rows += tokens;
  }
  template <class Query, class Out>
  [[nodiscard]] status attend_piece(host::team& team, Query const& query, kv_layer<view> const& of, Out const& out,
                                    layer& to) {
    host::on const on(team);
    cs::span<Query const> const queries(&query, 1);
    cs::span<kv_layer<view> const> const layers(&of, 1);
    state own = state_of(to);
    status const s =
        attend_observed<A>(on, queries, layers, cs::span<Out const>(&out, 1), cs::span<state>(&own, 1),
                           params_.aggregate, workspace(attend_observed_workspace_bytes<A>(on, queries, layers)));
    to.queries = own.queries;
    return s;
  }
  /// Moves everything to memory for so many rows of a head.
  void set_capacity(int rows_of_head) {
    int const before = capacity_;
    capacity_ = rows_of_head;
    for (auto& l : layers_) {
      auto const heads = static_cast<std::size_t>(shape_.kv_heads);
      std::vector<f16> keys(heads * static_cast<std::size_t>(capacity_) * D), values(keys.size());
      std::vector<float> remembered(static_cast<std::size_t>(state::floats(state_heads(), capacity_)));
      state const fresh = make_observed_state<A>(remembered.data(), state_heads(), capacity_, params_.aggregate);
      for (int h = 0; h < shape_.kv_heads && l.rows > 0; ++h)
        for (auto [from, to] : {std::pair{&l.keys, &keys}, std::pair{&l.values, &values}})
          std::copy_n(from->data() + std::ptrdiff_t{h} * before * D, l.rows * D,
                      to->data() + std::ptrdiff_t{h} * capacity_ * D);
      if (l.rows > 0) {
        state const old{l.remembered.data(), round_up<index>(before, 16), state_heads(), l.queries};
        for (int h = 0; h < state_heads(); ++h)
          for (int k = 0; k < state::rows; ++k) std::copy_n(old.row(h, k), l.rows, fresh.row(h, k));
      }
      l.keys = std::move(keys);
      l.values = std::move(values);
      l.remembered = std::move(remembered);
    }
  }
  [[nodiscard]] std::span<std::byte> workspace(std::size_t size) {
    constexpr std::size_t line = arena::alignment;
    if (memory_.size() < size + line) memory_.resize(size + line);
    auto const at = reinterpret_cast<std::uintptr_t>(memory_.data());
    return {memory_.data() + (line - at % line) % line, size};
  }

  typename C::params params_;
  online_shape shape_;
  eviction_schedule schedule_;
  int capacity_ = 0;
  std::int64_t steps_ = 0;
  std::vector<layer> layers_;
  std::unique_ptr<host::team> team_, alone_;  ///< of several workers, and of the caller
  std::vector<std::byte> memory_;
  online_counts counts_;
};

}  // namespace kvsieve::llama_example
