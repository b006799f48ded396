// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A part of a plan in a format that is known when this is compiled: what storages are made of.
#pragma once
#include <string>
#include <vector>

#include <kvsieve/core/entry_bias.hpp>
#include <kvsieve/encode/kept_channels.hpp>
#include <kvsieve/encode/plain.hpp>
#include <kvsieve/store/channels.hpp>
#include <kvsieve/store/divide.hpp>

#include "storage.hpp"
#include "text.hpp"

namespace kvsieve::tool {

/// Masks of the channels that keys hold, [layers, Hkv, store::mask_words(D)]; none where there are no words.
using key_masks = std::vector<cs::uint64_t>;

/// What is said where rows of the dump do not fit a store.
[[nodiscard]] inline message does_not_hold(std::string const& store, int head_dim) {
  return "--store " + store + ": its formats do not hold rows of " + std::to_string(head_dim) + " channels";
}

/// Stores the entries of a part's plan in a format, ragged, and appends what it reads back as to the layers of `out`.
/// @param masks  of formats that hold some channels of keys
template <class Keys, class Values, int D>
message store_part(team_executor const& on, std::string const& name, token_plan const& part, packed_cache const& from,
                   outcome& out, key_masks const& masks = {}) {
  static_assert(Keys::fits(D) && Values::fits(D));
  for (int v = 0; v < part.views; ++v) {
    auto const at = static_cast<std::size_t>(v);
    std::vector<index> offset{0};
    for (int h = 0; h < part.heads; ++h) offset.push_back(offset.back() + part.count(v, h));
    index const rows = offset.back();
    bytes_ptr const keys = allocate(static_cast<std::size_t>(encoded_bytes<Keys, D>(rows))),
                    values = allocate(static_cast<std::size_t>(encoded_bytes<Values, D>(rows)));
    if (keys == nullptr || values == nullptr) return "out of memory while storing";
    state_of<Keys> state{};
    auto const words = static_cast<std::size_t>(part.heads * store::mask_words(D));
    if constexpr (has_state<Keys>) state = {masks.data() + at * words, 1, part.heads, offset.data()};
    auto const stored =
        kv_layer{make_encoded_ragged<Keys, D>(reinterpret_cast<byte*>(keys.get()), part.heads, offset.data(), state),
                 make_encoded_ragged<Values, D>(reinterpret_cast<byte*>(values.get()), part.heads, offset.data())};
    token_plan one = part;  // of this view alone
    one.views = 1;
    one.logical_tokens = part.logical_tokens + v;
    std::vector<index> own;
    for (int h = 0; h <= part.heads; ++h) own.push_back(part.offset[v * part.heads + h] - part.offset[v * part.heads]);
    one.offset = own.data();
    one.list = part.list + part.offset[v * part.heads];
    one.score_offset = part.score_offset + v;
    auto const source = kv_layer{make_rows<D>(from.keys[at], part.heads, from.rows[at]),
                                 make_rows<D>(from.values[at], part.heads, from.rows[at])};
    if (rows > 0)
      if (status const s = apply<key_norm<>>(on, one, source, stored); !s) return text_of(s);
    out.bytes_after += static_cast<std::size_t>(encoded_bytes<Keys, D>(rows) + encoded_bytes<Values, D>(rows)) +
                       static_cast<std::size_t>(part.heads + 1) * sizeof(index);
    auto& layer = out.layers[at];
    stored_part& bytes = layer.parts.emplace_back();
    bytes.name = name;
    bytes.keys_in = {Keys::name, Keys::tile_tokens, Keys::template tile_bytes<D>};
    bytes.values_in = {Values::name, Values::tile_tokens, Values::template tile_bytes<D>};
    auto const* const k = reinterpret_cast<unsigned char const*>(keys.get());
    auto const* const x = reinterpret_cast<unsigned char const*>(values.get());
    bytes.keys.assign(k, k + encoded_bytes<Keys, D>(rows));
    bytes.values.assign(x, x + encoded_bytes<Values, D>(rows));
    for (int h = 0; h < part.heads; ++h) bytes.rows.push_back(part.count(v, h));
    if constexpr (has_state<Keys>) {
      bytes.channels.assign(state.words, state.words + words);
      out.bytes_after += static_cast<std::size_t>(encode::channel_masks::bytes(part.heads, D));
    }
    layer.stored.resize(static_cast<std::size_t>(part.heads));
    for (int h = 0; h < part.heads; ++h) {
      auto& head = layer.stored[static_cast<std::size_t>(h)];
      auto const list = part.kept(v, h);
      for (int i = 0; i < part.count(v, h); ++i) {
        int const rank = list[static_cast<std::size_t>(i)];
        float row[D];
        head.token.push_back(layer.kept[static_cast<std::size_t>(h)][static_cast<std::size_t>(rank)]);
        host::read_row(stored.keys, h, i, row);
        head.keys.insert(head.keys.end(), row, row + D);
        host::read_row(stored.values, h, i, row);
        head.values.insert(head.values.end(), row, row + D);
        auto const* const codes = from.biases.empty() ? nullptr : from.biases[at];
        if (codes != nullptr) {
          out.bytes_after += 1;
          bytes.bias.push_back(codes[index{h} * from.rows[at] + rank]);
        }
        bytes.positions.push_back(head.token.back());
        head.bias.push_back(codes == nullptr ? 0.0f : decode_bias(codes[index{h} * from.rows[at] + rank]));
      }
    }
  }
  return {};
}

/// Entries as they were, in the element type of the dump.
template <int D>
message store_plain(team_executor const& on, token_plan const& part, packed_cache const& from, cache_dump const& dump,
                    outcome& out) {
  switch (dump.type) {
    case dtype::f32:
      return store_part<encode::plain<float>, encode::plain<float>, D>(on, "as it was", part, from, out);
    case dtype::f16:
      return store_part<encode::plain<f16>, encode::plain<f16>, D>(on, "as it was", part, from, out);
    default:
      return store_part<encode::plain<bf16>, encode::plain<bf16>, D>(on, "as it was", part, from, out);
  }
}

/// Bytes of the tables that say where the heads of so many parts of every layer begin.
[[nodiscard]] inline index table_bytes(cache_dump const& dump, int parts) {
  return static_cast<index>(dump.layers.size()) * (dump.kv_heads + 1) * static_cast<index>(sizeof(index)) * parts;
}
/// Rows that a dump has, of all layers and heads.
[[nodiscard]] inline index all_rows(cache_dump const& dump) {
  return static_cast<index>(dump.layers.size()) * dump.kv_heads * dump.tokens;
}
/// Rows that `bytes` hold where each head has at most `plain` rows as they were and the others in tiles of a format.
/// Not more than `plain` of a head take more than a format does, so it is enough to count them for every head.
template <class Keys, class Values, int D>
[[nodiscard]] index rows_in_tiles(cache_dump const& dump, index bytes, bool biased, int plain) {
  constexpr index tile = Keys::tile_tokens < Values::tile_tokens ? Values::tile_tokens : Keys::tile_tokens;
  index const more = biased ? 1 : 0, row = 2 * D * index{size_of(dump.type)} + more,
              whole = encoded_bytes<Keys, D>(tile) + encoded_bytes<Values, D>(tile) + tile * more,
              outside = all_rows(dump) / dump.tokens * plain;
  if (bytes <= 0) return 0;
  index const rows = bytes < outside * row ? bytes / row : outside + (bytes - outside * row) * tile / whole;
  return rows < all_rows(dump) ? rows : all_rows(dump);
}

/// Precision by score, from one budget of bytes.
[[nodiscard]] storage levels_storage();
/// The same without rotation.
[[nodiscard]] storage levels_unrotated_storage();
/// ThinK: half of the channels of keys.
[[nodiscard]] storage think_storage();
/// LeanK: the channels of keys that a trained mask keeps.
[[nodiscard]] storage lean_k_storage();

}  // namespace kvsieve::tool
