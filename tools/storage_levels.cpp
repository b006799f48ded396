// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The storage `levels`: precision by score, its levels by the budget, and the same without rotation.
#include "head_dims.hpp"
#include "level_formats.hpp"
#include "store_part.hpp"

namespace kvsieve::tool {
namespace {

/// The set for a budget, or, where rows are counted and not bytes, the coarsest that is the set for what it takes.
template <bool Rotated, int D, class F>
message with_levels_for(cache_dump const& dump, index bytes, index rows, bool biased, F const& run) {
  index const all = all_rows(dump);
  auto const f = [&]<class Set>(Set set) -> message {
    if constexpr (Rotated)
      return run(set);
    else
      return run(unrotated_levels<Set>{});
  };
  if (bytes >= 0) return store::with_levels(store::bits_a_number(bytes, all, D), f);
  double bits = 0;
  for (bool settled = false; !settled;)
    settled = store::with_levels(bits, [&]<class Set>(Set) {
      index entries[Set::count];
      typename Set::template table<D> const table(biased);
      table.view().share_out(rows, {entries, Set::count});
      index taken = 0;
      for (int l = 0; l < Set::count; ++l) taken += entries[l] * table.of[l].entry_bytes;
      double const own = store::bits_a_number(taken, all, D);
      bool const same = own <= bits;
      bits = own > bits ? own : bits;
      return same;
    });
  return store::with_levels(bits, f);
}

template <class Set, int D>
message store_levels(team_executor const& on, packed_cache const& from, cache_dump const& dump, outcome& out) {
  constexpr int count = Set::count;
  typename Set::template table<D> const table(!from.biases.empty());
  index const rows = store::entries_of(from.plan);
  index entries[count];
  if (from.bytes < 0)
    table.view().share_out(rows, {entries, count});
  else
    table.view().fit(from.bytes - table_bytes(dump, count), rows, {entries, count});
  token_plan parts[count];
  std::size_t const size = store::divide_by_score_workspace_bytes(from.plan, count);
  bytes_ptr const memory = allocate(size);
  if (memory == nullptr) return "out of memory: the workspace takes " + std::to_string(size) + " bytes";
  if (status const s =
          store::divide_by_score(from.plan, {entries, count}, std::span(memory.get(), size), {parts, count});
      !s)
    return text_of(s);
  out.bytes_after = 0;
  message failed;
  Set::each([&]<class Level>(int l) {
    if (!failed)
      failed = store_part<typename Level::keys, typename Level::values, D>(on, "level " + std::to_string(l + 1),
                                                                           parts[l], from, out);
  });
  return failed;
}

/// Levels whose rows are rotated, or stored as they are.
template <bool Rotated>
storage levels_of(char const* name, char const* title) {
  return {name, title, "our definition",
          [name](team_executor const& on, packed_cache const& from, cache_dump const& dump, outcome& out) {
            return built_head_dims::call(dump.head_dim, [&]<int D>(cs::integral_constant<int, D>) -> message {
              return with_levels_for<Rotated, D>(dump, from.bytes, store::entries_of(from.plan), !from.biases.empty(),
                                                 [&]<class Set>(Set) -> message {
                                                   if constexpr (Set::fits(D))
                                                     return store_levels<Set, D>(on, from, dump, out);
                                                   else
                                                     return does_not_hold(name, D);
                                                 });
            });
          },
          [name](cache_dump const& dump, index bytes, bool biased, index& rows) {
            return built_head_dims::call(dump.head_dim, [&]<int D>(cs::integral_constant<int, D>) -> message {
              return with_levels_for<Rotated, D>(dump, bytes, 0, biased, [&]<class Set>(Set) -> message {
                if constexpr (Set::fits(D)) {
                  index entries[Set::count], left = bytes - table_bytes(dump, Set::count);
                  typename Set::template table<D> const table(biased);
                  left = table.view().entries(left > 0 ? left : 0, {entries, Set::count});
                  rows = left < all_rows(dump) ? left : all_rows(dump);
                  return {};
                } else {
                  return does_not_hold(name, D);
                }
              });
            });
          }};
}
}  // namespace

storage levels_storage() {
  return levels_of<true>("levels",
                         "precision by score: rotated rows in three levels of 8 to 3 bits, finer where bytes allow");
}
storage levels_unrotated_storage() {
  return levels_of<false>("levels_unrotated", "levels with rows as they are, against which rotation is judged");
}

}  // namespace kvsieve::tool
