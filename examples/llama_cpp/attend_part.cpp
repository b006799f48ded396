// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attend_part.hpp"

#include <kvsieve/encode/bitmap.hpp>
#include <kvsieve/encode/kept_channels.hpp>
#include <kvsieve/encode/kivi.hpp>
#include <kvsieve/encode/plain.hpp>
#include <kvsieve/encode/q4_0.hpp>
#include <kvsieve/encode/q4_1.hpp>
#include <kvsieve/encode/q5_0.hpp>
#include <kvsieve/encode/q5_1.hpp>
#include <kvsieve/encode/q8_0.hpp>
#include <kvsieve/host/run.hpp>

#include "head_dims.hpp"
#include "level_formats.hpp"
#include "text.hpp"

namespace kvsieve::llama_example {
namespace {

/// A call of attend on one layer.
template <int D, class Layer>
message attend_layer(host::team& team, Layer const& layer, float const* queries, int heads, int asked, float* out,
                     float* log_sum, attend_memory& memory) {
  host::on const on(team);
  auto const query = make_rows<D>(queries, heads, asked);
  auto const result = make_rows<D>(out, heads, asked);
  query_numbers const sums(log_sum, heads, asked);
  auto const size = attend_workspace_bytes(on, query, layer);
  attend_options options;
  options.log_sum_exp = {&sums, 1};
  status const s = attend(on, query, layer, result, memory.of(size), options);
  return s ? message{} : tool::text_of(s);
}

/// A view of keys or values; plain numbers are read as vectors.
template <codec C, int D>
auto view_of(std::vector<unsigned char> const& bytes, int heads, stored_rows const& rows) {
  if constexpr (std::is_same_v<C, encode::plain<f16>>)
    return make_ragged<D>(reinterpret_cast<f16 const*>(bytes.data()), heads, rows.offset.data());
  else if constexpr (has_state<C>)
    return make_encoded_ragged<C, D>(bytes.data(), heads, rows.offset.data(),
                                     {rows.channels.data(), 1, heads, rows.offset.data()});
  else
    return make_encoded_ragged<C, D>(bytes.data(), heads, rows.offset.data());
}

template <codec Keys, codec Values, int D>
message attend_part(host::team& team, stored_rows const& rows, float const* queries, int query_rows, int kv_heads,
                    float* out, float* log_sum, attend_memory& memory) {
  entry_bias const bias{rows.bias.empty() ? nullptr : rows.bias.data(), 0, rows.offset.data()};
  // Query rows of a KV head lie behind one another, so that T queries of a head are T heads with one.
  return attend_layer<D>(
      team,
      kv_layer{view_of<Keys, D>(rows.keys, kv_heads, rows), view_of<Values, D>(rows.values, kv_heads, rows), bias},
      queries, query_rows, 1, out, log_sum, memory);
}

template <codec K, codec V>
struct pair {};

template <int D>
message find(tool::stored_part const& part, attend_function& found) {
  using namespace encode;
  constexpr int half = (D / 2 + 15) / 16 * 16;
  auto const one = [&]<codec K, codec V>(pair<K, V>) {
    if constexpr (K::fits(D) && V::fits(D)) {
      auto const same = [](tool::stored_part::format const& f, char const* name, int tile, int bytes) {
        return f.name == name && f.tile_tokens == tile && f.tile_bytes == bytes;
      };
      if (found == nullptr && same(part.keys_in, K::name, K::tile_tokens, K::template tile_bytes<D>) &&
          same(part.values_in, V::name, V::tile_tokens, V::template tile_bytes<D>))
        found = &attend_part<K, V, D>;
    }
  };
  found = nullptr;
  one(pair<plain<f16>, plain<f16>>{});
  one(pair<q8_0, q8_0>{});
  one(pair<q8_0, q4_0>{});
  one(pair<q5_1, q5_1>{});
  one(pair<q5_0, q5_0>{});
  one(pair<q4_1, q4_1>{});
  one(pair<q4_0, q4_0>{});
  one(pair<kivi_keys<4>, kivi_values<4>>{});
  one(pair<kivi_keys<2>, kivi_values<2>>{});
  one(pair<bitmap<D / 2>, bitmap<D / 2>>{});
  one(pair<kept_channels<half, plain<f16>>, plain<f16>>{});
  auto const level = [&]<class Level>(int) { one(pair<typename Level::keys, typename Level::values>{}); };
  store::each_level_set([&]<class Set>(Set) {
    Set::each(level);
    tool::unrotated_levels<Set>::each(level);
  });
  if (found == nullptr)
    return "this program has no attention over keys in " + part.keys_in.name + " and values in " + part.values_in.name;
  return {};
}

}  // namespace

std::span<std::byte> attend_memory::of(std::size_t size) {
  constexpr std::size_t line = 64;
  if (bytes.size() < size + line) bytes.resize(size + line);
  auto const at = reinterpret_cast<std::uintptr_t>(bytes.data());
  return {bytes.data() + (line - at % line) % line, size};
}

message find_attend(tool::stored_part const& part, int head_dim, attend_function& found) {
  return tool::built_head_dims::call(head_dim,
                                     [&]<int D>(cs::integral_constant<int, D>) { return find<D>(part, found); });
}

message attend_own(host::team& team, std::uint16_t const* keys, std::uint16_t const* values, int room, int tokens,
                   int head_dim, float const* queries, int query_heads, int kv_heads, int asked, float* out,
                   float* log_sum, attend_memory& memory) {
  return tool::built_head_dims::call(head_dim, [&]<int D>(cs::integral_constant<int, D>) {
    auto const view = [&](std::uint16_t const* rows) {
      return make_rows<D>(reinterpret_cast<f16 const*>(rows), kv_heads, tokens, index{room} * D, index{D});
    };
    return attend_layer<D>(team, kv_layer{view(keys), view(values)}, queries, query_heads, asked, out, log_sum, memory);
  });
}

}  // namespace kvsieve::llama_example
