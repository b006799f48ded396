// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The tokens that a plan does not keep, and scores as masses.
#pragma once
#include <kvsieve/core/arena.hpp>
#include <kvsieve/core/plan.hpp>
#include <kvsieve/core/range.hpp>
#include <kvsieve/core/scalar.hpp>

namespace kvsieve::inline v0 {
namespace host {

/// Ascending lists of the evicted tokens of every row, row = view * heads + head, one behind another.
class evicted_lists {
 public:
  static evicted_lists carve(arena& a, token_plan const& plan) {
    evicted_lists e;
    e.offset_ = a.take<index>(static_cast<std::size_t>(index{plan.views} * plan.heads + 1));
    e.list_ = a.take<int>(static_cast<std::size_t>(total(plan)));
    return e;
  }
  /// Of all rows of a plan.
  [[nodiscard]] static index total(token_plan const& plan) {
    index n = 0;
    for (int v = 0; v < plan.views; ++v)
      for (int h = 0; h < plan.heads; ++h) n += plan.tokens(v) - plan.count(v, h);
    return n;
  }

  template <class Exec>
  void fill(Exec const& on, token_plan const& plan) const {
    index const rows = index{plan.views} * plan.heads;
    offset_[0] = 0;
    for (index r = 0; r < rows; ++r) {
      int const v = static_cast<int>(r / plan.heads), h = static_cast<int>(r % plan.heads);
      offset_[r + 1] = offset_[r] + plan.tokens(v) - plan.count(v, h);
    }
    on.for_each(rows, [&](index r, int) {
      int const v = static_cast<int>(r / plan.heads), h = static_cast<int>(r % plan.heads);
      int* to = list_ + offset_[r];
      int token = 0;
      for (int const k : plan.kept(v, h)) {
        for (; token < k; ++token) *to++ = token;
        ++token;
      }
      for (; token < plan.tokens(v); ++token) *to++ = token;
    });
  }

  [[nodiscard]] index const* offset() const { return offset_; }
  [[nodiscard]] index count(index row) const { return offset_[row + 1] - offset_[row]; }
  [[nodiscard]] int const* list(index row) const { return list_ + offset_[row]; }

 private:
  index* offset_ = nullptr;
  int* list_ = nullptr;
};

/// The largest finite score of a row that is above 0; 0 where there is none.
[[nodiscard]] inline float largest_mass(cs::span<float const> scores) {
  float most = 0;
  for (float const s : scores)
    if (finite(s) && most < s) most = s;
  return most;
}
/// A score as a mass: that of a forced token is the largest, what is not above 0 has none.
[[nodiscard]] inline float mass_of(float score, float largest) {
  if (score == __builtin_huge_valf()) return largest;
  return score > 0 ? score : 0.0f;
}

/// The attention that tokens had: a table of the caller, of each view [heads, tokens], or the scores of a plan as
/// masses.
class attention_rows {
 public:
  attention_rows(token_plan const& plan, cs::span<float const> table, index row) {
    int const v = static_cast<int>(row / plan.heads), h = static_cast<int>(row % plan.heads);
    row_ = plan.scores(v, h);
    if (table.empty()) {
      largest_ = largest_mass(row_);
      return;
    }
    from_table_ = true;
    index at = 0;
    for (int u = 0; u < v; ++u) at += index{plan.tokens(u)} * plan.heads;
    row_ = table.subspan(static_cast<cs::size_t>(at + index{h} * plan.tokens(v)), row_.size());
  }
  [[nodiscard]] float operator[](index token) const {
    float const a = row_[static_cast<cs::size_t>(token)];
    return from_table_ ? a : mass_of(a, largest_);
  }
  /// Ok, or how many numbers the table should have.
  [[nodiscard]] static status check(token_plan const& plan, cs::span<float const> table) {
    index wanted = 0;
    for (int v = 0; v < plan.views; ++v) wanted += index{plan.tokens(v)} * plan.heads;
    if (table.empty()) return {};
    return range::entries("evict.attention", static_cast<double>(table.size()), static_cast<double>(wanted));
  }

 private:
  cs::span<float const> row_{};
  float largest_ = 0;
  bool from_table_ = false;
};
}  // namespace host
}  // namespace kvsieve::inline v0
