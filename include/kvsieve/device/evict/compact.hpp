// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel bodies of compaction: row i of the result is row kept[i]. 16 bytes at a time where the rows allow it.
#pragma once
#include <cuda/std/cstdint>

#include <kvsieve/core/encoded.hpp>
#include <kvsieve/core/views.hpp>
#include <kvsieve/device/block.hpp>
#include <kvsieve/device/call/open_plan.hpp>
#include <kvsieve/device/tile/table_rows.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// 16 bytes of elements, moved by one instruction.
template <element T>
struct alignas(16) quad {
  T element[16 / sizeof(T)];
};

/// True when every row of the view starts at a multiple of 16 bytes.
template <row_view V>
[[nodiscard]] KVSIEVE_HD bool quad_rows(V const& v) {
  if constexpr (contiguous_rows<V>) {
    constexpr index per = 16 / static_cast<index>(sizeof(element_of<V>));
    if constexpr (head_dim_of<V> % per != 0) return false;
    index all;  // a power of two divides it where it divides all strides
    if constexpr (paged_rows<V>)
      all = v.mapping().pool.stride.page | v.mapping().pool.stride.head | v.mapping().pool.stride.token;
    else if constexpr (ragged_rows<V>)
      all = head_dim_of<V>;
    else
      all = v.mapping().stride(0) | v.mapping().stride(1);
    return reinterpret_cast<cs::uintptr_t>(v.data_handle()) % 16 == 0 && all % per == 0;
  } else {
    return false;
  }
}

/// Moves `From` rows to `To` rows in units of `Unit`: 16 bytes or an element. Of a row that a head does not have, or a
/// page that the pool does not have, zeros are read and nothing is written.
template <class Unit, row_view From, row_view To>
struct row_mover {
  static constexpr int elements = static_cast<int>(sizeof(Unit) / sizeof(element_of<From>));
  static constexpr int units = head_dim_of<From> / elements;  ///< of a row

  KVSIEVE_HD static Unit read(From const& from, index head, index token, int unit) {
    if (!row_can_be_read(from, head, token)) return Unit{};
    if constexpr (sizeof(Unit) == 16) {
      return *reinterpret_cast<Unit const*>(row_of(from, head, token) + unit * elements);
    } else {
      return from(head, token, unit);
    }
  }
  KVSIEVE_HD static void write(To const& to, index head, index token, int unit, Unit const& u) {
    if (!row_is_there(to, head, token)) return;
    if constexpr (sizeof(Unit) == 16) {
      *reinterpret_cast<Unit*>(row_of(to, head, token) + unit * elements) = u;
    } else {
      to(head, token, unit) = u;
    }
  }
};

/// The same for encoded rows: units of bytes.
template <class Unit, row_view From, row_view To>
  requires(is_encoded<From>)
struct row_mover<Unit, From, To> {
  static_assert(cs::is_same_v<codec_of<From>, codec_of<To>> && codec_of<To>::tile_tokens == 1);
  static constexpr int units = static_cast<int>(row_bytes<To>() / index{sizeof(Unit)});  ///< of a row

  KVSIEVE_HD static Unit read(From const& from, index head, index token, int unit) {
    if (!row_can_be_read(from, head, token)) return Unit{};
    return reinterpret_cast<Unit const*>(row_of(from, head, token).tile)[unit];
  }
  KVSIEVE_HD static void write(To const& to, index head, index token, int unit, Unit const& u) {
    if (!row_is_there(to, head, token)) return;
    reinterpret_cast<Unit*>(const_cast<byte*>(row_of(to, head, token).tile))[unit] = u;  // of a view that is written
  }
};

/// Units that a thread holds at once.
inline constexpr int units_in_flight = 4;
/// The same of a move in place, where one block has all of a head.
inline constexpr int moved_in_flight = 16;
/// Rows that one block copies.
inline constexpr int copy_rows = 128;

/// One view of a compaction.
template <class From, class To>
struct copy_part {
  typename From::keys_type from_keys;
  typename From::values_type from_values;
  typename To::keys_type to_keys;
  typename To::values_type to_values;
  kept_lists kept;
};
template <class From, class To>
struct copy_args {
  batch<copy_part<From, To>> views;
};

/// Copies rows of one head of a tensor by the threads of a block.
struct tensor_copy {
  /// Rows list[0 .. rows) of `from` become rows first to first + rows - 1 of `to`.
  template <block Block, class X, class Y>
  KVSIEVE_HD static void run(Block& b, X const& from, Y const& to, int head, index first, int const* list, int rows) {
    if constexpr (ragged_rows<Y> && !paged_rows<Y>) {
      // The rows of one head, so that its offset is read once.
      constexpr int D = head_dim_of<Y>;
      auto const own = make_rows<D>(to.data_handle() + to.mapping().offset[head] * D, 1, first + rows);
      copy(b, from, own, head, 0, first, list, rows);
    } else {
      copy(b, from, to, head, head, first, list, rows);
    }
  }

 private:
  template <block Block, class X, class Y>
  KVSIEVE_HD static void copy(Block& b, X const& from, Y const& to, int head, int to_head, index first, int const* list,
                              int rows) {
    if constexpr (contiguous_rows<X> && contiguous_rows<Y>) {
      if (quad_rows(from) && quad_rows(to))
        return copy_units<quad<element_of<X>>>(b, from, to, head, to_head, first, list, rows);
    }
    copy_units<element_of<X>>(b, from, to, head, to_head, first, list, rows);
  }
  template <class Unit, block Block, class X, class Y>
  KVSIEVE_HD static void copy_units(Block& b, X const& from, Y const& to, int head, int to_head, index first,
                                    int const* list, int rows) {
    using mover = row_mover<Unit, X, Y>;
    int const all = rows * mover::units;
    for (int base = b.rank(); base < all; base += Block::threads * units_in_flight) {
      Unit held[units_in_flight] = {};
      KVSIEVE_UNROLL for (int j = 0; j < units_in_flight; ++j) {
        int const i = base + j * Block::threads;
        if (i < all) held[j] = mover::read(from, head, list[i / mover::units], i % mover::units);
      }
      KVSIEVE_UNROLL for (int j = 0; j < units_in_flight; ++j) {
        int const i = base + j * Block::threads;
        if (i < all) mover::write(to, to_head, first + i / mover::units, i % mover::units, held[j]);
      }
    }
  }
};

/// Block (segment of kept rows, head, 2 view + (0: keys, 1: values)): copies into other memory.
template <class From, class To>
struct copy_body {
  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, copy_args<From, To> const& a, work w, shared<Block>&) {
    auto const& view = a.views.part[w.z / 2];
    index const first = index{w.x} * copy_rows;
    int const kept = view.kept.count(w.y);
    int const keep = w.z % 2 == 0 ? writable_rows(view.to_keys, w.y, kept) : writable_rows(view.to_values, w.y, kept);
    if (first >= keep) return;
    int const rows = keep - first < copy_rows ? static_cast<int>(keep - first) : copy_rows;
    int const* const list = view.kept.of(w.y) + first;
    if (w.z % 2 == 0)
      tensor_copy::run(b, view.from_keys, view.to_keys, w.y, first, list, rows);
    else
      tensor_copy::run(b, view.from_values, view.to_values, w.y, first, list, rows);
  }
};

/// One view of a compaction in place.
template <class Layer>
struct move_part {
  typename Layer::keys_type keys;
  typename Layer::values_type values;
  kept_lists kept;
};
template <class Layer>
struct move_args {
  batch<move_part<Layer>> views;
};

/// Block (0, head, 2 view + (0: keys, 1: values)): moves the kept rows of a head to its front. A row never moves
/// backwards (kept[i] >= i), so a chunk of rows only has to be read whole before it is written.
template <class Layer>
struct move_body {
  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, move_args<Layer> const& a, work w, shared<Block>&) {
    auto const& view = a.views.part[w.z / 2];
    int const* const list = view.kept.of(w.y);
    int const keep = view.kept.count(w.y);
    if (w.z % 2 == 0)
      move(b, view.keys, w.y, list, writable_rows(view.keys, w.y, keep));
    else
      move(b, view.values, w.y, list, writable_rows(view.values, w.y, keep));
  }

 private:
  template <block Block, class X>
  KVSIEVE_HD static void move(Block& b, X const& rows, int head, int const* list, int keep) {
    if constexpr (is_encoded<X>) {
      constexpr index bytes = row_bytes<X>();
      auto const lies = reinterpret_cast<cs::uintptr_t>(rows.data_handle());
      if constexpr (bytes % 16 == 0)
        if (lies % 16 == 0) return move_units<quad<float>>(b, rows, head, list, keep);
      if constexpr (bytes % 4 == 0)
        if (lies % 4 == 0) return move_units<cs::uint32_t>(b, rows, head, list, keep);
      if constexpr (bytes % 2 == 0)
        if (lies % 2 == 0) return move_units<cs::uint16_t>(b, rows, head, list, keep);
      return move_units<byte>(b, rows, head, list, keep);
    } else if constexpr (contiguous_rows<X>) {
      if (quad_rows(rows)) return move_units<quad<element_of<X>>>(b, rows, head, list, keep);
    }
    if constexpr (!is_encoded<X>) move_units<element_of<X>>(b, rows, head, list, keep);
  }
  template <class Unit, block Block, class X>
  KVSIEVE_HD static void move_units(Block& b, X const& rows, int head, int const* list, int keep) {
    using mover = row_mover<Unit, X, X>;
    index const all = index{keep} * mover::units;
    for (index chunk = 0; chunk < all; chunk += Block::threads * moved_in_flight) {
      Unit held[moved_in_flight] = {};
      KVSIEVE_UNROLL for (int j = 0; j < moved_in_flight; ++j) {
        index const i = chunk + b.rank() + j * Block::threads;
        if (i < all) held[j] = mover::read(rows, head, list[i / mover::units], static_cast<int>(i % mover::units));
      }
      b.sync();
      KVSIEVE_UNROLL for (int j = 0; j < moved_in_flight; ++j) {
        index const i = chunk + b.rank() + j * Block::threads;
        if (i < all) mover::write(rows, head, i / mover::units, static_cast<int>(i % mover::units), held[j]);
      }
    }
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
