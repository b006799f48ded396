// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// vLLM's KV cache tensors as views. Its shapes changed from version to version and from backend to backend, and what
// lies outermost in memory is in the strides alone, so both are looked at when the program runs.
#pragma once
#include <cuda/std/array>

#include <kvsieve/engine/pages.hpp>

namespace kvsieve::inline v0 {
namespace engine {

/// Shapes of a layer's cache. NB pages, P tokens, H KV heads, D channels.
enum class vllm_form : unsigned char {
  unknown,         ///< none of these, or more than one
  keys_then_nhd,   ///< [2, NB, P, H, D], FlashAttention
  keys_then_hnd,   ///< [2, NB, H, P, D]
  pages_then_nhd,  ///< [NB, 2, P, H, D], FlashInfer
  pages_then_hnd,  ///< [NB, 2, H, P, D]
  packed_heads,    ///< [NB, H, P, 2 D], a value behind each key
  packed_tokens    ///< [NB, P, H, 2 D]
};

/// The form of a shape; unknown where none fits or several do (H equal to P, two pages): name it then.
template <int P, int D>
[[nodiscard]] constexpr vllm_form classify_vllm(cs::span<index const> shape, index heads) {
  vllm_form found = vllm_form::unknown;
  int fits = 0;
  auto const match = [&](vllm_form form, cs::array<index, 5> const& wanted, cs::size_t rank) {
    bool same = shape.size() == rank;
    for (cs::size_t i = 0; same && i < rank; ++i) same = wanted[i] < 0 || shape[i] == wanted[i];
    if (!same) return;
    ++fits;
    found = form;
  };
  match(vllm_form::keys_then_nhd, {2, -1, P, heads, D}, 5);
  match(vllm_form::keys_then_hnd, {2, -1, heads, P, D}, 5);
  match(vllm_form::pages_then_nhd, {-1, 2, P, heads, D}, 5);
  match(vllm_form::pages_then_hnd, {-1, 2, heads, P, D}, 5);
  match(vllm_form::packed_heads, {-1, heads, P, 2 * D, -1}, 4);
  match(vllm_form::packed_tokens, {-1, P, heads, 2 * D, -1}, 4);
  return fits == 1 ? found : vllm_form::unknown;
}

/// Views of a layer's cache.
/// @param cache  the tensor, shape and strides as PyTorch tells them
/// @param heads  KV heads
/// @param to     what is seen of it
/// @param form   where the shape leaves it open
/// @returns ok, or what does not fit, and then `to` is as it was
template <int P, int D, cache_element T>
[[nodiscard]] status see_vllm(tensor<T> const& cache, index heads, pages<T, P, D>& to,
                              vllm_form form = vllm_form::unknown) {
  using detail::at, detail::expect;
  cs::size_t const rank = cache.shape.size();
  if (rank != 4 && rank != 5)
    return fail(errc::bad_shape, "cache", at(static_cast<index>(rank)), "axes; it must have 5, or", 4);
  if (status const s = detail::check_tensor(cache, static_cast<index>(rank), "cache"); !s) return s;
  bool const packed = rank == 4;
  if (status const s = expect(cache.shape[rank - 1], "cache.channels", "must equal, in this form,", packed ? 2 * D : D);
      !s)
    return s;
  vllm_form const fits = form == vllm_form::unknown ? classify_vllm<P, D>(cache.shape, heads) : form;
  if (fits == vllm_form::unknown) {
    index const a = cache.shape[rank - 3], b = cache.shape[rank - 2];
    if (a != P && b != P) return fail(errc::bad_shape, "cache.page", at(b), "must equal the tokens of a page,", P);
    if (a + b != P + heads)
      return fail(errc::bad_shape, "cache.heads", at(a == P ? b : a), "must equal the KV heads,", at(heads));
    if (!packed && cache.shape[0] != 2 && cache.shape[1] != 2)
      return fail(errc::bad_shape, "cache.keys_and_values", at(cache.shape[1]), "must equal", 2);
    return fail(errc::bad_shape, "cache", at(heads), "heads fit several forms: name one, with a page of", P);
  }
  bool const heads_first =
      fits == vllm_form::keys_then_hnd || fits == vllm_form::pages_then_hnd || fits == vllm_form::packed_heads;
  bool const keys_first = fits == vllm_form::keys_then_nhd || fits == vllm_form::keys_then_hnd;
  cs::size_t const head = heads_first ? rank - 3 : rank - 2, token = heads_first ? rank - 2 : rank - 3;
  if (packed != (fits == vllm_form::packed_heads || fits == vllm_form::packed_tokens))
    return fail(errc::bad_shape, "cache", at(static_cast<index>(rank)), "axes; in the form named it must have",
                packed ? 5 : 4);
  if (status const s = expect(cache.shape[token], "cache.page", "must equal the tokens of a page,", P); !s) return s;
  if (status const s = expect(cache.shape[head], "cache.heads", "must equal the KV heads,", heads); !s) return s;
  cs::size_t const pair = keys_first ? 0 : 1, page = keys_first ? 1 : 0;
  if (!packed)
    if (status const s = expect(cache.shape[pair], "cache.keys_and_values", "must equal", 2); !s) return s;
  page_pool_view const pool{cache.shape[page], {cache.stride[page], cache.stride[head], cache.stride[token]}};
  to = {cache.data, cache.data + (packed ? index{D} : cache.stride[pair]), heads, pool, pool};
  return {};
}

/// The page table of request `request` of vLLM's block table [requests, entries].
[[nodiscard]] constexpr page_table vllm_table(int const* block_table, index entries, index request) {
  return {block_table + request * entries, entries};
}
/// Where a token is stored, as in slot_mapping: page * P + offset.
template <int P>
[[nodiscard]] constexpr index vllm_slot(page_table const& table, index token) {
  return index{table.pages[token / P]} * P + token % P;
}
}  // namespace engine
}  // namespace kvsieve::inline v0
