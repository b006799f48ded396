// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Arithmetic that budgets share: shares of tokens, rounding, and a total split in proportion.
#pragma once
#include <cuda/std/cstdint>
#include <cuda/std/span>
#include <cuda/std/type_traits>

#include <kvsieve/core/range.hpp>
#include <kvsieve/core/rules.hpp>

namespace kvsieve::inline v0 {
namespace counts {

/// floor(tokens * keep), the product in double; `limit` (at most `tokens`) where that is not negative.
[[nodiscard]] KVSIEVE_HD constexpr int of_share(double keep, int limit, int tokens) {
  if (limit >= 0) return limit < tokens ? limit : tokens;
  return static_cast<int>(static_cast<double>(tokens) * keep);
}

/// `x` from 0 to `most`.
[[nodiscard]] KVSIEVE_HD constexpr int limited(cs::int64_t x, int most) {
  return x < 0 ? 0 : x < most ? static_cast<int>(x) : most;
}

/// Floor of a quotient, also of negative numbers. @pre b > 0
[[nodiscard]] constexpr cs::int64_t floor_of(cs::int64_t a, cs::int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

/// The nearest integer, of two the even one. @pre |x| < 2^62
[[nodiscard]] KVSIEVE_HD constexpr cs::int64_t half_to_even(double x) {
  auto whole = static_cast<cs::int64_t>(x);
  if (static_cast<double>(whole) > x) --whole;
  double const rest = x - static_cast<double>(whole);
  return whole + (rest > 0.5 || (rest == 0.5 && whole % 2 != 0) ? 1 : 0);
}

/// x * y rounded to double before anything is added: compilers fuse products into sums otherwise, and a count that lies
/// half way between two integers would differ from machine to machine.
[[nodiscard]] constexpr double product(double x, double y) {
  double p = x * y;
#if !defined(__CUDA_ARCH__)
  if (!cs::is_constant_evaluated()) asm("" : "+m"(p));
#endif
  return p;
}

/// One ranking over the heads of views [first, last): each keeps its forced tokens and as many of its best as make that
/// `least`, and the best scores of all of them together get the rest.
struct ranking {
  int first = 0;           ///< first view
  int last = 0;            ///< one past the last
  cs::int64_t total = 0;   ///< tokens that their heads keep together
  int least = 0;           ///< tokens that each head keeps
  bool drop_ties = false;  ///< none of those that equal the last one that would stay
};

/// A view of a sequence of which the tokens are split.
struct sequence_view {
  int tokens = 0;      ///< of a head
  int forced = 0;      ///< of these, what stays in any case when a head keeps what the budget asked for
  bool whole = false;  ///< keeps everything, whatever the scores say
};
/// The views of a sequence, as a budget that measures rows splits tokens among them.
struct sequence {
  sequence_view const* view;  ///< [views]
  int views;                  ///< of the sequence
  int heads;                  ///< of each view
  double* number;             ///< [views, heads]: what was measured; scratch afterwards
  cs::int64_t* share;         ///< [views], scratch
  int* count;                 ///< [views, heads]: what comes out

  /// Gives all heads of a view the same.
  KVSIEVE_HD constexpr void keep(int i, cs::int64_t kept) const {
    for (int h = 0; h < heads; ++h) count[i * heads + h] = static_cast<int>(kept);
  }
};

/// Which layer of a model a view is: the list says, or views are the layers in order, again and again.
[[nodiscard]] KVSIEVE_HD constexpr int layer_of(cs::span<int const> list, int layers, int view) {
  if (!list.empty()) return list[static_cast<cs::size_t>(view)];
  return layers > 0 ? view % layers : view;
}

/// Layers of the model; `layers` 0: as many as there are views.
[[nodiscard]] KVSIEVE_HD constexpr int layers_of(int layers, int views) { return layers > 0 ? layers : views; }

/// Refuses a list of layers that does not name one of `layers` for each view.
[[nodiscard]] constexpr status check_layers(cs::span<int const> list, int layers, int views) {
  status s = range::at_least("budget.layers", layers, 0);
  if (list.empty()) return s;
  s = range::all(s, range::entries("budget.layer", static_cast<double>(list.size()), views));
  for (cs::size_t i = 0; s && i < list.size(); ++i)
    s = range::within("budget.layer", list[i], 0, layers_of(layers, views) - 1);
  return s;
}

/// Refuses a number of layers that does not divide the views of a call into sequences; 0: one sequence.
[[nodiscard]] constexpr status check_sequences(int layers, int views) {
  if (status const s = range::at_least("budget.layers", layers, 0); !s) return s;
  if (layers == 0 || views % layers == 0) return {};
  return fail(errc::bad_shape, "layers", views, "must be a multiple of budget.layers,", layers);
}

/// The same, or fewer views than `layers`: the first layers of one sequence.
[[nodiscard]] constexpr status check_stages(int layers, int views) {
  return views <= layers ? status{} : check_sequences(layers, views);
}

/// Refuses a table that has not `heads` numbers for each of some layers, or does not fit the views.
[[nodiscard]] constexpr status check_table(char const* name, cs::size_t entries, cs::span<int const> list, int views,
                                           int heads) {
  auto const size = static_cast<double>(entries);
  if (entries == 0 || entries > 1u << 24 || entries % static_cast<cs::size_t>(heads) != 0)
    return fail(errc::bad_shape, name, size, "entries; it must have some for each layer, a multiple of the heads,",
                heads);
  int const layers = static_cast<int>(entries) / heads;
  if (list.empty() && views % layers != 0) return range::entries(name, size, static_cast<double>(views) * heads);
  return check_layers(list, layers, views);
}

namespace detail {
/// Products of two numbers of tokens.
__extension__ typedef unsigned __int128 wide;
}  // namespace detail

/// share[i] of `total` in proportion to weight(i) >= 0, none below least(i) or above most(i): who would lie outside is
/// held at the limit, and the others share what is left in proportion. Fractions are cut, and what they leave goes to
/// the largest of them, the lower i where they are equal. Weights that are all zero count as equal. The shares sum to
/// `total`, to all of least(i) where that is more, or to all of most(i) where that is less.
/// @pre 0 <= least(i) <= most(i)
KVSIEVE_CALLS_GIVEN
template <class Weight, class Least, class Most>
KVSIEVE_HD constexpr void apportion(cs::int64_t n, cs::int64_t total, Weight const& weight, Least const& least,
                                    Most const& most, cs::int64_t* share) {
  using detail::wide;
  cs::int64_t left = total, open = n;
  for (cs::int64_t i = 0; i < n; ++i) share[i] = -1;
  wide sum = 0;
  // Each round holds those on one side: where limits took more than they gave, the ones below, else the ones above.
  // They would lie outside in any later round too.
  for (bool changed = true; changed && open > 0;) {
    sum = 0;
    for (cs::int64_t i = 0; i < n; ++i)
      if (share[i] < 0) sum += static_cast<wide>(weight(i));
    bool const equal = sum == 0;
    cs::int64_t const now = left < 0 ? 0 : left;
    wide const all = equal ? static_cast<wide>(open) : sum;
    auto const exact = [&](auto w) { return (equal ? 1 : static_cast<wide>(w)) * static_cast<wide>(now); };
    wide given = 0, taken = 0;
    for (cs::int64_t i = 0; i < n; ++i) {
      if (share[i] >= 0) continue;
      wide const low = all * static_cast<wide>(least(i)), high = all * static_cast<wide>(most(i));
      given += exact(weight(i)) < low ? low - exact(weight(i)) : 0;
      taken += exact(weight(i)) > high ? exact(weight(i)) - high : 0;
    }
    changed = false;
    for (cs::int64_t i = 0; i < n; ++i) {
      if (share[i] >= 0) continue;
      bool const low = given > taken;
      cs::int64_t const limit = low ? least(i) : most(i);
      wide const at = all * static_cast<wide>(limit);
      if (low ? at < exact(weight(i)) : exact(weight(i)) < at) continue;
      share[i] = limit;
      left -= limit;
      --open;
      changed = true;
    }
  }
  if (open == 0) return;
  if (left < 0) left = 0;
  wide const all = sum == 0 ? static_cast<wide>(open) : sum;
  auto const exact = [&](auto w) { return (sum == 0 ? 1 : static_cast<wide>(w)) * static_cast<wide>(left); };
  cs::int64_t rest = left;
  for (cs::int64_t i = 0; i < n; ++i)
    if (share[i] < 0) rest -= static_cast<cs::int64_t>(exact(weight(i)) / all);
  // The smallest fraction above which at most `rest` of them lie.
  wide low = 0, high = all;
  cs::int64_t ties = 0;
  for (;;) {
    wide const middle = low + (high - low) / 2;
    ties = rest;
    for (cs::int64_t i = 0; i < n; ++i) ties -= share[i] < 0 && exact(weight(i)) % all > middle ? 1 : 0;
    if (low == high) break;
    if (ties < 0)
      low = middle + 1;
    else
      high = middle;
  }
  for (cs::int64_t i = 0; i < n; ++i) {
    if (share[i] >= 0) continue;
    wide const fraction = exact(weight(i)) % all;
    bool const tie = fraction == low && ties > 0;
    ties -= tie ? 1 : 0;
    share[i] = static_cast<cs::int64_t>(exact(weight(i)) / all) + (fraction > low || tie ? 1 : 0);
  }
}
/// The same without least shares.
KVSIEVE_CALLS_GIVEN
template <class Weight, class Most>
KVSIEVE_HD constexpr void apportion(cs::int64_t n, cs::int64_t total, Weight const& weight, Most const& most,
                                    cs::int64_t* share) {
  apportion(n, total, weight, [](cs::int64_t) { return cs::int64_t{0}; }, most, share);
}
/// The same in equal shares: for a total that is less than what is forced.
KVSIEVE_CALLS_GIVEN
template <class Most>
KVSIEVE_HD constexpr void share_equally(cs::int64_t n, cs::int64_t total, Most const& most, cs::int64_t* share) {
  apportion(n, total, [](cs::int64_t) { return cs::int64_t{1}; }, most, share);
}
}  // namespace counts
}  // namespace kvsieve::inline v0
