// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Merging as launches: a plan applied into other memory, and what it does not keep merged into the rows that stay.
#pragma once
#include <kvsieve/core/arena.hpp>
#include <kvsieve/device/evict/compactor.hpp>
#include <kvsieve/device/evict/find_nearest.hpp>
#include <kvsieve/device/evict/merge_all.hpp>
#include <kvsieve/device/evict/merge_encoded.hpp>
#include <kvsieve/device/evict/merge_followers.hpp>
#include <kvsieve/device/evict/merge_nearest.hpp>
#include <kvsieve/device/evict/merge_slots.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// One call with one policy, on a launcher; `Plan` is a token_plan or an open_plan.
template <strategy C, class Launcher, class Plan, class Layer>
class merge_call {
  using policy = typename C::evict_policy;
  using pattern = typename policy::merge_pattern;
  using params = typename policy::params;
  static constexpr int D = Layer::head_dim;
  static constexpr bool nearest = cs::is_same_v<pattern, merge_patterns::into_nearest>;
  static constexpr bool followers = cs::is_same_v<pattern, merge_patterns::into_followers>;
  static constexpr bool slots = cs::is_same_v<pattern, merge_patterns::into_slots>;
  static constexpr bool all = cs::is_same_v<pattern, merge_patterns::into_all>;
  static_assert(nearest || followers || slots || all);
  static_assert(walks<Layer>,
                "kvsieve::apply on the device merges rows by strides or of one table of pages: give it "
                "kvsieve::make_rows or make_paged");
  static_assert(D % merge_lanes == 0 && D <= 512,
                "kvsieve::device: the head dimension is a multiple of 8, at most 512");

 public:
  merge_call(Launcher const& on, Plan const& plan, cs::span<Layer const> from, params const& p)
      : on_(on), plan_(plan), from_(from), params_(p) {}

  /// Bytes of device memory; 0 for a plan or numbers that run() refuses.
  [[nodiscard]] std::size_t bytes() const {
    if (!check_arguments()) return 0;
    arena counting;
    (void)carve(counting);
    return counting.used();
  }

  template <class Target>
  [[nodiscard]] status run(cs::span<Target const> to, std::span<std::byte> workspace,
                           cs::span<entry_bias_target const> bias) const {
    static_assert(cs::is_same_v<element_of<typename Target::keys_type>, element_of<typename Layer::keys_type>> &&
                      cs::is_same_v<element_of<typename Target::values_type>, element_of<typename Layer::values_type>>,
                  "kvsieve::apply: cache and result have the same element types");
    static_assert(nearest || !merges_encoded<Target>,
                  "kvsieve::apply on the device encodes what evict::merge merges; with other policies give it rows of "
                  "elements, or merge on the host");
    static_assert(!slots || !packs<Target>,
                  "kvsieve::apply: rows in front of the kept ones have no place in the plan's table: give it "
                  "kvsieve::make_rows or pages");
    if (status const s = check_arguments(); !s) return s;
    if (status const s = check_copied(plan_, from_, to, [this](int v) { return rows_of_view(v); }); !s) return s;
    if (status const s = check_bias(bias); !s) return s;
    if (status const s = check::workspace(workspace, bytes()); !s) return s;
    if (status const s = check_plan_apart(plan_, workspace); !s) return s;
    if (status const s = copied_within_reach(on_, plan_, from_, to); !s) return s;
    if (status const s = within_reach(on_, workspace.data(), "workspace"); !s) return s;
    arena a(workspace);
    memory const m = carve(a);
    if constexpr (!all)
      if (status const s = launch<list_evicted_body<Layer>>(
              m, plan_.heads, 1, no_params{}, [](auto const& part) { return pieces(part.tokens, merge_tokens); });
          !s)
        return s;
    if constexpr (!all)
      if (status const s = launch<square_rows_body<Layer>>(
              m, plan_.heads, 2, no_params{}, [](auto const& part) { return pieces(part.tokens, merge_tokens); });
          !s)
        return s;
    if constexpr (nearest)
      return into_nearest(m, to, bias);
    else if constexpr (slots)
      return into_slots(m, to, bias);
    else if constexpr (followers)
      return into_followers(m, to, bias);
    else
      return into_all(m, to, bias);
  }

 private:
  /// That of all views: rows of a view begin behind those of the one before.
  struct memory {
    merge_memory rows;
    double* spread = nullptr;
  };

  [[nodiscard]] Layer const& layer(int v) const { return from_[static_cast<std::size_t>(v)]; }
  [[nodiscard]] int slots_of_view([[maybe_unused]] int v) const {
    if constexpr (slots)
      return policy::slots(params_, plan_.tokens(v));
    else
      return 0;
  }
  /// Rows of a head's result, at most.
  [[nodiscard]] int rows_of_view(int v) const {
    if constexpr (slots && cs::is_same_v<Plan, token_plan>) {
      int most = 0;
      for (int h = 0; h < plan_.heads; ++h) {
        int const kept = plan_.count(v, h), n = kept + policy::slots(params_, plan_.tokens(v) - kept);
        most = most < n ? n : most;
      }
      return most;
    } else {
      return lists_of(plan_, v).most + slots_of_view(v);
    }
  }
  [[nodiscard]] int window() const {
    if constexpr (all) {
      int longest = 0;
      for (int v = 0; v < plan_.views; ++v) longest = longest < plan_.tokens(v) ? plan_.tokens(v) : longest;
      return params_.window < longest ? params_.window : longest;
    } else {
      return 0;
    }
  }
  [[nodiscard]] static constexpr bool finds_by(kvsieve::nearest::way way) {
    if constexpr (nearest)
      return policy::nearest::searched_by == way;
    else
      return false;
  }

  [[nodiscard]] memory carve(arena& a) const {
    auto const size = [](index n) { return static_cast<std::size_t>(n); };
    index const heads = index{plan_.views} * plan_.heads;
    index entries = 0;
    for (int v = 0; v < plan_.views; ++v) entries += index{plan_.tokens(v)} * plan_.heads;
    memory m;
    if constexpr (all) {
      m.spread = a.take<double>(size(heads * window() * D));
      return m;
    }
    m.rows.evicted = a.take<int>(size(entries));
    m.rows.key_square = followers ? nullptr : a.take<float>(size(entries));
    m.rows.value_square = a.take<float>(size(entries));
    if constexpr (slots) return m;
    m.rows.link = finds_by(kvsieve::nearest::way::run) ? a.take<float>(size(entries)) : nullptr;
    m.rows.target = a.take<int>(size(entries));
    m.rows.similarity = a.take<float>(size(entries));
    m.rows.source = a.take<int>(size(entries));
    m.rows.end = a.take<unsigned>(size(entries + heads));
    m.rows.least = a.take<float>(size(heads));
    m.rows.largest = a.take<float>(size(heads));
    return m;
  }

  [[nodiscard]] status check_arguments() const {
    if (!plan_)
      return fail(errc::bad_plan, "plan", static_cast<double>(plan_.state.code), "must be made without error,", 0);
    if (from_.size() != static_cast<std::size_t>(plan_.views))
      return fail(errc::bad_plan, "from", static_cast<double>(from_.size()), "must equal the views of the plan,",
                  plan_.views);
    if (status const s = check::one_stage(params_, call_shape{plan_.views, plan_.heads, D, 0}); !s) return s;
    for (int v = 0; v < plan_.views; ++v) {
      if (status const s = readable(layer(v).keys, "keys", v); !s) return s;
      if (status const s = readable(layer(v).values, "values", v); !s) return s;
    }
    if constexpr (nearest) {
      if constexpr (policy::gate::shares)
        if (params_.gate.together)
          if (status const s = check_together(); !s) return s;
    } else if constexpr (!slots) {
      index wanted = 0;
      for (int v = 0; v < plan_.views; ++v) wanted += index{plan_.tokens(v)} * plan_.heads;
      if (!params_.attention.empty())
        return range::entries("evict.attention", static_cast<double>(params_.attention.size()),
                              static_cast<double>(wanted));
    }
    return {};
  }
  [[nodiscard]] status check_together() const {
    if constexpr (cs::is_same_v<Plan, token_plan>) {
      for (int v = 0; v < plan_.views; ++v)
        for (int h = 1; h < plan_.heads; ++h)
          if (plan_.count(v, h) != plan_.count(v, 0))
            return fail(errc::bad_plan, "plan.count", plan_.count(v, h),
                        "must, for evict.together, equal that of the first head,", plan_.count(v, 0), v);
      return {};
    } else {
      return fail(errc::bad_plan, "evict.together", 1,
                  "needs counts that the host knows (kvsieve::copy_offsets); else it must be", 0);
    }
  }
  [[nodiscard]] status check_bias(cs::span<entry_bias_target const> bias) const {
    if (bias.empty()) return {};
    if (status const s = check::one_each("bias", bias.size(), static_cast<std::size_t>(plan_.views)); !s) return s;
    for (int v = 0; v < plan_.views; ++v) {
      entry_bias_target const& b = bias[static_cast<std::size_t>(v)];
      if (!b) return fail(errc::bad_pointer, "bias", 0, "must not be null;", 0, v);
      if (b.offset == nullptr && plan_.heads > 1 && b.head_stride < rows_of_view(v))
        return fail(errc::bad_shape, "bias.head_stride", static_cast<double>(b.head_stride),
                    "codes a head; it must be at least the rows of the result,", rows_of_view(v), v);
    }
    return {};
  }
  void describe(memory const& m, int v, merge_part<Layer>& part) const {
    index entries = 0;
    for (int u = 0; u < v; ++u) entries += index{plan_.tokens(u)} * plan_.heads;
    index const row = index{v} * plan_.heads;
    auto const behind = [](auto* p, index n) { return p == nullptr ? p : p + n; };
    part.keys = layer(v).keys;
    part.values = layer(v).values;
    part.kept = lists_of(plan_, v);
    part.score = plan_.score + plan_.score_offset[v];
    part.stride = score_stride(plan_.tokens(v));
    part.row = row;
    part.heads = plan_.heads;
    part.tokens = plan_.tokens(v);
    merge_memory const& r = m.rows;
    part.memory = {behind(r.evicted, entries), behind(r.key_square, entries), behind(r.value_square, entries),
                   behind(r.link, entries),    behind(r.target, entries),     behind(r.similarity, entries),
                   behind(r.source, entries),  behind(r.end, entries + row),  behind(r.least, row),
                   behind(r.largest, row)};
  }
  /// Launches a body over parts; blocks(part): along x.
  template <class Body, class Numbers, class Blocks>
  [[nodiscard]] status launch(memory const& m, int y, int z, Numbers const& numbers, Blocks const& blocks) const {
    typename Body::args args{};
    args.params = numbers;
    return launch_views<Body>(on_, plan_.views, y, z, args, [&](int v, merge_part<Layer>& part) {
      describe(m, v, part);
      return blocks(part);
    });
  }
  template <class Target>
  void describe(memory const& m, int v, cs::span<Target const> to, cs::span<entry_bias_target const> bias,
                merge_target_part<Layer, Target>& part) const {
    describe(m, v, part.from);
    part.keys = to[static_cast<std::size_t>(v)].keys;
    part.values = to[static_cast<std::size_t>(v)].values;
    part.bias = bias.empty() ? entry_bias_target{} : bias[static_cast<std::size_t>(v)];
  }

  template <class Target>
  [[nodiscard]] status into_nearest(memory const& m, cs::span<Target const> to,
                                    cs::span<entry_bias_target const> bias) const {
    using gate = typename policy::gate;
    if (status const s = find(m); !s) return s;
    constexpr bool together = gate::shares;
    if (status const s = launch<cut_similarities_body<gate, Layer>>(m, together ? 1 : plan_.heads, 1, params_.gate,
                                                                    [](auto const&) { return 1; });
        !s)
      return s;
    if (status const s =
            launch<gather_sources_body<policy, Layer>>(m, plan_.heads, 1, params_.gate, [](auto const&) { return 1; });
        !s)
      return s;
    if constexpr (merges_encoded<Target>)
      if (status const s = launch_copy(on_, plan_, from_, to); !s) return s;
    using body = cs::conditional_t<merges_encoded<Target>, encode_merged_body<policy, Layer, Target>,
                                   write_merged_body<policy, Layer, Target>>;
    typename body::args args{};
    args.params = {params_.weight, params_.most_bias};
    return launch_views<body>(on_, plan_.views, plan_.heads, 1, args, [&](int v, auto& part) {
      describe(m, v, to, bias, part);
      return pieces(part.from.kept.most, merged_rows_of_block);
    });
  }
  [[nodiscard]] status find(memory const& m) const {
    using search = typename policy::nearest;
    auto const tokens = [](auto const& part) { return pieces(part.tokens, merge_tokens); };
    if constexpr (finds_by(kvsieve::nearest::way::product)) {
      return launch<find_by_product_body<search, Layer>>(m, plan_.heads, 1, no_params{}, [](auto const& part) {
        return pieces(part.tokens, tile_shape<Launcher::threads>::rows);
      });
    } else if constexpr (finds_by(kvsieve::nearest::way::run)) {
      if (status const s = launch<link_rows_body<Layer>>(m, plan_.heads, 1, no_params{}, tokens); !s) return s;
      return launch<find_in_runs_body<Layer>>(m, plan_.heads, 1, params_.nearest, [](auto const& part) {
        return pieces(part.kept.most + 1, merge_tokens);
      });
    } else {
      return launch<find_by_position_body<Layer>>(m, plan_.heads, 1, params_.nearest, tokens);
    }
  }

  template <class Target>
  [[nodiscard]] status into_slots(memory const& m, cs::span<Target const> to,
                                  cs::span<entry_bias_target const> bias) const {
    using body = fill_slots_body<policy, Layer, Target>;
    typename body::args args{};
    args.params.params = params_;
    args.params.slots = 0;
    for (int v = 0; v < plan_.views; ++v)
      args.params.slots = args.params.slots < slots_of_view(v) ? slots_of_view(v) : args.params.slots;
    return launch_views<body>(on_, plan_.views, plan_.heads, 1, args, [&](int v, auto& part) {
      describe(m, v, to, bias, part);
      return args.params.slots + pieces(part.from.kept.most, merged_rows_of_block);
    });
  }

  template <class Target>
  void describe(memory const& m, int v, cs::span<Target const> to, cs::span<entry_bias_target const> bias,
                cam_part<Layer, Target>& part) const {
    describe(m, v, to, bias, part.rows);
    index before = 0;
    for (int u = 0; u < v; ++u) before += index{plan_.tokens(u)} * plan_.heads;
    part.attention = params_.attention.empty() ? nullptr : params_.attention.data() + before;
  }
  template <class Target>
  [[nodiscard]] status into_followers(memory const& m, cs::span<Target const> to,
                                      cs::span<entry_bias_target const> bias) const {
    merge_args<cam_part<Layer, Target>, params> args{};
    args.params = params_;
    if (status const s =
            launch_views<pick_candidates_body<policy, Layer, Target>>(on_, plan_.views, plan_.heads, 1, args,
                                                                      [&](int v, auto& part) {
                                                                        describe(m, v, to, bias, part);
                                                                        return 1;
                                                                      });
        !s)
      return s;
    return launch_views<write_spread_body<policy, Layer, Target>>(
        on_, plan_.views, plan_.heads, 1, args, [&](int v, auto& part) {
          describe(m, v, to, bias, part);
          return pieces(part.rows.from.kept.most, merged_rows_of_block);
        });
  }
  template <class Target>
  [[nodiscard]] status into_all(memory const& m, cs::span<Target const> to,
                                cs::span<entry_bias_target const> bias) const {
    using body = spread_all_body<policy, Layer, Target>;
    typename body::args args{};
    args.params = {params_, {m.spread, window()}};
    return launch_views<body>(on_, plan_.views, plan_.heads, 1, args, [&](int v, auto& part) {
      describe(m, v, to, bias, part);
      return 1;
    });
  }

  Launcher const& on_;
  Plan const& plan_;
  cs::span<Layer const> from_;
  params const& params_;
};
}  // namespace device
}  // namespace kvsieve::inline v0
