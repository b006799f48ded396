// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What a call on the device refuses before it launches anything. Looks at shapes, strides, numbers and pointer values
// only: device memory is never read from the host.
#pragma once
#include <cstdint>
#include <limits>

#include <kvsieve/core/status.hpp>
#include <kvsieve/device/compact.hpp>
#include <kvsieve/device/workspace.hpp>

namespace kvsieve::inline v0 {
namespace device {
namespace check {

// Kernels step through tokens and query rows in int, up to a block's share past the end.
inline constexpr index most_tokens = 2147418112, most_heads = 65535;

/// Rows that kernels read four channels at a time: there, and aligned to four elements.
template <row_view V>
[[nodiscard]] status readable(V const& v, char const* name, int view) {
  if (v.extent(0) == 0 || v.extent(1) == 0) return {};
  if constexpr (contiguous_rows<V>) {
    if (v.data_handle() == nullptr) return fail(errc::bad_pointer, name, 0, "must not be null;", 0, view);
    constexpr std::size_t bytes = 4 * sizeof(element_of<V>);
    auto const at = reinterpret_cast<std::uintptr_t>(v.data_handle()) % bytes;
    if (at != 0) {
      return fail(errc::bad_pointer, name, static_cast<double>(at), "bytes past the alignment that kernels need,",
                  static_cast<double>(bytes), view);
    }
    for (int r : {0, 1}) {
      index const stride = v.mapping().stride(static_cast<typename V::rank_type>(r));
      if (stride % 4 != 0 && v.extent(static_cast<typename V::rank_type>(r)) > 1) {
        return fail(errc::bad_shape, name, static_cast<double>(stride), "is a stride that must be a multiple of", 4,
                    view);
      }
    }
  }
  return {};
}

/// Keys and values of one view against each other and against the first view.
template <class Layer>
[[nodiscard]] status layer(Layer const& l, int heads, int view) {
  auto const at = [](index x) { return static_cast<double>(x); };
  index const h = l.keys.extent(0), n = l.keys.extent(1);
  if (h < 1) return fail(errc::bad_shape, "keys.heads", at(h), "must be at least", 1, view);
  if (h > most_heads) return fail(errc::bad_shape, "keys.heads", at(h), "must be at most", at(most_heads), view);
  if (h != heads) return fail(errc::bad_shape, "keys.heads", at(h), "must equal that of the first view,", heads, view);
  if (n < 1) return fail(errc::bad_shape, "keys.tokens", at(n), "must be at least", 1, view);
  if (n > most_tokens) return fail(errc::bad_shape, "keys.tokens", at(n), "must be at most", most_tokens, view);
  if (l.values.extent(0) != h)
    return fail(errc::bad_shape, "values.heads", at(l.values.extent(0)), "must equal that of the keys,", at(h), view);
  if (l.values.extent(1) != n)
    return fail(errc::bad_shape, "values.tokens", at(l.values.extent(1)), "must equal that of the keys,", at(n), view);
  return {};
}

/// The numbers of a strategy; comparisons are written so that NaN fails.
template <class P>
[[nodiscard]] status params(P const& p) {
  constexpr auto bad = errc::bad_params;
  if (!(p.budget.keep >= 0)) return fail(bad, "budget.keep", p.budget.keep, "must be at least", 0);
  if (!(p.budget.keep <= 1)) return fail(bad, "budget.keep", p.budget.keep, "must be at most", 1);
  if (p.budget.tokens < -1) return fail(bad, "budget.tokens", p.budget.tokens, "must be at least", -1);
  if constexpr (requires { p.score.sink; }) {
    if (p.score.sink < 0) return fail(bad, "score.sink", p.score.sink, "must be at least", 0);
  }
  if constexpr (requires { p.score.lag; }) {
    if (p.score.lag < 1) return fail(bad, "score.lag", p.score.lag, "must be at least", 1);
  }
  if constexpr (requires { p.score.window; }) {
    if (p.score.window < 1) return fail(bad, "score.window", p.score.window, "must be at least", 1);
  }
  if constexpr (requires { p.smooth.kernel; }) {
    if (p.smooth.kernel < 1) return fail(bad, "smooth.kernel", p.smooth.kernel, "must be at least", 1);
    if (p.smooth.kernel % 2 == 0) return fail(bad, "smooth.kernel", p.smooth.kernel, "must be odd;", 1);
  }
  if constexpr (requires { p.select.sink; }) {
    if (p.select.sink < 0) return fail(bad, "select.sink", p.select.sink, "must be at least", 0);
    if (p.select.white_list.size() > static_cast<std::size_t>(most_tokens)) {
      return fail(bad, "select.white_list", static_cast<double>(p.select.white_list.size()), "must be at most",
                  most_tokens);
    }
  }
  if constexpr (requires { p.select.recent; }) {
    if (p.select.recent < 0) return fail(bad, "select.recent", p.select.recent, "must be at least", 0);
  }
  if constexpr (requires { p.select.recent_share; }) {
    if (!(p.select.recent_share >= 0))
      return fail(bad, "select.recent_share", p.select.recent_share, "must be at least", 0);
    if (!(p.select.recent_share <= 1))
      return fail(bad, "select.recent_share", p.select.recent_share, "must be at most", 1);
  }
  return {};
}

/// Queries of one view against its cache; `observed` of them are used.
template <class Queries, class Layer>
[[nodiscard]] status queries(Queries const& q, Layer const& l, index observed, int view) {
  auto const at = [](index x) { return static_cast<double>(x); };
  index const heads = l.keys.extent(0), n = l.keys.extent(1);
  if (q.extent(0) < heads || q.extent(0) % heads != 0) {
    return fail(errc::bad_shape, "queries.heads", at(q.extent(0)), "must be a multiple of the KV heads,", at(heads),
                view);
  }
  if (observed > n)
    return fail(errc::bad_params, "score.window", at(observed), "must be at most the number of tokens,", at(n), view);
  if (observed > q.extent(1)) {
    return fail(errc::bad_shape, "queries.tokens", at(q.extent(1)), "must be at least the observed queries,",
                at(observed), view);
  }
  if (q.extent(0) / heads * observed > most_tokens) {
    return fail(errc::bad_shape, "queries per KV head", at(q.extent(0) / heads * observed), "must be at most",
                most_tokens, view);
  }
  return readable(q, "queries", view);
}

/// A workspace against what is needed.
[[nodiscard]] inline status fits(workspace const& w, workspace_size const& needed) {
  auto const at = [](std::size_t x) { return static_cast<double>(x); };
  constexpr auto small = errc::workspace_too_small;
  if (w.device.size() < needed.device)
    return fail(small, "workspace.device", at(w.device.size()), "must be at least", at(needed.device));
  if (w.host.size() < needed.host)
    return fail(small, "workspace.host", at(w.host.size()), "must be at least", at(needed.host));
  if (auto const past = reinterpret_cast<std::uintptr_t>(w.device.data()) % 64; past != 0) {
    return fail(errc::bad_pointer, "workspace.device", at(past), "bytes past the alignment that it needs,", 64);
  }
  if (auto const past = reinterpret_cast<std::uintptr_t>(w.host.data()) % alignof(index); past != 0) {
    return fail(errc::bad_pointer, "workspace.host", at(past), "bytes past the alignment that it needs,",
                alignof(index));
  }
  return {};
}

/// First and one past the last byte of a contiguous view.
struct extent_of_memory {
  std::uintptr_t from = 0, to = 0;
  [[nodiscard]] bool meets(extent_of_memory o) const { return from < o.to && o.from < to; }
};
template <row_view V>
[[nodiscard]] extent_of_memory memory(V const& v) {
  if constexpr (contiguous_rows<V>) {
    auto const from = reinterpret_cast<std::uintptr_t>(v.data_handle());
    return {from, from + static_cast<std::uintptr_t>(v.mapping().required_span_size()) * sizeof(element_of<V>)};
  } else {
    return {};
  }
}
}  // namespace check
}  // namespace device
}  // namespace kvsieve::inline v0
