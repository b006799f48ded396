// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The storage `levels`: precision by score.
#include <kvsieve/encode/asymmetric.hpp>
#include <kvsieve/encode/bits.hpp>
#include <kvsieve/encode/rotated.hpp>
#include <kvsieve/store/levels.hpp>

#include "head_dims.hpp"
#include "store_part.hpp"

namespace kvsieve::tool {
namespace {

/// Three levels of rotated rows: keys in 6, 5 and 3 bits, values in 4, 3 and 2.
template <int D>
struct three_levels {
  using high_keys = encode::rotated<encode::bits<6>>;
  using high_values = encode::rotated<encode::bits<4>>;
  using middle_keys = encode::rotated<encode::bits<5>>;
  using middle_values = encode::rotated<encode::bits<3>>;
  using low_keys = encode::rotated<encode::bits<3, encode::scale_by::search>>;
  using low_values = encode::rotated<encode::asymmetric>;
  static constexpr bool fit = high_keys::fits(D) && high_values::fits(D) && middle_keys::fits(D) &&
                              middle_values::fits(D) && low_keys::fits(D) && low_values::fits(D);
  store::levels::level of[3];

  explicit three_levels(bool biased)
      : of{{0.3, high_keys::template tile_bytes<D> + high_values::template tile_bytes<D> + (biased ? 1 : 0)},
           {0.4, middle_keys::template tile_bytes<D> + middle_values::template tile_bytes<D> + (biased ? 1 : 0)},
           {0.3, low_keys::template tile_bytes<D> + low_values::template tile_bytes<D> + (biased ? 1 : 0)}} {}
  [[nodiscard]] store::levels levels() const { return {{of, 3}}; }
};

template <int D>
message store_levels(team_executor const& on, packed_cache const& from, cache_dump const& dump, outcome& out) {
  using three = three_levels<D>;
  three const sizes(!from.biases.empty());
  store::levels const levels = sizes.levels();
  index const count = store::entries_of(from.plan);
  index entries[3];
  if (from.bytes < 0)
    levels.share_out(count, {entries, 3});
  else
    levels.fit(from.bytes - table_bytes(dump, 3), count, {entries, 3});
  token_plan parts[3];
  std::size_t const size = store::divide_by_score_workspace_bytes(from.plan, 3);
  bytes_ptr const memory = allocate(size);
  if (status const s = store::divide_by_score(from.plan, {entries, 3}, std::span(memory.get(), size), {parts, 3}); !s)
    return text_of(s);
  out.bytes_after = 0;
  if (message m =
          store_part<typename three::high_keys, typename three::high_values, D>(on, "level 1", parts[0], from, out))
    return m;
  if (message m =
          store_part<typename three::middle_keys, typename three::middle_values, D>(on, "level 2", parts[1], from, out))
    return m;
  return store_part<typename three::low_keys, typename three::low_values, D>(on, "level 3", parts[2], from, out);
}
}  // namespace

storage levels_storage() {
  return {"levels", "precision by score: rotated rows, keys in 6, 5 or 3 bits, values in 4, 3 or 2", "our definition",
          [](team_executor const& on, packed_cache const& from, cache_dump const& dump, outcome& out) {
            return built_head_dims::call(dump.head_dim, [&]<int D>(cs::integral_constant<int, D>) -> message {
              if constexpr (three_levels<D>::fit)
                return store_levels<D>(on, from, dump, out);
              else
                return does_not_hold("levels", D);
            });
          },
          [](cache_dump const& dump, index bytes, bool biased, index& rows) {
            return built_head_dims::call(dump.head_dim, [&]<int D>(cs::integral_constant<int, D>) -> message {
              if constexpr (three_levels<D>::fit) {
                index entries[3], left = bytes - table_bytes(dump, 3);
                left = three_levels<D>(biased).levels().entries(left > 0 ? left : 0, {entries, 3});
                rows = left < all_rows(dump) ? left : all_rows(dump);
                return {};
              } else {
                return does_not_hold("levels", D);
              }
            });
          }};
}

}  // namespace kvsieve::tool
