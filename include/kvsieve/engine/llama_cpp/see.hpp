// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Keys and values of a state as views: rows of any type at any address, plain rows where they are aligned, and the
// columns that values are without flash attention.
#pragma once
#include <cuda/std/array>

#include <kvsieve/core/check.hpp>
#include <kvsieve/engine/llama_cpp/state.hpp>

namespace kvsieve::inline v0 {
namespace engine {

/// Rows [heads, cells, D] of a state in a format of encode/, plain<T> among them; at any address.
template <codec Format, int D>
using llama_rows = encoded_rows<Format, D>;
/// Rows of numbers read as vectors; the state's bytes must be aligned to them.
template <element T, int D>
using llama_plain_rows = rows<T const, D>;
/// Transposed values: a channel's numbers lie one behind another. Aligned too.
template <element T, int D>
using llama_columns = rows<T const, D, cs::layout_stride>;

namespace detail {
/// The type that a view reads.
template <row_view V>
[[nodiscard]] constexpr llama_type llama_type_of_view() {
  if constexpr (is_encoded<V>)
    return llama_type_of<codec_of<V>>;
  else
    return llama_type_of<encode::plain<element_of<V>>>;
}
/// A view of a tensor; `to` is set when all is well.
template <row_view V>
[[nodiscard]] status see_llama_tensor(llama_tensor const& t, char const* name, int layer, V& to) {
  constexpr int D = head_dim_of<V>;
  constexpr bool turned = cs::is_same_v<typename V::layout_type, cs::layout_stride>;
  constexpr llama_type wanted = llama_type_of_view<V>();
  static_assert(cs::is_const_v<typename V::element_type>, "kvsieve: views of a state are only read");
  static_assert(wanted != llama_type::same, "kvsieve: no type of ggml has rows of this format");
  if (t.type != wanted)
    return fail(errc::bad_shape, name, static_cast<int>(t.type), "is ggml's number of their type; the view reads",
                static_cast<int>(wanted), layer);
  if (t.transposed != turned)
    return fail(errc::bad_shape, name, t.transposed ? 1 : 0, "means transposed if 1; the view reads", turned ? 1 : 0,
                layer);
  if (t.channels % D != 0)
    return fail(errc::bad_shape, name, t.channels, "channels; they must be a multiple of the head dimension,", D,
                layer);
  index const heads = t.channels / D;
  V seen;
  if constexpr (is_encoded<V>) {
    seen = make_encoded<codec_of<V>, D>(t.data, heads, t.cells, 1, heads);
  } else {
    auto const* const data = reinterpret_cast<element_of<V> const*>(t.data);
    if constexpr (turned)
      seen = V(data,
               cs::layout_stride::mapping<row_extents<D>>(
                   row_extents<D>(heads, t.cells), cs::array<index, 3>{index{t.cells} * D, index{1}, index{t.cells}}));
    else
      seen = make_rows<D>(data, heads, t.cells, index{D}, heads * D);
  }
  if (status const s = check::readable(seen, name, layer); !s) return s;
  to = seen;
  return {};
}
/// A layer that the cache has.
[[nodiscard]] constexpr status has_layer(llama_cache const& cache, int layer, bool values) {
  if (layer < 0 || layer >= cache.layers)
    return fail(errc::bad_params, "layer", layer, "must be at least 0 and less than the layers,", cache.layers);
  if (values && !cache.has_values)
    return fail(errc::bad_shape, "values", 0, "of this cache are there; it must have", 1, layer);
  return {};
}
}  // namespace detail

/// Views of a layer: what kv_layer is made of says how they are read.
/// @param cache  of a state that was read
/// @param layer  of the cache
/// @param to     llama_rows<encode::q8_0, 128>, llama_plain_rows<f16, 128>, or of values llama_columns<f16, 128>
/// @returns ok, or what does not fit, and then `to` is as it was
template <row_view Keys, row_view Values>
[[nodiscard]] status see_llama(llama_cache const& cache, int layer, kv_layer<Keys, Values>& to) noexcept {
  if (status const s = detail::has_layer(cache, layer, true); !s) return s;
  kv_layer<Keys, Values> seen;
  if (status const s = detail::see_llama_tensor(cache.keys(layer), "keys", layer, seen.keys); !s) return s;
  if (status const s = detail::see_llama_tensor(cache.values(layer), "values", layer, seen.values); !s) return s;
  if (seen.keys.extent(0) != seen.values.extent(0))
    return fail(errc::bad_shape, "values.heads", static_cast<double>(seen.values.extent(0)),
                "must equal those of the keys,", static_cast<double>(seen.keys.extent(0)), layer);
  to = seen;
  return {};
}
/// A view of the keys of a layer alone, where values have another head dimension or are not there.
template <row_view Keys>
[[nodiscard]] status see_llama_keys(llama_cache const& cache, int layer, Keys& to) noexcept {
  if (status const s = detail::has_layer(cache, layer, false); !s) return s;
  return detail::see_llama_tensor(cache.keys(layer), "keys", layer, to);
}
/// A view of its values alone.
template <row_view Values>
[[nodiscard]] status see_llama_values(llama_cache const& cache, int layer, Values& to) noexcept {
  if (status const s = detail::has_layer(cache, layer, true); !s) return s;
  return detail::see_llama_tensor(cache.values(layer), "values", layer, to);
}
}  // namespace engine
}  // namespace kvsieve::inline v0
