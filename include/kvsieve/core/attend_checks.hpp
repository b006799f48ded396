// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What decode attention refuses on every backend, before it touches anything.
#pragma once
#include <kvsieve/core/attend_options.hpp>
#include <kvsieve/core/check.hpp>
#include <kvsieve/core/parts.hpp>

namespace kvsieve::inline v0 {
namespace check {

/// How the host looks at the rows of a cache: tables of its layout included.
struct host_rows {
  static constexpr bool reads_tables = true;  ///< tokens of a head may be asked for
  /// Rows that can be read.
  template <row_view V>
  [[nodiscard]] static status readable(V const& v, char const* name, int view) {
    return check::readable(v, name, view);
  }
};

/// A part against the first one; empty parts are as good as left out. The last one holds the new queries' own rows.
template <class Rows, class Layer, class Part>
[[nodiscard]] status attended_part(Part const& part, int number, int heads, index asked, int view) {
  bool const last = number == part_count<Layer> - 1;
  if (part_count<Layer> > 1 && part.tokens() == 0 && part.heads() == heads && !(last && asked > 1)) return {};
  if (status const s = check::layer(part, heads, view); !s) return s;
  if (status const s = Rows::readable(part.keys, "keys", view); !s) return s;
  if (status const s = Rows::readable(part.values, "values", view); !s) return s;
  if constexpr (Rows::reads_tables || !ragged_rows<typename Part::keys_type>)
    for (int h = 0; last && asked > 1 && h < heads; ++h)
      if (part.tokens(h) < asked)
        return fail(errc::bad_shape, "keys.tokens", part.tokens(h),
                    "must be, of the part with the new queries' own rows, at least the queries of a head,",
                    static_cast<double>(asked), view);
  return {};
}

/// The arguments of attend but for the workspace.
/// @tparam Rows  how the backend looks at rows, as host_rows
template <class Rows, row_view Queries, class Layer, row_view Out>
[[nodiscard]] status attention(cs::span<Queries const> queries, cs::span<Layer const> layers, cs::span<Out const> out,
                               attend_options const& options) {
  constexpr int D = Layer::head_dim;
  static_assert(head_dim_of<Queries> == D, "kvsieve::attend: queries and cache have the same head dimension");
  static_assert(D % 16 == 0 && D <= 512, "kvsieve: the head dimension must be a multiple of 16, up to 512");
  static_assert(cs::is_same_v<typename Out::element_type, float> && head_dim_of<Out> == D,
                "kvsieve::attend: the output is float, of the cache's head dimension");
  auto const at = [](auto x) { return static_cast<double>(x); };
  if (layers.empty()) return fail(errc::bad_shape, "layers", 0, "must be at least", 1);
  if (status const s = check::one_each("query", queries.size(), layers.size()); !s) return s;
  if (status const s = check::one_each("out", out.size(), layers.size()); !s) return s;
  if (!options.log_sum_exp.empty())
    if (status const s = check::one_each("log_sum_exp", options.log_sum_exp.size(), layers.size()); !s) return s;
  if (!options.evicted.empty())
    if (status const s = check::one_each("evicted", options.evicted.size(), layers.size()); !s) return s;
  for (std::size_t v = 0; v < layers.size(); ++v) {
    int const w = static_cast<int>(v), heads = layers[v].heads();
    auto const& q = queries[v];
    auto const& o = out[v];
    index const asked = q.extent(1);
    status s;
    each_part(layers[v], [&](auto const& part, int number) {
      if (s) s = attended_part<Rows, Layer>(part, number, heads, asked, w);
    });
    if (!s) return s;
    if (asked < 1 || asked > most_new_queries)
      return fail(errc::bad_shape, "query.tokens", at(asked), asked < 1 ? "must be at least" : "must be at most",
                  asked < 1 ? 1 : most_new_queries, w);
    if (q.extent(0) < heads || q.extent(0) % heads != 0)
      return fail(errc::bad_shape, "query.heads", at(q.extent(0)), "must be a multiple of the KV heads,", heads, w);
    if (o.extent(0) != q.extent(0))
      return fail(errc::bad_shape, "out.heads", at(o.extent(0)), "must equal the query heads,", at(q.extent(0)), w);
    if (o.extent(1) != asked)
      return fail(errc::bad_shape, "out.tokens", at(o.extent(1)), "must equal the queries of a head,", at(asked), w);
    if (s = check::readable(q, "query", w); !s) return s;
    if (s = check::readable(o, "out", w); !s) return s;
    if (!options.evicted.empty()) {
      int const of_query = static_cast<int>(q.extent(0));
      if (s = options.features.check(static_cast<int>(layers.size()), of_query, D); !s) return s;
      auto const& sums = options.evicted[v];
      int const rank = options.features.rank;
      s = Rows::reads_tables ? low_rank::check_sums("evicted", sums, heads, rank, D, w)
                             : low_rank::check_shape("evicted", sums, heads, rank, D, w);
      if (!s) return s;
    }
    if (options.log_sum_exp.empty()) continue;
    auto const& l = options.log_sum_exp[v];
    if (l.data_handle() == nullptr) return fail(errc::bad_pointer, "log_sum_exp", 0, "must not be null;", 0, w);
    if (l.extent(0) != q.extent(0))
      return fail(errc::bad_shape, "log_sum_exp.heads", at(l.extent(0)), "must equal the query heads,", at(q.extent(0)),
                  w);
    if (l.extent(1) != asked)
      return fail(errc::bad_shape, "log_sum_exp.tokens", at(l.extent(1)), "must equal the queries of a head,",
                  at(asked), w);
  }
  return {};
}
}  // namespace check
}  // namespace kvsieve::inline v0
