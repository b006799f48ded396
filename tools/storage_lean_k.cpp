// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The storage `lean_k`: LeanK, the channels of keys that a mask names, which somebody trained.
#include <kvsieve/encode/kept_channels.hpp>
#include <kvsieve/encode/plain.hpp>
#include <kvsieve/store/channels.hpp>

#include "dump_tables.hpp"
#include "head_dims.hpp"
#include "store_part.hpp"

namespace kvsieve::tool {
namespace {

/// The paper's: rows of each head that stay as they were.
constexpr store::windows rule{.sink = 128, .recent = 768};
/// Rows hold channels in multiples of it; the masks' own widths are such.
constexpr int align = 32;
/// Widths below that of whole rows: 32, 64, ..
template <int D>
constexpr int widths = (D - 1) / align;

/// Which part the middle of a head lies in, by the channels that it keeps: 0 as it was, 1 to widths<D> by width, and
/// behind these what is not stored.
template <int D>
int part_of(int channels) {
  if (channels == 0) return widths<D> + 1;
  int const part = (channels + align - 1) / align;
  return part > widths<D> ? 0 : part;
}
/// Calls f(integral_constant<int, W>) for the width of a part, 1 to widths<D>.
template <int D, class F>
message at_width(int part, F const& f) {
  return [&]<int... I>(std::integer_sequence<int, I...>) {
    message result;
    (void)((part == I + 1 && (result = f(cs::integral_constant<int, (I + 1) * align>{}), true)) || ...);
    return result;
  }(std::make_integer_sequence<int, widths<D>>{});
}

/// The masks of the dump, [layers, Hkv, mask_words(D)].
message read_masks(cache_dump const& dump, key_masks& masks) {
  std::vector<float> numbers;
  for (auto const& l : dump.layers)
    if (!l.lean_k_mask.present())
      return "layers." + std::to_string(l.layer) + ".lean_k.mask is missing, and lean_k reads it";
  if (message m = detail::stack_layers(dump, "lean_k.mask", &dump_layer::lean_k_mask, numbers)) return m;
  auto const dim = static_cast<std::size_t>(dump.head_dim), words = (dim + 63) / 64;
  masks.assign(numbers.size() / dim * words, 0);
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    if (numbers[i] != 0.0f && numbers[i] != 1.0f)
      return "lean_k.mask holds " + format_exact(static_cast<double>(numbers[i])) +
             ", and channels are either kept, 1, or not, 0";
    if (numbers[i] != 0.0f) masks[i / dim * words + i % dim / 64] |= cs::uint64_t{1} << i % dim % 64;
  }
  return {};
}

template <element T, int D>
message store_lean_k(team_executor const& on, packed_cache const& from, outcome& out, key_masks const& masks) {
  constexpr int parts = widths<D> + 2;
  auto const of_head = [&](int v, int h) {
    return masks.data() + (index{v} * from.plan.heads + h) * store::mask_words(D);
  };
  token_plan part[parts];
  std::size_t const size = store::divide_workspace_bytes(from.plan, parts);
  bytes_ptr const memory = allocate(size);
  auto const place = [&](int v, int h, int i) {
    return rule.part_of(from.plan.count(v, h), i) == 1 ? 0 : part_of<D>(store::mask_count(of_head(v, h), D));
  };
  if (status const s =
          store::divide(from.plan, place, std::span(memory.get(), size), cs::span<token_plan>(part, parts));
      !s)
    return text_of(s);
  out.bytes_after = 0;
  for (int p = 1; p <= widths<D>; ++p) {
    if (store::entries_of(part[p]) == 0) continue;
    key_masks own = masks;  // those of heads of other widths are left out: rows of this one would not hold them
    for (std::size_t row = 0; row < own.size(); row += static_cast<std::size_t>(store::mask_words(D)))
      if (part_of<D>(store::mask_count(own.data() + row, D)) != p)
        for (index i = 0; i < store::mask_words(D); ++i) own[row + static_cast<std::size_t>(i)] = 0;
    if (message m = at_width<D>(p, [&]<int W>(cs::integral_constant<int, W>) {
          using keys = encode::kept_channels<W, encode::plain<T>>;
          return store_part<keys, encode::plain<T>, D>(on, std::to_string(W) + " channels", part[p], from, out, own);
        }))
      return m;
  }
  if (index const gone = store::entries_of(part[parts - 1]); gone > 0 && out.note.empty())
    out.note = "heads without channels lose their middle, " + std::to_string(gone) + " entries";
  return store_part<encode::plain<T>, encode::plain<T>, D>(on, "as it was", part[0], from, out);
}

/// Rows that so many bytes hold where all heads are as wide as the widest: however rows are shared out, they fit.
template <element T, int D>
message rows_of(cache_dump const& dump, index bytes, bool biased, index& rows) {
  key_masks masks;
  if (message m = read_masks(dump, masks)) return m;
  int most = 0;
  for (std::size_t row = 0; row < masks.size(); row += static_cast<std::size_t>(store::mask_words(D)))
    most = std::max(most, store::mask_count(masks.data() + row, D));
  index const tables =
      table_bytes(dump, widths<D> + 1) + widths<D> * static_cast<index>(dump.layers.size()) *
                                             static_cast<index>(encode::channel_masks::bytes(dump.kv_heads, D));
  int const plain = rule.sink + rule.recent, part = part_of<D>(std::max(most, 1));
  rows = rows_in_tiles<encode::plain<T>, encode::plain<T>, D>(dump, bytes - tables, biased, plain);
  if (part == 0) return {};
  return at_width<D>(part, [&]<int W>(cs::integral_constant<int, W>) -> message {
    using keys = encode::kept_channels<W, encode::plain<T>>;
    rows = rows_in_tiles<keys, encode::plain<T>, D>(dump, bytes - tables, biased, plain);
    return {};
  });
}

/// Calls f(T{}) for the element type of a dump.
template <class F>
message in_type(dtype type, F const& f) {
  return type == dtype::f32 ? f(0.0f) : type == dtype::f16 ? f(f16{}) : f(bf16{});
}
}  // namespace

storage lean_k_storage() {
  return {
      "lean_k",
      "LeanK: the channels of keys that a trained mask keeps; the first 128 rows, the last 768 and all values as "
      "they were",
      "our definition",
      [](team_executor const& on, packed_cache const& from, cache_dump const& dump, outcome& out) -> message {
        key_masks masks;
        if (message m = read_masks(dump, masks)) return m;
        return built_head_dims::call(dump.head_dim, [&]<int D>(cs::integral_constant<int, D>) {
          return in_type(dump.type, [&]<element T>(T) -> message { return store_lean_k<T, D>(on, from, out, masks); });
        });
      },
      [](cache_dump const& dump, index bytes, bool biased, index& rows) -> message {
        return built_head_dims::call(dump.head_dim, [&]<int D>(cs::integral_constant<int, D>) {
          return in_type(dump.type, [&]<element T>(T) -> message { return rows_of<T, D>(dump, bytes, biased, rows); });
        });
      }};
}

}  // namespace kvsieve::tool
