// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel body that moves what is kept of each entry beside its rows, and its launches.
#pragma once
#include <kvsieve/core/token_state.hpp>
#include <kvsieve/device/call/launch_views.hpp>
#include <kvsieve/device/call/open_plan.hpp>

namespace kvsieve::inline v0 {
namespace device {

template <class State>
struct move_state_args {
  State state;
  kept_lists kept;
};

/// Block (0, head, 0): entry i of a head becomes entry kept[i]. None moves backwards, so a chunk only has to be read
/// whole before it is written.
template <class State>
struct move_state_body {
  using element = typename State::element_type;
  /// Entries that a thread holds at once.
  static constexpr int in_flight = sizeof(element) <= 4 ? 8 : sizeof(element) <= 16 ? 2 : 1;

  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, move_state_args<State> const& a, work w, shared<Block>&) {
    using at = typename State::index_type;
    auto const head = static_cast<at>(w.y);
    int const* const list = a.kept.of(w.y);
    int const count = a.kept.count(w.y);
    for (index chunk = 0; chunk < count; chunk += Block::threads * in_flight) {
      element held[in_flight];
      KVSIEVE_UNROLL for (int j = 0; j < in_flight; ++j) {
        index const i = chunk + b.rank() + j * Block::threads;
        if (i < count) held[j] = a.state(head, static_cast<at>(list[i]));
      }
      b.sync();
      KVSIEVE_UNROLL for (int j = 0; j < in_flight; ++j) {
        index const i = chunk + b.rank() + j * Block::threads;
        if (i < count) a.state(head, static_cast<at>(i)) = held[j];
      }
    }
  }
};

/// Moves the states of one view, all of which are checked before the first is written.
template <class Launcher, class Plan, token_state... States>
[[nodiscard]] status move_states(Launcher const& on, Plan const& plan, int view, States const&... states) {
  status s = check::states(plan, view, states...);
  if (s) s = within_reach(on, plan.list, "plan.list");
  [[maybe_unused]] auto const reach = [&]<class S>(S const& state) {
    if constexpr (cs::is_pointer_v<typename S::data_handle_type>)
      if (s) s = within_reach(on, state.data_handle(), "state", view);
  };
  (reach(states), ...);
  if (!s) return s;
  [[maybe_unused]] auto const move = [&]<class S>(S const& state) {
    kept_lists const kept = lists_of(plan, view);
    if (!s || kept.most == 0) return;
    s = on.template launch<move_state_body<S>>(grid{1, plan.heads, 1}, move_state_args<S>{state, kept});
  };
  (move(states), ...);
  return s;
}
}  // namespace device
}  // namespace kvsieve::inline v0
