// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A selection of which the scores alone tell how many tokens stay, as launches: lists, where they lie, and their move.
#pragma once
#include <kvsieve/device/call/place_lists.hpp>
#include <kvsieve/device/plan/plan_scores.hpp>
#include <kvsieve/device/select/select_floating.hpp>
#include <kvsieve/device/select/select_runs.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// Such a selection of one plan, of which the scores are made.
template <strategy C, class Launcher, class Layer, class Queries>
class plan_floating {
  using select_policy = typename C::select_policy;
  using memory = plan_memory<C>;
  using call_type = plan_call<C, Launcher, Layer, Queries>;

 public:
  plan_floating(call_type const& call, memory const& m) : call_(call), memory_(m) {}

  /// Launches it. Lists and offsets are there afterwards, and forced tokens are marked in the scores.
  [[nodiscard]] status run() const {
    if constexpr (memory::links)
      if (status const s = link(); !s) return s;
    if (status const s = choose(); !s) return s;
    place_lists_args const placing{memory_.count, index{call_.views()} * call_.heads(), memory_.device_offset};
    if (status const s = call_.on.template launch<place_lists_body>(grid{}, placing); !s) return s;
    pack_args packing{};
    return launch_views<pack_lists_body>(call_.on, call_.views(), call_.heads(), 1, packing,
                                         [&](int v, pack_part& part) {
                                           part = {list(v), score_stride(call_.cached(v)),
                                                   memory_.device_offset + index{v} * call_.heads(), memory_.list};
                                           return pieces(call_.cached(v), segment_scores);
                                         });
  }

 private:
  [[nodiscard]] int* list(int v) const { return memory_.first_list + memory_.score_offset[v]; }

  [[nodiscard]] status link() const {
    using keys_type = typename Layer::keys_type;
    links_args<keys_type> args{};
    return launch_views<link_neighbours_body<keys_type>>(
        call_.on, call_.views(), call_.heads(), 1, args, [&](int v, links_part<keys_type>& part) {
          int const tokens = call_.cached(v);
          part = {call_.layer(v).keys, memory_.beside + memory_.score_offset[v], score_stride(tokens), tokens};
          return pieces(tokens, segment_rows);
        });
  }

  [[nodiscard]] status choose() const {
    using body = cs::conditional_t<memory::links, select_runs_body, at_least_body>;
    auto const rules = memory::rules(call_.layers, call_.params);
    floating_args<select_policy> args{{}, call_.params.select};
    return launch_views<body>(call_.on, call_.views(), call_.heads(), 1, args, [&](int v, floating_part& part) {
      int const tokens = call_.cached(v);
      forced_set const f = memory::forced_of(rules, call_.seen(v), 0);
      index const at = memory_.score_offset[v];
      part = {memory_.scores + at,
              memory::links ? memory_.beside + at : nullptr,
              list(v),
              memory_.count + index{v} * call_.heads(),
              score_stride(tokens),
              tokens,
              f.sink,
              f.recent};
      return 1;
    });
  }

  call_type const& call_;
  memory const& memory_;
};
}  // namespace device
}  // namespace kvsieve::inline v0
