// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The storage `think50`: ThinK (arXiv 2407.21018), half of the channels of keys.
#include <kvsieve/encode/kept_channels.hpp>
#include <kvsieve/encode/plain.hpp>
#include <kvsieve/store/channels.hpp>

#include "head_dims.hpp"
#include "store_part.hpp"

namespace kvsieve::tool {
namespace {

/// Rows at the end of each head that stay as they were, and queries that channels are judged by: the paper's.
constexpr int recent = 32;

/// Half of the channels, in whole sixteens.
template <int D>
constexpr int half = (D / 2 + 15) / 16 * 16;

/// Chooses the channels of each layer by the keys that stay; of a layer without any, none.
template <int D>
message choose_channels(team_executor const& on, packed_cache const& from, cache_dump const& dump, key_masks& masks) {
  auto const words = static_cast<std::size_t>(dump.kv_heads * store::mask_words(D));
  masks.assign(words * dump.layers.size(), 0);
  for (int v = 0; v < from.plan.views; ++v) {
    auto const at = static_cast<std::size_t>(v);
    auto const& l = dump.layers[at];
    if (!l.queries.present()) return "layers." + std::to_string(l.layer) + ".q is missing, and think50 reads queries";
    if (from.rows[at] == 0) continue;
    std::vector<index> offset{0};
    std::vector<float> keys;  // without the rows that heads of a layer lack
    for (int h = 0; h < dump.kv_heads; ++h) {
      offset.push_back(offset.back() + from.plan.count(v, h));
      float const* const row = from.keys[at] + index{h} * from.rows[at] * D;
      keys.insert(keys.end(), row, row + index{from.plan.count(v, h)} * D);
    }
    auto const view = make_ragged<D>(static_cast<float const*>(keys.data()), dump.kv_heads, offset.data());
    status const s = store::think_channels(
        on, kv_layer{view, view}, make_rows<D>(l.queries.as<float>(), dump.query_heads, l.queries.shape[1]),
        store::think{half<D>, recent}, cs::span<cs::uint64_t>(masks.data() + at * words, words));
    if (!s) return text_of(s);
  }
  return {};
}

template <element T, int D>
message store_think(team_executor const& on, packed_cache const& from, outcome& out, key_masks const& masks) {
  token_plan parts[2];
  std::size_t const size = store::divide_workspace_bytes(from.plan, 2);
  bytes_ptr const memory = allocate(size);
  if (status const s = store::divide(from.plan, store::windows{.recent = recent}, std::span(memory.get(), size),
                                     cs::span<token_plan>(parts, 2));
      !s)
    return text_of(s);
  out.bytes_after = 0;
  using keys = encode::kept_channels<half<D>, encode::plain<T>>;
  if (store::entries_of(parts[0]) > 0)
    if (message m = store_part<keys, encode::plain<T>, D>(on, "half of the channels", parts[0], from, out, masks))
      return m;
  return store_part<encode::plain<T>, encode::plain<T>, D>(on, "as it was", parts[1], from, out);
}
}  // namespace

storage think_storage() {
  return {"think50",
          "ThinK: half of the channels of keys, those that the last 32 queries weigh most; the last 32 rows "
          "and all values as they were",
          "our definition",
          [](team_executor const& on, packed_cache const& from, cache_dump const& dump, outcome& out) {
            return built_head_dims::call(dump.head_dim, [&]<int D>(cs::integral_constant<int, D>) -> message {
              key_masks masks;
              if (message m = choose_channels<D>(on, from, dump, masks)) return m;
              switch (dump.type) {
                case dtype::f32:
                  return store_think<float, D>(on, from, out, masks);
                case dtype::f16:
                  return store_think<f16, D>(on, from, out, masks);
                default:
                  return store_think<bf16, D>(on, from, out, masks);
              }
            });
          },
          [](cache_dump const& dump, index bytes, bool biased, index& rows) {
            return built_head_dims::call(dump.head_dim, [&]<int D>(cs::integral_constant<int, D>) -> message {
              auto const in = [&]<element T>(T) {
                index const masks = static_cast<index>(dump.layers.size()) *
                                    static_cast<index>(encode::channel_masks::bytes(dump.kv_heads, D));
                return rows_in_tiles<encode::kept_channels<half<D>, encode::plain<T>>, encode::plain<T>, D>(
                    dump, bytes - table_bytes(dump, 2) - masks, biased, recent);
              };
              rows = dump.type == dtype::f32 ? in(0.0f) : in(f16{});
              return {};
            });
          }};
}

}  // namespace kvsieve::tool
