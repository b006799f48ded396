// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Which levels precision by score has: formats and shares for budgets from most of a cache to almost none of it.
#pragma once
#include <kvsieve/core/parts.hpp>
#include <kvsieve/encode/bits.hpp>
#include <kvsieve/encode/rotated.hpp>
#include <kvsieve/store/levels.hpp>

namespace kvsieve::inline v0 {
namespace store {

/// A level whose formats are known to the compiler.
/// @tparam Percent  of the bytes of all levels
template <int Percent, class Keys, class Values>
struct level_formats {
  using keys = Keys;                       ///< format of its keys
  using values = Values;                   ///< format of its values
  static constexpr int percent = Percent;  ///< of the bytes of all levels
  /// Bytes of a token of a head: key, value, and the code of a bias where entries have one.
  template <int D>
  static constexpr int entry_bytes(bool biased) {
    return Keys::template tile_bytes<D> + Values::template tile_bytes<D> + (biased ? 1 : 0);
  }
};

/// Levels whose formats are known to the compiler, the most precise first.
template <class... Levels>
struct level_set {
  static constexpr int count = sizeof...(Levels);  ///< levels
  static_assert((Levels::percent + ...) == 100, "kvsieve::store::level_set: shares add up to 100 percent");
  /// Whether all of the formats hold rows of D channels.
  static constexpr bool fits(int D) { return ((Levels::keys::fits(D) && Levels::values::fits(D)) && ...); }
  /// Shares and sizes of the levels.
  template <int D>
  struct table {
    static constexpr int count = level_set::count;  ///< levels
    levels::level of[count];                        ///< from the most precise on

    /// @param biased  entries have a bias, a byte each
    explicit constexpr table(bool biased) : of{{Levels::percent / 100.0, Levels::template entry_bytes<D>(biased)}...} {}
    /// The levels; `table` has to stay.
    [[nodiscard]] constexpr levels view() const { return {{of, static_cast<cs::size_t>(count)}}; }
  };
  /// Calls `f.template operator()<Level>(number)` for each level.
  template <class F>
  static constexpr void each(F&& f) {
    int number = 0;
    (f.template operator()<Levels>(number++), ...);
  }
  /// The levels as one layer for attention: the kv_layers that `f.template operator()<Level>(number)` returns, joined.
  template <class F>
  static constexpr auto parts(F&& f) {
    return [&]<int... Number>(cs::integer_sequence<int, Number...>) {
      return make_parts(f.template operator()<Levels>(Number)...);
    }(cs::make_integer_sequence<int, count>{});
  }
};

namespace detail {
template <int B, encode::scale_by By = encode::scale_by::extreme>
using turned = encode::rotated<encode::bits<B, By>>;
using turned_4 = turned<4, encode::scale_by::search>;
}  // namespace detail

inline constexpr double finest_from = 6.0;  ///< bits a number of the whole cache from which finest_levels is used
inline constexpr double fine_from = 3.0;    ///< the same of fine_levels
inline constexpr double middle_from = 1.2;  ///< the same of middle_levels; below it coarse_levels is used

/// Rotated rows, keys and values in 8 and 8, 6 and 5, 4 and 3 bits, with these percents of the bytes. How the shares
/// were found is in docs/axes/store.md.
template <int First, int Second, int Third>
using levels_of_8_6_4 = level_set<level_formats<First, detail::turned<8>, detail::turned<8>>,
                                  level_formats<Second, detail::turned<6>, detail::turned<5>>,
                                  level_formats<Third, detail::turned_4, detail::turned<3>>>;
/// For most of a cache.
using finest_levels = levels_of_8_6_4<70, 20, 10>;
/// For a quarter of one.
using fine_levels = levels_of_8_6_4<30, 35, 35>;
/// For a tenth.
using middle_levels = levels_of_8_6_4<15, 40, 45>;
/// For less: in 6 and 5, 5 and 4, 4 and 3 bits.
using coarse_levels = level_set<level_formats<35, detail::turned<6>, detail::turned<5>>,
                                level_formats<35, detail::turned<5>, detail::turned<4>>,
                                level_formats<30, detail::turned_4, detail::turned<3>>>;

/// Bits that a budget has for each number of the whole cache, keys and values of all its tokens: 16 is a cache in f16.
/// @param bytes     of all that stays
/// @param entries   tokens of all layers and heads that the cache had
/// @param head_dim  channels of a key, and of a value
[[nodiscard]] constexpr double bits_a_number(index bytes, index entries, int head_dim) {
  return entries > 0 ? 8.0 * static_cast<double>(bytes) / (2.0 * static_cast<double>(entries) * head_dim) : 0;
}
/// Calls f with the set for so many bits a number of the whole cache, see bits_a_number, and returns what it returns.
template <class F>
constexpr decltype(auto) with_levels(double bits, F&& f) {
  if (bits >= finest_from) return f(finest_levels{});
  if (bits >= fine_from) return f(fine_levels{});
  if (bits >= middle_from) return f(middle_levels{});
  return f(coarse_levels{});
}
/// Calls f with each set, that of the largest budget first.
template <class F>
constexpr void each_level_set(F&& f) {
  f(finest_levels{});
  f(fine_levels{});
  f(middle_levels{});
  f(coarse_levels{});
}
}  // namespace store
}  // namespace kvsieve::inline v0
