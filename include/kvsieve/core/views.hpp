// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// How a cache is seen: rows of D channels, by head and token, as cuda::std::mdspan.
#pragma once
#include <cuda/std/mdspan>
#include <cuda/std/span>

#include <kvsieve/core/config.hpp>
#include <kvsieve/core/dtype.hpp>
#include <kvsieve/core/status.hpp>

namespace kvsieve::inline v0 {

/// Offsets and extents of caches: 64 bits, a pool may hold more than 2^31 elements.
using index = cs::int64_t;

/// mdspan layout of [heads, tokens, channels] whose rows are contiguous while heads and tokens may lie at any stride:
/// packed, NHD and HND buffers of engines, or a slice of a larger pool.
struct layout_rows {
  static constexpr bool contiguous_channels = true;  ///< channel c + 1 lies behind channel c

  /// Where an element lies, with all that the standard asks of a layout mapping. Heads and tokens may overlap by their
  /// strides, so it is not always unique.
  template <class Extents>
  struct mapping {
    /// @cond as in the standard
    using extents_type = Extents;
    using index_type = typename Extents::index_type;
    using size_type = typename Extents::size_type;
    using rank_type = typename Extents::rank_type;
    using layout_type = layout_rows;
    /// @endcond

    Extents shape{};              ///< [heads, tokens, channels]
    index_type head_stride = 0;   ///< from a head to the next, in elements
    index_type token_stride = 0;  ///< from a token to the next, in elements

    /// @cond as in the standard
    KVSIEVE_HD constexpr Extents const& extents() const noexcept { return shape; }
    KVSIEVE_HD constexpr index_type operator()(index_type head, index_type token, index_type channel) const noexcept {
      return head * head_stride + token * token_stride + channel;
    }
    KVSIEVE_HD constexpr index_type required_span_size() const noexcept {
      if (shape.extent(0) == 0 || shape.extent(1) == 0) return 0;
      return (*this)(shape.extent(0) - 1, shape.extent(1) - 1, shape.extent(2) - 1) + 1;
    }
    KVSIEVE_HD constexpr index_type stride(rank_type r) const noexcept {
      return r == 0 ? head_stride : r == 1 ? token_stride : 1;
    }
    KVSIEVE_HD static constexpr bool is_always_unique() noexcept { return false; }
    KVSIEVE_HD static constexpr bool is_always_exhaustive() noexcept { return false; }
    KVSIEVE_HD static constexpr bool is_always_strided() noexcept { return true; }
    KVSIEVE_HD constexpr bool is_unique() const noexcept { return true; }
    KVSIEVE_HD constexpr bool is_exhaustive() const noexcept {
      return required_span_size() == shape.extent(0) * shape.extent(1) * shape.extent(2);
    }
    KVSIEVE_HD static constexpr bool is_strided() noexcept { return true; }
    KVSIEVE_HD friend constexpr bool operator==(mapping const& a, mapping const& b) noexcept {
      return a.shape == b.shape && a.head_stride == b.head_stride && a.token_stride == b.token_stride;
    }
    /// @endcond
  };
};

/// Extents of rows of D channels, [heads, tokens, D].
template <int D>
using row_extents = cs::extents<index, cs::dynamic_extent, cs::dynamic_extent, static_cast<cs::size_t>(D)>;

/// Rows of D channels: [heads, tokens, D].
template <class T, int D, class Layout = layout_rows>
using rows = cs::mdspan<T, row_extents<D>, Layout>;

/// Views memory as rows [heads, tokens, D]; strides in elements.
template <int D, class T>
[[nodiscard]] KVSIEVE_HD constexpr rows<T, D> make_rows(T* data, index heads, index tokens, index head_stride,
                                                        index token_stride) noexcept {
  return {data, layout_rows::mapping<row_extents<D>>{row_extents<D>(heads, tokens), head_stride, token_stride}};
}
/// Views packed memory as rows [heads, tokens, D].
template <int D, class T>
[[nodiscard]] KVSIEVE_HD constexpr rows<T, D> make_rows(T* data, index heads, index tokens) noexcept {
  return make_rows<D>(data, heads, tokens, tokens * D, index{D});
}

/// mdspan layout of heads with a number of tokens each: head h has rows offset[h] to offset[h + 1] of packed rows. The
/// extent of tokens is that of the longest head; what lies past the end of a shorter one is not its own.
struct layout_ragged {
  static constexpr bool contiguous_channels = true;  ///< channel c + 1 lies behind channel c

  /// Where an element lies, with all that the standard asks of a layout mapping.
  template <class Extents>
  struct mapping {
    /// @cond as in the standard
    using extents_type = Extents;
    using index_type = typename Extents::index_type;
    using size_type = typename Extents::size_type;
    using rank_type = typename Extents::rank_type;
    using layout_type = layout_ragged;
    /// @endcond

    Extents shape{};                     ///< [heads, tokens of the longest, channels]
    index_type const* offset = nullptr;  ///< [heads + 1], in rows, ascending

    /// Tokens of a head.
    KVSIEVE_HD constexpr index_type tokens(index_type head) const noexcept { return offset[head + 1] - offset[head]; }
    /// A power of two that divides it divides the way from any row of a head to any other.
    KVSIEVE_HD constexpr index_type row_step() const noexcept { return shape.extent(2); }
    /// Offsets that are there, ascend, and reach as far as the view says.
    [[nodiscard]] status check(char const* name, int view) const {
      auto const at = [](index_type x) { return static_cast<double>(x); };
      if (offset == nullptr) return fail(errc::bad_pointer, name, 0, "must have offsets;", 0, view);
      if (offset[0] < 0)
        return fail(errc::bad_shape, name, at(offset[0]), "is the first offset, which must be at least", 0, view);
      for (index_type h = 0; h < shape.extent(0); ++h) {
        if (tokens(h) < 0)
          return fail(errc::bad_shape, name, at(offset[h + 1]), "is an offset, which must be at least the one before,",
                      at(offset[h]), view);
        if (tokens(h) > shape.extent(1))
          return fail(errc::bad_shape, name, at(tokens(h)),
                      "are the rows of a head, which must be at most the tokens of the view,", at(shape.extent(1)),
                      view);
      }
      return {};
    }
    /// Tiles of `tile` rows are not cut by the layout.
    [[nodiscard]] status check_tiles(char const* name, int view, index_type tile) const {
      for (index_type h = 0; h < shape.extent(0); ++h)
        if (offset[h] % tile != 0)
          return fail(errc::bad_shape, name, static_cast<double>(offset[h]),
                      "is an offset, which must be a multiple of the rows of a tile,", static_cast<double>(tile), view);
      return {};
    }
    /// @cond as in the standard
    KVSIEVE_HD constexpr Extents const& extents() const noexcept { return shape; }
    KVSIEVE_HD constexpr index_type operator()(index_type head, index_type token, index_type channel) const noexcept {
      return (offset[head] + token) * shape.extent(2) + channel;
    }
    KVSIEVE_HD constexpr index_type required_span_size() const noexcept {
      return shape.extent(0) == 0 ? 0 : offset[shape.extent(0)] * shape.extent(2);
    }
    KVSIEVE_HD static constexpr bool is_always_unique() noexcept { return false; }
    KVSIEVE_HD static constexpr bool is_always_exhaustive() noexcept { return false; }
    KVSIEVE_HD static constexpr bool is_always_strided() noexcept { return false; }
    KVSIEVE_HD constexpr bool is_unique() const noexcept { return false; }
    KVSIEVE_HD constexpr bool is_exhaustive() const noexcept { return shape.extent(0) == 0 || offset[0] == 0; }
    KVSIEVE_HD static constexpr bool is_strided() noexcept { return false; }
    KVSIEVE_HD friend constexpr bool operator==(mapping const& a, mapping const& b) noexcept {
      return a.shape == b.shape && a.offset == b.offset;
    }
    /// @endcond
  };
};

/// Views packed rows as heads with a number of tokens each, none with more than `longest`; `offset` [heads + 1] stays
/// the caller's and is not read here, so it may be device memory.
template <int D, class T>
[[nodiscard]] KVSIEVE_HD constexpr rows<T, D, layout_ragged> make_ragged(T* data, index heads, index const* offset,
                                                                         index longest) noexcept {
  return {data, layout_ragged::mapping<row_extents<D>>{row_extents<D>(heads, longest), offset}};
}
/// Views packed rows as heads with a number of tokens each; `offset` [heads + 1] stays the caller's.
template <int D, class T>
[[nodiscard]] KVSIEVE_HD constexpr rows<T, D, layout_ragged> make_ragged(T* data, index heads,
                                                                         index const* offset) noexcept {
  index longest = 0;
  for (index h = 0; h < heads; ++h) longest = longest < offset[h + 1] - offset[h] ? offset[h + 1] - offset[h] : longest;
  return make_ragged<D>(data, heads, offset, longest);
}

/// Any mdspan of [heads, tokens, D] over an element type, whatever its layout.
template <class V>
concept row_view = requires(V const& v) {
  typename V::extents_type;
  typename V::layout_type;
  requires V::rank() == 3;
  requires element<cs::remove_cv_t<typename V::element_type>>;
  requires V::static_extent(2) != cs::dynamic_extent;
};

/// Element type of a view without its const.
template <row_view V>
using element_of = cs::remove_cv_t<typename V::element_type>;
/// Head dimension of a view.
template <row_view V>
inline constexpr int head_dim_of = static_cast<int>(V::static_extent(2));

/// True when heads have numbers of tokens of their own, which the mapping tells.
template <row_view V>
inline constexpr bool ragged_rows = requires(typename V::mapping_type const& m, index head) { m.tokens(head); };
/// Tokens of one head of a view.
template <row_view V>
[[nodiscard]] KVSIEVE_HD constexpr index tokens_of(V const& view, [[maybe_unused]] index head) {
  if constexpr (ragged_rows<V>)
    return view.mapping().tokens(head);
  else
    return view.extent(1);
}

/// True when a row is plain contiguous memory by its type, so that it may be read a vector at a time.
template <row_view V>
inline constexpr bool contiguous_rows =
    cs::is_same_v<typename V::accessor_type, cs::default_accessor<typename V::element_type>> && [] {
      if constexpr (requires { V::layout_type::contiguous_channels; })
        return V::layout_type::contiguous_channels;
      else
        return cs::is_same_v<typename V::layout_type, cs::layout_right>;
    }();

/// Rows [n m, n m + n), for any m, lie at one stride within a head, for n the number given; 0: all rows of a head.
template <row_view V>
inline constexpr int strided_run = [] {
  if constexpr (requires { V::layout_type::page; })
    return V::layout_type::page;
  else
    return 0;
}();
/// From a row of a run to the next, in elements.
template <row_view V>
[[nodiscard]] KVSIEVE_HD constexpr index token_stride_of(V const& view) {
  if constexpr (requires { view.mapping().token_step(); })
    return view.mapping().token_step();
  else if constexpr (V::is_always_strided())
    return view.mapping().stride(1);
  else
    return head_dim_of<V>;
}
/// A power of two that divides it divides the way from any row of a head to any other, in elements.
template <row_view V>
[[nodiscard]] KVSIEVE_HD constexpr index row_step_of(V const& view) {
  if constexpr (requires { view.mapping().row_step(); })
    return view.mapping().row_step();
  else
    return view.mapping().stride(1);
}

/// The row of one token of one head: contiguous memory, or an element at a time through the layout.
template <row_view V>
struct row {
  V const* view;  ///< the view it is a row of
  index head;     ///< its head
  index token;    ///< its token
  /// One channel, in the element type.
  KVSIEVE_HD auto operator[](int channel) const { return (*view)(head, token, channel); }
};
/// The row of a token of a head: a pointer where rows are contiguous, else a `row`.
template <row_view V>
[[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD auto row_of(V const& view, index head, index token) {
  if constexpr (contiguous_rows<V>) {
    return static_cast<typename V::element_type*>(view.data_handle() + view.mapping()(head, token, 0));
  } else {
    return row<V>{&view, head, token};
  }
}

/// Entries without an attention bias.
struct no_bias {};

/// Keys and values of one layer of one sequence, [Hkv, N, D] each.
/// @tparam Bias  no_bias, or what `bias(head, token)` gives the number of that is added to the logit of an entry: the
///               logarithm of the mass that it stands for (core/entry_bias.hpp)
template <row_view Keys, row_view Values = Keys, class Bias = no_bias>
struct kv_layer {
  using keys_type = Keys;                             ///< view of the keys
  using values_type = Values;                         ///< view of the values
  using bias_type = Bias;                             ///< what tells the bias of an entry
  static constexpr int head_dim = head_dim_of<Keys>;  ///< channels of a row, D
  static_assert(head_dim_of<Values> == head_dim, "kv_layer: keys and values have the same head dimension");

  Keys keys;                             ///< [Hkv, N, D]
  Values values;                         ///< [Hkv, N, D]
  [[no_unique_address]] Bias bias = {};  ///< [Hkv, N]

  /// KV heads, Hkv.
  [[nodiscard]] KVSIEVE_HD constexpr int heads() const { return static_cast<int>(keys.extent(0)); }
  /// Tokens, N; of ragged views those of the longest head.
  [[nodiscard]] KVSIEVE_HD constexpr int tokens() const { return static_cast<int>(keys.extent(1)); }
  /// Tokens of one head.
  [[nodiscard]] KVSIEVE_HD constexpr int tokens(index head) const { return static_cast<int>(tokens_of(keys, head)); }
};
/// @cond
template <row_view Keys, row_view Values>
kv_layer(Keys, Values) -> kv_layer<Keys, Values>;
template <row_view Keys, row_view Values, class Bias>
kv_layer(Keys, Values, Bias) -> kv_layer<Keys, Values, Bias>;
/// @endcond

/// Bytes of a token of a head, its key and its value, as a layer has them.
template <class Layer>
[[nodiscard]] KVSIEVE_HD constexpr int token_bytes() {
  return Layer::head_dim * static_cast<int>(sizeof(element_of<typename Layer::keys_type>) +
                                            sizeof(element_of<typename Layer::values_type>));
}

/// A grouped view: many layers and sequences, each with its own number of tokens, compressed by one call.
template <class Layer>
using kv_group = cs::span<Layer const>;
}  // namespace kvsieve::inline v0
