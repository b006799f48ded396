// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kvsieve's own composition on one layer, from one budget of bytes: ranked by a pass that repeats the text and by the
// last window, what goes merged into what stays, and what stays in levels of precision by the same scores. The
// program's preset also moves the merged values to what the pass reads (kvsieve::refit_values), which needs values of
// the pass.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include <kvsieve/kvsieve.hpp>
#include <kvsieve/store/level_sets.hpp>

namespace kvs = kvsieve;
namespace cs = cuda::std;

namespace {
constexpr int Hkv = 2, Hq = 4, N = 512, D = 64, W = 64, P = 528;  // P: an instruction, then the text again

/// Aligned memory that calls work in.
struct room {
  std::size_t size;
  std::unique_ptr<std::byte, void (*)(void*)> memory{
      static_cast<std::byte*>(std::aligned_alloc(64, size / 64 * 64 + 64)), [](void* p) { std::free(p); }};
  [[nodiscard]] std::span<std::byte> span() const { return {memory.get(), size}; }
};
/// Keys, values and biases of one level: rows of each head behind those of the one before.
struct level {
  std::vector<kvs::index> offset{0};
  std::vector<unsigned char> keys, values;
  std::vector<cs::uint8_t> bias;
};
}  // namespace

int main() {
  // An engine has keys and values [Hkv, N, D], the keys of the pass behind them, and queries [Hq, P + W, D] of the pass
  // and of the last window.
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> k(Hkv * N * D), v(k.size()), seen(Hkv * (N + P) * D), q(Hq * (P + W) * D);
  for (auto* x : {&k, &v, &seen, &q})
    for (float& e : *x) e = normal(random);
  for (int h = 0; h < Hkv; ++h) std::copy_n(&k[h * N * D], N * D, &seen[h * (N + P) * D]);

  // [graded]
  using graded = kvs::graded<>;
  kvs::index const bytes = Hkv * N * 2 * D * 2 / 10;  // a tenth of the cache in f16

  kvs::host::team team{2};
  kvs::host::on on{team};
  kvs::kv_layer const cache{kvs::make_rows<D>(std::as_const(k).data(), Hkv, N),
                            kvs::make_rows<D>(std::as_const(v).data(), Hkv, N)};
  auto const pass = kvs::make_rows<D>(std::as_const(seen).data(), Hkv, N + P);
  auto const queries = kvs::make_rows<D>(std::as_const(q).data(), Hq, P + W);
  // Queries of the pass weigh 0.7, those of the window 0.3; the pass sees all but the first 4 tokens by its own chunk.
  kvs::query_set const sets[] = {{P, 0.7f / P, N, 4, 4, N}, {W, 0.3f / W, N - W}};

  std::vector<float> out(Hq * D);
  auto const query = kvs::make_rows<D>(std::as_const(q).data(), Hq, 1, (P + W) * D, D);
  auto const output = kvs::make_rows<D>(out.data(), Hq, 1);

  auto const store = [&]<class Set>(Set) {  // which levels there are depends on the bytes
    typename Set::template table<D> const table(true);
    kvs::index entries[Set::count];
    kvs::index const rows = table.view().entries(bytes, {entries, Set::count});
    graded::params params{.score = {.sets = {sets, 2}, .own = P, .sink = 4},
                          .budget = {.keep = static_cast<double>(rows) / (Hkv * N)}};

    // Rank, and merge what goes. Scores read keys alone, so the pass needs no values.
    kvs::kv_layer const ranked{pass, pass};
    room const plan_room{kvs::workspace_bytes<graded>(on, ranked, queries, params)};
    kvs::token_plan const plan = kvs::plan<graded>(on, ranked, queries, params, plan_room.span());
    if (!plan) return std::size_t{0};
    std::vector<float> merged(2 * Hkv * N * D);
    std::vector<cs::uint8_t> bias(Hkv * N);
    kvs::kv_layer const result{kvs::make_rows<D>(merged.data(), Hkv, N),
                               kvs::make_rows<D>(merged.data() + Hkv * N * D, Hkv, N)};
    room const merge_room{kvs::apply_workspace_bytes<graded>(on, plan, cache, params)};
    if (!kvs::apply<graded>(on, plan, cache, result, params, merge_room.span(),
                            kvs::entry_bias_target{bias.data(), N, nullptr}))
      return std::size_t{0};

    // Divide by score, and encode each level; attention reads one after another.
    kvs::token_plan parts[Set::count];
    room const divide_room{kvs::store::divide_by_score_workspace_bytes(plan, Set::count)};
    if (!kvs::store::divide_by_score(plan, {entries, Set::count}, divide_room.span(), {parts, Set::count}))
      return std::size_t{0};
    level levels[Set::count];
    std::size_t taken = 0;
    Set::each([&]<class Level>(int l) {
      level& to = levels[l];
      for (int h = 0; h < Hkv; ++h) {
        auto const all = plan.kept(0, h), own = parts[l].kept(0, h);
        to.offset.push_back(to.offset.back() + static_cast<kvs::index>(own.size()));
        for (int const token : own) {
          auto const row = std::lower_bound(all.begin(), all.end(), token) - all.begin();  // of the merged rows
          to.keys.resize(to.keys.size() + Level::keys::template tile_bytes<D>);
          to.values.resize(to.values.size() + Level::values::template tile_bytes<D>);
          Level::keys::template encode<D>(&result.keys(h, row, 0),
                                          &*(to.keys.end() - Level::keys::template tile_bytes<D>));
          Level::values::template encode<D>(&result.values(h, row, 0),
                                            &*(to.values.end() - Level::values::template tile_bytes<D>));
          to.bias.push_back(bias[static_cast<std::size_t>(h * N + row)]);
        }
      }
      taken += to.keys.size() + to.values.size() + to.bias.size();
    });
    auto const layer = Set::parts([&]<class Level>(int l) {
      return kvs::kv_layer{kvs::make_encoded_ragged<typename Level::keys, D>(std::as_const(levels[l].keys).data(), Hkv,
                                                                             levels[l].offset.data()),
                           kvs::make_encoded_ragged<typename Level::values, D>(std::as_const(levels[l].values).data(),
                                                                               Hkv, levels[l].offset.data()),
                           kvs::entry_bias{levels[l].bias.data(), 0, levels[l].offset.data()}};
    });
    room const attend_room{kvs::attend_workspace_bytes(on, query, layer)};
    return kvs::attend(on, query, layer, output, attend_room.span()) ? taken : 0;
  };
  std::size_t const taken = kvs::store::with_levels(kvs::store::bits_a_number(bytes, Hkv * N, D), store);
  // [graded]
  std::printf("%zu bytes of %d; first output channel: %f\n", taken, Hkv * N * 2 * D * 2, static_cast<double>(out[0]));
  return taken > 0 && taken <= static_cast<std::size_t>(bytes) && std::isfinite(out[0]) ? EXIT_SUCCESS : EXIT_FAILURE;
}
