// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Rows of any view as floats, and back: what moves, merges or encodes rows knows neither layout nor format.
#pragma once
#include <kvsieve/core/encoded.hpp>
#include <kvsieve/core/fragment.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// Tokens that are written at once.
template <row_view V>
[[nodiscard]] constexpr int tile_tokens_of() {
  if constexpr (is_encoded<V>)
    return codec_of<V>::tile_tokens;
  else
    return 1;
}

/// A row as floats, `to` [D].
template <row_view V>
KVSIEVE_INLINE void read_row(V const& from, index head, index token, float* to) {
  constexpr int D = head_dim_of<V>;
  auto const row = row_of(from, head, token);
  if constexpr (is_encoded<V>)
    if constexpr (requires { codec_of<V>::template decode_row<D>(row.tile, 0, to); }) {
      codec_of<V>::template decode_row<D>(row.tile, row.token, to);
      return;
    }
  for (int d = 0; d < D; d += fragment::lanes) store(to + d, load_row(row, d));
}

/// Writes rows [token, token + tile_tokens_of<V>()) of a head from floats, [.., D]; `token` begins a tile.
template <row_view V>
KVSIEVE_INLINE void store_tile(V const& to, index head, index token, float const* rows) {
  constexpr int D = head_dim_of<V>;
  if constexpr (is_encoded<V>) {
    index const r = to.mapping()(head, token, 0) / D;
    auto* const tile = to.data_handle() + V::accessor_type::tile_of(r);
    if constexpr (has_state<codec_of<V>>)
      codec_of<V>::template encode<D>(rows, tile, to.accessor().state.at(r));
    else
      codec_of<V>::template encode<D>(rows, tile);
  } else if constexpr (contiguous_rows<V> && cs::is_same_v<element_of<V>, float>) {
    __builtin_memcpy(row_of(to, head, token), rows, sizeof(float) * D);
  } else {
    for (int d = 0; d < D; ++d) to(head, token, d) = from_float<element_of<V>>(rows[d]);
  }
}
/// Rows that are encoded together where the format can: a tile, or some tiles of a row, so that what one waits for
/// leaves time for others.
template <row_view V>
inline constexpr int rows_together = tile_tokens_of<V>() > 1 ? tile_tokens_of<V>() : 4;
namespace detail {
template <row_view V>
inline constexpr int tiles_together = rows_together<V> / tile_tokens_of<V>();
template <row_view V>
using local_of = typename decltype(row_of(cs::declval<V const&>(), 0, 0))::local_type;
}  // namespace detail
/// Whether the format of a view can.
template <row_view V>
inline constexpr bool encodes_together = [] {
  if constexpr (!is_encoded<V>)
    return false;
  else if constexpr (has_state<codec_of<V>>)
    return requires(float const*(&from)[rows_together<V>], byte* const(&to)[detail::tiles_together<V>],
                    detail::local_of<V> const(&local)[detail::tiles_together<V>]) {
      codec_of<V>::template encode_rows<head_dim_of<V>>(from, to, [](int, int) {}, local);
    };
  else
    return requires(float const*(&from)[rows_together<V>], byte* const(&to)[detail::tiles_together<V>]) {
      codec_of<V>::template encode_rows<head_dim_of<V>>(from, to, [](int, int) {});
    };
}();
/// Writes rows [token, token + rows_together) of a head from floats [D] each, which begin a tile; ahead(j, channel) is
/// called along the way for every 32 channels of row j.
template <row_view V, class Ahead>
KVSIEVE_INLINE void store_together(V const& to, index head, index token, float const* (&row)[rows_together<V>],
                                   Ahead const& ahead) {
  [&]<int... I>(cs::integer_sequence<int, I...>) {
    auto const at = [&](int i) { return row_of(to, head, token + i * tile_tokens_of<V>()); };
    byte* const tile[] = {const_cast<byte*>(at(I).tile)...};  // is written
    if constexpr (has_state<codec_of<V>>) {
      detail::local_of<V> const local[] = {at(I).local...};
      codec_of<V>::template encode_rows<head_dim_of<V>>(row, tile, ahead, local);
    } else {
      codec_of<V>::template encode_rows<head_dim_of<V>>(row, tile, ahead);
    }
  }(cs::make_integer_sequence<int, detail::tiles_together<V>>{});
}
/// Writes one row from floats [D]; for formats whose tokens stand by themselves.
template <row_view V>
KVSIEVE_INLINE void store_row(V const& to, index head, index token, float const* row) {
  static_assert(tile_tokens_of<V>() == 1, "kvsieve: rows of this format are written a tile at a time");
  store_tile(to, head, token, row);
}
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
