// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What stays of a cache, stored smaller and read where it lies: SnapKV keeps a quarter, the first and the newest of
// these stay in f16, the others become q8_0, and decode attention reads both parts as one layer.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include <kvsieve/encode/q8_0.hpp>
#include <kvsieve/kvsieve.hpp>
#include <kvsieve/store/divide.hpp>

namespace kvs = kvsieve;
using kvs::f16;

namespace {
constexpr int Hkv = 2, Hq = 8, N = 2048, D = 64, W = 64;

/// Aligned memory that calls work in.
struct room {
  std::size_t size;
  std::unique_ptr<std::byte, void (*)(void*)> memory{
      static_cast<std::byte*>(std::aligned_alloc(64, size / 64 * 64 + 64)), [](void* p) { std::free(p); }};
  [[nodiscard]] std::span<std::byte> span() const { return {memory.get(), size}; }
};
}  // namespace

int main() {
  // An engine has keys and values [Hkv, N, D] and the last queries [Hq, W, D]. Here one token in fifty is looked for.
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<f16> k(Hkv * N * D), v(k.size());
  std::vector<float> q(Hq * W * D), wanted(D);
  for (float& x : wanted) x = normal(random);
  for (std::size_t token = 0; token < k.size() / D; ++token) {
    bool const looked_for = random() % 50 == 0;
    for (std::size_t d = 0; d < D; ++d) {
      k[token * D + d] = kvs::from_float<f16>(normal(random) + (looked_for ? wanted[d] : 0.0f));
      v[token * D + d] = kvs::from_float<f16>(normal(random));
    }
  }
  for (std::size_t i = 0; i < q.size(); ++i) q[i] = wanted[i % D] + normal(random);

  kvs::host::team team{2};
  kvs::host::on on{team};
  kvs::kv_layer const cache{kvs::make_rows<D>(std::as_const(k).data(), Hkv, N),
                            kvs::make_rows<D>(std::as_const(v).data(), Hkv, N)};
  auto const queries = kvs::make_rows<D>(std::as_const(q).data(), Hq, W);

  // Which tokens stay, and which of them as they are: the first 4 and the last 64 of every head.
  using method = kvs::snap_kv<kvs::store::ragged>;
  method::params const params{.score = {.window = W}, .budget = {.keep = 0.25}, .select = {.sink = 4}};
  room const planning{kvs::workspace_bytes<method>(on, cache, queries, params)};
  auto const plan = kvs::plan<method>(on, cache, queries, params, planning.span());
  kvs::token_plan part[2];
  room const dividing{kvs::store::divide_workspace_bytes(plan, 2)};
  if (!kvs::store::divide(plan, kvs::store::windows{.sink = 4, .recent = W}, dividing.span(), part))
    return EXIT_FAILURE;

  // Packed rows of each part, each head behind the one before; apply encodes as it moves.
  using kvs::encode::q8_0;
  auto const rows = [&](int i) { return part[i].offset[Hkv]; };
  std::vector<unsigned char> codes(2 * kvs::encoded_bytes<q8_0, D>(rows(0)));
  std::vector<f16> whole(static_cast<std::size_t>(2 * rows(1) * D));
  auto const encoded = [&](unsigned char* at) { return kvs::make_encoded_ragged<q8_0, D>(at, Hkv, part[0].offset); };
  auto const plain = [&](f16* at) { return kvs::make_ragged<D>(at, Hkv, part[1].offset); };
  kvs::kv_layer const middle{encoded(codes.data()), encoded(codes.data() + codes.size() / 2)};
  kvs::kv_layer const ends{plain(whole.data()), plain(whole.data() + whole.size() / 2)};
  if (!kvs::apply<method>(on, part[0], cache, middle) || !kvs::apply<method>(on, part[1], cache, ends))
    return EXIT_FAILURE;

  // The last query attends to the whole cache, and to the two parts.
  auto const query = kvs::make_rows<D>(std::as_const(q).data() + (W - 1) * D, Hq, 1, W * D, D);
  std::vector<float> full(Hq * D), kept(Hq * D);
  auto const attend = [&](auto const& layer, std::vector<float>& out) {
    room const work{kvs::attend_workspace_bytes(on, query, layer)};
    return static_cast<bool>(kvs::attend(on, query, layer, kvs::make_rows<D>(out.data(), Hq, 1), work.span()));
  };
  if (!attend(cache, full) || !attend(kvs::make_parts(middle, ends), kept)) return EXIT_FAILURE;
  double off = 0, all = 0;
  for (std::size_t i = 0; i < full.size(); ++i) {
    off += std::pow(static_cast<double>(kept[i] - full[i]), 2);
    all += std::pow(static_cast<double>(full[i]), 2);
  }
  std::size_t const before = 2 * k.size() * sizeof(f16), after = codes.size() + whole.size() * sizeof(f16);
  std::printf("%zu bytes became %zu; the output is off by %.3f of its length\n", before, after, std::sqrt(off / all));
  return after < before / 5 && off < all / 4 ? EXIT_SUCCESS : EXIT_FAILURE;
}
