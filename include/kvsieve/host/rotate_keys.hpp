// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Keys moved to other positions: to the slots that they were compacted to (StreamingLLM, arXiv 2309.17453; FINCH), or
// by what an edit of the text before them inserted or removed (PIE, arXiv 2407.03157). Values know no position.
#pragma once
#include <cmath>

#include <kvsieve/core/check.hpp>
#include <kvsieve/core/plan.hpp>
#include <kvsieve/core/rotation.hpp>
#include <kvsieve/host/on.hpp>
#include <kvsieve/host/row/store_row.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// Turns the rotated channels of a row by `difference` positions; rows that follow with the same difference share the
/// cosines. Angles in double, products in float.
template <int D>
class row_rotation {
 public:
  explicit row_rotation(rotation const& r) : pairs_(r.rotated(D) / 2), interleaved_(r.interleaved) {
    for (int i = 0; i < pairs_; ++i)
      frequency_[i] =
          r.frequencies.empty() ? std::pow(r.base, -2.0 * i / r.rotated(D)) : r.frequencies[static_cast<cs::size_t>(i)];
  }
  void turn(float* x, index difference) {
    if (difference != at_) {
      for (int i = 0; i < pairs_; ++i) {
        double const angle = static_cast<double>(difference) * frequency_[i];
        cosine_[i] = static_cast<float>(std::cos(angle));
        sine_[i] = static_cast<float>(std::sin(angle));
      }
      at_ = difference;
    }
    for (int i = 0; i < pairs_; ++i) {
      float& a = x[interleaved_ ? 2 * i : i];
      float& b = x[interleaved_ ? 2 * i + 1 : i + pairs_];
      float const turned = cosine_[i] * a - sine_[i] * b;
      b = cosine_[i] * b + sine_[i] * a;
      a = turned;
    }
  }

 private:
  int pairs_;
  bool interleaved_;
  index at_ = 0;  // never asked for: rows without a difference are left alone
  double frequency_[D / 2];
  float cosine_[D / 2], sine_[D / 2];
};

template <executor Exec, class Keys, class Difference>
[[nodiscard]] status rotate(Exec const& on, cs::span<Keys const> keys, rotation const& r,
                            Difference const& difference) {
  constexpr int D = head_dim_of<Keys>;
  static_assert(tile_tokens_of<Keys>() == 1,
                "kvsieve::rotate_keys: formats that hold tokens together are rotated before "
                "they are encoded");
  if (status const s = r.check(D); !s) return s;
  for (std::size_t v = 0; v < keys.size(); ++v)
    if (keys[v].extent(1) > 0) {
      if (status const s = check::readable(keys[v], "keys", static_cast<int>(v)); !s) return s;
      if (status const s = check::writable(
              keys[v], "keys", static_cast<int>(v), [](index) { return index{0}; },
              [&](index h) { return index{tokens_of(keys[v], h)}; });
          !s)
        return s;
    }
  for (std::size_t v = 0; v < keys.size(); ++v) {
    auto const& k = keys[v];
    on.for_each(k.extent(0), [&](index head, int) {
      row_rotation<D> rotate_row(r);
      for (index t = 0; t < tokens_of(k, head); ++t) {
        index const by = difference(static_cast<int>(v), static_cast<int>(head), static_cast<int>(t));
        if (by == 0) continue;  // bit for bit as it was
        alignas(64) float row[D];
        read_row(k, head, t, row);
        rotate_row.turn(row, by);
        store_row(k, head, t, row);
      }
    });
  }
  return {};
}
}  // namespace host::inline KVSIEVE_TARGET

/// Turns keys, in place, by differences of positions.
/// @param keys        for each view [Hkv, N, D], rotated for the positions that they have
/// @param r           the model's rotation
/// @param difference  difference(view, head, row) is what the row's position changes by; rows for which it is 0 are not
///                    touched. Positions are the caller's to keep: turning again adds up
/// @returns ok, or what was refused, and then nothing was changed
template <host::executor Exec, row_view Keys, class Difference>
[[nodiscard]] status rotate_keys(Exec const& on, cs::span<Keys const> keys, rotation const& r,
                                 Difference const& difference) noexcept {
  return host::rotate(on, keys, r, difference);
}
/// Turns keys, in place, after a plan was applied to them: row i of a head, of the token at position kept[i], becomes a
/// key for position i. The next token is then at position plan.count(view), not plan.tokens(view).
/// @param keys  for each view the rows that the plan was applied to
template <host::executor Exec, row_view Keys>
[[nodiscard]] status rotate_to_slots(Exec const& on, token_plan const& plan, cs::span<Keys const> keys,
                                     rotation const& r) noexcept {
  auto const rows = [&](int v, Keys const& k) -> status {
    for (int h = 0; h < plan.heads; ++h)
      if (tokens_of(k, h) < plan.count(v, h))
        return fail(errc::bad_shape, "keys.tokens", static_cast<double>(tokens_of(k, h)),
                    "must be at least the tokens kept,", plan.count(v, h), v);
    return {};
  };
  if (status const s = check::keys_of_plan(plan, keys, rows); !s) return s;
  return host::rotate(on, keys, r, [&](int v, int h, int i) -> index {
    auto const kept = plan.kept(v, h);
    return i < static_cast<int>(kept.size()) ? index{i} - kept[static_cast<cs::size_t>(i)] : 0;
  });
}
}  // namespace kvsieve::inline v0
