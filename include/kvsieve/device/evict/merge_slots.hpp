// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel body of evict::zero_merge: means of consecutive evicted tokens, in front of the kept ones.
#pragma once
#include <cuda/std/cmath>

#include <kvsieve/device/evict/merge_nearest.hpp>
#include <kvsieve/evict/zero_merge.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// Block (slot, or behind `slots` of them segment of kept rows, head, view): a thread has a channel of a slot.
template <class Evict, class Layer, class Target>
struct fill_slots_body {
  static constexpr int D = Layer::head_dim;
  /// The policy's numbers, and blocks of slots.
  struct numbers {
    typename Evict::params params;
    int slots;
  };
  using args = merge_args<merge_target_part<Layer, Target>, numbers>;

  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, args const& a, work w, shared<Block>&) {
    auto const& part = a.views.part[w.z];
    auto const& view = part.from;
    int const evicted = view.evicted(w.y), slots = Evict::slots(a.params.params, evicted);
    cs::uint8_t* const codes = part.bias ? part.bias.row(w.y) : nullptr;
    if (w.x < a.params.slots) {
      if (w.x < slots) fill(b, a, part, w.y, evicted, slots, w.x, codes);
      return;
    }
    int const count = view.kept.count(w.y), first = (w.x - a.params.slots) * merged_rows_of_block;
    int const rows = count - first < merged_rows_of_block ? count - first : merged_rows_of_block;
    int const* const kept = view.kept.of(w.y) + first;
    for (int i = b.rank(); i < rows * D; i += Block::threads) {
      int const k = i / D, d = i % D;
      put_element(part.keys, w.y, slots + first + k, d, view.keys(w.y, kept[k], d));
      put_element(part.values, w.y, slots + first + k, d, view.values(w.y, kept[k], d));
      if (codes != nullptr && d == 0) codes[slots + first + k] = 0;
    }
  }

 private:
  template <block Block>
  KVSIEVE_HD static void fill(Block& b, args const& a, merge_target_part<Layer, Target> const& part, int head,
                              int evicted, int slots, int slot, cs::uint8_t* codes) {
    auto const& view = part.from;
    index const at = view.at(head);
    int const begin = Evict::begin(evicted, slots, slot), end = Evict::begin(evicted, slots, slot + 1);
    int const* const list = view.memory.evicted + at;
    int used = 0;
    auto const each = [&](auto const& f) {
      for (int i = begin; i < end; ++i)
        if (finite(view.memory.key_square[at + list[i]]) && finite(view.memory.value_square[at + list[i]])) f(list[i]);
    };
    each([&](int) { ++used; });
    auto const mean = [&](auto const& rows, auto const& to, int d) {
      using T = element_of<cs::remove_cvref_t<decltype(to)>>;
      if (used == 0) {
        put_element(to, head, slot, d, rows(head, list[begin], d));
        return;
      }
      double sum = 0;
      each([&](int token) { sum += static_cast<double>(to_float(rows(head, token, d))); });
      put_element(to, head, slot, d, from_float<T>(static_cast<float>(sum / used)));
    };
    for (int i = b.rank(); i < 2 * D; i += Block::threads)
      if (i < D)
        mean(view.keys, part.keys, i);
      else
        mean(view.values, part.values, i - D);
    if (codes == nullptr || b.rank() != 0) return;
    float const nats = a.params.params.alpha * cs::log(static_cast<float>(used == 0 ? 1 : used));
    codes[slot] = encode_bias(nats < a.params.params.most_bias ? nats : a.params.params.most_bias);
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
