// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel body and launch that hold tables of pages, which no host reads, against their pools.
#pragma once
#include <kvsieve/device/call/check.hpp>
#include <kvsieve/device/call/launch_views.hpp>
#include <kvsieve/device/tile/table_rows.hpp>

namespace kvsieve::inline v0 {
namespace device {

template <class Layer>
struct absent_pages_part {
  typename Layer::keys_type keys;
  typename Layer::values_type values;
};
template <class Layer>
struct absent_pages_args {
  batch<absent_pages_part<Layer>> views;
  unsigned* absent;
};

/// Block (0, head, 2 view + (0: keys, 1: values)): adds up what a head's table names that is not there. One table for
/// all heads is counted once.
template <class Layer>
struct absent_pages_body {
  using args = absent_pages_args<Layer>;
  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, args const& a, work w, shared<Block>&) {
    auto const& view = a.views.part[w.z / 2];
    unsigned const own = w.z % 2 == 0 ? count(b, view.keys, w.y) : count(b, view.values, w.y);
    if (own > 0) b.atomic_add(*a.absent, own);
  }

 private:
  template <block Block, row_view V>
  KVSIEVE_HD static unsigned count(Block& b, V const& v, int head) {
    if (head >= (ragged_rows<V> ? v.extent(0) : 1)) return 0;
    unsigned absent = 0;
    if constexpr (paged_rows<V>) {
      constexpr index P = V::layout_type::page;
      index const tokens = readable_tokens(v, head);
      for (index t = b.rank() * P; t < tokens; t += Block::threads * P) absent += row_is_there(v, head, t) ? 0u : 1u;
    }
    if constexpr (ragged_rows<V>) {
      index const said = v.mapping().tokens(head);
      if (b.rank() == 0 && (said < 0 || said > readable_tokens(v, head))) ++absent;
    }
    return absent;
  }
};

/// Adds to *absent, which is device memory, what the tables of the views name that is not there.
template <class Launcher, class Layer>
[[nodiscard]] status count_absent(Launcher const& on, cs::span<Layer const> layers, unsigned* absent) {
  static_assert(paged_rows<typename Layer::keys_type> || paged_rows<typename Layer::values_type>,
                "kvsieve::count_absent_pages: these views have no tables of pages");
  if (auto const past = reinterpret_cast<std::uintptr_t>(absent) % alignof(unsigned); absent == nullptr || past != 0)
    return fail(errc::bad_pointer, "absent", static_cast<double>(past),
                "bytes past the alignment that it needs, and must not be null;", alignof(unsigned));
  int most_heads = 0;
  for (std::size_t v = 0; v < layers.size(); ++v) {
    int const heads = layers[v].heads(), view = static_cast<int>(v);
    if (heads < 0 || heads > check::most_heads)
      return fail(errc::bad_shape, "keys.heads", heads, "must be at most", static_cast<double>(check::most_heads),
                  view);
    if (status const s = check_tables(layers[v].keys, 1, "keys", view); !s) return s;
    if (status const s = check_tables(layers[v].values, 1, "values", view); !s) return s;
    if (status const s = layer_within_reach(on, layers[v], "keys", "values", view); !s) return s;
    most_heads = most_heads < heads ? heads : most_heads;
  }
  if (status const s = within_reach(on, absent, "absent"); !s) return s;
  absent_pages_args<Layer> args{{}, absent};
  return launch_views<absent_pages_body<Layer>>(on, static_cast<int>(layers.size()), most_heads, 2, args,
                                                [&](int v, absent_pages_part<Layer>& part) {
                                                  auto const& l = layers[static_cast<std::size_t>(v)];
                                                  part = {l.keys, l.values};
                                                  return 1;
                                                });
}
}  // namespace device
}  // namespace kvsieve::inline v0
