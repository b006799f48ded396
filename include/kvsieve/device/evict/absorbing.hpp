// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// evict::low_rank_state as launches: tokens that leave by themselves, and a plan whose evicted tokens do.
#pragma once
#include <kvsieve/core/arena.hpp>
#include <kvsieve/core/entry_bias.hpp>
#include <kvsieve/device/evict/absorb_tokens.hpp>
#include <kvsieve/device/evict/compactor.hpp>
#include <kvsieve/device/plan/scoring.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// The launches that both share: `tokens(v)` of a list of view v, at most.
template <class Launcher, class Layer>
class adding_to_sums {
 public:
  using params = evict::low_rank_state::params;
  static constexpr int D = Layer::head_dim;
  static_assert(!is_encoded<typename Layer::keys_type> && !is_encoded<typename Layer::values_type> && walks<Layer>,
                "kvsieve::evict::low_rank_state on the device reads rows of elements, by strides or through one table "
                "of pages: give it those, or absorb on the host");

  adding_to_sums(Launcher const& on, cs::span<Layer const> layers, params const& p) : on_(on), layers_(layers), p_(p) {}

  template <class Tokens>
  [[nodiscard]] double* carve(arena& a, int heads, Tokens const& tokens) const {
    index all = 0;
    for (int v = 0; v < static_cast<int>(layers_.size()); ++v) all += pieces(tokens(v), absorbed_tokens) * size();
    return a.take<double>(static_cast<std::size_t>(all * heads));
  }
  /// What is refused of numbers, sums and rows.
  [[nodiscard]] status check(int heads) const {
    int const views = static_cast<int>(layers_.size());
    if (status const s = p_.check({views, heads, D, 0}); !s) return s;
    status s;
    for (int v = 0; s && v < views; ++v) {
      auto const i = static_cast<std::size_t>(v);
      s = low_rank::check_shape("evict.state", p_.state[i], heads, p_.rank, D, v);
      if (s) s = within_reach(on_, p_.state[i].data, "evict.state", v);
      if (s) s = reached(layers_[i].keys, "keys", v);
      if (s) s = reached(layers_[i].values, "values", v);
      if (s) s = layer_within_reach(on_, layers_[i], "keys", "values", v);
    }
    for (auto const* const table : {&p_.in, &p_.out, &p_.mix, &p_.scale, &p_.mix_scale})
      if (s) s = within_reach(on_, table->data(), "evict.in");
    return s;
  }
  /// lists(v, part) fills in which tokens leave.
  template <class Tokens, class Lists>
  [[nodiscard]] status run(double* partial, int heads, Tokens const& tokens, Lists const& lists) const {
    absorb_args<Layer> args{{}, p_.rank, p_.units};
    auto const fill = [&](int v, absorb_part<Layer>& part) {
      auto const i = static_cast<std::size_t>(v);
      index before = 0;
      for (int u = 0; u < v; ++u) before += pieces(tokens(u), absorbed_tokens);
      auto const of_view = [&](cs::span<float const> table, cs::int64_t per_head) {
        return tables::of_view(table, heads * per_head, p_.layer, v);
      };
      part.keys = layers_[i].keys;
      part.values = layers_[i].values;
      part.sums = p_.state[i];
      part.in = of_view(p_.in, cs::int64_t{D} * p_.units);
      part.out = of_view(p_.out, cs::int64_t{p_.units} * p_.rank);
      part.mix = of_view(p_.mix, cs::int64_t{p_.rank} * p_.rank);
      part.scale = of_view(p_.scale, p_.rank);
      part.mix_scale = of_view(p_.mix_scale, p_.rank);
      part.segments = pieces(tokens(v), absorbed_tokens);
      part.partial = partial + before * heads * size();
      lists(v, part);
      return part.segments;
    };
    int const views = static_cast<int>(layers_.size());
    status const s = launch_views<absorb_segment_body<Layer>>(on_, views, heads, 1, args, fill);
    if (!s) return s;
    return launch_views<join_absorbed_body<Layer>>(on_, views, heads, 1, args, [&](int v, absorb_part<Layer>& part) {
      return fill(v, part) > 0 ? pieces(static_cast<int>(size()), Launcher::threads) : 0;
    });
  }

 private:
  [[nodiscard]] index size() const { return low_rank_sums::floats(1, p_.rank, D); }

  Launcher const& on_;
  cs::span<Layer const> layers_;
  params const& p_;
};

/// One call of absorb_tokens.
template <class Launcher, class Layer>
class absorbing {
  using params = evict::low_rank_state::params;

 public:
  absorbing(Launcher const& on, cs::span<Layer const> layers, cs::span<leaving_tokens const> leaving, params const& p)
      : on_(on), layers_(layers), leaving_(leaving), add_(on, layers, p) {}

  /// Bytes of device memory; 0 for arguments that run() refuses.
  [[nodiscard]] std::size_t bytes() const {
    if (!check()) return 0;
    arena counting;
    (void)add_.carve(counting, heads(), tokens());
    return counting.used();
  }
  [[nodiscard]] status run(std::span<std::byte> workspace) const {
    if (status const s = check(); !s) return s;
    if (status const s = check::workspace(workspace, bytes()); !s) return s;
    if (status const s = within_reach(on_, workspace.data(), "workspace"); !s) return s;
    arena a(workspace);
    double* const partial = add_.carve(a, heads(), tokens());
    return add_.run(partial, heads(), tokens(), [&](int v, absorb_part<Layer>& part) {
      leaving_tokens const& own = leaving_[static_cast<std::size_t>(v)];
      part.list = own.data;
      part.stride = own.head_stride;
      part.kept = {};
      part.count = own.count;
    });
  }

 private:
  [[nodiscard]] int heads() const { return layers_[0].heads(); }
  [[nodiscard]] auto tokens() const {
    return [this](int v) { return leaving_[static_cast<std::size_t>(v)].count; };
  }
  [[nodiscard]] status check() const {
    if (layers_.empty()) return fail(errc::bad_shape, "layers", 0, "must be at least", 1);
    if (status const s = check::one_each("leaving", leaving_.size(), layers_.size()); !s) return s;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      int const v = static_cast<int>(i);
      leaving_tokens const& t = leaving_[i];
      if (status const s = check::layer(layers_[i], heads(), v); !s) return s;
      if (t.count < 0 || t.count > layers_[i].tokens())
        return fail(errc::bad_shape, "leaving.count", t.count,
                    t.count < 0 ? "must be at least" : "must be at most the tokens,",
                    t.count < 0 ? 0 : layers_[i].tokens(), v);
      if (t.count == 0) continue;
      if (t.data == nullptr) return fail(errc::bad_pointer, "leaving", 0, "must not be null;", 0, v);
      if (layers_[i].heads() > 1 && t.head_stride < t.count)
        return fail(errc::bad_shape, "leaving.head_stride", static_cast<double>(t.head_stride), "must be at least",
                    t.count, v);
      if (status const s = within_reach(on_, t.data, "leaving", v); !s) return s;
    }
    return add_.check(heads());
  }

  Launcher const& on_;
  cs::span<Layer const> layers_;
  cs::span<leaving_tokens const> leaving_;
  adding_to_sums<Launcher, Layer> add_;
};

/// One view of a launch that clears biases.
struct cleared_bias {
  kept_lists kept;
  entry_bias_target bias;
};
struct clear_bias_args {
  batch<cleared_bias> views;
};
/// Block (segment of kept rows, head, view): they stand for themselves.
struct clear_bias_body {
  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, clear_bias_args const& a, work w, shared<Block>&) {
    auto const& view = a.views.part[w.z];
    int const count = view.kept.count(w.y), first = w.x * merge_tokens;
    int const last = count - first < merge_tokens ? count : first + merge_tokens;
    cs::uint8_t* const codes = view.bias.row(w.y);
    for (int i = first + b.rank(); i < last; i += Block::threads) codes[i] = 0;
  }
};

/// One call of apply with evict::low_rank_state: kept rows are copied, the others added to the sums.
template <class Launcher, class Plan, class Layer>
class sum_call {
  using params = evict::low_rank_state::params;

 public:
  sum_call(Launcher const& on, Plan const& plan, cs::span<Layer const> from, params const& p)
      : on_(on), plan_(plan), from_(from), add_(on, from, p) {}

  [[nodiscard]] std::size_t bytes() const {
    if (!check()) return 0;
    arena counting;
    (void)carve(counting);
    return counting.used();
  }
  template <class Target>
  [[nodiscard]] status run(cs::span<Target const> to, std::span<std::byte> workspace,
                           cs::span<entry_bias_target const> bias) const {
    if (status const s = check(); !s) return s;
    if (status const s = check::workspace(workspace, bytes()); !s) return s;
    if (status const s = check_plan_apart(plan_, workspace); !s) return s;
    if (status const s = within_reach(on_, workspace.data(), "workspace"); !s) return s;
    if (!bias.empty())
      if (status const s = check::one_each("bias", bias.size(), static_cast<std::size_t>(plan_.views)); !s) return s;
    for (std::size_t v = 0; v < bias.size(); ++v)
      if (!bias[v]) return fail(errc::bad_pointer, "bias", 0, "must not be null;", 0, static_cast<int>(v));
    // It refuses what is left to refuse before it launches anything.
    if (status const s = copy_kept<compressor<given_scores>>(on_, plan_, from_, to); !s) return s;
    arena a(workspace);
    memory const m = carve(a);
    merge_args<merge_part<Layer>> list{};
    status s = launch_views<list_evicted_body<Layer>>(on_, plan_.views, plan_.heads, 1, list,
                                                      [&](int v, merge_part<Layer>& part) {
                                                        part = {from_[at(v)].keys,
                                                                from_[at(v)].values,
                                                                lists_of(plan_, v),
                                                                nullptr,
                                                                0,
                                                                0,
                                                                plan_.heads,
                                                                plan_.tokens(v),
                                                                {}};
                                                        part.memory.evicted = m.evicted + entries_before(v);
                                                        return pieces(plan_.tokens(v), merge_tokens);
                                                      });
    if (s)
      s = add_.run(m.partial, plan_.heads, tokens(), [&](int v, absorb_part<Layer>& part) {
        part.list = m.evicted + entries_before(v);
        part.stride = plan_.tokens(v);
        part.kept = lists_of(plan_, v);
        part.count = plan_.tokens(v);
      });
    clear_bias_args clear{};
    if (s && !bias.empty())
      s = launch_views<clear_bias_body>(on_, plan_.views, plan_.heads, 1, clear, [&](int v, cleared_bias& part) {
        part = {lists_of(plan_, v), bias[at(v)]};
        return pieces(part.kept.most, merge_tokens);
      });
    return s;
  }

 private:
  struct memory {
    int* evicted;  ///< of each view [heads, tokens]
    double* partial;
  };
  [[nodiscard]] static std::size_t at(int v) { return static_cast<std::size_t>(v); }
  [[nodiscard]] index entries_before(int v) const {
    index entries = 0;
    for (int u = 0; u < v; ++u) entries += index{plan_.tokens(u)} * plan_.heads;
    return entries;
  }
  /// Tokens that a head may lose.
  [[nodiscard]] auto tokens() const {
    return [this](int v) {
      if constexpr (cs::is_same_v<Plan, token_plan>) {
        int least = plan_.tokens(v);
        for (int h = 0; h < plan_.heads; ++h) least = least < plan_.count(v, h) ? least : plan_.count(v, h);
        return plan_.tokens(v) - least;
      } else {
        return plan_.tokens(v);
      }
    };
  }
  [[nodiscard]] memory carve(arena& a) const {
    int* const evicted = a.take<int>(static_cast<std::size_t>(entries_before(plan_.views)));
    return {evicted, add_.carve(a, plan_.heads, tokens())};
  }
  [[nodiscard]] status check() const {
    if (!plan_)
      return fail(errc::bad_plan, "plan", static_cast<double>(plan_.state.code), "must be made without error,", 0);
    if (from_.size() != at(plan_.views))
      return fail(errc::bad_plan, "from", static_cast<double>(from_.size()), "must equal the views of the plan,",
                  plan_.views);
    return add_.check(plan_.heads);
  }

  Launcher const& on_;
  Plan const& plan_;
  cs::span<Layer const> from_;
  adding_to_sums<Launcher, Layer> add_;
};
}  // namespace device
}  // namespace kvsieve::inline v0
