// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Decode attention, one query a head, against reading keys and values once.
#include "benches.hpp"
#include "plans.hpp"

namespace kvsieve::bench::gpu {
namespace {
/// How the outputs of a view differ from the host's; nothing where they do not.
template <class T>
std::string output_difference(float const* out, matrix<T> const& query, cache_layer<T> const& layer, int v) {
  host_rows<T> q(query), keys(layer.keys), values(layer.values);
  cache_layer<T> const here{keys.view, values.view};
  host::on const workers{team()};
  struct alignas(64) line {
    std::byte byte[64];
  };
  std::vector<line> room(attend_workspace_bytes(workers, q.view, here) / 64 + 1);
  std::vector<float> want(static_cast<std::size_t>(query_heads) * head_dim);
  status const s = attend(workers, q.view, here, make_rows<head_dim>(want.data(), query_heads, 1),
                          std::span(reinterpret_cast<std::byte*>(room.data()), room.size() * 64));
  char text[256];
  if (!s) return "host: " + std::string(s.message(text));
  auto const got = fetch(out + static_cast<std::size_t>(v) * want.size(), want.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (std::abs(got[i] - want[i]) <= 3e-5f) continue;
    std::snprintf(text, sizeof text, "view %d number %zu: output %g, host %g", v, i, static_cast<double>(got[i]),
                  static_cast<double>(want[i]));
    return text;
  }
  return {};
}

/// Rows, queries and outputs read and written once; the products of a query head with keys and values.
template <class T>
cost of_rows(int tokens) {
  double const numbers = query_heads * head_dim;
  return {2 * row_bytes<T>(tokens) + numbers * sizeof(T), 4 * numbers, 4 * numbers * tokens};
}

template <class T>
void dense_of(int tokens, int layers) {
  record r{"attend/dense", name_of<T>(), tokens, layers, {}, {}, {}};
  cost const one = of_rows<T>(tokens);
  r.least = {layers * one.read, layers * one.written, layers * one.flops};
  std::vector<inputs<T>> sets;
  for (int i = 0; i < sets_of<T>(tokens, layers); ++i) sets.emplace_back(readable<T>(), tokens, layers, 1);
  auto const outputs = static_cast<std::size_t>(layers) * query_heads * head_dim;
  memory const out(outputs * sizeof(float)), scratch(attend_workspace_bytes(on(), sets[0].observed(), sets[0].group()));
  std::vector<matrix<float>> views;
  for (int v = 0; v < layers; ++v)
    views.push_back(
        make_rows<head_dim>(out.as<float>() + static_cast<std::size_t>(v) * query_heads * head_dim, query_heads, 1));
  auto const call = [&](inputs<T> const& in) {
    return attend(on(), in.observed(), in.group(), cs::span<matrix<float> const>(views.data(), views.size()),
                  scratch.bytes());
  };
  char text[256];
  if (status const s = call(sets[0]); !s) {
    r.wrong = std::string(s.message(text));
  } else {
    wait();
    for (int const v : {0, layers - 1}) {
      auto const at = static_cast<std::size_t>(v);
      if (r.wrong.empty()) r.wrong = output_difference<T>(out.as<float>(), sets[0].queries[at], sets[0].layers[at], v);
    }
  }
  if (r.wrong.empty())
    r.seconds = time_calls([&](int i) {
      if (!call(sets[static_cast<std::size_t>(i) % sets.size()])) must(cudaErrorUnknown, "attend");
    });
  records().push_back(std::move(r));
}
}  // namespace

void time_attend() {
  for (int const n : all_tokens) {
    dense_of<float>(n, 1);
    dense_of<bf16>(n, 1);
  }
  dense_of<bf16>(model_tokens, model_layers);
}
}  // namespace kvsieve::bench::gpu
