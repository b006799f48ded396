// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Compaction as launches: a plan carried out, in other memory or in place.
#pragma once
#include <kvsieve/compressor.hpp>
#include <kvsieve/core/check.hpp>
#include <kvsieve/core/plan.hpp>
#include <kvsieve/device/call/check.hpp>
#include <kvsieve/device/call/launch_views.hpp>
#include <kvsieve/device/call/open_plan.hpp>
#include <kvsieve/device/evict/compact.hpp>
#include <kvsieve/device/store/encode_kept.hpp>
#include <kvsieve/evict/merging.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// Does not compile where a strategy merges.
template <strategy C>
constexpr void require_no_merge() {
  static_assert(!merges<typename C::evict_policy>,
                "kvsieve::apply: this strategy merges what it does not keep: pass a result of its own memory, its "
                "params and a workspace of apply_workspace_bytes");
}

/// Packed rows as kernels write them: of heads with a number of tokens each, as the table of a plan says.
template <class Layer>
inline constexpr bool packs = cs::is_same_v<typename Layer::keys_type::layout_type, layout_ragged> &&
                              cs::is_same_v<typename Layer::values_type::layout_type, layout_ragged>;

/// Rows in pages of a table, or of one for each head.
template <class Layer>
inline constexpr bool in_pages = paged_rows<typename Layer::keys_type> && paged_rows<typename Layer::values_type>;
/// Views whose rows kernels find by head, whatever number of tokens each has.
template <class Layer>
inline constexpr bool finds_by_head = [] {
  auto const finds = []<class V>(cs::type_identity<V>) { return finds_rows<V> || ragged_rows<V>; };
  return finds(cs::type_identity<typename Layer::keys_type>{}) &&
         finds(cs::type_identity<typename Layer::values_type>{});
}();
/// Two views of pages of one shape of pool, but for one table of one pool: which pages they have their tables say,
/// which no host reads.
template <row_view A, row_view B>
[[nodiscard]] bool kept_apart_by_tables([[maybe_unused]] A const& a, [[maybe_unused]] B const& b) {
  if constexpr (paged_rows<A> && paged_rows<B>) {
    auto const table = [](auto const& m) {
      if constexpr (requires { m.table(0); })
        return m.list;
      else
        return m.table;
    };
    auto const &x = a.mapping(), &y = b.mapping();
    bool const same =
        static_cast<void const*>(a.data_handle()) == static_cast<void const*>(b.data_handle()) && table(x) == table(y);
    return !same && x.pool.pages == y.pool.pages && x.pool.stride == y.pool.stride;
  } else {
    return false;
  }
}
/// Where `view` lies as a target; of packed rows those of all views of the plan, whose table is device memory.
template <row_view View>
[[nodiscard]] check::extent_of_memory target_memory(View const& view, index rows) {
  if constexpr (ragged_rows<View> && !paged_rows<View>) {
    auto const from = reinterpret_cast<std::uintptr_t>(view.data_handle());
    constexpr auto row = static_cast<std::uintptr_t>(row_bytes<View>());
    return {from, from + static_cast<std::uintptr_t>(rows) * row};
  } else {
    return check::memory(view);
  }
}
/// True when a target of up to `rows` rows a head shares memory with another view.
template <row_view To, row_view Other>
[[nodiscard]] bool target_meets(To const& to, int rows, Other const& other, int other_rows, index all) {
  if (kept_apart_by_tables(to, other)) return false;
  if constexpr (ragged_rows<To> || ragged_rows<Other> || paged_rows<To> || paged_rows<Other>)
    return rows > 0 && other_rows > 0 && target_memory(to, all).meets(target_memory(other, all));
  else
    return check::rows_meet(to, rows, other, other_rows);
}
/// True when they do, but for two views of one pool of packed rows, which the plan's table keeps apart.
template <row_view To>
[[nodiscard]] bool targets_meet(To const& a, int a_rows, To const& b, int b_rows, index all) {
  if constexpr (ragged_rows<To>)
    if (a.data_handle() == b.data_handle()) return false;
  return target_meets(a, a_rows, b, b_rows, all);
}

/// Packed rows have the table of the plan: then all that is kept has its place, and no two rows the same.
template <class Plan, class To>
[[nodiscard]] status has_table_of(Plan const& plan, To const& to, int v) {
  if constexpr (packs<To>) {
    auto const at = [](index const* p) { return static_cast<double>(reinterpret_cast<std::uintptr_t>(p)); };
    index const* const table = lists_of(plan, v).offset;
    index const* const keys = to.keys.mapping().offset;
    index const* const given = keys == table ? to.values.mapping().offset : keys;
    if (table == nullptr || given != table)
      return fail(errc::bad_plan, "to.offset", at(given),
                  "is an address, which must be that of the plan's own table in device memory,", at(table), v);
  }
  return {};
}

/// Formats that hold several tokens together take whole tiles, as on the host.
template <row_view To>
[[nodiscard]] status whole_tiles(token_plan const& plan, To const&, int v) {
  if constexpr (is_encoded<To>)
    for (int h = 0; h < plan.heads; ++h)
      if (plan.count(v, h) % codec_of<To>::tile_tokens != 0)
        return fail(errc::bad_plan, "plan.count", plan.count(v, h),
                    "must be, for this format, a multiple of the tokens of a tile,", codec_of<To>::tile_tokens, v);
  return {};
}
template <row_view To>
[[nodiscard]] status whole_tiles(open_plan const& plan, To const&, int v) {
  if constexpr (is_encoded<To>)
    if (plan.multiple % codec_of<To>::tile_tokens != 0)
      return fail(errc::bad_plan, "plan.multiple", plan.multiple,
                  "of what each head keeps; it must be, for this format, a multiple of the tokens of a tile,",
                  codec_of<To>::tile_tokens, v);
  return {};
}

/// Keys and values that kernels reach.
template <class Layer>
[[nodiscard]] status both_reached(Layer const& l, char const* keys, char const* values, int v) {
  status const s = reached(l.keys, keys, v);
  return s ? reached(l.values, values, v) : s;
}

/// The arguments of a call that writes what a plan keeps into other memory; rows_of_view(v): of a head, at most.
template <class Plan, class From, class To, class Rows>
[[nodiscard]] status check_copied(Plan const& plan, cs::span<From const> from, cs::span<To const> to,
                                  Rows const& rows_of_view) {
  static_assert(
      finds_by_head<From>,
      "kvsieve::apply on the device reads rows by strides, packed ones, or pages: give it kvsieve::make_rows, "
      "make_ragged, make_paged or make_ragged_paged");
  static_assert(by_strides<To> || packs<To> || in_pages<To>,
                "kvsieve::apply on the device writes rows by strides, packed ones, or pages: give it "
                "kvsieve::make_rows, make_ragged, make_paged or make_ragged_paged");
  static_assert(From::head_dim == To::head_dim, "kvsieve::apply: cache and result have the same head dimension");
  static_assert(
      !cs::is_const_v<typename To::keys_type::element_type> && !cs::is_const_v<typename To::values_type::element_type>,
      "kvsieve::apply writes its result: give it views of elements that are not const");
  if (!plan)
    return fail(errc::bad_plan, "plan", static_cast<double>(plan.state.code), "must be made without error,", 0);
  auto const views = static_cast<std::size_t>(plan.views);
  index const all = rows_of(plan);
  if (from.size() != views)
    return fail(errc::bad_plan, "from", static_cast<double>(from.size()), "must equal the views of the plan,",
                plan.views);
  if (to.size() != views)
    return fail(errc::bad_plan, "to", static_cast<double>(to.size()), "must equal the views of the plan,", plan.views);
  for (int v = 0; v < plan.views; ++v) {
    auto const& f = from[static_cast<std::size_t>(v)];
    auto const& t = to[static_cast<std::size_t>(v)];
    if (f.heads() != plan.heads)
      return fail(errc::bad_plan, "from.heads", f.heads(), "must equal that of the plan,", plan.heads, v);
    if (f.tokens() != plan.tokens(v))
      return fail(errc::bad_plan, "from.tokens", f.tokens(), "must equal that of the plan,", plan.tokens(v), v);
    if (t.heads() != plan.heads)
      return fail(errc::bad_shape, "to.heads", t.heads(), "must equal that of the plan,", plan.heads, v);
    int const rows = rows_of_view(v);
    if (status const s = both_reached(f, "from.keys", "from.values", v); !s) return s;
    for (index const room : {t.keys.extent(1), t.values.extent(1)}) {
      if (room < rows)
        return fail(errc::bad_shape, "to.tokens", static_cast<double>(room), "must be at least the kept tokens,", rows,
                    v);
    }
    if (status const s = has_table_of(plan, t, v); !s) return s;
    if (status const s = whole_tiles(plan, t.keys, v); !s) return s;
    if (status const s = whole_tiles(plan, t.values, v); !s) return s;
    if (rows > 0)
      if (status const s = both_reached(t, "to.keys", "to.values", v); !s) return s;
    if (target_meets(t.keys, rows, t.values, rows, all))
      return fail(errc::overlap, "to", 1, "must hold keys and values in memory of their own;", 0, v);
    for (int u = 0; u < plan.views; ++u) {
      auto const& cache = from[static_cast<std::size_t>(u)];
      int const n = cache.tokens();
      if (target_meets(t.keys, rows, cache.keys, n, all) || target_meets(t.keys, rows, cache.values, n, all) ||
          target_meets(t.values, rows, cache.keys, n, all) || target_meets(t.values, rows, cache.values, n, all))
        return fail(errc::overlap, "to", 1, "must not overlap from; for compaction in place leave it out;", 0, v);
      auto const& other = to[static_cast<std::size_t>(u)];
      int const m = rows_of_view(u);
      if (u < v &&
          (targets_meet(t.keys, rows, other.keys, m, all) || target_meets(t.keys, rows, other.values, m, all) ||
           target_meets(t.values, rows, other.keys, m, all) || targets_meet(t.values, rows, other.values, m, all)))
        return fail(errc::overlap, "to", 1, "must not overlap the target of another view,", u, v);
    }
  }
  return {};
}

/// The plan is read until the end, so a workspace may not hold it.
template <class Plan>
[[nodiscard]] status check_plan_apart(Plan const& plan, std::span<std::byte> workspace) {
  auto const from = reinterpret_cast<std::uintptr_t>(workspace.data());
  auto const list = reinterpret_cast<std::uintptr_t>(plan.list);
  check::extent_of_memory const own{from, from + workspace.size()};
  if (!own.meets({list, list + static_cast<std::uintptr_t>(rows_of(plan)) * sizeof(int)})) return {};
  return fail(errc::overlap, "workspace", static_cast<double>(from), "is an address of memory that holds the plan, at",
              static_cast<double>(list));
}
/// The memory of such a call lies where kernels reach it.
template <class Launcher, class Plan, class From, class To>
[[nodiscard]] status copied_within_reach(Launcher const& on, Plan const& plan, cs::span<From const> from,
                                         cs::span<To const> to) {
  status s = within_reach(on, plan.list, "plan.list");
  for (std::size_t v = 0; s && v < from.size(); ++v) {
    s = layer_within_reach(on, from[v], "from.keys", "from.values", static_cast<int>(v));
    if (s) s = layer_within_reach(on, to[v], "to.keys", "to.values", static_cast<int>(v));
  }
  return s;
}

/// Launches a copy of the kept rows of every view into other memory.
template <class Launcher, class Plan, class From, class To>
[[nodiscard]] status launch_copy(Launcher const& on, Plan const& plan, cs::span<From const> from,
                                 cs::span<To const> to) {
  copy_args<From, To> args{};
  auto const describe = [&](int v, copy_part<From, To>& part) {
    auto const& f = from[static_cast<std::size_t>(v)];
    auto const& t = to[static_cast<std::size_t>(v)];
    part = {f.keys, f.values, t.keys, t.values, lists_of(plan, v)};
    return part.kept.most;
  };
  constexpr row_change same = row_change::none;
  constexpr bool encoded = is_encoded<typename To::keys_type> || is_encoded<typename To::values_type>;
  if constexpr (!encoded && change_of<typename From::keys_type, typename To::keys_type>() == same &&
                change_of<typename From::values_type, typename To::values_type>() == same) {
    return launch_views<copy_body<From, To>>(
        on, plan.views, plan.heads, 2, args,
        [&](int v, copy_part<From, To>& part) { return pieces(describe(v, part), copy_rows); });
  } else {
    using body = encode_body<From, To>;
    return launch_views<body>(on, plan.views, plan.heads, 2, args,
                              [&](int v, copy_part<From, To>& part) { return body::blocks(describe(v, part)); });
  }
}

/// Copies the kept rows of every view into other memory, in their own type and format or another; `Plan` is a
/// token_plan or an open_plan.
template <strategy C, class Launcher, class Plan, class From, class To>
[[nodiscard]] status copy_kept(Launcher const& on, Plan const& plan, cs::span<From const> from, cs::span<To const> to) {
  require_no_merge<C>();
  if (status const s = check_copied(plan, from, to, [&](int v) { return lists_of(plan, v).most; }); !s) return s;
  if (status const s = copied_within_reach(on, plan, from, to); !s) return s;
  return launch_copy(on, plan, from, to);
}

/// Rows that kernels move in place.
template <row_view View>
inline constexpr bool moves = [] {
  if constexpr (is_encoded<View>)
    return codec_of<View>::tile_tokens == 1 && !has_state<codec_of<View>>;
  else
    return true;
}();
/// Moves the kept rows of every head to its front; rows behind them keep what they hold.
template <strategy C, class Launcher, class Plan, class Layer>
[[nodiscard]] status move_kept(Launcher const& on, Plan const& plan, cs::span<Layer const> layers) {
  static_assert(
      finds_by_head<Layer>,
      "kvsieve::apply on the device moves rows by strides, packed ones, or pages: give it kvsieve::make_rows, "
      "make_ragged, make_paged or make_ragged_paged");
  require_no_merge<C>();
  static_assert(!cs::is_const_v<typename Layer::keys_type::element_type> &&
                    !cs::is_const_v<typename Layer::values_type::element_type>,
                "kvsieve::apply in place writes the cache: give it views of elements that are not const");
  if (!plan)
    return fail(errc::bad_plan, "plan", static_cast<double>(plan.state.code), "must be made without error,", 0);
  if (layers.size() != static_cast<std::size_t>(plan.views)) {
    return fail(errc::bad_plan, "layers", static_cast<double>(layers.size()), "must equal the views of the plan,",
                plan.views);
  }
  for (int v = 0; v < plan.views; ++v) {
    auto const& l = layers[static_cast<std::size_t>(v)];
    if (l.heads() != plan.heads)
      return fail(errc::bad_plan, "layer.heads", l.heads(), "must equal that of the plan,", plan.heads, v);
    if (l.tokens() != plan.tokens(v))
      return fail(errc::bad_plan, "layer.tokens", l.tokens(), "must equal that of the plan,", plan.tokens(v), v);
    if (status const s = both_reached(l, "layer.keys", "layer.values", v); !s) return s;
    if (status const s = layer_within_reach(on, l, "layer.keys", "layer.values", v); !s) return s;
  }
  static_assert(moves<typename Layer::keys_type> && moves<typename Layer::values_type>,
                "kvsieve::apply in place on the device moves encoded rows that stand by themselves and have no state: "
                "give it a target, or compact on the host");
  move_args<Layer> args{};
  return launch_views<move_body<Layer>>(on, plan.views, plan.heads, 2, args, [&](int v, move_part<Layer>& part) {
    auto const& l = layers[static_cast<std::size_t>(v)];
    part = {l.keys, l.values, lists_of(plan, v)};
    bool const whole = part.kept.offset == nullptr && part.kept.most == plan.tokens(v);
    return whole || part.kept.most == 0 ? 0 : 1;
  });
}
}  // namespace device
}  // namespace kvsieve::inline v0
