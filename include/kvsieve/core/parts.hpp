// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A layer whose entries lie in several parts, each in a form of its own: sinks and recent tokens as they were and the
// middle encoded, or levels of precision. Attention reads part after part; their order is of no importance to it.
#pragma once
#include <cuda/std/tuple>

#include <kvsieve/core/encoded.hpp>

namespace kvsieve::inline v0 {

/// The parts of one layer of one sequence: kv_layers with the same heads. Some may be empty.
template <class First, class... Others>
struct kv_parts {
  static constexpr int head_dim = First::head_dim;  ///< channels of a row, D
  static_assert(((Others::head_dim == head_dim) && ...), "kv_parts: all parts have the same head dimension");

  cs::tuple<First, Others...> parts;  ///< in the order of a sum over them

  /// KV heads, Hkv.
  [[nodiscard]] KVSIEVE_HD constexpr int heads() const { return cs::get<0>(parts).heads(); }
};
/// Joins parts to a layer.
template <class... Layers>
[[nodiscard]] KVSIEVE_HD constexpr kv_parts<Layers...> make_parts(Layers const&... layers) {
  return {{layers...}};
}

namespace detail {
template <class T>
inline constexpr bool is_kv_layer = false;
template <class K, class V, class B>
inline constexpr bool is_kv_layer<kv_layer<K, V, B>> = true;
template <class T>
inline constexpr bool is_stored_layer = is_kv_layer<T>;
template <class... L>
inline constexpr bool is_stored_layer<kv_parts<L...>> = (is_kv_layer<L> && ...);
template <class L>
struct parts_of_layer {
  static constexpr int count = 1;
  static constexpr bool has_rotated_keys = is_rotated<typename L::keys_type>;
  template <int>
  static constexpr L const& part(L const& l) {
    return l;
  }
};
template <class... L>
struct parts_of_layer<kv_parts<L...>> {
  static constexpr int count = static_cast<int>(sizeof...(L));
  static constexpr bool has_rotated_keys = (is_rotated<typename L::keys_type> || ...);
  template <int I>
  static constexpr auto const& part(kv_parts<L...> const& l) {
    return cs::get<I>(l.parts);
  }
};
}  // namespace detail
/// One layer of one sequence.
template <class L>
concept kv_layer_view = detail::is_kv_layer<L>;
/// One layer of one sequence, in one part or in several.
template <class L>
concept stored_layer = detail::is_stored_layer<L>;
/// Parts of a stored layer; 1 for a kv_layer.
template <class L>
inline constexpr int part_count = detail::parts_of_layer<L>::count;
/// Whether any part's keys are stored rotated.
template <class L>
inline constexpr bool has_rotated_keys = detail::parts_of_layer<L>::has_rotated_keys;
/// Calls f(part, number) for each part of a stored layer, a kv_layer or kv_parts.
template <class L, class F>
constexpr void each_part(L const& layer, F const& f) {
  [&]<int... I>(cs::integer_sequence<int, I...>) {
    (f(detail::parts_of_layer<L>::template part<I>(layer), I), ...);
  }(cs::make_integer_sequence<int, part_count<L>>{});
}
}  // namespace kvsieve::inline v0
