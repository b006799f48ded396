// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// FlashInfer's paged caches and page tables as views, and heads with lengths of their own as requests of its kernels.
#pragma once
#include <kvsieve/engine/pages.hpp>

namespace kvsieve::inline v0 {
namespace engine {

namespace detail {
/// One tensor of pages; `axes` in front of a page's own.
template <int P, int D, class T>
[[nodiscard]] status check_pages(tensor<T> const& t, order in, index rank, char const* name) {
  if (status const s = check_tensor(t, rank, name); !s) return s;
  auto const r = static_cast<cs::size_t>(rank);
  if (status const s = expect(t.shape[r - 1], "channels", "must equal those of the view,", D); !s) return s;
  return expect(t.shape[in == order::nhd ? r - 3 : r - 2], "page", "must equal the tokens of a page,", P);
}
template <class T>
[[nodiscard]] page_pool_view pool_of(tensor<T> const& t, order in) {
  cs::size_t const r = t.shape.size(), head = in == order::nhd ? r - 2 : r - 3,
                   token = in == order::nhd ? r - 3 : r - 2;
  return {t.shape[0], {t.stride[0], t.stride[head], t.stride[token]}};
}
}  // namespace detail

/// Views of keys and values in one tensor, [NB, 2, P, H, D] or [NB, 2, H, P, D].
template <int P, int D, cache_element T>
[[nodiscard]] status see_flashinfer(tensor<T> const& cache, order in, pages<T, P, D>& to) {
  if (status const s = detail::check_pages<P, D>(cache, in, 5, "cache"); !s) return s;
  if (status const s = detail::expect(cache.shape[1], "cache.keys_and_values", "must equal", 2); !s) return s;
  page_pool_view const pool = detail::pool_of(cache, in);
  to = {cache.data, cache.data + cache.stride[1], cache.shape[in == order::nhd ? 3 : 2], pool, pool};
  return {};
}
/// Views of keys and values in a tensor each, [NB, P, H, D] or [NB, H, P, D], at any strides.
template <int P, int D, cache_element T>
[[nodiscard]] status see_flashinfer(tensor<T> const& keys, tensor<T> const& values, order in, pages<T, P, D>& to) {
  if (status const s = detail::check_pages<P, D>(keys, in, 4, "keys"); !s) return s;
  if (status const s = detail::check_pages<P, D>(values, in, 4, "values"); !s) return s;
  for (cs::size_t i = 0; i < 4; ++i)
    if (status const s = detail::expect(values.shape[i], "values.shape", "must equal that of the keys,", keys.shape[i]);
        !s)
      return s;
  to = {keys.data, values.data, keys.shape[in == order::nhd ? 2 : 1], detail::pool_of(keys, in),
        detail::pool_of(values, in)};
  return {};
}

/// FlashInfer's page tables of a batch, int32.
struct flashinfer_tables {
  int const* indptr = nullptr;         ///< [requests + 1] into `indices`
  int const* indices = nullptr;        ///< pages, request after request
  int const* last_page_len = nullptr;  ///< [requests] tokens of each last page, 1 to P
  index requests = 0;                  ///< of the batch
};
/// One request of them.
struct flashinfer_request {
  page_table table{};  ///< its pages
  index tokens = 0;    ///< its tokens; 0 without pages
};
/// The table and the tokens of one request.
template <int P>
[[nodiscard]] status request_of(flashinfer_tables const& t, index request, flashinfer_request& to) {
  using detail::at;
  if (t.indptr == nullptr || t.last_page_len == nullptr)
    return fail(errc::bad_pointer, "tables", 0, "must have indptr and last_page_len;", 0);
  if (request < 0 || request >= t.requests)
    return fail(errc::bad_params, "request", at(request), "must be at least 0 and less than the requests,",
                at(t.requests));
  index const first = t.indptr[request], count = t.indptr[request + 1] - first;
  if (first < 0) return fail(errc::bad_shape, "indptr", at(first), "must be at least", 0);
  if (count < 0)
    return fail(errc::bad_shape, "indptr", t.indptr[request + 1], "must be at least the one before,", at(first));
  int const last = t.last_page_len[request];
  if (count > 0 && (last < 1 || last > P))
    return fail(errc::bad_shape, "last_page_len", last, "must be at least 1 and at most the tokens of a page,", P);
  if (count > 0 && t.indices == nullptr) return fail(errc::bad_pointer, "indices", 0, "must not be null;", 0);
  to = {{count > 0 ? t.indices + first : nullptr, count}, count == 0 ? 0 : (count - 1) * P + last};
  return {};
}
/// What last_page_len says of `tokens` tokens.
template <int P>
[[nodiscard]] constexpr int last_page_length(index tokens) {
  return static_cast<int>(tokens - (tokens < 1 ? 0 : (tokens - 1) / P * P));
}

/// Heads as requests: with one KV head a batch of B * H requests gives each head a table and a length of its own, in
/// kernels that know nothing of it.
struct head_requests {
  page_pool_view pool{};  ///< what such a call is given: pages of one head; in NHD they lie into one another
  index of_page = 0;      ///< from a page to the next, in ids of the pool
  index of_head = 0;      ///< from a head to the next
  /// The id of a head's part of a page.
  [[nodiscard]] constexpr index page(index page, index head) const { return page * of_page + head * of_head; }
};
/// The pool of heads as requests over pages of all heads.
[[nodiscard]] inline status see_heads(page_pool_view const& pool, index heads, head_requests& to) {
  using detail::at;
  page_strides const& s = pool.stride;
  index const step = s.page < s.head ? s.page : s.head, other = s.page < s.head ? s.head : s.page;
  if (step < 1)
    return fail(errc::bad_shape, "pool.stride.head", at(s.head), "must be above 0, with a page stride of", at(s.page));
  if (other % step != 0)
    return fail(errc::bad_shape, "pool.stride", at(other), "of pages or heads must be a multiple of the other,",
                at(step));
  index const of_page = s.page / step, of_head = s.head / step;
  to = {{(pool.pages - 1) * of_page + (heads - 1) * of_head + 1, {step, 0, s.token}, nullptr}, of_page, of_head};
  return {};
}
}  // namespace engine
}  // namespace kvsieve::inline v0
