// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What every format of rows is tested for.
#pragma once
#include <kvsieve/kvsieve.hpp>

#include <catch2/catch_all.hpp>

#include "cache.hpp"
#include "generators.hpp"
#include "workspace.hpp"

namespace encode_tests {
using kvsieve::byte;
using kvsieve::index;

/// Texts one behind another.
inline std::string joined(std::initializer_list<char const*> texts) {
  std::string all;
  for (char const* const text : texts) all += text;
  return all;
}

/// ((37 i + 11) mod 64 - 31.5) / 16, exact in f16: the row of the golden bytes.
template <int D>
std::vector<float> golden_row() {
  std::vector<float> x;
  for (int i = 0; i < D; ++i) x.push_back((static_cast<float>((37 * i + 11) % 64) - 31.5f) / 16.0f);
  return x;
}
/// Tiles of C with these rows, [tokens, D].
template <class C, int D>
std::vector<byte> encoded(std::vector<float> const& rows) {
  constexpr int tile = C::tile_tokens * D;
  std::vector<byte> bytes(static_cast<std::size_t>(kvsieve::encoded_bytes<C, D>(static_cast<index>(rows.size()) / D)));
  for (std::size_t t = 0; t * tile < rows.size(); ++t)
    C::template encode<D>(rows.data() + t * tile, bytes.data() + t * C::template tile_bytes<D>);
  return bytes;
}
template <class C, int D>
std::string hex_of(std::vector<float> const& rows) {
  std::string text;
  char pair[3];
  for (byte const b : encoded<C, D>(rows)) {
    std::snprintf(pair, sizeof pair, "%02x", b);
    text += pair;
  }
  return text;
}
template <class C, int D>
std::vector<float> decoded(std::vector<float> const& rows) {
  auto const bytes = encoded<C, D>(rows);
  std::vector<float> back(rows.size());
  for (std::size_t i = 0; i < back.size(); ++i) {
    std::size_t const row = i / D;
    back[i] = C::template decode<D>(bytes.data() + row / C::tile_tokens * C::template tile_bytes<D>,
                                    static_cast<int>(row % C::tile_tokens), static_cast<int>(i % D));
  }
  return back;
}
template <class C, int D>
double largest_error(std::vector<float> const& rows) {
  auto const back = decoded<C, D>(rows);
  double most = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) most = std::max(most, std::abs(double{back[i]} - double{rows[i]}));
  return most;
}
/// Root mean square of the error over that of the numbers, on 4096 rows of normal ones.
template <class C, int D>
double relative_error() {
  std::mt19937 random(20261127);
  std::normal_distribution<float> normal;
  std::vector<float> rows(std::size_t{4096} * D);
  for (float& x : rows) x = normal(random);
  auto const back = decoded<C, D>(rows);
  double error = 0, size = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    error += std::pow(double{back[i]} - double{rows[i]}, 2);
    size += std::pow(double{rows[i]}, 2);
  }
  return std::sqrt(error / size);
}

struct value_range {
  double least, most, magnitude;
};
/// Of numbers `stride` apart.
inline value_range range_of(float const* x, int count, int stride = 1) {
  value_range r{x[0], x[0], 0};
  for (int i = 0; i < count; ++i) {
    double const v = x[i * stride];
    r.least = std::min(r.least, v);
    r.most = std::max(r.most, v);
    r.magnitude = std::max(r.magnitude, std::abs(v));
  }
  return r;
}

/// Rows that formats find hard: random ones of any size, constants, zeros, one outlier, denormals.
template <int D>
std::vector<float> hard_rows(int tokens, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> rows(static_cast<std::size_t>(tokens * D));
  float const sizes[] = {1.0f, 1e-3f, 300.0f, 1e-7f, 0.0f, 1e-30f};
  for (int t = 0; t < tokens; ++t) {
    float const size = sizes[random() % 6];
    auto const kind = random() % 4;
    for (int d = 0; d < D; ++d) {
      float const x = size * normal(random);
      rows[static_cast<std::size_t>(t * D + d)] = kind == 0 ? size : kind == 1 && d != 5 ? x / 1000 : x;
    }
  }
  return rows;
}
/// Each number comes back within bound(start of the row's block of 32 channels, channel in it).
template <class C, class Bound>
bool comes_back(Bound const& bound) {
  constexpr int D = 64;
  return support::holds(joined({C::name, ": numbers come back"}).c_str(), 100, [&] {
    int const tokens = *rc::gen::inRange(1, 20) * C::tile_tokens;
    auto const rows = hard_rows<D>(tokens, *rc::gen::arbitrary<std::uint32_t>());
    auto const back = decoded<C, D>(rows);
    for (int i = 0; i < tokens * D; ++i) {
      auto const at = static_cast<std::size_t>(i);
      double const error = std::abs(double{back[at]} - double{rows[at]});
      double const most = bound(rows.data() + i / 32 * 32, i % 32);
      RC_LOG() << "number " << i << ": " << rows[at] << " came back as " << back[at] << ", bound " << most << std::endl;
      RC_ASSERT(error <= most);
    }
  });
}

/// The format that attention reads: of rotated rows the inner one.
template <class C>
struct stored_format {
  using type = C;
};
template <class C>
  requires requires { typename C::stored; }
struct stored_format<C> {
  using type = typename C::stored;
};

/// Blocks of rows that attention opens give the numbers of rows as they are stored, but for the sign of zeros, and so
/// do columns of keys: products with a query of one channel. tile_of(head, token) is where a tile begins.
template <class C, class View, class TileOf>
bool opens_as_decoded(View const& view, index heads, index tokens, TileOf const& tile_of) {
  using kvsieve::host::block_rows, kvsieve::host::fragment;
  using format = typename stored_format<C>::type;
  constexpr int D = kvsieve::head_dim_of<View>, lanes = fragment::lanes;
  for (index h = 0; h < heads; ++h)
    for (index first = 0; first < tokens; first += block_rows) {
      int const here = static_cast<int>(std::min<index>(tokens - first, block_rows));
      auto const want = [&](int j, int d) {
        index const t = first + j;
        return format::template decode<D>(tile_of(h, t), static_cast<int>(t % C::tile_tokens), d);
      };
      kvsieve::host::row_block<View> rows;
      rows.open(view, h, first, here);
      for (int j = 0; j < here; ++j)
        for (int c = 0; c < D / lanes; ++c) {
          fragment x[1];
          rows.template numbers<1>(j, c, x);
          for (int i = 0; i < lanes; ++i)
            if (x[0][i] != want(j, c * lanes + i)) return false;
        }
      if constexpr (kvsieve::host::reads_columns<View> && !kvsieve::is_gathered<View>) {
        using keys_type = kvsieve::host::key_columns<View>;
        keys_type keys;
        keys.open(view, h, first, here);
        for (int d = 0; d < D; ++d) {
          float query[1][D] = {}, sums[1][keys_type::groups] = {};
          alignas(64) float product[1][block_rows];
          query[0][d] = 1 / fragment::codes::unit;
          sums[0][d / keys_type::group] = 1;
          std::vector<int> asked(block_rows);
          keys.template multiply<1>(here, query, sums, product,
                                    [&](int j) { asked[static_cast<std::size_t>(j)] += 1; });
          for (int j = 0; j < here; ++j)
            if (product[0][j] != want(j, d) || asked[static_cast<std::size_t>(j)] != 1) return false;
        }
      }
    }
  return true;
}

/// decode, the accessor, rows, vector loads and opened blocks agree, at strides of an engine and in ragged rows;
/// numbers that are not finite do not leave their tile.
template <class C>
bool reads_agree() {
  constexpr int D = 128;
  return support::holds(joined({C::name, ": reads agree"}).c_str(), 30, [&] {
    constexpr int tile = C::tile_tokens;
    index const heads = *rc::gen::inRange(1, 4), tokens = *rc::gen::inRange(1, 9) * tile;
    auto rows = hard_rows<D>(static_cast<int>(heads * tokens), *rc::gen::arbitrary<std::uint32_t>());
    std::size_t const bad = *rc::gen::inRange<std::size_t>(0, rows.size());
    float const wild[] = {rows[bad], std::nanf(""), INFINITY, -INFINITY};
    rows[bad] = wild[*rc::gen::inRange(0, 4)];
    auto const bytes = encoded<C, D>(rows);
    bool const interleaved = tile == 1 && *rc::gen::arbitrary<bool>();  // head after head of a token
    auto const view = interleaved ? kvsieve::make_encoded<C, D>(bytes.data(), heads, tokens, 1, heads)
                                  : kvsieve::make_encoded<C, D>(bytes.data(), heads, tokens);
    std::vector<index> offset;
    for (index h = 0; h <= heads; ++h) offset.push_back(h * tokens);
    auto const ragged = kvsieve::make_encoded_ragged<C, D>(bytes.data(), heads, offset.data());
    auto const same = [](float a, float b) { return std::memcmp(&a, &b, sizeof a) == 0; };
    for (index h = 0; h < heads; ++h)
      for (index t = 0; t < tokens; ++t) {
        float whole[D];
        kvsieve::host::read_row(view, h, t, whole);
        for (int d = 0; d < D; ++d) {
          index const r = interleaved ? t * heads + h : h * tokens + t;
          float const want =
              C::template decode<D>(bytes.data() + r / tile * C::template tile_bytes<D>, static_cast<int>(r % tile), d);
          RC_ASSERT(std::isfinite(want));
          RC_ASSERT(same(view(h, t, d), want));
          RC_ASSERT(same(whole[d], want));
          if (!interleaved) RC_ASSERT(same(ragged(h, t, d), want));
        }
      }
    RC_ASSERT(opens_as_decoded<C>(view, heads, tokens, [&](index h, index t) {
      index const r = interleaved ? t * heads + h : h * tokens + t;
      return bytes.data() + r / tile * C::template tile_bytes<D>;
    }));
  });
}

/// attend over rows in two formats equals attend over the floats that they decode to.
template <class Keys, class Values>
bool attends() {
  constexpr int D = 64;
  return support::holds(joined({Keys::name, " and ", Values::name, ": attention"}).c_str(), 30, [&] {
    index const heads = *rc::gen::inRange(1, 4), group = *rc::gen::inRange(1, 6);
    index const tile = std::max(Keys::tile_tokens, Values::tile_tokens);
    index const tokens = *rc::gen::inRange<index>(1, 2500 / tile) * tile;
    std::mt19937 random(*rc::gen::arbitrary<std::uint32_t>());
    std::normal_distribution<float> normal;
    std::vector<float> rows[2], queries(static_cast<std::size_t>(heads * group * D));
    for (auto& r : rows) {
      r.resize(static_cast<std::size_t>(heads * tokens * D));
      for (float& x : r) x = normal(random);
    }
    for (float& x : queries) x = normal(random);
    auto const keys = encoded<Keys, D>(rows[0]), values = encoded<Values, D>(rows[1]);
    auto const plain_keys = decoded<Keys, D>(rows[0]), plain_values = decoded<Values, D>(rows[1]);
    auto const run = [&](auto const& layer) {
      std::vector<float> out(queries.size());
      auto const q = kvsieve::make_rows<D>(queries.data(), heads * group, 1);
      auto const o = kvsieve::make_rows<D>(out.data(), heads * group, 1);
      kvsieve::host::on const on;
      support::workspace memory(kvsieve::attend_workspace_bytes(on, q, layer));
      RC_ASSERT(static_cast<bool>(kvsieve::attend(on, q, layer, o, memory.span())));
      RC_ASSERT(memory.guards_hold());
      return out;
    };
    auto const got = run(kvsieve::kv_layer{kvsieve::make_encoded<Keys, D>(keys.data(), heads, tokens),
                                           kvsieve::make_encoded<Values, D>(values.data(), heads, tokens)});
    auto const want = run(kvsieve::kv_layer{kvsieve::make_rows<D>(plain_keys.data(), heads, tokens),
                                            kvsieve::make_rows<D>(plain_values.data(), heads, tokens)});
    // The same numbers in the same order.
    for (std::size_t i = 0; i < got.size(); ++i)
      RC_ASSERT(std::abs(got[i] - want[i]) <= 1e-6f * (1 + std::abs(want[i])));
  });
}
}  // namespace encode_tests
