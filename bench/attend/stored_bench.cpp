// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Decode attention over layers that are more than one run of rows of one format: levels of precision, pages of 16
// tokens.
#include <kvsieve/core/paged.hpp>
#include <kvsieve/encode/bits.hpp>
#include <kvsieve/encode/q8_0.hpp>

#include "stored.hpp"

namespace kvsieve::bench {
namespace {
/// Parts of 6, 5 and 3 bits, an eighth, three eighths and half of the tokens.
class level_layers {
 public:
  [[nodiscard]] auto take(int heads, int tokens) {
    return make_parts(high_.take(heads, tokens / 8), middle_.take(heads, tokens * 3 / 8), low_.take(heads, tokens / 2));
  }
  [[nodiscard]] static constexpr std::size_t bytes(int heads, int tokens) {
    return high::bytes(heads, tokens / 8) + middle::bytes(heads, tokens * 3 / 8) + low::bytes(heads, tokens / 2);
  }

 private:
  using high = stored_layers<encode::bits<6>, encode::bits<6>>;
  using middle = stored_layers<encode::bits<5>, encode::bits<5>>;
  using low = stored_layers<encode::bits<3>, encode::bits<3>>;
  high high_{0, 3};
  middle middle_{1, 3};
  low low_{2, 3};
};

inline constexpr int page = 16;
/// A table that leaps over the pages of a buffer of `tokens` tokens of all heads.
struct leaping_table {
  std::vector<int> ids;
  page_pool_view pool;
  leaping_table(int heads, int tokens, index row) {
    int const pages = tokens / page;
    for (int i = 0; i < pages; ++i) ids.push_back(static_cast<int>((index{i} * 37 + 11) % pages));
    pool.pages = pages;
    pool.stride = {.page = heads * page * row, .head = page * row, .token = row};
  }
  [[nodiscard]] page_table table() const { return {ids.data(), static_cast<index>(ids.size())}; }
};

/// Attention over rows in pages of 16 tokens; take(heads, tokens, table) gives a layer.
template <class Take>
void time_pages(benchmark::State& state, char const* name, dtype type, int tokens, index row, std::size_t bytes,
                double goal, Take const& take) {
  leaping_table const few(small_heads, 704, row), all(kv_heads, tokens, row);
  if (!attends_as_reference(take(small_heads, 704, few)))
    return state.SkipWithError("attention differs from the reference");
  time_attention(state, name, type, tokens, bytes, goal, [&] { return take(kv_heads, tokens, all); });
}

auto const registered =
    register_shapes<float>("attend/levels",
                           [](auto, benchmark::State& state, int tokens) {
                             level_layers layers;
                             static bool const right = attends_as_reference(layers.take(small_heads, 704));
                             if (!right) return state.SkipWithError("attention differs from the reference");
                             time_attention(state, "attend/levels", dtype::f32, tokens,
                                            level_layers::bytes(kv_heads, tokens), 0.35,
                                            [&] { return layers.take(kv_heads, tokens); });
                           }) +
    register_shapes<float>("attend/q8_0_pages",
                           [](auto, benchmark::State& state, int tokens) {
                             using stored = stored_layers<encode::q8_0, encode::q8_0>;
                             stored layers;
                             time_pages(state, "attend/q8_0_pages", dtype::f32, tokens, 1,
                                        stored::bytes(kv_heads, tokens), 0.55,
                                        [&](int heads, int n, leaping_table const& t) {
                                          auto const layer = layers.take(heads, n);
                                          auto const in_pages = [&](auto const& rows) {
                                            return make_encoded_paged<encode::q8_0, page, head_dim>(
                                                rows.data_handle(), heads, n, t.pool, t.table());
                                          };
                                          return kv_layer{in_pages(layer.keys), in_pages(layer.values)};
                                        });
                           }) +
    register_shapes<bf16>("attend/pages", [](auto, benchmark::State& state, int tokens) {
      time_pages(state, "attend/pages", dtype::bf16, tokens, head_dim, 2 * elements_of(tokens) * sizeof(bf16), 0.75,
                 [](int heads, int n, leaping_table const& t) {
                   auto const in_pages = [&] {
                     auto const count = static_cast<std::size_t>(heads) * static_cast<std::size_t>(n) * head_dim;
                     return make_paged<page, head_dim>(static_cast<bf16 const*>(pool<bf16>().take(count)), heads, n,
                                                       t.pool, t.table());
                   };
                   return kv_layer{in_pages(), in_pages()};
                 });
    });
}  // namespace
}  // namespace kvsieve::bench
