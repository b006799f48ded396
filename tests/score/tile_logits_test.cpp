// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Logits in the tiles of a matrix unit, which this machine need not have: the same steps on tiles of plain floats.
#include <kvsieve/host/score/query_block.hpp>

#include <catch2/catch_all.hpp>
#include <cmath>
#include <random>
#include <utility>
#include <vector>

#include "cache.hpp"

namespace host = kvsieve::host;
using kvsieve::bf16;

namespace {
/// What TDPBF16PS does to its tiles: C[m][n] += A[m][2k] * B[k][2n] + A[m][2k+1] * B[k][2n+1].
class float_tiles {
 public:
  template <int V>
  void clear() {
    for (auto& tile : sum_)
      for (auto& row : tile)
        for (float& x : row) x = 0;
  }
  template <int V>
  void add(std::uint16_t const* keys, kvsieve::index stride, std::uint16_t const* pairs) {
    for (int half = 0; half < 2; ++half)
      for (int v = 0; v < V; ++v)
        for (int m = 0; m < 16; ++m)
          for (int n = 0; n < 16; ++n)
            for (int k = 0; k < 32; ++k)
              sum_[2 * half + v][m][n] += to_float(bf16{keys[(16 * half + m) * stride + k]}) *
                                          to_float(bf16{pairs[512 * v + k / 2 * 32 + 2 * n + k % 2]});
  }
  template <int V>
  void store(float* e) const {
    for (int half = 0; half < 2; ++half)
      for (int v = 0; v < V; ++v)
        for (int m = 0; m < 16; ++m)
          for (int n = 0; n < 16; ++n) e[((16 * half + m) * V + v) * 16 + n] = sum_[2 * half + v][m][n];
  }

 private:
  float sum_[4][16][16];
};

template <int D>
double product(support::tensor<bf16, D> const& keys, int head, int key, support::tensor<bf16, D> const& queries,
               int query) {
  double sum = 0;
  for (int d = 0; d < D; ++d) sum += double{keys.get(head, key, d)} * double{queries.get(0, query, d)};
  return sum;
}

/// Logits of all blocks of keys against 16 V queries are the products.
template <int D, int V>
void check_logits(int tokens, support::layout where, support::content what) {
  CAPTURE(D, V, tokens);
  constexpr int rows = 16 * V;
  std::mt19937 random(static_cast<unsigned>(tokens + D + V));
  support::tensor<bf16, D> keys(2, tokens, where), queries(1, rows);
  keys.fill(random, what);
  queries.fill(random, support::content::normal);
  std::vector<std::uint16_t> pairs(static_cast<std::size_t>(rows * D)), room(static_cast<std::size_t>(64 * D));
  for (int r = 0; r < rows; ++r)
    for (int d = 0; d < D; ++d)
      pairs[static_cast<std::size_t>(host::pair_place(r, d, rows))] = std::as_const(queries).view()(0, r, d).bits;
  float_tiles tiles;
  std::vector<float> e(static_cast<std::size_t>(64 * rows), -1.0f);
  for (int head = 0; head < 2; ++head)
    for (int first = 0; first < tokens; first += 64) {
      auto const k = host::load_pairs(std::as_const(keys).view(), head, first, room.data(), tiles);
      CHECK(k.count == std::min(64, tokens - first));
      host::tile_logits<D, V>(pairs.data(), k, 0.5f, e.data());
      for (int j = 0; j < 64; ++j) {
        bool whole = true;
        for (int d = 0; d < D && j < k.count; ++d) whole = whole && std::isfinite(keys.get(head, first + j, d));
        REQUIRE((k.bad >> j & 1u) == (whole ? 0u : 1u));
        double off = 0;
        for (int r = 0; r < rows && whole; ++r) {
          double const expected = j < k.count ? 0.5 * product(keys, head, first + j, queries, r) : 0;
          off = std::max(off, std::abs(double{e[static_cast<std::size_t>(j * rows + r)]} - expected));
        }
        REQUIRE(off <= 1e-5 * D);
      }
    }
}
}  // namespace

TEST_CASE("logits in the tiles of a matrix unit are the products") {
  for (int tokens : {1, 63, 64, 65, 200})
    for (auto where : {support::layout::packed, support::layout::nhd, support::layout::padded})
      for (auto what : {support::content::normal, support::content::non_finite, support::content::zero}) {
        check_logits<32, 1>(tokens, where, what);
        check_logits<64, 2>(tokens, where, what);
        check_logits<128, 1>(tokens, where, what);
        check_logits<128, 2>(tokens, where, what);
      }
}

TEST_CASE("queries are packed for the tiles as for the lanes") {
  constexpr int D = 64, group = 4, positions = 16;
  std::mt19937 random(7);
  support::tensor<bf16, D> queries(group, positions);
  queries.fill(random, support::content::non_finite);
  std::vector<float> packed(group * positions * D), weight(group * positions);
  std::vector<int> position(group * positions);
  std::vector<std::uint16_t> pairs(group * positions * D, 1);
  std::vector<kvsieve::seen_keys> seen(host::query_block_positions);
  host::query_block block{packed.data(), weight.data(), position.data(), seen.data(), pairs.data()};
  host::pack_queries(
      std::as_const(queries).view(), 0, group, 0, 0, positions, positions, 1.0, [](int, int) { return 1.0f; }, block);
  for (int row = 0; row < group * positions; ++row) {
    int const first = row / host::strip_rows * host::strip_rows, width = block.strip(first);
    int same = 0;
    for (int d = 0; d < D; ++d) {
      auto const pair = pairs[static_cast<std::size_t>(first * D + host::pair_place(row - first, d, width))];
      same +=
          to_float(bf16{pair}) * block.scale == packed[static_cast<std::size_t>(first * D + d * width + row - first)];
    }
    REQUIRE(same == D);
  }
}
