// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// TensorRT-LLM's pools of blocks as views. Keys and values are blocks of their own, [H, P, D] each, with a table each.
#pragma once
#include <kvsieve/engine/pages.hpp>

namespace kvsieve::inline v0 {
namespace engine {

/// Its table of block offsets, int32 [batch, beams, 2, entries]: of each sequence a row for keys and one for values.
/// Offsets are in blocks. Where the top bit is set a block lies in the pool on the host: such a table is refused as one
/// of pages below 0.
struct tensorrt_llm_offsets {
  int const* data = nullptr;  ///< first offset
  index batch = 0;            ///< sequences
  index beams = 1;            ///< beams of each
  index entries = 0;          ///< blocks of each, at most
};

/// Views of a pool of `blocks` blocks of H * P * D elements.
template <int P, int D, cache_element T>
[[nodiscard]] status see_tensorrt_llm(T* pool, index blocks, index heads, pages<T, P, D>& to) {
  if (pool == nullptr) return fail(errc::bad_pointer, "pool", 0, "must not be null;", 0);
  if (heads < 1) return fail(errc::bad_shape, "heads", detail::at(heads), "must be at least", 1);
  static_assert((P & (P - 1)) == 0, "kvsieve: TensorRT-LLM's blocks hold a power of two of tokens");
  page_pool_view const seen{blocks, hnd_pages(P, heads, D)};
  to = {pool, pool, heads, seen, seen};
  return {};
}
/// The tables of keys and values of one sequence.
[[nodiscard]] inline status tables_of(tensorrt_llm_offsets const& o, index sequence, index beam, page_table& keys,
                                      page_table& values) {
  using detail::at;
  if (o.data == nullptr) return fail(errc::bad_pointer, "offsets", 0, "must not be null;", 0);
  if (sequence < 0 || sequence >= o.batch)
    return fail(errc::bad_params, "sequence", at(sequence), "must be at least 0 and less than the batch,", at(o.batch));
  if (beam < 0 || beam >= o.beams)
    return fail(errc::bad_params, "beam", at(beam), "must be at least 0 and less than the beams,", at(o.beams));
  int const* const row = o.data + (sequence * o.beams + beam) * 2 * o.entries;
  keys = {row, o.entries};
  values = {row + o.entries, o.entries};
  return {};
}
/// Where a token of a sliding window is: the first `sink` stay, the others take turns.
[[nodiscard]] constexpr index cyclic_token(index token, index sink, index window) {
  return token < sink ? token : sink + (token - sink) % (window - sink);
}
}  // namespace engine
}  // namespace kvsieve::inline v0
