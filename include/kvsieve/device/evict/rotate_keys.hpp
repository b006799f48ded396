// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel body that turns keys to other positions, in place, and its launches.
#pragma once
#include <cuda/std/cmath>

#include <kvsieve/core/rotation.hpp>
#include <kvsieve/device/call/check.hpp>
#include <kvsieve/device/call/launch_views.hpp>
#include <kvsieve/device/call/open_plan.hpp>
#include <kvsieve/device/tile/table_rows.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// What positions change by: what a caller says of view, head and row,
template <class Difference>
struct said_difference {
  Difference difference;
  KVSIEVE_CALLS_GIVEN
  [[nodiscard]] KVSIEVE_HD index operator()(int view, int head, int row, kept_lists const&) const {
    return static_cast<index>(difference(view, head, row));
  }
};
/// or from where a token was to the slot that it has.
struct slot_difference {
  [[nodiscard]] KVSIEVE_HD index operator()(int, int head, int row, kept_lists const& kept) const {
    return row < kept.count(head) ? index{row} - kept.of(head)[row] : 0;
  }
};

/// One view of such a launch.
template <row_view Keys>
struct rotate_part {
  Keys keys;
  kept_lists kept;
  int view;
};
template <row_view Keys, class Difference>
struct rotate_args {
  batch<rotate_part<Keys>> views;
  Difference difference;
  double base;
  double const* frequency;  ///< device [channels / 2], or null
  int channels;             ///< that are rotated
  bool interleaved;
};
/// Rows of a block.
inline constexpr int rotated_rows = 64;

/// Block (segment of rows, head, view): a thread turns a pair of channels of a row. Angles in double, products in
/// float, as on the host.
template <row_view Keys, class Difference>
struct rotate_keys_body {
  static constexpr int D = head_dim_of<Keys>;
  template <block Block>
  struct shared {
    double frequency[D / 2];
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, rotate_args<Keys, Difference> const& a, work w, shared<Block>& s) {
    auto const& view = a.views.part[w.z];
    index const all = readable_tokens(view.keys, w.y), first = index{w.x} * rotated_rows;
    if (first >= all) return;
    int const rows = all - first < rotated_rows ? static_cast<int>(all - first) : rotated_rows, pairs = a.channels / 2;
    for (int i = b.rank(); i < pairs; i += Block::threads)
      s.frequency[i] = a.frequency != nullptr ? a.frequency[i] : cs::pow(a.base, -2.0 * i / a.channels);
    b.sync();
    for (int i = b.rank(); i < rows * pairs; i += Block::threads) {
      int const pair = i % pairs;
      index const row = first + i / pairs;
      index const by = a.difference(view.view, w.y, static_cast<int>(row), view.kept);
      if (by == 0 || !row_is_there(view.keys, w.y, row)) continue;
      double const angle = static_cast<double>(by) * s.frequency[pair];
      float const cosine = static_cast<float>(cs::cos(angle)), sine = static_cast<float>(cs::sin(angle));
      int const c = a.interleaved ? 2 * pair : pair, d = a.interleaved ? c + 1 : c + pairs;
      float const x = to_float(view.keys(w.y, row, c)), y = to_float(view.keys(w.y, row, d));
      view.keys(w.y, row, c) = from_float<element_of<Keys>>(cosine * x - sine * y);
      view.keys(w.y, row, d) = from_float<element_of<Keys>>(cosine * y + sine * x);
    }
  }
};

/// Turns the keys of all views; lists(view) are those that a difference looks at.
template <class Launcher, row_view Keys, class Difference, class Lists>
[[nodiscard]] status rotate(Launcher const& on, cs::span<Keys const> keys, rotation const& r,
                            Difference const& difference, Lists const& lists) {
  constexpr int D = head_dim_of<Keys>;
  static_assert(!is_encoded<Keys>,
                "kvsieve::rotate_keys on the device turns rows of elements: turn them before they are encoded");
  static_assert(!cs::is_const_v<typename Keys::element_type>,
                "kvsieve::rotate_keys writes the keys: give it views of elements that are not const");
  if (status const s = r.check(D); !s) return s;
  if (status const s = within_reach(on, r.frequencies.data(), "rotation.frequencies"); !s) return s;
  int heads = 0;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    int const v = static_cast<int>(i);
    if (keys[i].extent(0) > most_blocks_across)
      return fail(errc::bad_shape, "keys.heads", static_cast<double>(keys[i].extent(0)), "must be at most",
                  most_blocks_across, v);
    heads = heads < keys[i].extent(0) ? static_cast<int>(keys[i].extent(0)) : heads;
    if (keys[i].extent(1) == 0) continue;
    if (status const s = reached(keys[i], "keys", v); !s) return s;
    if (status const s = rows_within_reach(on, keys[i], "keys", v); !s) return s;
  }
  rotate_args<Keys, Difference> args{
      {}, difference, r.base, r.frequencies.empty() ? nullptr : r.frequencies.data(), r.rotated(D), r.interleaved};
  return launch_views<rotate_keys_body<Keys, Difference>>(on, static_cast<int>(keys.size()), heads, 1, args,
                                                          [&](int v, rotate_part<Keys>& part) {
                                                            auto const& k = keys[static_cast<std::size_t>(v)];
                                                            part = {k, lists(v), v};
                                                            return pieces(static_cast<int>(k.extent(1)), rotated_rows);
                                                          });
}

/// Turns keys after a plan was applied to them: row i of a head becomes a key for position i.
template <class Launcher, class Plan, row_view Keys>
[[nodiscard]] status rotate_kept(Launcher const& on, Plan const& plan, cs::span<Keys const> keys, rotation const& r) {
  auto const rows = [&](int v, Keys const& k) -> status {
    if (k.extent(1) >= lists_of(plan, v).most) return {};
    return fail(errc::bad_shape, "keys.tokens", static_cast<double>(k.extent(1)), "must be at least the tokens kept,",
                lists_of(plan, v).most, v);
  };
  if (status const s = check::keys_of_plan(plan, keys, rows); !s) return s;
  if (status const s = within_reach(on, plan.list, "plan.list"); !s) return s;
  return rotate(on, keys, r, slot_difference{}, [&](int v) { return lists_of(plan, v); });
}
}  // namespace device
}  // namespace kvsieve::inline v0
