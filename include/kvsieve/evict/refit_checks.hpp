// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What refit_values asks of its arguments, on any machine.
#pragma once
#include <kvsieve/core/check.hpp>
#include <kvsieve/core/plan.hpp>
#include <kvsieve/core/views.hpp>
#include <kvsieve/evict/refit_values.hpp>

namespace kvsieve::inline v0 {
namespace check {

/// Ok, or which argument does not fit. `rows_of(v)` tells the query rows of a head, `readable(view, name, v)` checks
/// rows, and `rows_kept(v, head)` tells how many rows there are for the kept tokens of a head.
template <class Queries, class Full, class Kept, class RowsOf, class Readable, class RowsKept>
[[nodiscard]] status refit(token_plan const& plan, cs::span<Queries const> queries, cs::span<Full const> full,
                           cs::span<Kept const> kept, evict::refit_values::params const& params, RowsOf const& rows_of,
                           Readable const& readable, RowsKept const& rows_kept) {
  auto const at = [](auto x) { return static_cast<double>(x); };
  if (!plan) return plan.state;
  if (status const s = params.check(); !s) return s;
  auto const views = static_cast<std::size_t>(plan.views);
  if (full.size() != views)
    return fail(errc::bad_shape, "layers", at(full.size()), "must equal plan.views,", plan.views);
  if (queries.size() != views)
    return fail(errc::bad_shape, "queries", at(queries.size()), "must equal plan.views,", plan.views);
  if (kept.size() != views) return fail(errc::bad_shape, "kept", at(kept.size()), "must equal plan.views,", plan.views);
  for (int v = 0; v < plan.views; ++v) {
    auto const& q = queries[static_cast<cs::size_t>(v)];
    auto const& l = full[static_cast<cs::size_t>(v)];
    auto const& k = kept[static_cast<cs::size_t>(v)];
    if (status const wrong = layer(l, plan.heads, v); !wrong) return wrong;
    if (l.tokens() < plan.tokens(v))
      return fail(errc::bad_shape, "layers.tokens", l.tokens(), "must be at least those of the plan,", plan.tokens(v),
                  v);
    if (q.extent(0) < plan.heads || q.extent(0) % plan.heads != 0)
      return fail(errc::bad_shape, "queries.heads", at(q.extent(0)), "must be a multiple of the KV heads,", plan.heads,
                  v);
    if (q.extent(1) < 1) return fail(errc::bad_shape, "queries.tokens", at(q.extent(1)), "must be at least", 1, v);
    if (q.extent(1) > l.tokens())
      return fail(errc::bad_shape, "queries.tokens", at(q.extent(1)), "must be at most the tokens of the view,",
                  l.tokens(), v);
    if (rows_of(v) > evict::refit_values::most_rows)
      return fail(errc::bad_params, "query rows of a head", at(rows_of(v)), "must be (raise refit.stride) at most",
                  evict::refit_values::most_rows, v);
    status s = range::all(readable(l.keys, "keys", v), readable(l.values, "values", v), readable(q, "queries", v));
    if (!s) return s;
    if (plan.count(v) == 0) continue;
    if (k.heads() != plan.heads)
      return fail(errc::bad_shape, "kept.heads", k.heads(), "must equal the heads of the cache,", plan.heads, v);
    for (int h = 0; h < plan.heads; ++h)
      if (rows_kept(v, h) < plan.count(v, h))
        return fail(errc::bad_shape, "kept.tokens", rows_kept(v, h), "must be at least the tokens kept,",
                    plan.count(v, h), v);
    s = range::all(readable(k.keys, "kept.keys", v), readable(k.values, "kept.values", v));
    if (!s) return s;
  }
  return {};
}
}  // namespace check
}  // namespace kvsieve::inline v0
