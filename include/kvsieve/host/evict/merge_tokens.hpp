// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Applies a plan on the host and merges what it does not keep: the checks, and the driver that the policy names.
#pragma once
#include <cstdint>

#include <kvsieve/core/check.hpp>
#include <kvsieve/core/entry_bias.hpp>
#include <kvsieve/host/evict/compactor.hpp>
#include <kvsieve/host/evict/merge_all.hpp>
#include <kvsieve/host/evict/merge_followers.hpp>
#include <kvsieve/host/evict/merge_nearest.hpp>
#include <kvsieve/host/evict/merge_slots.hpp>
#include <kvsieve/host/evict/merge_sums.hpp>
#include <kvsieve/host/evict/merger.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// The call with one policy.
template <class Evict, class Layer>
class merge_call {
  using driver = merger<typename Evict::merge_pattern, Evict, Layer>;
  using params = typename Evict::params;

 public:
  /// Bytes of workspace; 0 for a plan or numbers that run() refuses.
  template <class Exec>
  [[nodiscard]] static std::size_t bytes(Exec const& on, token_plan const& plan, cs::span<Layer const> from,
                                         params const& p) {
    if (!detail::check_plan(plan, from) || !check_params(plan, p) || !check_whole(plan, from)) return 0;
    return count_bytes(on, plan, p);
  }

  template <class Exec, class Target>
  [[nodiscard]] static status run(Exec const& on, token_plan const& plan, cs::span<Layer const> from,
                                  cs::span<Target const> to, params const& p, std::span<std::byte> workspace,
                                  cs::span<entry_bias_target const> bias) {
    static_assert(cs::is_same_v<element_of<typename Target::keys_type>, element_of<typename Layer::keys_type>> &&
                      cs::is_same_v<element_of<typename Target::values_type>, element_of<typename Layer::values_type>>,
                  "kvsieve::apply: cache and result have the same element types");
    static_assert(Target::head_dim == Layer::head_dim, "kvsieve::apply: cache and result have the same head dimension");
    auto const rows = [&p](token_plan const& made, int v, int h) { return rows_of(made, p, v, h); };
    if (!plan) return plan.state;
    if (status const s = detail::check_plan(plan, from); !s) return s;
    if (status const s = check_params(plan, p); !s) return s;
    if (status const s = detail::check_result(plan, from, to, rows); !s) return s;
    if (status const s = check_whole(plan, from); !s) return s;
    if (status const s = check_bias(plan, p, bias); !s) return s;
    if (status const s = check::workspace(workspace, count_bytes(on, plan, p)); !s) return s;
    if (status const s = check_plan_apart(plan, workspace); !s) return s;
    arena a(workspace);
    driver const d = driver::carve(a, plan, p, on.workers());
    d.run(on, plan, p, from, to, bias);
    return {};
  }

  /// Rows of a head's result.
  [[nodiscard]] static int rows_of(token_plan const& plan, params const& p, int view, int head) {
    int const kept = plan.count(view, head);
    return kept + slots_of<Evict>(p, plan.tokens(view) - kept);
  }

 private:
  template <class Exec>
  [[nodiscard]] static std::size_t count_bytes(Exec const& on, token_plan const& plan, params const& p) {
    arena a;
    (void)driver::carve(a, plan, p, on.workers());
    return a.used();
  }
  [[nodiscard]] static status check_params(token_plan const& plan, params const& p) {
    call_shape const call{plan.views, plan.heads, Layer::head_dim, 0};
    if (status const s = check::one_stage(p, call); !s) return s;
    return driver::check(plan, p);
  }
  // All tokens that are not kept are read, so no head may have fewer than the plan says.
  [[nodiscard]] static status check_whole(token_plan const& plan, cs::span<Layer const> from) {
    for (int v = 0; v < plan.views; ++v) {
      Layer const& l = from[static_cast<std::size_t>(v)];
      for (int h = 0; h < plan.heads; ++h)
        for (index const own : {tokens_of(l.keys, h), tokens_of(l.values, h)})
          if (own < plan.tokens(v))
            return fail(errc::bad_plan, "from.tokens", static_cast<double>(own),
                        "must, of each head, be at least the tokens of the plan,", plan.tokens(v), v);
    }
    return {};
  }
  // The plan is read until the end, so it may not lie where this works.
  [[nodiscard]] static status check_plan_apart(token_plan const& plan, std::span<std::byte> workspace) {
    auto const from = reinterpret_cast<std::uintptr_t>(workspace.data());
    auto const list = reinterpret_cast<std::uintptr_t>(plan.list),
               offset = reinterpret_cast<std::uintptr_t>(plan.offset);
    check::extent_of_memory const own{from, from + workspace.size()};
    index const rows = index{plan.views} * plan.heads;
    auto const bytes = static_cast<std::uintptr_t>(plan.offset[rows]) * sizeof(int);
    if (!own.meets({list, list + bytes}) &&
        !own.meets({offset, offset + static_cast<std::uintptr_t>(rows + 1) * sizeof(index)}))
      return {};
    return fail(errc::overlap, "workspace", static_cast<double>(from),
                "is an address of memory that holds the plan, at", static_cast<double>(list));
  }
  [[nodiscard]] static status check_bias(token_plan const& plan, params const& p,
                                         cs::span<entry_bias_target const> bias) {
    if (bias.empty()) return {};
    if (status const s = check::one_each("bias", bias.size(), static_cast<std::size_t>(plan.views)); !s) return s;
    for (int v = 0; v < plan.views; ++v) {
      entry_bias_target const& b = bias[static_cast<std::size_t>(v)];
      if (!b) return fail(errc::bad_pointer, "bias", 0, "must not be null;", 0, v);
      for (int h = 0; h < plan.heads; ++h) {
        index const room = b.offset != nullptr ? b.offset[h + 1] - b.offset[h] : b.head_stride;
        if ((b.offset != nullptr || plan.heads > 1) && room < rows_of(plan, p, v, h))
          return fail(errc::bad_shape, b.offset != nullptr ? "bias.offset" : "bias.head_stride",
                      static_cast<double>(room), "codes a head; it must be at least the rows of the result,",
                      rows_of(plan, p, v, h), v);
      }
    }
    return {};
  }
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
