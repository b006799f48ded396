// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Rows of a head as floats, 64 at a time: as they are stored or as they were before their rotation, and moved and
// scaled as whoever reads them wants.
#pragma once
#include <kvsieve/core/fragment.hpp>
#include <kvsieve/core/rope.hpp>
#include <kvsieve/core/turns.hpp>
#include <kvsieve/core/views.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

inline constexpr int panel_rows = 64;

/// Rows [first, last) of a head, read panel by panel.
template <row_view View>
class head_rows {
 public:
  static constexpr int head_dim = head_dim_of<View>;

  /// Rows as they are stored.
  head_rows(View const& view, index head, index first, index last)
      : view_(view), head_(head), first_(first), last_(last) {}
  /// Rows before their rotation; row 0 of the view stands at `position`.
  head_rows(View const& view, index head, index first, index last, rope_params const& rope, double position)
      : view_(view), head_(head), first_(first), last_(last), rope_(&rope), position_(position) {}

  [[nodiscard]] index first() const { return first_; }
  [[nodiscard]] index last() const { return last_; }

  /// Calls f(row, count, panel, bad) for one panel after another; `row` is the index of the panel's first row. Rows
  /// that are not finite, or whose square is not, have their bit set in `bad` and are zero, as are those past the end.
  template <class F>
  void each_panel(float* panel, F const& f) const {
    turns<head_dim> t(rope_ != nullptr ? *rope_ : rope_params{});
    for (index row = first_; row < last_; row += panel_rows) {
      int const count = static_cast<int>(last_ - row < panel_rows ? last_ - row : panel_rows);
      unsigned long long bad = 0;
      if (rope_ != nullptr) t.start(position_ + static_cast<double>(row));
      for (int j = 0; j < panel_rows; ++j) {
        float* const to = panel + j * head_dim;
        bool const usable = j < count && copy(row + j, to);
        if (j < count && !usable) bad |= 1ull << j;
        if (!usable) clear(to);
        if (rope_ == nullptr) continue;
        if (usable) turn_back(t, static_cast<float>(1 / rope_->rope_factor), to);
        t.next();
      }
      f(row, count, static_cast<float const*>(panel), bad);
    }
  }

 private:
  bool copy(index row, float* to) const {
    auto const from = row_of(view_, head_, row);
    fragment squares(0.0f);
    for (int d = 0; d < head_dim; d += fragment::lanes) {
      fragment const x = load_row(from, d);
      squares = fma(x, x, squares);
      store(to + d, x);
    }
    float const s = sum(squares);
    return s - s == 0.0f;
  }
  static void clear(float* to) {
    for (int d = 0; d < head_dim; d += fragment::lanes) store(to + d, fragment(0.0f));
  }
  void turn_back(turns<head_dim> const& t, float scale, float* x) const {
    constexpr int half = head_dim / 2;
    float c[half], s[half];
    for (int i = 0; i < half; ++i) c[i] = static_cast<float>(t.cosine[i]) * scale;
    for (int i = 0; i < half; ++i) s[i] = static_cast<float>(t.sine[i]) * scale;
    if (rope_->rope_interleaved) {
      for (int i = 0; i < half; ++i) {
        float const a = x[2 * i], b = x[2 * i + 1];
        x[2 * i] = c[i] * a + s[i] * b;
        x[2 * i + 1] = c[i] * b - s[i] * a;
      }
    } else {
      for (int i = 0; i < half; ++i) {
        float const a = x[i], b = x[i + half];
        x[i] = c[i] * a + s[i] * b;
        x[i + half] = c[i] * b - s[i] * a;
      }
    }
  }

  View const& view_;
  index head_, first_, last_;
  rope_params const* rope_ = nullptr;
  double position_ = 0;
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
