// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Precision by score: the tokens that matter most are kept in many bits, others in few, the rest not at all, all from
// one budget of bytes.
#pragma once
#include <algorithm>

#include <kvsieve/store/divide.hpp>

namespace kvsieve::inline v0 {
namespace store {

/// Levels of precision, that of the highest scores first. Entries of all layers and heads are ranked together, so the
/// scores of a strategy should be comparable among them.
struct levels {
  /// One level.
  struct level {
    double share = 0;     ///< of the bytes of all levels
    int entry_bytes = 0;  ///< of a token of a head, key and value and what else is stored of it
  };
  cs::span<level const> of = {};  ///< from the most precise on; shares add up to 1

  /// Ok, or the number that is out of range.
  [[nodiscard]] constexpr status check() const {
    if (of.empty()) return fail(errc::bad_params, "levels", 0, "must be at least", 1);
    double sum = 0;
    for (level const& l : of) {
      if (status const s = range::all(range::within("levels.share", l.share, 0, 1),
                                      range::at_least("levels.entry_bytes", l.entry_bytes, 1));
          !s)
        return s;
      sum += l.share;
    }
    for (cs::size_t l = 1; l < of.size(); ++l)
      if (of[l].entry_bytes > of[l - 1].entry_bytes)
        return fail(errc::bad_params, "levels.entry_bytes", of[l].entry_bytes,
                    "must be at most those of the level before,", of[l - 1].entry_bytes);
    if (sum < 1 - 1e-6 || sum > 1 + 1e-6) return fail(errc::bad_params, "sum of levels.share", sum, "must be", 1);
    return {};
  }
  /// Entries of each level that `bytes` hold: floor(share * bytes / entry_bytes). Their sum is the budget of a strategy
  /// whose plan is then divided: what is cut off and what is kept in few bits are decided by one ranking.
  /// @param bytes         of all entries together
  /// @param[out] entries  [levels]
  /// @returns their sum
  constexpr index entries(index bytes, cs::span<index> entries) const {
    index sum = 0;
    for (cs::size_t l = 0; l < of.size(); ++l)
      sum += entries[l] = static_cast<index>(of[l].share * static_cast<double>(bytes) / of[l].entry_bytes);
    return sum;
  }
  /// Entries of each level of a plan of `count` entries, so that these fill `bytes`. As `entries` has them where it
  /// counts no more than `count`, and what is over goes to the last level. Where a plan has fewer, nothing more is cut
  /// off and the last level gives way to those before it, which keep their proportions; when it is empty the one before
  /// does, and when all entries are in the first level bytes are left.
  /// @param bytes    of all entries together
  /// @param count    entries of the plan
  /// @param[out] to  [levels], `count` in all
  constexpr void fit(index bytes, index count, cs::span<index> to) const {
    index const held = entries(bytes < 0 ? 0 : bytes, to);
    if (held <= count) {
      to[of.size() - 1] += count - held;
      return;
    }
    for (cs::size_t last = of.size() - 1; last > 0; --last) {
      // What one unit of the levels above it takes: in entries, and in bytes more than in the last one.
      double unit = 0, more = 0;
      for (cs::size_t l = 0; l < last; ++l) {
        double const each = of[l].share / of[l].entry_bytes;
        unit += each;
        more += each * (of[l].entry_bytes - of[last].entry_bytes);
      }
      double const spare = static_cast<double>(bytes) - static_cast<double>(count) * of[last].entry_bytes;
      if (spare * unit > more * static_cast<double>(count) || more <= 0) {
        to[last] = 0;
        continue;
      }
      to[last] = count;
      for (cs::size_t l = 0; l < last; ++l)
        to[last] -= to[l] = static_cast<index>(spare / more * (of[l].share / of[l].entry_bytes));
      return;
    }
    to[0] = count;
  }
  /// Entries of each level when there are `count` in all: as `entries` has them, the last level takes what rounding
  /// leaves.
  constexpr void share_out(index count, cs::span<index> entries) const {
    double all = 0;
    for (level const& l : of) all += l.share / l.entry_bytes;
    index left = count;
    for (cs::size_t l = 0; l + 1 < of.size(); ++l)
      left -= entries[l] = static_cast<index>(static_cast<double>(count) * (of[l].share / of[l].entry_bytes / all));
    entries[of.size() - 1] = left;
  }
};

/// Bytes of workspace that divide_by_score needs; aligned to 64 bytes.
[[nodiscard]] inline std::size_t divide_by_score_workspace_bytes(token_plan const& plan, int parts) noexcept {
  arena counting;
  counting.take<float>(static_cast<std::size_t>(entries_of(plan)));
  counting.take<unsigned char>(static_cast<std::size_t>(entries_of(plan)));
  counting.take<char>(0);
  return counting.used() + divide_workspace_bytes(plan, parts);
}
/// Divides a plan by the scores of its entries: the entries[0] highest go to parts[0], the next entries[1] to parts[1]
/// and so on. Equal scores go by view, head and token, the lower first; NaN counts as -inf. What is over goes to the
/// last part.
/// @param plan       a plan in host memory, with scores
/// @param entries    [parts.size()], each at least 0
/// @param workspace  at least divide_by_score_workspace_bytes(...) bytes, aligned to 64; holds the parts afterwards
/// @param parts      the plans of the parts, of class U3
[[nodiscard]] inline status divide_by_score(token_plan const& plan, cs::span<index const> entries,
                                            std::span<std::byte> workspace, cs::span<token_plan> parts) noexcept {
  if (!plan) return plan.state;
  int const count = static_cast<int>(parts.size());
  if (count < 1) return fail(errc::bad_shape, "parts", count, "must be at least", 1);
  if (entries.size() != parts.size())
    return fail(errc::bad_shape, "entries", static_cast<double>(entries.size()), "must equal the number of parts,",
                count);
  for (index const n : entries)
    if (n < 0) return fail(errc::bad_params, "entries", static_cast<double>(n), "must be at least", 0);
  if (status const s = check::workspace(workspace, divide_by_score_workspace_bytes(plan, count)); !s) return s;

  index const all = entries_of(plan);
  arena a(workspace);
  auto* const ranked = a.take<float>(static_cast<std::size_t>(all));
  auto* const level = a.take<unsigned char>(static_cast<std::size_t>(all));
  std::byte* const rest = reinterpret_cast<std::byte*>(a.take<char>(0));
  auto const score_at = [&](int v, int h, int token) {
    float const s = plan.scores(v, h)[static_cast<std::size_t>(token)];
    return s == s ? s : -__builtin_inff();
  };
  auto const each = [&](auto const& f) {
    for (int v = 0; v < plan.views; ++v)
      for (int h = 0; h < plan.heads; ++h) {
        index const first = plan.offset[v * plan.heads + h];
        auto const kept = plan.kept(v, h);
        for (cs::size_t i = 0; i < kept.size(); ++i) f(first + static_cast<index>(i), score_at(v, h, kept[i]));
      }
  };
  each([&](index e, float s) {
    ranked[e] = s;
    level[e] = static_cast<unsigned char>(count - 1);
  });
  // From the last cut to the first, so that what is above a cut stays in front of it.
  index before = 0;
  for (int p = 0; p + 1 < count; ++p) before += entries[static_cast<std::size_t>(p)];
  for (int p = count - 2; p >= 0; before -= entries[static_cast<std::size_t>(p)], --p) {
    index const cut = before < all ? before : all;  // entries in levels 0 to p
    if (cut == 0) break;
    std::nth_element(ranked, ranked + (cut - 1), ranked + all, [](float x, float y) { return x > y; });
    float const least = ranked[cut - 1];
    index above = 0;
    for (index i = 0; i < cut; ++i) above += ranked[i] > least ? 1 : 0;
    index equal = cut - above;  // of those that score as the last one
    each([&](index e, float s) {
      if (s > least || (s == least && equal-- > 0)) level[e] = static_cast<unsigned char>(p);
    });
  }
  return divide(
      plan, [&](int v, int h, int i) { return int{level[plan.offset[v * plan.heads + h] + i]}; },
      std::span<std::byte>(rest, static_cast<std::size_t>(workspace.data() + workspace.size() - rest)), parts);
}
}  // namespace store
}  // namespace kvsieve::inline v0
