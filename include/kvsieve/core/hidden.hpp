// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Hidden states, for scorers that learned from them: what enters the attention of a layer, a row for each token.
#pragma once
#include <cstdint>

#include <cuda/std/span>

#include <kvsieve/core/dtype.hpp>
#include <kvsieve/core/status.hpp>
#include <kvsieve/core/views.hpp>

namespace kvsieve::inline v0 {

/// Rows [tokens, width] of one view, behind the norm that precedes the attention; the caller's memory.
struct hidden_rows {
  void const* data = nullptr;  ///< first row
  dtype type = dtype::f32;     ///< of its elements
  int tokens = 0;              ///< rows, as many as the view has tokens
  int width = 0;               ///< elements of a row
  index stride = 0;            ///< from a row to the next, in elements
};

namespace hidden {
/// Widths that scorers take: whole fragments.
inline constexpr int width_step = 16;

/// Refuses hidden states that are not one for each view.
[[nodiscard]] constexpr status check_views(cs::span<hidden_rows const> rows, int views) {
  if (rows.size() == static_cast<cs::size_t>(views)) return {};
  return fail(errc::bad_shape, "score.hidden", static_cast<double>(rows.size()), "must equal the number of views,",
              views);
}
/// Refuses those of one view where they do not have its tokens or the scorer's width, or cannot be read.
[[nodiscard]] inline status check(hidden_rows const& rows, int width, int view, int tokens) {
  if (rows.tokens != tokens)
    return fail(errc::bad_shape, "score.hidden.tokens", rows.tokens, "must equal the number of tokens,", tokens, view);
  if (rows.width != width)
    return fail(errc::bad_shape, "score.hidden.width", rows.width, "must equal score.width,", width, view);
  if (rows.stride < 0 || rows.stride > index{1} << 31)
    return fail(errc::bad_shape, "score.hidden.stride", static_cast<double>(rows.stride), "must be from 0 to", 0x1p31,
                view);
  if (rows.data == nullptr) return fail(errc::bad_pointer, "score.hidden", 0, "must not be null;", 0, view);
  int const size = size_of(rows.type);
  if (auto const past = reinterpret_cast<std::uintptr_t>(rows.data) % static_cast<std::uintptr_t>(size); past != 0)
    return fail(errc::bad_pointer, "score.hidden", static_cast<double>(past),
                "bytes past the alignment of its elements,", size, view);
  return {};
}
/// Calls f(pointer to the first element, in its type).
template <class F>
auto visit(hidden_rows const& rows, F const& f) {
  if (rows.type == dtype::f16) return f(static_cast<f16 const*>(rows.data));
  if (rows.type == dtype::bf16) return f(static_cast<bf16 const*>(rows.data));
  return f(static_cast<float const*>(rows.data));
}
}  // namespace hidden
}  // namespace kvsieve::inline v0
