// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Logits of bf16 keys and bf16 queries on a matrix unit of the CPU (AMX): products of 32 keys with up to 32 queries
// stay in its tiles while the channels pass by, 32 at a time. Key rows are loaded as they lie; queries are packed in
// pairs of channels. Products are exact and sums are floats, so what it gives differs from the lanes' by rounding
// alone.
#pragma once
#include <kvsieve/core/dtype.hpp>
#include <kvsieve/core/fragment.hpp>
#include <kvsieve/core/views.hpp>

#if KVSIEVE_HOST_TILES
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

inline constexpr int tile_keys = 32;      ///< keys that the tiles hold the logits of
inline constexpr int tile_rows = 16;      ///< queries of a tile; one or two of them side by side
inline constexpr int tile_channels = 32;  ///< that one step takes

/// True for keys and queries whose logits the tiles can make.
template <class Keys, class Queries>
inline constexpr bool fit_tiles = cs::is_same_v<element_of<Keys>, bf16> && cs::is_same_v<element_of<Queries>, bf16> &&
                                  contiguous_rows<Keys> && head_dim_of<Keys> % tile_channels == 0;

#if KVSIEVE_HOST_TILES
/// The calling thread's tiles, configured from construction to destruction.
class amx_tiles {
 public:
  static constexpr bool exist = true;  ///< in this build

  /// True when the operating system lets this process use them; asked once.
  [[nodiscard]] static bool granted() {
    constexpr long request = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
    static bool const yes = syscall(SYS_arch_prctl, request, tile_data) == 0;
    return yes;
  }
  amx_tiles() {
    struct alignas(64) {
      unsigned char palette = 1, start_row = 0, reserved[14] = {};
      unsigned short row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      unsigned char rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } const shape;
    __asm__ volatile("" ::"r"(&shape) : "memory");  // g++ 12 declares but its first bytes as read
    _tile_loadconfig(&shape);
  }
  amx_tiles(amx_tiles const&) = delete;
  amx_tiles& operator=(amx_tiles const&) = delete;
  ~amx_tiles() { _tile_release(); }

  /// Begins the logits of 32 keys and V tiles of queries.
  template <int V>
  void clear() {
    _tile_zero(0);
    _tile_zero(2);
    if constexpr (V == 2) {
      _tile_zero(1);
      _tile_zero(3);
    }
  }
  /// Adds the products of 32 channels: of keys that lie `stride` elements apart, and of V tiles of packed queries.
  template <int V>
  void add(cs::uint16_t const* keys, index stride, cs::uint16_t const* pairs) {
    __asm__ volatile("" ::: "memory");
    index const bytes = 2 * stride;
    _tile_loadd(4, keys, bytes);
    _tile_loadd(5, keys + 16 * stride, bytes);
    _tile_loadd(6, pairs, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(2, 5, 6);
    if constexpr (V == 2) {
      _tile_loadd(7, pairs + tile_channels * tile_rows, 64);
      _tile_dpbf16ps(1, 4, 7);
      _tile_dpbf16ps(3, 5, 7);
    }
  }
  /// Writes the logits to e[32][V * 16].
  template <int V>
  void store(float* e) {
    constexpr int bytes = 64 * V;
    _tile_stored(0, e, bytes);
    _tile_stored(2, e + 16 * V * tile_rows, bytes);
    if constexpr (V == 2) {
      _tile_stored(1, e + tile_rows, bytes);
      _tile_stored(3, e + 16 * V * tile_rows + tile_rows, bytes);
    }
    __asm__ volatile("" ::: "memory");
  }
};
#else
/// Stands where the build has no matrix unit.
struct amx_tiles {
  static constexpr bool exist = false;
  [[nodiscard]] static bool granted() { return false; }
};
#endif

/// One block of bf16 keys for the tiles, and which of them are not finite; as key_tile is for the lanes.
template <class Tiles>
struct key_pairs {
  cs::uint16_t const* keys;
  index stride;            ///< of a key, in elements
  int count;               ///< keys of the block that exist
  unsigned long long bad;  ///< bit j: key j is not finite
  Tiles* tiles;
};

/// Keys [first, first + 64) of a head: where they lie when they are all there at one stride, else a copy in `room` [64,
/// D], zeros past the end.
template <class Tiles, class Keys>
key_pairs<Tiles> load_pairs(Keys const& keys, index head, index first, cs::uint16_t* room, Tiles& tiles) {
  constexpr int D = head_dim_of<Keys>, block = 64, run = strided_run<Keys>;
  int const count = static_cast<int>(keys.extent(1) - first < block ? keys.extent(1) - first : block);
  bool const in_place = count == block && (run == 0 || (run % block == 0 && first % block == 0));
  key_pairs<Tiles> pairs{room, D, count, 0, &tiles};
  for (int j = 0; j < block; ++j) {
    cs::uint16_t most = 0;
    if (j < count) {
      auto const* const row = row_of(keys, head, first + j);
      for (int d = 0; d < D; ++d) {
        auto const exponent = static_cast<cs::uint16_t>(row[d].bits & 0x7f80u);
        most = exponent > most ? exponent : most;
      }
      if (!in_place) __builtin_memcpy(room + j * D, row, 2 * D);
    } else {
      __builtin_memset(room + j * D, 0, 2 * D);
    }
    if (most == 0x7f80u) pairs.bad |= 1ull << j;
  }
  if (in_place) {
    pairs.keys = &row_of(keys, head, first)->bits;
    pairs.stride = token_stride_of(keys);
  }
  return pairs;
}

/// Where channel d of query `row` of a strip of `rows` queries (16 or 32) lies among its packed pairs [D / 32, rows /
/// 16, 16, 16, 2].
[[nodiscard]] constexpr index pair_place(int row, int d, int rows) {
  index const tile = index{d / tile_channels} * (rows / tile_rows) + row / tile_rows;
  return tile * tile_channels * tile_rows + d % tile_channels / 2 * (2 * tile_rows) + row % tile_rows * 2 + d % 2;
}

/// Logits of one block of keys and V tiles of packed queries, times `scale`, into e[64][V * 16].
template <int D, int V, class Tiles>
void tile_logits(cs::uint16_t const* pairs, key_pairs<Tiles> const& k, float scale, float* e) {
  constexpr int logits_of_half = tile_keys * V * tile_rows;
  for (int half = 0; half < 2; ++half) {
    k.tiles->template clear<V>();
    for (int c = 0; c < D / tile_channels; ++c)
      k.tiles->template add<V>(k.keys + half * tile_keys * k.stride + c * tile_channels, k.stride,
                               pairs + c * V * tile_channels * tile_rows);
    k.tiles->template store<V>(e + half * logits_of_half);
  }
  for (int i = 0; i < 2 * logits_of_half; i += fragment::lanes)
    kvsieve::host::store(e + i, load(e + i) * fragment(scale));
}
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
