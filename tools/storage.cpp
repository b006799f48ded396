// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "storage.hpp"

#include <algorithm>
#include <deque>

#include <kvsieve/core/entry_bias.hpp>
#include <kvsieve/encode/asymmetric.hpp>
#include <kvsieve/encode/bitmap.hpp>
#include <kvsieve/encode/bits.hpp>
#include <kvsieve/encode/kivi.hpp>
#include <kvsieve/encode/plain.hpp>
#include <kvsieve/encode/q4_0.hpp>
#include <kvsieve/encode/q4_1.hpp>
#include <kvsieve/encode/q5_0.hpp>
#include <kvsieve/encode/q5_1.hpp>
#include <kvsieve/encode/q8_0.hpp>
#include <kvsieve/encode/rotated.hpp>
#include <kvsieve/store/levels.hpp>

#include "head_dims.hpp"

namespace kvsieve::tool {
namespace {

/// Stores the entries of a part's plan in a format, ragged, and appends what it reads back as to the layers of `out`.
template <class Keys, class Values, int D>
message store_part(team_executor const& on, std::string const& name, token_plan const& part, packed_cache const& from,
                   outcome& out) {
  static_assert(Keys::fits(D) && Values::fits(D));
  for (int v = 0; v < part.views; ++v) {
    auto const at = static_cast<std::size_t>(v);
    std::vector<index> offset{0};
    for (int h = 0; h < part.heads; ++h) offset.push_back(offset.back() + part.count(v, h));
    index const rows = offset.back();
    bytes_ptr const keys = allocate(static_cast<std::size_t>(encoded_bytes<Keys, D>(rows))),
                    values = allocate(static_cast<std::size_t>(encoded_bytes<Values, D>(rows)));
    if (keys == nullptr || values == nullptr) return "out of memory while storing";
    auto const stored =
        kv_layer{make_encoded_ragged<Keys, D>(reinterpret_cast<byte*>(keys.get()), part.heads, offset.data()),
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

/// A format for rows of any length.
template <class Codec>
struct fixed {
  template <int D>
  using of = Codec;
};
/// Half of the channels.
struct half_bitmap {
  template <int D>
  using of = encode::bitmap<D / 2>;
};

/// A format for whole tiles between the windows, the rest as it was.
template <class KeyFormat, class ValueFormat>
storage encoded_storage(std::string name, std::string title, std::string source, store::windows rule = {}) {
  auto const run = [rule](team_executor const& on, packed_cache const& from, cache_dump const& dump, outcome& out) {
    return built_head_dims::call(dump.head_dim, [&]<int D>(cs::integral_constant<int, D>) -> message {
      using Keys = typename KeyFormat::template of<D>;
      using Values = typename ValueFormat::template of<D>;
      store::windows whole = rule;
      whole.tile = std::max(Keys::tile_tokens, Values::tile_tokens);
      token_plan parts[2];
      std::size_t const size = store::divide_workspace_bytes(from.plan, 2);
      bytes_ptr const memory = allocate(size);
      if (status const s =
              store::divide(from.plan, whole, std::span(memory.get(), size), cs::span<token_plan>(parts, 2));
          !s)
        return text_of(s);
      out.bytes_after = 0;
      bool const rest = store::entries_of(parts[1]) > 0;
      if (!rest || store::entries_of(parts[0]) > 0)
        if (message m = store_part<Keys, Values, D>(on, "encoded", parts[0], from, out)) return m;
      if (!rest) return {};
      return store_plain<D>(on, parts[1], from, dump, out);
    });
  };
  return {std::move(name), std::move(title), std::move(source), run};
}

/// Precision by score, three levels: rotated rows, keys in 6, 5 and 3 bits, values in 4, 3 and 2.
template <int D>
message store_levels(team_executor const& on, packed_cache const& from, outcome& out) {
  using namespace encode;
  using high_keys = rotated<bits<6>>;
  using high_values = rotated<bits<4>>;
  using middle_keys = rotated<bits<5>>;
  using middle_values = rotated<bits<3>>;
  using low_keys = rotated<bits<3, scale_by::search>>;
  using low_values = rotated<asymmetric>;
  int const more = from.biases.empty() ? 0 : 1;  // a byte for the bias of an entry
  store::levels::level const three[] = {{0.3, high_keys::tile_bytes<D> + high_values::tile_bytes<D> + more},
                                        {0.4, middle_keys::tile_bytes<D> + middle_values::tile_bytes<D> + more},
                                        {0.3, low_keys::tile_bytes<D> + low_values::tile_bytes<D> + more}};
  store::levels const levels{{three, 3}};
  index entries[3];
  levels.share_out(store::entries_of(from.plan), {entries, 3});
  token_plan parts[3];
  std::size_t const size = store::divide_by_score_workspace_bytes(from.plan, 3);
  bytes_ptr const memory = allocate(size);
  if (status const s = store::divide_by_score(from.plan, {entries, 3}, std::span(memory.get(), size), {parts, 3}); !s)
    return text_of(s);
  out.bytes_after = 0;
  if (message m = store_part<high_keys, high_values, D>(on, "level 1", parts[0], from, out)) return m;
  if (message m = store_part<middle_keys, middle_values, D>(on, "level 2", parts[1], from, out)) return m;
  return store_part<low_keys, low_values, D>(on, "level 3", parts[2], from, out);
}
storage levels_storage() {
  return {"levels", "precision by score: rotated rows, keys in 6, 5 or 3 bits, values in 4, 3 or 2", "our definition",
          [](team_executor const& on, packed_cache const& from, cache_dump const& dump, outcome& out) {
            return built_head_dims::call(dump.head_dim, [&]<int D>(cs::integral_constant<int, D>) -> message {
              return store_levels<D>(on, from, out);
            });
          }};
}

storage dense_storage() {
  return {"dense", "rows as they were, in the element type of the dump", "",
          [](team_executor const&, packed_cache const&, cache_dump const&, outcome&) -> message { return {}; }};
}
}  // namespace

message store_packed(storage const& form, team_executor const& on, token_plan const& plan,
                     std::vector<float const*> keys, std::vector<float const*> values, cache_dump const& dump,
                     outcome& out) {
  if (form.name == "dense") return {};
  // Merged rows take the place of the kept ones.
  std::deque<std::vector<float>> merged;  // keys and values of each layer, whose places stay
  std::vector<std::vector<std::uint8_t>> codes;
  std::vector<std::uint8_t const*> biases;
  for (int v = 0; v < plan.views; ++v) {
    auto& l = out.layers[static_cast<std::size_t>(v)];
    if (l.stored.empty()) continue;
    auto const dim = static_cast<std::size_t>(dump.head_dim), rows = static_cast<std::size_t>(plan.count(v));
    auto& k = merged.emplace_back(l.stored.size() * rows * dim);
    auto& x = merged.emplace_back(l.stored.size() * rows * dim);
    auto& c = codes.emplace_back(l.stored.size() * rows);
    for (std::size_t h = 0; h < l.stored.size(); ++h) {
      auto const& head = l.stored[h];
      if (!head.sums.empty()) return "--store: sums of evicted tokens cannot be stored beside " + form.name;
      if (head.token != l.kept[h]) return "--store: rows that stand for no token cannot be stored in " + form.name;
      std::copy(head.keys.begin(), head.keys.end(), k.begin() + static_cast<std::ptrdiff_t>(h * rows * dim));
      std::copy(head.values.begin(), head.values.end(), x.begin() + static_cast<std::ptrdiff_t>(h * rows * dim));
      for (std::size_t i = 0; i < head.bias.size(); ++i) c[h * rows + i] = encode_bias(head.bias[i]);
    }
    l.stored.clear();
  }
  bool biased = false;
  for (auto const& c : codes) biased = biased || std::any_of(c.begin(), c.end(), [](auto b) { return b != 0; });
  for (std::size_t v = 0; 2 * v + 1 < merged.size(); ++v) {
    keys[v] = merged[2 * v].data();
    values[v] = merged[2 * v + 1].data();
    if (biased) biases.push_back(codes[v].data());
  }
  // The plan of the rows themselves: entry i of a head is its row i, with the score that its token had.
  packed_cache from{plan, keys, values, {}, biases};
  std::vector<int> list;
  std::vector<index> score_offset;
  std::vector<float> score;
  for (int v = 0; v < plan.views; ++v) {
    from.rows.push_back(plan.count(v));
    score_offset.push_back(static_cast<index>(score.size()));
    auto const stride = static_cast<std::size_t>(score_stride(plan.count(v)));
    for (int h = 0; h < plan.heads; ++h) {
      auto const kept = plan.kept(v, h);
      std::vector<float> row(stride, 0.0f);
      for (int i = 0; i < plan.count(v, h); ++i) {
        list.push_back(i);
        row[static_cast<std::size_t>(i)] =
            plan.scores(v, h)[static_cast<std::size_t>(kept[static_cast<std::size_t>(i)])];
      }
      score.insert(score.end(), row.begin(), row.end());
    }
  }
  from.plan.logical_tokens = from.rows.data();
  from.plan.list = list.data();
  from.plan.score = score.data();
  from.plan.score_offset = score_offset.data();
  return form.run(on, from, dump, out);
}

std::vector<storage> const& storages() {
  using namespace encode;
  static std::vector<storage> const all = {
      dense_storage(),
      encoded_storage<fixed<q8_0>, fixed<q8_0>>("q8_0", "keys and values in ggml's q8_0", "ggml"),
      encoded_storage<fixed<q8_0>, fixed<q4_0>>("q8_0_q4_0", "keys in ggml's q8_0, values in its q4_0", "ggml"),
      encoded_storage<fixed<q5_1>, fixed<q5_1>>("q5_1", "keys and values in ggml's q5_1", "ggml"),
      encoded_storage<fixed<q5_0>, fixed<q5_0>>("q5_0", "keys and values in ggml's q5_0", "ggml"),
      encoded_storage<fixed<q4_1>, fixed<q4_1>>("q4_1", "keys and values in ggml's q4_1", "ggml"),
      encoded_storage<fixed<q4_0>, fixed<q4_0>>("q4_0", "keys and values in ggml's q4_0", "ggml"),
      encoded_storage<fixed<kivi_keys<4>>, fixed<kivi_values<4>>>(
          "kivi4", "KIVI, 4 bits: keys by channel over 32 tokens, values by token; the last 32 as they were", "KIVI",
          {.recent = 32}),
      encoded_storage<fixed<kivi_keys<2>>, fixed<kivi_values<2>>>(
          "kivi2", "KIVI, 2 bits: keys by channel over 32 tokens, values by token; the last 32 as they were", "KIVI",
          {.recent = 32}),
      encoded_storage<half_bitmap, half_bitmap>("bitmap50", "the larger half of a row's channels in f16, and a bitmap",
                                                "our definition"),
      levels_storage(),
  };
  return all;
}

message find_storage(std::string const& name, storage const*& found) {
  found = nullptr;
  std::string names;
  for (auto const& s : storages()) {
    if (s.name == name) found = &s;
    names += (names.empty() ? "" : ", ") + s.name;
  }
  if (found == nullptr) return "there is no storage '" + name + "'; there are " + names;
  return {};
}

}  // namespace kvsieve::tool
