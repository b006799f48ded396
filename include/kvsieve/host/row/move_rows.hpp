// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Copies kept rows. Bound by memory: streaming stores spare the read of every line that is about to be overwritten.
#pragma once
#include <cstring>

#include <kvsieve/core/fragment.hpp>
#include <kvsieve/core/views.hpp>
#include <kvsieve/host/row/store_row.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

namespace detail {
/// Copies `bytes` (a multiple of 32) of a row. Streaming needs `to` aligned to 64, and to 32 where bytes is no multiple
/// of 64.
template <std::size_t bytes, bool stream>
KVSIEVE_INLINE void copy_row(char* to, char const* from) {
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 16
  if constexpr (stream) {
    constexpr std::size_t whole = bytes / 64 * 64;
    KVSIEVE_UNROLL for (std::size_t b = 0; b < whole; b += 64)
        _mm512_stream_si512(reinterpret_cast<__m512i*>(to + b), _mm512_loadu_si512(from + b));
    return;
  }
#elif KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 8
  if constexpr (stream) {
    KVSIEVE_UNROLL for (std::size_t b = 0; b < bytes; b += 32) _mm256_stream_si256(
        reinterpret_cast<__m256i*>(to + b), _mm256_loadu_si256(reinterpret_cast<__m256i const*>(from + b)));
    return;
  }
#endif
  std::memcpy(to, from, bytes);
}
}  // namespace detail

/// Copies rows kept[first .. last) of `from` to rows first .. last of `to`, for one head of each, converting and
/// encoding as the views ask; both ends begin tiles of `to`. Copying onto itself is safe: kept ascends, so no row is
/// overwritten before it was read.
template <class To, class From>
void move_rows(From const& from, To const& to, index head, int const* kept, index first, index last) {
  constexpr int D = head_dim_of<From>;
  using T = element_of<From>;
  if constexpr (contiguous_rows<From> && contiguous_rows<To> && cs::is_same_v<T, element_of<To>>) {
    constexpr std::size_t bytes = sizeof(T) * static_cast<std::size_t>(D);
    if (first == last) return;
    // Kept rows jump, and what fetches memory ahead does not see it. Where rows lie close together, asking for all rows
    // up to a few ahead turns them into a stream again; where they are sparse, only the ones to come. Into the second
    // level: rows of floats take a quarter longer through the first.
    constexpr index ahead = 32;
    bool const close = 3 * (last - first) > kept[last - 1] - kept[first];
    index asked = kept[first];
    auto const ask = [&](index token) {
      auto const* p = reinterpret_cast<char const*>(row_of(from, head, token));
      KVSIEVE_UNROLL for (std::size_t b = 0; b < bytes; b += 64) __builtin_prefetch(p + b, 0, 2);
    };
    auto const run = [&](auto stream) {
      for (index i = first; i < last; ++i) {
        if (close)
          for (; asked < kept[i] + ahead && asked < tokens_of(from, head); ++asked) ask(asked);
        else if (i + ahead < last)
          ask(kept[i + ahead]);
        auto* const d = reinterpret_cast<char*>(row_of(to, head, i));
        auto const* const s = reinterpret_cast<char const*>(row_of(from, head, kept[i]));
        if (d != s) detail::copy_row<bytes, decltype(stream)::value>(d, s);
      }
    };
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES >= 8
    bool const same = static_cast<void const*>(from.data_handle()) == static_cast<void const*>(to.data_handle());
    auto const start = reinterpret_cast<std::uintptr_t>(row_of(to, head, 0));
    std::size_t const step = static_cast<std::size_t>(row_step_of(to)) * sizeof(T);
    // Small results are wanted in the cache by whoever comes next.
    bool const large = static_cast<std::size_t>(to.extent(0) * to.extent(1)) * bytes >= (1u << 20);
    if (bytes % 64 == 0 && !same && large && start % 64 == 0 && step % 64 == 0) {
      run(cs::true_type{});
      _mm_sfence();
      return;
    }
#endif
    run(cs::false_type{});
  } else if constexpr (is_encoded<To> && cs::is_same_v<codec_of<From>, codec_of<To>> && tile_tokens_of<To>() == 1 &&
                       !has_state<codec_of<To>>) {
    for (index i = first; i < last; ++i) {
      auto* const d = const_cast<byte*>(row_of(to, head, i).tile);  // of a view that is written
      auto const* const s = row_of(from, head, kept[i]).tile;
      if (d != s) std::memcpy(d, s, static_cast<std::size_t>(row_bytes<To>()));
    }
  } else if constexpr (!is_encoded<To> && !is_encoded<From> && cs::is_same_v<T, element_of<To>>) {
    for (index i = first; i < last; ++i)
      for (int d = 0; d < D; ++d) to(head, i, d) = from(head, kept[i], d);
  } else {
    constexpr int tile = tile_tokens_of<To>(), together = encodes_together<To> ? rows_together<To> : tile;
    constexpr index ahead = together > 16 ? together : 16;
    // Between rows comes arithmetic, and what fetches memory ahead falls behind.
    auto const ask = [&](index i, int channel, int channels) {
      if constexpr (contiguous_rows<From>) {
        if (i >= last) return;
        T const* const p = row_of(from, head, kept[i]) + channel;
        KVSIEVE_UNROLL for (int d = 0; d < channels; d += static_cast<int>(64 / sizeof(T))) __builtin_prefetch(p + d);
      }
    };
    alignas(64) float rows[together * D];
    auto const read = [&](index i, float* room) -> float const* {
      if constexpr (contiguous_rows<From> && cs::is_same_v<T, float> && (tile == 1 || encodes_together<To>))
        return row_of(from, head, kept[i]);
      read_row(from, head, kept[i], room);
      return room;
    };
    index i = first;
    if constexpr (encodes_together<To>)
      for (; i + together <= last; i += together) {
        float const* row[together];
        for (int j = 0; j < together; ++j) row[j] = read(i + j, rows + j * D);
        store_together(to, head, i, row, [&](int j, int channel) { ask(i + ahead + j, channel, 32); });
      }
    if constexpr (tile == 1 || !encodes_together<To>)
      for (; i < last; i += tile) {
        ask(i + ahead, 0, D);
        float const* const row = read(i, rows);
        for (int j = 1; j < tile; ++j) {
          ask(i + ahead + j, 0, D);
          (void)read(i + j, rows + j * D);
        }
        store_tile(to, head, i, row);
      }
  }
}
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
