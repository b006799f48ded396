// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What the engines' headers give: keys and values of a layer in their pages, and how a tensor of theirs is described.
#pragma once
#include <kvsieve/core/paged.hpp>

namespace kvsieve::inline v0 {
namespace engine {

/// What a cache is made of; const where it is only read.
template <class T>
concept cache_element = element<cs::remove_const_t<T>>;

/// A tensor of an engine: where it begins, its shape, and its strides in elements.
template <cache_element T>
struct tensor {
  T* data = nullptr;               ///< first element
  cs::span<index const> shape{};   ///< outermost first
  cs::span<index const> stride{};  ///< as many
};

/// Which of tokens and heads lies further out in a page.
enum class order : unsigned char {
  nhd,  ///< [tokens, heads, D]
  hnd   ///< [heads, tokens, D]
};

/// Keys and values of a layer in pages of P tokens.
template <cache_element T, int P, int D>
struct pages {
  T* keys = nullptr;             ///< where the keys of page 0 begin
  T* values = nullptr;           ///< and its values
  index heads = 0;               ///< KV heads
  page_pool_view keys_pool{};    ///< of the keys; set references where pages are shared
  page_pool_view values_pool{};  ///< of the values

  /// A sequence of `tokens` tokens whose keys and values share a table.
  [[nodiscard]] constexpr auto layer(index tokens, page_table const& table) const {
    return layer(tokens, table, table);
  }
  /// The same with a table each.
  [[nodiscard]] constexpr auto layer(index tokens, page_table const& keys_table, page_table const& values_table) const {
    return kv_layer{make_paged<P, D>(keys, heads, tokens, keys_pool, keys_table),
                    make_paged<P, D>(values, heads, tokens, values_pool, values_table)};
  }
  /// Heads with a table each over pages of all heads.
  [[nodiscard]] constexpr auto layer(head_page_tables const& tables) const {
    return kv_layer{make_ragged_paged<P, D>(keys, heads, keys_pool, tables),
                    make_ragged_paged<P, D>(values, heads, values_pool, tables)};
  }
};

namespace detail {
[[nodiscard]] constexpr double at(index x) { return static_cast<double>(x); }
/// Extents against strides, and channels that lie one behind another.
template <class T>
[[nodiscard]] status check_tensor(tensor<T> const& t, index rank, char const* name) {
  if (t.data == nullptr) return fail(errc::bad_pointer, name, 0, "must not be null;", 0);
  if (static_cast<index>(t.shape.size()) != rank)
    return fail(errc::bad_shape, name, at(static_cast<index>(t.shape.size())), "axes; it must have", at(rank));
  if (t.stride.size() != t.shape.size())
    return fail(errc::bad_shape, name, at(static_cast<index>(t.stride.size())), "strides; it must have", at(rank));
  if (t.stride[t.stride.size() - 1] != 1)
    return fail(errc::bad_shape, name, at(t.stride[t.stride.size() - 1]), "is the stride of channels, which must be",
                1);
  return {};
}
/// One extent.
[[nodiscard]] constexpr status expect(index got, char const* name, char const* rule, index wanted) {
  return got == wanted ? status{} : fail(errc::bad_shape, name, at(got), rule, at(wanted));
}
}  // namespace detail
}  // namespace engine
}  // namespace kvsieve::inline v0
