// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Pools of pages for tests: the same rows as dense tensors, in pages of several sequences in any order.
#pragma once
#include <algorithm>
#include <numeric>
#include <vector>

#include <kvsieve/core/paged.hpp>

#include "cache.hpp"

namespace support {

/// How engines lay pages out.
enum class page_order { nhd, hnd, nhd_packed, hnd_packed, halves };
inline constexpr page_order page_orders[] = {page_order::nhd, page_order::hnd, page_order::nhd_packed,
                                             page_order::hnd_packed, page_order::halves};

/// Keys and values of some sequences in pages of P tokens, ids shuffled, spare pages among them. What no row holds is
/// NaN.
template <class T, int P, int D>
class page_pool {
 public:
  page_pool(int heads, std::vector<int> const& tokens, page_order order, std::uint32_t seed, int spare = 5)
      : heads_(heads), tokens_(tokens), order_(order) {
    int wanted = spare;
    for (int const n : tokens) wanted += (n + P - 1) / P;
    std::vector<int> ids(static_cast<std::size_t>(wanted));
    std::iota(ids.begin(), ids.end(), 0);
    std::shuffle(ids.begin(), ids.end(), std::mt19937(seed));
    std::size_t next = 0;
    for (int const n : tokens) {
      auto const pages = static_cast<std::size_t>((n + P - 1) / P);
      tables.emplace_back(ids.begin() + static_cast<std::ptrdiff_t>(next),
                          ids.begin() + static_cast<std::ptrdiff_t>(next + pages));
      next += pages;
    }
    unused.assign(ids.begin() + static_cast<std::ptrdiff_t>(next), ids.end());
    bool const packed = order == page_order::nhd_packed || order == page_order::hnd_packed;
    bool const nhd = order == page_order::nhd || order == page_order::nhd_packed;
    index const row = packed ? 2 * D : D;
    pool.pages = wanted;
    pool.stride = nhd ? kvsieve::nhd_pages(P, heads, row) : kvsieve::hnd_pages(P, heads, row);
    index const half = index{P} * heads * D;
    if (order == page_order::halves) pool.stride.page *= 2;
    behind_ = packed ? D : order == page_order::halves ? half : half * wanted;
    memory.assign(static_cast<std::size_t>(2 * half * wanted), kvsieve::from_float<T>(NAN));
  }

  [[nodiscard]] auto keys(int sequence) { return view(memory.data(), sequence); }
  [[nodiscard]] auto values(int sequence) { return view(memory.data() + behind_, sequence); }
  [[nodiscard]] auto layer(int sequence) { return kvsieve::kv_layer{keys(sequence), values(sequence)}; }
  [[nodiscard]] auto const_layer(int sequence) const {
    return kvsieve::kv_layer{view(memory.data(), sequence), view(memory.data() + behind_, sequence)};
  }
  /// Rows of a dense layer into the pages of a sequence.
  template <class Layer>
  void take(int sequence, Layer const& from) {
    auto const k = keys(sequence), v = values(sequence);
    for (index h = 0; h < heads_; ++h)
      for (index t = 0; t < tokens_[static_cast<std::size_t>(sequence)]; ++t)
        for (index d = 0; d < D; ++d) {
          k(h, t, d) = from.keys(h, t, d);
          v(h, t, d) = from.values(h, t, d);
        }
  }

  std::vector<std::vector<int>> tables;  ///< of each sequence
  std::vector<int> unused;               ///< pages of none
  kvsieve::page_pool_view pool;
  std::vector<T> memory;

 private:
  template <class E>
  [[nodiscard]] auto view(E* data, int sequence) const {
    auto const& table = tables[static_cast<std::size_t>(sequence)];
    return kvsieve::make_paged<P, D>(data, heads_, tokens_[static_cast<std::size_t>(sequence)], pool,
                                     {table.data(), static_cast<index>(table.size())});
  }
  int heads_;
  std::vector<int> tokens_;
  page_order order_;
  index behind_ = 0;
};
}  // namespace support
