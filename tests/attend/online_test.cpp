// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Policies that evict while generating, step by step against their definitions in double precision over what is left of
// each head.
#include <kvsieve/online.hpp>
#include <kvsieve/reference/deviation.hpp>
#include <kvsieve/reference/two_stage.hpp>

#include <catch2/catch_all.hpp>

#include "planned.hpp"
#include "refusal.hpp"

namespace online_tests {
namespace {
using kvsieve::index;
namespace aggregate = kvsieve::aggregate;
namespace reference = kvsieve::reference;
constexpr int D = 64;

template <class T>
kvsieve::cs::span<T const> all(std::vector<T> const& x) {
  return {x.data(), x.size()};
}

/// A token that is still there, and the probability that each query which saw it gave it, by query head of its group.
struct entry {
  int token;
  std::vector<std::vector<double>> p;  // [group, queries that saw it]
  bool near_threshold = false;
};

/// What a policy scores an entry by: one number, or two, from the queries that saw it, the last of `queries`.
struct numbers {
  double score, second = 0;
};

template <class C>
numbers numbers_of(entry const& e, int queries, typename C::params const& params) {
  using A = typename C::aggregate_policy;
  auto const seen = e.p.front().size();
  std::vector<double> of_head;
  std::vector<double> mean(seen);
  for (auto const& row : e.p) {
    double one = 0;
    for (std::size_t i = 0; i < seen; ++i) {
      one += row[i];
      mean[i] += row[i] / static_cast<double>(e.p.size());
    }
    if constexpr (std::is_same_v<A, aggregate::last>) one = row.back();
    if constexpr (std::is_same_v<A, aggregate::last_above_with_gap>) {
      int const born = queries - static_cast<int>(seen);
      int last = born, gap = 0;
      for (int s = born + 1; s <= queries; ++s)
        if (row[static_cast<std::size_t>(s - born - 1)] >= static_cast<double>(params.aggregate.threshold)) {
          gap = std::max(gap, s - last);
          last = s;
        }
      one = 2 / (1 + std::exp(1 + (queries - last) / (gap + 1e-5)));
      if (gap > 0) one += 2 / (1 + std::exp(gap - 1.0));
    }
    of_head.push_back(one);
  }
  if constexpr (std::is_same_v<A, aggregate::deviation>) {
    double sum = 0;
    for (double const x : mean) sum += x;
    return {reference::deviation(mean), sum / static_cast<double>(seen)};
  } else {
    double joined = 0;
    for (double const x : of_head)
      joined = std::is_same_v<A, aggregate::last_above_with_gap> ? std::max(joined, x)
                                                                 : joined + x / static_cast<double>(of_head.size());
    return {joined};
  }
}

/// A layer that generates: rows, state, and what is known of them otherwise.
template <class C>
struct generating {
  using A = typename C::aggregate_policy;
  int heads, group, room;
  std::vector<float> keys, values, memory;
  kvsieve::observed_state<A> state;
  std::vector<std::vector<entry>> left;  // [heads]

  generating(int kv_heads, int of_group, int with_room)
      : heads(kv_heads),
        group(of_group),
        room(with_room),
        keys(static_cast<std::size_t>(heads * room * D)),
        values(keys.size()),
        memory(static_cast<std::size_t>(kvsieve::observed_state<A>::floats(state_heads(), room))),
        state(kvsieve::make_observed_state<A>(memory.data(), state_heads(), room, {})),
        left(static_cast<std::size_t>(heads)) {}
  [[nodiscard]] int state_heads() const { return kvsieve::folds_groups<A> ? heads : heads * group; }
  [[nodiscard]] int entries() const { return static_cast<int>(left.front().size()); }
  [[nodiscard]] auto layer() {
    auto const view = [&](std::vector<float>& x) {
      return kvsieve::make_rows<D>(x.data(), heads, entries(), index{room} * D, index{D});
    };
    return kvsieve::kv_layer{view(keys), view(values)};
  }
};

/// Attention of one query in double over what is left, which takes down the probabilities.
template <class C>
void attend_in_double(generating<C>& to, std::vector<float> const& query, double threshold, std::vector<double>& out) {
  int const n = to.entries();
  for (int q = 0; q < to.heads * to.group; ++q) {
    int const h = q / to.group;
    auto const at = [&](std::vector<float> const& x, int e, int d) {
      return static_cast<double>(x[static_cast<std::size_t>((h * to.room + e) * D + d)]);
    };
    std::vector<double> z(static_cast<std::size_t>(n));
    double top = -1e300, sum = 0;
    for (int e = 0; e < n; ++e) {
      double& dot = z[static_cast<std::size_t>(e)];
      for (int d = 0; d < D; ++d)
        dot += static_cast<double>(query[static_cast<std::size_t>(q * D + d)]) * at(to.keys, e, d);
      dot /= std::sqrt(static_cast<double>(D));
      top = std::max(top, dot);
    }
    for (double& x : z) sum += x = std::exp(x - top);
    for (int e = 0; e < n; ++e) {
      double const p = z[static_cast<std::size_t>(e)] / sum;
      entry& own = to.left[static_cast<std::size_t>(h)][static_cast<std::size_t>(e)];
      own.p[static_cast<std::size_t>(q % to.group)].push_back(p);
      own.near_threshold = own.near_threshold || std::abs(p - threshold) <= 1e-5 * threshold;
      for (int d = 0; d < D; ++d) out[static_cast<std::size_t>(q * D + d)] += p * at(to.values, e, d);
    }
  }
}

/// Holds scores that were remembered, and a plan by them, against what is left of a layer.
template <class C>
void check_plan(kvsieve::token_plan const& plan, int view, generating<C> const& of, typename C::params const& params,
                reference::forced_tokens const& forced) {
  using A = typename C::aggregate_policy;
  int const n = of.entries(), keep = params.budget.tokens;
  auto const stride = kvsieve::score_stride(n);
  std::vector<float> second(static_cast<std::size_t>(of.heads * stride));
  if constexpr (!std::is_void_v<typename C::second_aggregate>) {
    kvsieve::observed_state<typename C::second_aggregate> const same{of.state.data, of.state.capacity, of.state.heads,
                                                                     of.state.queries};
    RC_ASSERT(static_cast<bool>(kvsieve::observed_scores<aggregate::group_mean>(
        same, params.aggregate, {}, of.heads, n, kvsieve::cs::span<float>(second.data(), second.size()))));
  }
  for (int h = 0; h < of.heads; ++h) {
    auto const got = plan.scores(view, h);
    std::vector<double> plain, beside;
    for (int e = 0; e < n; ++e) {
      auto const i = static_cast<std::size_t>(e);
      numbers want{0};
      bool unsure = false;
      for (int j = 0; j < of.heads; ++j) {
        if (!C::heads_policy::joins && j != h) continue;
        entry const& other = of.left[static_cast<std::size_t>(j)][i];
        numbers const one = numbers_of<C>(other, of.state.queries, params);
        want.score += one.score / (C::heads_policy::joins ? of.heads : 1);
        want.second = one.second;
        unsure = unsure || (std::is_same_v<A, aggregate::last_above_with_gap> && other.near_threshold);
      }
      float const mean = second[static_cast<std::size_t>(h * stride + e)];
      plain.push_back(static_cast<double>(got[i]));
      beside.push_back(static_cast<double>(mean));
      if (reference::reason_of(e, n, forced) != reference::reason::score) continue;
      RC_LOG() << "view " << view << ", head " << h << ", entry " << e << ": " << got[i] << ", want " << want.score
               << std::endl;
      // A deviation is the root of a difference of sums, whose errors are those of the sums.
      double const bound =
          std::is_same_v<A, aggregate::deviation> ? 2e-3 * want.second + 1e-7 : 1e-4 * std::abs(want.score) + 1e-7;
      RC_ASSERT(unsure || std::abs(static_cast<double>(got[i]) - want.score) <= bound);
      RC_ASSERT(std::abs(static_cast<double>(mean) - want.second) <= 1e-4 * want.second + 1e-7);
    }
    std::vector<int> kept;
    if constexpr (kvsieve::reads_unweighed<typename C::select_policy>)
      kept = reference::two_stage(plain, beside, keep, params.select.first, forced);
    else
      kept = reference::top_k(plain, keep, forced);
    auto const mine = plan.kept(view, h);
    RC_ASSERT(std::vector<int>(mine.begin(), mine.end()) == kept);
  }
}

/// Layers that grow by a token a step and evict by a schedule.
template <class C>
void steps_agree(char const* name, typename C::params params, int recent_of(typename C::params const&)) {
  using A = typename C::aggregate_policy;
  CHECK(support::holds(name, 12, [&] {
    std::mt19937 random(*rc::gen::arbitrary<std::uint32_t>());
    std::normal_distribution<float> normal;
    kvsieve::eviction_schedule const schedule{*rc::gen::inRange(4, 60), *rc::gen::inRange(1, 6)};
    int const views = *rc::gen::inRange(1, 3), executor = *rc::gen::inRange(0, 3), steps = schedule.tokens + 40;
    RC_ASSERT(static_cast<bool>(schedule.check()));
    params.budget.tokens = schedule.tokens;
    auto const forced = reference::forced_tokens{params.select.sink, recent_of(params)};
    std::vector<generating<C>> layers;
    for (int v = 0; v < views; ++v)
      layers.emplace_back(1 + static_cast<int>(random() % 3), 1 + static_cast<int>(random() % 3),
                          static_cast<int>(schedule.room()));
    for (auto& l : layers) l = generating<C>(layers[0].heads, layers[0].group, l.room);
    for (auto& l : layers) l.state.data = l.memory.data();
    int const heads = layers[0].heads, query_heads = heads * layers[0].group;
    int evictions = 0;
    for (int step = 1; step <= steps; ++step) {
      for (auto& l : layers) {
        for (int h = 0; h < heads; ++h) {
          int const e = static_cast<int>(l.left[static_cast<std::size_t>(h)].size());
          RC_ASSERT(e < l.room);
          for (int d = 0; d < D; ++d) {
            l.keys[static_cast<std::size_t>((h * l.room + e) * D + d)] = normal(random);
            l.values[static_cast<std::size_t>((h * l.room + e) * D + d)] = normal(random);
          }
        }
        for (auto& head : l.left)
          head.push_back({step, std::vector<std::vector<double>>(static_cast<std::size_t>(l.group)), false});
        std::vector<float> query(static_cast<std::size_t>(query_heads * D)), out(query.size());
        for (float& x : query) x = normal(random);
        std::vector<double> want(out.size());
        double threshold = 0;
        if constexpr (std::is_same_v<A, aggregate::last_above_with_gap>)
          threshold = static_cast<double>(params.aggregate.threshold);
        attend_in_double(l, query, threshold, want);
        auto const q = kvsieve::make_rows<D>(query.data(), query_heads, 1);
        auto const o = kvsieve::make_rows<D>(out.data(), query_heads, 1);
        auto const layer = l.layer();
        auto const one = [](auto const& x) { return kvsieve::cs::span<std::remove_cvref_t<decltype(x)> const>(&x, 1); };
        support::with_executor(executor, [&](auto const& on) {
          support::workspace scratch(kvsieve::attend_observed_workspace_bytes<A>(on, one(q), one(layer)));
          RC_ASSERT(static_cast<bool>(kvsieve::attend_observed<A>(
              on, one(q), one(layer), one(o), kvsieve::cs::span<kvsieve::observed_state<A>>(&l.state, 1),
              params.aggregate, scratch.span())));
          return 0;
        });
        for (std::size_t i = 0; i < out.size(); ++i) RC_ASSERT(std::abs(static_cast<double>(out[i]) - want[i]) <= 2e-5);
      }
      if (!schedule.due(layers[0].entries(), step)) continue;
      ++evictions;
      std::vector<kvsieve::observed_state<A>> states;
      std::vector<int> entries;
      std::vector<decltype(layers[0].layer())> rows;
      for (auto& l : layers) {
        states.push_back(l.state);
        entries.push_back(l.entries());
        rows.push_back(l.layer());
      }
      support::with_executor(executor, [&](auto const& on) {
        support::workspace scratch(
            kvsieve::plan_observed_workspace_bytes<C>(on, all(states), all(entries), heads, params));
        auto const plan = kvsieve::plan_observed<C>(on, all(states), all(entries), heads, params, scratch.span());
        RC_ASSERT(static_cast<bool>(plan));
        RC_ASSERT(scratch.guards_hold());
        for (int v = 0; v < views; ++v) check_plan(plan, v, layers[static_cast<std::size_t>(v)], params, forced);
        RC_ASSERT(static_cast<bool>(kvsieve::apply_observed(on, plan, all(rows), all(states), params.aggregate)));
        for (int v = 0; v < views; ++v)
          for (int h = 0; h < heads; ++h) {
            auto& head = layers[static_cast<std::size_t>(v)].left[static_cast<std::size_t>(h)];
            std::vector<entry> kept;
            for (int const e : plan.kept(v, h)) kept.push_back(head[static_cast<std::size_t>(e)]);
            head = std::move(kept);
          }
        return 0;
      });
      RC_ASSERT(layers[0].entries() == schedule.tokens);
    }
    RC_ASSERT(evictions > 0);
  }));
}
}  // namespace

TEST_CASE("online: H2O keeps what got most attention since it came, and half of the budget of recent tokens") {
  steps_agree<kvsieve::online::h2o<>>(
      "online H2O", {}, [](auto const& p) { return static_cast<int>(p.budget.tokens * p.select.recent_share); });
}
TEST_CASE("online: TOVA keeps what the newest query looks at, for all heads") {
  steps_agree<kvsieve::online::tova<>>("online TOVA", {.select = {.recent = 1}}, [](auto const&) { return 1; });
}
TEST_CASE("online: RoCo evicts what is looked at least among what is looked at steadily") {
  steps_agree<kvsieve::online::roco<>>("online RoCo", {.select = {.first = 0.3, .recent = 2}},
                                       [](auto const&) { return 2; });
}
TEST_CASE("online: LazyEviction keeps what is likely to be looked at again") {
  steps_agree<kvsieve::online::lazy_eviction<>>("online LazyEviction",
                                                {.aggregate = {.threshold = 0.03f}, .select = {.sink = 1, .recent = 3}},
                                                [](auto const&) { return 3; });
}

TEST_CASE("online: a budget that is never exceeded evicts nothing") {
  kvsieve::eviction_schedule const schedule{100, 1};
  for (int n = 1; n <= 100; ++n) CHECK(!schedule.due(n, n));
  CHECK(schedule.due(101, 101));
  CHECK(!kvsieve::eviction_schedule{100, 8}.due(101, 101));
  CHECK(kvsieve::eviction_schedule{100, 8}.due(104, 104));
  CHECK(kvsieve::eviction_schedule{100, 8}.room() == 108);
}

TEST_CASE("online: what does not fit is refused, and changes nothing") {
  using C = kvsieve::online::roco<>;
  using A = C::aggregate_policy;
  support::check_refused(kvsieve::eviction_schedule{0, 1}.check(), kvsieve::errc::bad_params,
                         {"schedule.tokens is 0", "1"});
  support::check_refused(kvsieve::eviction_schedule{9, 0}.check(), kvsieve::errc::bad_params,
                         {"schedule.every is 0", "1"});
  std::vector<float> memory(static_cast<std::size_t>(kvsieve::observed_state<A>::floats(2, 32)), 0.25f);
  std::vector<float> const before = memory;
  std::vector<kvsieve::observed_state<A>> states{{memory.data(), 32, 2, 5}};
  std::vector<int> entries{20};
  C::params params{.budget = {.tokens = 8}};
  kvsieve::host::on const on;
  support::workspace scratch(kvsieve::plan_observed_workspace_bytes<C>(on, all(states), all(entries), 2, params));
  auto const state_of = [&](int heads) {
    return kvsieve::plan_observed<C>(on, all(states), all(entries), heads, params, scratch.span()).state;
  };
  using kvsieve::errc;
  support::check_refused(state_of(1), errc::bad_shape, {"state.heads is 2", "1"});
  support::check_refused(state_of(0), errc::bad_shape, {"heads is 0", "1"});
  entries[0] = 33;
  support::check_refused(state_of(2), errc::bad_shape, {"entries is 33", "32"});
  entries[0] = 20;
  states[0].queries = 0;
  support::check_refused(state_of(2), errc::bad_shape, {"state.queries is 0", "1"});
  states[0].queries = 5;
  params.select.first = 2;
  support::check_refused(state_of(2), errc::bad_params, {"select.first is 2", "1"});
  params.select.first = 0.5;
  CHECK(scratch.untouched());
  auto const plan = kvsieve::plan_observed<C>(on, all(states), all(entries), 2, params, scratch.span());
  REQUIRE(plan);
  std::vector<float> rows(2 * 20 * D, 1.0f), few(2 * 19 * D, 1.0f);
  auto const view = [](std::vector<float>& x, int n) {
    return std::vector{kvsieve::kv_layer{kvsieve::make_rows<D>(x.data(), 2, n), kvsieve::make_rows<D>(x.data(), 2, n)}};
  };
  CHECK(!kvsieve::apply_observed(on, plan, all(view(few, 19)), all(states), params.aggregate));
  states[0].capacity = 16;
  support::check_refused(kvsieve::apply_observed(on, plan, all(view(rows, 20)), all(states), params.aggregate),
                         errc::bad_shape, {"state.capacity is 16", "20"});
  CHECK(memory == before);
}
}  // namespace online_tests
