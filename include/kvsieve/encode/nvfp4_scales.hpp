// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Where kernels of others want the group scales of NVFP4: apart from the codes, in their rows, in tiles of four tokens
// or in blocks of 128 x 4. To exchange with them; attention here reads encode::nvfp4, whose rows hold both.
#pragma once
#include <cstring>

#include <cuda/std/span>

#include <kvsieve/core/range.hpp>
#include <kvsieve/encode/nvfp4.hpp>

namespace kvsieve::inline v0 {
namespace encode {

/// An order of the scales [tokens, groups] of a head, a group being 16 channels.
enum class nvfp4_scale_order {
  rows,         ///< a token's, one behind another: keys in vLLM, FlashInfer and TensorRT-LLM, and values but on SM100
  token_tiles,  ///< tiles of 4 tokens, each a transposed one: values for TensorRT-LLM's kernels of SM100
  blocks        ///< blocks of 128 tokens x 4 groups: block scales of cuBLAS, and of TensorRT-LLM's matrix products
};

/// Scales of an order, in bytes. `blocks` are whole: tokens up to a multiple of 128, groups up to one of 4.
[[nodiscard]] KVSIEVE_HD constexpr index nvfp4_scale_bytes(nvfp4_scale_order order, index tokens, index groups) {
  if (order != nvfp4_scale_order::blocks) return tokens * groups;
  return (tokens + 127) / 128 * 128 * ((groups + 3) / 4 * 4);
}

/// Where the scale of a token and a group is, of S = `groups`:
///   rows         t S + s
///   token_tiles  row 4 (t / 4) + s / (S / 4), column 4 (s mod (S / 4)) + t mod 4, of rows of S
///   blocks       block (t / 128) ceil(S / 4) + s / 4 of 512 bytes, in it 16 (t mod 32) + 4 (t mod 128 / 32) + s mod 4
/// @pre token_tiles: S is a multiple of 4, and so are the tokens
[[nodiscard]] KVSIEVE_HD constexpr index nvfp4_scale_place(nvfp4_scale_order order, index token, index group,
                                                           index groups) {
  if (order == nvfp4_scale_order::token_tiles) {
    index const quarter = groups / 4, row = token / 4 * 4 + group / quarter;
    return row * groups + group % quarter * 4 + token % 4;
  }
  if (order == nvfp4_scale_order::blocks) {
    index const block = token / 128 * ((groups + 3) / 4) + group / 4;
    return block * 512 + token % 32 * 16 + token % 128 / 32 * 4 + group % 4;
  }
  return token * groups + group;
}

namespace detail {
/// Refuses rows, codes and scales of one head that do not fit each other.
[[nodiscard]] inline status check_nvfp4_parts(cs::size_t rows, index tokens, int D, nvfp4_scale_order order,
                                              cs::size_t codes, cs::size_t scales) {
  if (status const s = range::multiple("D", D, nvfp4::group, 512); !s) return s;
  if (status const s = range::at_least("tokens", static_cast<double>(tokens), 0); !s) return s;
  if (order == nvfp4_scale_order::token_tiles && D % 64 != 0)
    return fail(errc::bad_shape, "D", D, "must be, for tiles of tokens, a multiple of", 64);
  if (order == nvfp4_scale_order::token_tiles && tokens % 4 != 0)
    return fail(errc::bad_shape, "tokens", static_cast<double>(tokens), "must be, for tiles of them, a multiple of", 4);
  auto const room = [](char const* name, cs::size_t got, index wanted) {
    return static_cast<index>(got) >= wanted ? status{}
                                             : fail(errc::bad_shape, name, static_cast<double>(got),
                                                    "bytes; it must be at least", static_cast<double>(wanted));
  };
  return range::all(room("rows", rows, tokens * (D / 2 + D / nvfp4::group)), room("codes", codes, tokens * (D / 2)),
                    room("scales", scales, nvfp4_scale_bytes(order, tokens, D / nvfp4::group)));
}
}  // namespace detail

/// Takes rows of encode::nvfp4 of one head apart. Scales that belong to no token or group are 0.
/// @param rows    [tokens, D / 2 + D / 16]
/// @param codes   [tokens, D / 2]
/// @param scales  [nvfp4_scale_bytes(order, tokens, D / 16)]
/// @returns ok, or what was refused, and then nothing was written
[[nodiscard]] inline status nvfp4_split(cs::span<byte const> rows, index tokens, int D, nvfp4_scale_order order,
                                        cs::span<byte> codes, cs::span<byte> scales) {
  if (status const s = detail::check_nvfp4_parts(rows.size(), tokens, D, order, codes.size(), scales.size()); !s)
    return s;
  index const half = D / 2, groups = D / nvfp4::group;
  if (order == nvfp4_scale_order::blocks)
    for (index i = 0; i < nvfp4_scale_bytes(order, tokens, groups); ++i) scales[static_cast<cs::size_t>(i)] = 0;
  for (index t = 0; t < tokens; ++t) {
    byte const* const row = rows.data() + t * (half + groups);
    std::memcpy(codes.data() + t * half, row, static_cast<std::size_t>(half));
    for (index g = 0; g < groups; ++g)
      scales[static_cast<cs::size_t>(nvfp4_scale_place(order, t, g, groups))] = row[half + g];
  }
  return {};
}
/// Puts rows of encode::nvfp4 together again; arguments as in nvfp4_split.
[[nodiscard]] inline status nvfp4_join(cs::span<byte const> codes, cs::span<byte const> scales, index tokens, int D,
                                       nvfp4_scale_order order, cs::span<byte> rows) {
  if (status const s = detail::check_nvfp4_parts(rows.size(), tokens, D, order, codes.size(), scales.size()); !s)
    return s;
  index const half = D / 2, groups = D / nvfp4::group;
  for (index t = 0; t < tokens; ++t) {
    byte* const row = rows.data() + t * (half + groups);
    std::memcpy(row, codes.data() + t * half, static_cast<std::size_t>(half));
    for (index g = 0; g < groups; ++g)
      row[half + g] = scales[static_cast<cs::size_t>(nvfp4_scale_place(order, t, g, groups))];
  }
  return {};
}
}  // namespace encode
}  // namespace kvsieve::inline v0
