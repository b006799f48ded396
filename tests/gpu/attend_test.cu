// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Decode attention on a real GPU gives what the host does: dense rows, ragged heads with biases, pages, formats, parts;
// and the same bytes again.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include <kvsieve/core/entry_bias.hpp>
#include <kvsieve/core/paged.hpp>
#include <kvsieve/encode/bitmap.hpp>
#include <kvsieve/encode/bits.hpp>
#include <kvsieve/encode/kivi.hpp>
#include <kvsieve/encode/q8_0.hpp>
#include <kvsieve/encode/rotated.hpp>

#include "plan.hpp"

using namespace kvsieve_test;

namespace {
namespace enc = kvs::encode;
using kvs::index;

/// The same elements on both machines.
template <class T>
struct twice {
  std::vector<T> here;
  std::unique_ptr<buffer> there;
  explicit twice(std::vector<T> x) : here(std::move(x)), there(std::make_unique<buffer>(here.size() * sizeof(T))) {
    REQUIRE(cudaMemcpy(there->as<T>(), here.data(), here.size() * sizeof(T), cudaMemcpyHostToDevice) == cudaSuccess);
  }
};
template <class T>
twice<T> normal(std::mt19937& random, index count, float size = 1.0f) {
  std::normal_distribution<float> one;
  std::vector<T> x(static_cast<std::size_t>(count));
  for (T& e : x) e = kvs::from_float<T>(size * one(random));
  return twice<T>(std::move(x));
}
template <class C, int D>
twice<kvs::byte> encoded(std::mt19937& random, index rows) {
  std::normal_distribution<float> one;
  std::vector<kvs::byte> x(static_cast<std::size_t>(kvs::encoded_bytes<C, D>(rows)));
  std::vector<float> tile(static_cast<std::size_t>(C::tile_tokens * D));
  for (index t = 0; t < rows; t += C::tile_tokens) {
    for (float& e : tile) e = one(random);
    C::template encode<D>(tile.data(), x.data() + t / C::tile_tokens * C::template tile_bytes<D>);
  }
  return twice<kvs::byte>(std::move(x));
}

struct shape {
  int heads, group, asked;
  [[nodiscard]] int queries() const { return heads * group; }
  [[nodiscard]] int rows() const { return heads * group * asked; }
};

/// view(on_device) is the cache on either machine.
template <class T, int D, class View>
void same_as_host(shape const& s, View const& view, unsigned seed) {
  std::mt19937 random(seed);
  auto const q = normal<T>(random, s.rows() * D, 2.0f);
  auto const count = static_cast<std::size_t>(s.rows());
  std::vector<float> want(count * D), want_sums(count);
  {
    kvs::host::on<> const on;
    auto const query = kvs::make_rows<D>(q.here.data(), s.queries(), s.asked);
    kvs::query_numbers const sums(want_sums.data(), s.queries(), s.asked);
    std::vector<host_line> memory(kvs::attend_workspace_bytes(on, query, view(false)) / 64 + 1);
    REQUIRE(kvs::attend(on, query, view(false), kvs::make_rows<D>(want.data(), s.queries(), s.asked),
                        std::span(reinterpret_cast<std::byte*>(memory.data()), memory.size() * 64),
                        {.log_sum_exp = {&sums, 1}}));
  }
  stream on_stream;
  kvs::device::on const on{on_stream.handle};
  T const* const data = q.there->template as<T>();
  auto const query = kvs::make_rows<D>(data, s.queries(), s.asked);
  std::vector<float> got[2], sums[2];
  for (int i : {0, 1}) {
    buffer const out(want.size() * 4), numbers(count * 4), memory(kvs::attend_workspace_bytes(on, query, view(true)));
    REQUIRE(cudaMemset(memory.as<void>(), 0xff, memory.bytes().size()) == cudaSuccess);
    REQUIRE(cudaDeviceSynchronize() == cudaSuccess);
    kvs::query_numbers const to(numbers.as<float>(), s.queries(), s.asked);
    REQUIRE(kvs::attend(on, query, view(true), kvs::make_rows<D>(out.as<float>(), s.queries(), s.asked), memory.bytes(),
                        {.log_sum_exp = {&to, 1}}));
    on_stream.wait();
    got[i] = fetch(out.as<float>(), want.size());
    sums[i] = fetch(numbers.as<float>(), count);
  }
  CHECK(std::memcmp(got[0].data(), got[1].data(), want.size() * 4) == 0);
  CHECK(std::memcmp(sums[0].data(), sums[1].data(), count * 4) == 0);
  int far = 0;
  auto const compare = [&](float is, float should) {
    if (is != should && !(std::abs(is - should) <= 3e-5f)) ++far;
  };
  for (std::size_t i = 0; i < want.size(); ++i) compare(got[0][i], want[i]);
  for (std::size_t i = 0; i < count; ++i) compare(sums[0][i], want_sums[i]);
  CHECK(far == 0);
}

template <class T, int D>
void dense(shape const& s, int tokens) {
  CAPTURE(D, sizeof(T), s.heads, s.group, s.asked, tokens);
  std::mt19937 random(static_cast<unsigned>(tokens + D));
  auto const k = normal<T>(random, index{s.heads} * tokens * D), v = normal<T>(random, index{s.heads} * tokens * D);
  same_as_host<T, D>(
      s,
      [&](bool device) {
        auto const rows = [&](twice<T> const& x) {
          T const* const data = device ? x.there->template as<T>() : x.here.data();
          return kvs::make_rows<D>(data, s.heads, tokens, D, index{s.heads} * D);
        };
        return kvs::kv_layer{rows(k), rows(v)};
      },
      7);
}
template <class T, int D>
void ragged(shape const& s, std::vector<index> offsets) {
  CAPTURE(D, sizeof(T));
  std::mt19937 random(3);
  twice<index> const offset(std::move(offsets));
  index const rows_of_all = offset.here.back();
  auto const k = normal<T>(random, rows_of_all * D), v = normal<T>(random, rows_of_all * D);
  std::vector<kvs::cs::uint8_t> of(static_cast<std::size_t>(rows_of_all));
  for (auto& c : of) c = static_cast<kvs::cs::uint8_t>(random() % 40);
  twice<kvs::cs::uint8_t> const codes(std::move(of));
  same_as_host<T, D>(
      s,
      [&](bool device) {
        index const* const at = device ? offset.there->as<index>() : offset.here.data();
        auto const rows = [&](twice<T> const& x) {
          T const* const data = device ? x.there->template as<T>() : x.here.data();
          return kvs::make_ragged<D>(data, s.heads, at, rows_of_all);
        };
        return kvs::kv_layer{rows(k), rows(v),
                             kvs::entry_bias{device ? codes.there->as<kvs::cs::uint8_t>() : codes.here.data(), 0, at}};
      },
      8);
}
template <class T, int D, int P>
void paged(shape const& s, int tokens) {
  CAPTURE(D, P, tokens);
  std::mt19937 random(5);
  int const used = (tokens + P - 1) / P;
  std::vector<int> ids;
  for (int i = 0; i < used + 3; ++i) ids.push_back(i);
  std::shuffle(ids.begin(), ids.end(), random);
  twice<int> const table(std::move(ids));
  kvs::page_pool_view const pool{used + 3, kvs::nhd_pages(P, s.heads, D)};
  index const count = pool.pages * pool.stride.page;
  auto const k = normal<T>(random, count), v = normal<T>(random, count);
  same_as_host<T, D>(
      s,
      [&](bool device) {
        auto const rows = [&](twice<T> const& x) {
          T const* const data = device ? x.there->template as<T>() : x.here.data();
          return kvs::make_paged<P, D>(data, s.heads, tokens, pool,
                                       {device ? table.there->as<int>() : table.here.data(), used});
        };
        return kvs::kv_layer{rows(k), rows(v)};
      },
      9);
}
template <class Keys, class Values, int D>
void format(shape const& s, int tokens) {
  CAPTURE(Keys::name, Values::name, D, tokens);
  std::mt19937 random(6);
  constexpr index tile = Keys::tile_tokens > Values::tile_tokens ? Keys::tile_tokens : Values::tile_tokens;
  index const whole = (tokens + tile - 1) / tile * tile;
  auto const k = encoded<Keys, D>(random, s.heads * whole);
  auto const v = encoded<Values, D>(random, s.heads * whole);
  auto const own_k = normal<kvs::bf16>(random, index{s.heads} * 20 * D),
             own_v = normal<kvs::bf16>(random, index{s.heads} * 20 * D);
  same_as_host<float, D>(
      s,
      [&](bool device) {
        auto const data = [&]<class T>(twice<T> const& x) {
          return static_cast<T const*>(device ? x.there->template as<T>() : x.here.data());
        };
        kvs::kv_layer const first{kvs::make_encoded<Keys, D>(data(k), s.heads, tokens, whole, 1),
                                  kvs::make_encoded<Values, D>(data(v), s.heads, tokens, whole, 1)};
        kvs::kv_layer const recent{kvs::make_rows<D>(data(own_k), s.heads, 20),
                                   kvs::make_rows<D>(data(own_v), s.heads, 20)};
        return kvs::make_parts(first, recent);
      },
      10);
}

void small() {
  dense<kvs::bf16, 64>({2, 3, 2}, 150);
  ragged<float, 64>({3, 2, 1}, {0, 0, 70, 75});
  paged<kvs::f16, 64, 16>({1, 4, 1}, 50);
  format<enc::q8_0, enc::bitmap<20>, 64>({1, 1, 1}, 40);
  format<enc::rotated<enc::bits<3>>, enc::rotated<enc::bits<2>>, 64>({1, 5, 1}, 40);
}
void rows() {
  for (int const n : {8, 63, 3001, 20000}) {
    dense<float, 64>({2, 1, 1}, n);
    dense<kvs::f16, 80>({2, 4, 1}, n);
    dense<kvs::bf16, 96>({3, 7, 1}, n);
    dense<kvs::bf16, 128>({8, 4, 1}, n);
    dense<kvs::bf16, 128>({2, 8, 8}, n);
    dense<kvs::f16, 256>({1, 8, 2}, n);
  }
}
void tables() {
  ragged<kvs::bf16, 128>({4, 4, 1}, {0, 3000, 3000, 3001, 9000});
  paged<kvs::bf16, 128, 16>({8, 4, 1}, 3001);
  paged<float, 64, 64>({2, 6, 3}, 777);
}
void formats_and_parts() {
  format<enc::q8_0, enc::q8_0, 128>({8, 4, 1}, 3001);
  format<enc::kivi_keys<2>, enc::kivi_values<2>, 128>({2, 4, 1}, 999);
  format<enc::bitmap<38>, enc::bitmap<38>, 128>({2, 4, 2}, 999);
  format<enc::rotated<enc::bits<3>>, enc::rotated<enc::bits<2>>, 128>({2, 8, 1}, 999);
}
}  // namespace

std::span<gpu_case const> kvsieve_test::attend_cases() {
  static constexpr gpu_case all[] = {
      {"GPU: decode attention, small", "[gpu][attend][sanitize]", small},
      {"GPU: decode attention over dense rows", "[gpu][attend]", rows},
      {"GPU: decode attention over ragged heads and pages", "[gpu][attend]", tables},
      {"GPU: decode attention over formats and parts", "[gpu][attend]", formats_and_parts}};
  return all;
}
