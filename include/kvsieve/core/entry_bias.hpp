// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A number that attention adds to the logits of a cache entry that stands for several tokens: the natural logarithm of
// what it stands for over what it was. 8 bits an entry, in steps of 1/16.
#pragma once
#include <cuda/std/cstdint>
#include <cuda/std/type_traits>

#include <kvsieve/core/config.hpp>
#include <kvsieve/core/views.hpp>

namespace kvsieve::inline v0 {

/// A step of a stored bias, in nats.
inline constexpr float bias_step = 0.0625f;
/// The largest bias that can be stored, in nats.
inline constexpr float most_bias = 255 * bias_step;

/// The code nearest to a bias in nats, clamped to [0, most_bias]; a bias halfway between two steps gives the larger, a
/// NaN 0.
[[nodiscard]] KVSIEVE_HD constexpr cs::uint8_t encode_bias(float nats) {
  if (!(nats > 0)) return 0;
  if (nats >= most_bias) return 255;
  float const steps = nats / bias_step;  // exact, as is what is left of it
  int const whole = static_cast<int>(steps);
  return static_cast<cs::uint8_t>(whole + (steps - static_cast<float>(whole) >= 0.5f ? 1 : 0));
}
/// The bias of a code, in nats: what is added to q k / sqrt(D) before the exponential. Exact.
[[nodiscard]] KVSIEVE_HD constexpr float decode_bias(cs::uint8_t code) { return static_cast<float>(code) * bias_step; }
/// The same for logits of base 2, those times log2(e).
[[nodiscard]] KVSIEVE_HD constexpr float decode_bias_log2(cs::uint8_t code) {
  return static_cast<float>(code) * (bias_step * 1.44269504f);
}

/// Codes by head and token. Heads lie `head_stride` codes apart, or where `offset` says: then head h has codes
/// offset[h] to offset[h + 1], as rows lie in layout_ragged. No codes: no entry has a bias.
template <class Code>
struct entry_codes {
  static_assert(cs::is_same_v<cs::remove_const_t<Code>, cs::uint8_t>, "entry_codes: a code is a cs::uint8_t");
  Code* codes = nullptr;          ///< of all heads; null: no bias
  index head_stride = 0;          ///< from a head to the next, without `offset`
  index const* offset = nullptr;  ///< [heads + 1], ascending; null: heads lie head_stride apart

  /// True when entries have a bias.
  KVSIEVE_HD constexpr explicit operator bool() const { return codes != nullptr; }
  /// Codes of one head; the one of token t is at [t]. @pre there are codes
  [[nodiscard]] KVSIEVE_HD constexpr Code* row(index head) const {
    return codes + (offset != nullptr ? offset[head] : head * head_stride);
  }
  /// The bias of an entry, in nats; 0 without codes.
  [[nodiscard]] KVSIEVE_HD constexpr float operator()(index head, index token) const {
    return codes == nullptr ? 0.0f : decode_bias(row(head)[token]);
  }
  /// The same codes, to read.
  template <class Read>
    requires(!cs::is_const_v<Code> && cs::is_same_v<Read, Code const>)
  KVSIEVE_HD constexpr operator entry_codes<Read>() const {
    return {codes, head_stride, offset};
  }
};
/// Biases as attention reads them.
using entry_bias = entry_codes<cs::uint8_t const>;
/// Biases as apply writes them.
using entry_bias_target = entry_codes<cs::uint8_t>;
}  // namespace kvsieve::inline v0
