// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What every backend refuses before it touches anything: shapes that do not fit each other and numbers out of range.
#pragma once
#include <cstdint>

#include <kvsieve/core/arena.hpp>
#include <kvsieve/core/encoded.hpp>
#include <kvsieve/core/range.hpp>
#include <kvsieve/core/rules.hpp>
#include <kvsieve/core/status.hpp>
#include <kvsieve/core/views.hpp>

namespace kvsieve::inline v0 {
namespace check {

/// Heads of a view; a grid of blocks is that high.
inline constexpr index most_heads = 65535;
/// Strides, in elements. No offset that passes this overflows: tokens x stride stays below 2^63.
inline constexpr index most_stride = index{1} << 31;

/// Ok where there are as many of something as views.
[[nodiscard]] constexpr status one_each(char const* name, std::size_t got, std::size_t views) {
  if (got == views) return {};
  return fail(errc::bad_shape, name, static_cast<double>(got), "must equal the number of views,",
              static_cast<double>(views));
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

/// The numbers of one stage, which look after themselves: by check(), or check(call_shape) where they hold tables for a
/// whole call.
template <class P>
[[nodiscard]] constexpr status one_stage(P const& p, call_shape const& call) {
  if constexpr (requires { p.check(call); })
    return p.check(call);
  else if constexpr (requires { p.check(); })
    return p.check();
  else
    return {};
}
/// The numbers of a strategy, stage by stage.
template <class P>
[[nodiscard]] status params(P const& p, call_shape const& call) {
  status first;
  P::each_stage(p, [&](char const*, auto const& stage) { first = first ? one_stage(stage, call) : first; });
  return first;
}

/// Queries of one view against its cache and what the score observes of them, of which the aggregate policy needs
/// `least`; `weighs` where it can count some more than others. With `first` from 0 on, they are the observed ones from
/// there on, and need not be all.
template <class Score, class Queries, class Layer>
[[nodiscard]] status queries(Queries const& q, Layer const& l, typename Score::params const& params, int view,
                             int least = 1, bool weighs = true, int first = -1) {
  auto const at = [](index x) { return static_cast<double>(x); };
  index const heads = l.keys.extent(0), n = l.keys.extent(1);
  if (q.extent(0) < heads || q.extent(0) % heads != 0) {
    return fail(errc::bad_shape, "queries.heads", at(q.extent(0)), "must be a multiple of the KV heads,", at(heads),
                view);
  }
  double const given = first < 0 ? at(q.extent(1)) : double{1} * Score::queries(params, static_cast<int>(n));
  if constexpr (requires { Score::fits(params, 1, given); })
    if (status s = Score::fits(params, static_cast<int>(n), given); !s) {
      s.layer = view;
      return s;
    }
  if constexpr (requires { Score::set_count(params, 1); })
    for (int i = 0; !weighs && i < Score::set_count(params, static_cast<int>(n)); ++i)
      if (float const w = Score::set(params, static_cast<int>(n), i).weight; w != 1.0f)
        return fail(errc::bad_params, "score.sets.weight", static_cast<double>(w),
                    "must be, for this aggregate policy,", 1, view);
  index const observed = Score::queries(params, static_cast<int>(n));
  if (observed < least)
    return fail(errc::bad_params, "observed queries", at(observed), "must be, for this aggregate policy, at least",
                least, view);
  if (first >= 0 && first + q.extent(1) > observed)
    return fail(errc::bad_shape, "part.first + queries.tokens", at(first + q.extent(1)),
                "must be at most the observed queries,", at(observed), view);
  if (first >= 0 && q.extent(1) < 1)
    return fail(errc::bad_shape, "queries.tokens", at(q.extent(1)), "must be at least", 1, view);
  if (first < 0 && observed > q.extent(1)) {
    return fail(errc::bad_shape, "queries.tokens", at(q.extent(1)), "must be at least the observed queries,",
                at(observed), view);
  }
  if (q.extent(0) / heads * observed > most_tokens) {
    return fail(errc::bad_shape, "queries per KV head", at(q.extent(0) / heads * observed), "must be at most",
                most_tokens, view);
  }
  return {};
}

/// Queries that come in parts: all views end with the same one.
template <class Score, class Layer, class Queries>
[[nodiscard]] status same_part(cs::span<Layer const> layers, cs::span<Queries const> queries,
                               typename Score::params const& params, int view) {
  auto const differ = [view](char const* name, index here, index first) {
    if (here == first) return status{};
    return fail(errc::bad_shape, name, static_cast<double>(here), "must be, in parts, as many as of the first view,",
                static_cast<double>(first), view);
  };
  auto const v = static_cast<std::size_t>(view);
  if (status const s = differ("observed queries", Score::queries(params, layers[v].tokens()),
                              Score::queries(params, layers[0].tokens()));
      !s)
    return s;
  return differ("queries.tokens", queries[v].extent(1), queries[0].extent(1));
}

/// The tables of a layout, where it has some: it looks after them itself.
template <row_view V>
[[nodiscard]] status table(V const& v, char const* name, int view) {
  if constexpr (requires { v.mapping().check(name, view); })
    return v.mapping().check(name, view);
  else
    return {};
}
/// Rows that are about to be written, of each head `first(head)` to `last(head)`, against what the layout knows of
/// others that have them too.
template <row_view V, class First, class Last>
[[nodiscard]] status writable(V const& v, char const* name, int view, First const& first, Last const& last) {
  if constexpr (requires { v.mapping().check_writable(name, view, first, last); })
    return v.mapping().check_writable(name, view, first, last);
  else
    return {};
}
/// Rows of a format: tiles must not be cut by the layout.
template <row_view V>
[[nodiscard]] status tiles(V const& v, char const* name, int view) {
  constexpr index tile = index{codec_of<V>::tile_tokens}, D = head_dim_of<V>;
  if constexpr (requires { v.mapping().check_tiles(name, view, tile); }) {
    return v.mapping().check_tiles(name, view, tile);
  } else if constexpr (V::is_always_strided()) {
    auto const whole = [&](index rows, index of, char const* rule) {
      if (rows % of == 0) return status{};
      return fail(errc::bad_shape, name, static_cast<double>(rows), rule, static_cast<double>(of), view);
    };
    if (status const s = whole(v.stride(0), D * tile, "is the head stride, which must be a multiple of a tile,"); !s)
      return s;
    if (tile > 1 && v.stride(1) != D)
      return fail(errc::bad_shape, name, static_cast<double>(v.stride(1)),
                  "is the token stride, which must be, for this format,", static_cast<double>(D), view);
    if (status const s = whole(v.stride(1), D, "is the token stride, which must be a multiple of a row,"); !s) return s;
  }
  return {};
}

/// Rows that are there, aligned to their element type, with strides that cannot overflow. Neither tables of the layout
/// nor the state of a format are read, which may be device memory.
template <row_view V>
[[nodiscard]] status addressable(V const& v, char const* name, int view) {
  if constexpr (is_encoded<V>)
    if (status const s = tiles(v, name, view); !s) return s;
  if constexpr (cs::is_pointer_v<typename V::data_handle_type>) {
    if (v.data_handle() == nullptr) return fail(errc::bad_pointer, name, 0, "must not be null;", 0, view);
  }
  if constexpr (cs::is_pointer_v<typename V::data_handle_type> && !is_encoded<V>) {
    auto const past = reinterpret_cast<std::uintptr_t>(v.data_handle()) % alignof(element_of<V>);
    if (past != 0)
      return fail(errc::bad_pointer, name, static_cast<double>(past), "bytes past the alignment of its elements,",
                  static_cast<double>(alignof(element_of<V>)), view);
  }
  if constexpr (V::is_always_strided()) {
    for (int r : {0, 1}) {
      index const stride = v.stride(static_cast<typename V::rank_type>(r));
      if (stride < 0 || stride > most_stride)
        return fail(errc::bad_shape, name, static_cast<double>(stride), "is a stride, which must be from 0 to",
                    static_cast<double>(most_stride), view);
    }
  }
  return {};
}
/// The same, with tables of the layout that lead nowhere else and a state of the format that it can read.
template <row_view V>
[[nodiscard]] status readable(V const& v, char const* name, int view) {
  if (status const s = table(v, name, view); !s) return s;
  if constexpr (is_encoded<V>)
    if constexpr (requires { codec_of<V>::template check<head_dim_of<V>>(v.accessor().state, 1, name, view); })
      if (status const s = codec_of<V>::template check<head_dim_of<V>>(v.accessor().state, v.extent(0), name, view); !s)
        return s;
  return addressable(v, name, view);
}

/// A white list against the view it speaks of: ascending token indices. Reads the list.
template <class List>
[[nodiscard]] status white_list(List const& list, int tokens, int view) {
  int before = -1;
  for (int const t : list) {
    if (t <= before)
      return fail(errc::bad_params, "select.white_list", t, "must be greater than the index before it,", before, view);
    if (t >= tokens)
      return fail(errc::bad_params, "select.white_list", t, "must be less than the number of tokens,", tokens, view);
    before = t;
  }
  return {};
}

/// Partitions that lie in their view.
[[nodiscard]] inline status partitions(scored_view const& seen, int view) {
  partition const& p = seen.spans;
  double const end = p.begin + double{1} * p.count * p.length;
  status s = range::all(
      range::at_least("seen.spans.begin", p.begin, 0), range::at_least("seen.spans.count", p.count, 0),
      range::at_least("seen.spans.length", p.length, 0), range::within("end of seen.spans", end, 0, seen.tokens));
  if (!s) s.layer = view;
  return s;
}

/// The numbers of a selection against a view of `tokens`. Reads the lists.
template <class Select>
[[nodiscard]] status selected_view(Select const& p, int tokens, int view) {
  if constexpr (requires { p.white_list; })
    if (status const s = white_list(p.white_list, tokens, view); !s) return s;
  if constexpr (requires { p.check_view(tokens, view); })
    return p.check_view(tokens, view);
  else
    return {};
}

/// The caller's memory against the bytes a call needs.
[[nodiscard]] inline status workspace(std::span<std::byte> memory, std::size_t needed) {
  if (auto const past = reinterpret_cast<std::uintptr_t>(memory.data()) % arena::alignment; past != 0)
    return fail(errc::bad_pointer, "workspace", static_cast<double>(past), "bytes past the alignment it needs,",
                static_cast<double>(arena::alignment));
  if (memory.size() < needed)
    return fail(errc::workspace_too_small, "workspace", static_cast<double>(memory.size()),
                "bytes; it must be at least", static_cast<double>(needed));
  return {};
}

/// First and one past the last byte of a view.
struct extent_of_memory {
  std::uintptr_t from = 0;  ///< address of the first byte
  std::uintptr_t to = 0;    ///< and one past the last
  /// True when the two share a byte.
  [[nodiscard]] bool meets(extent_of_memory o) const { return from < o.to && o.from < to; }
};
/// Where a view lies; nowhere for a view whose handle is no pointer.
template <row_view V>
[[nodiscard]] extent_of_memory memory(V const& v) {
  if constexpr (cs::is_pointer_v<typename V::data_handle_type>) {
    auto const from = reinterpret_cast<std::uintptr_t>(v.data_handle());
    auto const elements = static_cast<index>(v.mapping().required_span_size());
    if constexpr (is_encoded<V>)
      return {from, from + static_cast<std::uintptr_t>(encoded_bytes<codec_of<V>, head_dim_of<V>>(
                               (elements + head_dim_of<V> - 1) / head_dim_of<V>))};
    else
      return {from, from + static_cast<std::uintptr_t>(elements) * sizeof(element_of<V>)};
  } else {
    return {};
  }
}

/// True when a row of `a` shares memory with a row of `b`, of each head the first `a_rows` and `b_rows` tokens. Exact
/// where both have the same strides, so that views interleaved in one pool may pass; else by their address ranges.
template <row_view A, row_view B>
[[nodiscard]] bool rows_meet(A const& a, index a_rows, B const& b, index b_rows) {
  if (a_rows < 1 || b_rows < 1 || !memory(a).meets(memory(b))) return false;
  if constexpr (requires { a.mapping().meets(a_rows, b.mapping(), b_rows, index{}); }) {
    // Two views of one pool of pages.
    auto const bytes = static_cast<index>(memory(b).from) - static_cast<index>(memory(a).from);
    index unit = index{sizeof(element_of<A>)};
    if constexpr (is_encoded<A>) unit = row_bytes<A>();
    bool const alike = is_encoded<A> == is_encoded<B> && row_bytes<A>() == row_bytes<B>() && bytes % unit == 0;
    return !alike ||
           a.mapping().meets(a_rows, b.mapping(), b_rows, bytes / unit * (is_encoded<A> ? head_dim_of<A> : 1));
  }
  if constexpr (cs::is_same_v<typename A::layout_type, layout_rows> &&
                cs::is_same_v<typename B::layout_type, layout_rows> && cs::is_same_v<element_of<A>, element_of<B>> &&
                !is_encoded<A> && !is_encoded<B>) {
    index const head_stride = a.stride(0), token_stride = a.stride(1), D = head_dim_of<A>;
    auto const bytes = static_cast<index>(memory(b).from) - static_cast<index>(memory(a).from);
    index const size = static_cast<index>(sizeof(element_of<A>));
    if (b.stride(0) != head_stride || b.stride(1) != token_stride || token_stride < 1 || bytes % size != 0) return true;
    // Rows of b lie delta + dh * head_stride + dt * token_stride elements behind rows of a.
    index const delta = bytes / size;
    for (index dh = 1 - a.extent(0); dh < b.extent(0); ++dh) {
      index const behind = delta + dh * head_stride;
      index const near =
          (behind >= 0 ? -behind - token_stride + 1 : -behind) / token_stride;  // floor(-behind / stride)
      for (index dt = near; dt <= near + 1; ++dt) {
        index const apart = behind + dt * token_stride;
        if (-a_rows < dt && dt < b_rows && -D < apart && apart < D) return true;
      }
    }
    return false;
  } else {
    return true;
  }
}
}  // namespace check
}  // namespace kvsieve::inline v0
