// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Caches for tests: random rows with the awkward values among them, in every layout the library takes.
#pragma once
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <kvsieve/core/views.hpp>

#include "combinations.hpp"

namespace support {

using kvsieve::bf16;
using kvsieve::f16;
using kvsieve::index;

/// Where the rows of a tensor lie in memory.
enum class layout { packed, nhd, padded };

/// What its values are like.
enum class content {
  normal,      ///< normal numbers, a few channels ten times larger, as real keys have
  equal,       ///< every row the same
  denormal,    ///< some rows far below the normal range
  non_finite,  ///< some rows with a NaN or an infinity
  zero         ///< some rows all zero
};

/// A view whose channels lie two elements apart: rows that cannot be read a vector at a time.
template <class T, int D>
using strided_rows = kvsieve::rows<T, D, kvsieve::cs::layout_stride>;

/// Owns [heads, tokens, D] elements in some layout. The memory between the rows holds NaN, so that reading it shows.
template <class T, int D, bool Strided = false>
class tensor {
 public:
  using view_type = std::conditional_t<Strided, strided_rows<T, D>, kvsieve::rows<T, D>>;
  using const_view_type = std::conditional_t<Strided, strided_rows<T const, D>, kvsieve::rows<T const, D>>;

  tensor(int heads, int tokens, layout where = layout::packed) : heads_(heads), tokens_(tokens) {
    int const step = Strided ? 2 : 1;
    token_stride_ = index{D} * step;
    if (where == layout::nhd) token_stride_ *= heads < 1 ? 1 : heads;
    if (where == layout::padded) token_stride_ += 24;
    head_stride_ =
        where == layout::nhd ? index{D} * step : token_stride_ * (tokens < 1 ? 1 : tokens);  // mdspan: above 0
    if (where == layout::padded) head_stride_ += 40;
    index const size = (heads < 1 ? 0 : (heads - 1) * head_stride_) + (tokens < 1 ? 0 : (tokens - 1) * token_stride_) +
                       index{D} * step;
    data_.assign(static_cast<std::size_t>(size), kvsieve::from_float<T>(std::numeric_limits<float>::quiet_NaN()));
  }

  [[nodiscard]] view_type view() { return make<T, view_type>(data_.data()); }
  [[nodiscard]] const_view_type view() const { return make<T const, const_view_type>(data_.data()); }
  [[nodiscard]] int heads() const { return heads_; }
  [[nodiscard]] int tokens() const { return tokens_; }
  /// All of its memory, gaps between the rows included.
  [[nodiscard]] std::vector<T>& memory() { return data_; }
  [[nodiscard]] std::vector<T> const& memory() const { return data_; }

  [[nodiscard]] float get(int head, int token, int channel) const {
    return kvsieve::to_float(view()(head, token, channel));
  }
  void set(int head, int token, int channel, float x) { view()(head, token, channel) = kvsieve::from_float<T>(x); }

  void fill(std::mt19937& random, content what) {
    std::normal_distribution<float> normal;
    std::vector<float> scale(D), equal(D);
    for (int d = 0; d < D; ++d) {
      scale[static_cast<std::size_t>(d)] = random() % 32 == 0 ? 10.0f : 1.0f;
      equal[static_cast<std::size_t>(d)] = normal(random);
    }
    float const awkward[] = {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                             -std::numeric_limits<float>::infinity()};
    for (int h = 0; h < heads_; ++h)
      for (int t = 0; t < tokens_; ++t) {
        bool const special = random() % 8 == 0;
        for (int d = 0; d < D; ++d) {
          float x = normal(random) * scale[static_cast<std::size_t>(d)];
          if (what == content::equal) x = equal[static_cast<std::size_t>(d)];
          if (what == content::denormal && special) x *= sizeof(T) == 2 && std::is_same_v<T, f16> ? 1e-6f : 1e-40f;
          if (what == content::zero && special) x = 0;
          set(h, t, d, x);
        }
        if (what == content::non_finite && special) set(h, t, static_cast<int>(random() % D), awkward[random() % 3]);
      }
  }

 private:
  template <class E, class View>
  View make(E* p) const {
    kvsieve::row_extents<D> const shape(heads_, tokens_);
    if constexpr (Strided)
      return View(p, kvsieve::cs::layout_stride::mapping<kvsieve::row_extents<D>>(
                         shape, kvsieve::cs::array<index, 3>{head_stride_, token_stride_, 2}));
    else
      return kvsieve::make_rows<D>(p, heads_, tokens_, head_stride_, token_stride_);
  }

  int heads_, tokens_;
  index head_stride_ = 0, token_stride_ = 0;
  std::vector<T> data_;
};

/// One layer of one sequence, keys and values and the queries of its last positions.
template <class T, int D, bool Strided = false>
struct layer {
  tensor<T, D, Strided> keys, values, queries;

  layer(int kv_heads, int group, int tokens, int query_tokens, layout where, content what, std::uint32_t seed)
      : keys(kv_heads, tokens, where), values(kv_heads, tokens, where), queries(kv_heads * group, query_tokens, where) {
    std::mt19937 random(seed);
    keys.fill(random, what);
    values.fill(random, what);
    queries.fill(random, what == content::equal ? content::normal : what);
  }

  [[nodiscard]] auto view() { return kvsieve::kv_layer{keys.view(), values.view()}; }
  [[nodiscard]] auto const_view() const { return kvsieve::kv_layer{keys.view(), values.view()}; }
};

/// Calls f.operator()<T, D, Strided>() for one of the first `Wanted` combinations; the first three have every element
/// type and both kinds of row, the first five every head dimension. Not every product of them, since each costs
/// seconds to compile.
template <int Wanted = combinations, class F>
void with_combination(int which, F const& f) {
  constexpr int Most = Wanted < combinations ? Wanted : combinations;
  auto const when = [&]<int I, class T, int D, bool Strided>() {
    if constexpr (I < Most)
      if (which % Most == I) f.template operator()<T, D, Strided>();
  };
  when.template operator()<0, float, 64, false>();
  when.template operator()<1, f16, 80, true>();
  when.template operator()<2, bf16, 128, false>();
  when.template operator()<3, float, 96, false>();
  when.template operator()<4, f16, 256, false>();
  when.template operator()<5, bf16, 96, true>();
  when.template operator()<6, float, 128, true>();
  when.template operator()<7, bf16, 64, true>();
  when.template operator()<8, f16, 64, false>();
}
[[nodiscard]] inline std::string name_of(layout l) {
  return l == layout::packed ? "packed" : l == layout::nhd ? "nhd" : "padded";
}
}  // namespace support
