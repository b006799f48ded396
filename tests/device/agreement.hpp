// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The device's launches on emulated blocks against the host's plan of the same cache: scores agree up to rounding, the
// kept sets but for tokens whose scores are that close.
#pragma once
#include "emulated_plan.hpp"

#include <kvsieve/host/run.hpp>

namespace kvsieve_test {
template <class C, class Layer, class... Queries>
void check_agreement(std::vector<Layer> const& layers, typename C::params const& p, double bound, double least,
                     std::vector<Queries> const&... queries) {
  kvs::host::on<> const inline_;
  kvs::kv_group<Layer> const group(layers.data(), layers.size());
  auto const bytes =
      kvs::workspace_bytes<C>(inline_, group, kvs::cs::span<Queries const>(queries.data(), queries.size())..., p);
  std::vector<workspace_line> memory(bytes / 64 + 1);
  kvs::token_plan const expected =
      kvs::plan<C>(inline_, group, kvs::cs::span<Queries const>(queries.data(), queries.size())..., p,
                   std::span(reinterpret_cast<std::byte*>(memory.data()), memory.size() * 64));
  REQUIRE(expected);
  auto const made = emulated_plan<C, 64>(layers, p, queries...);
  kvs::token_plan const plan = on_host(made.plan);
  CHECK(plan.uniformity_class == expected.uniformity_class);
  CHECK(plan.note.argument == std::string_view(expected.note.argument));
  CHECK(plan.note.expected == expected.note.expected);
  REQUIRE(plan.views == expected.views);
  for (int v = 0; v < plan.views; ++v) {
    CHECK(plan.tokens(v) == expected.tokens(v));
    for (int h = 0; h < plan.heads; ++h) {
      CAPTURE(v, h);
      REQUIRE(plan.count(v, h) == expected.count(v, h));
      auto const got = scores(plan, v, h), want = scores(expected, v, h);
      CHECK(near(got, want, bound, least));
      for (std::size_t t = 0; t < got.size(); ++t) CHECK(std::isinf(got[t]) == std::isinf(want[t]));
      // Tokens on which the two differ lie within rounding of each other.
      auto const a = kept(plan, v, h), b = kept(expected, v, h);
      double lowest = INFINITY, highest = -INFINITY;
      auto const see = [&](std::vector<int> const& in, std::vector<int> const& out) {
        for (int const t : in) {
          if (std::binary_search(out.begin(), out.end(), t)) continue;
          lowest = std::min(lowest, want[static_cast<std::size_t>(t)]);
          highest = std::max(highest, want[static_cast<std::size_t>(t)]);
        }
      };
      see(a, b);
      see(b, a);
      CHECK((a == b || highest - lowest <= 2 * bound * std::max(least, std::abs(highest))));
    }
  }
}

template <class C>
void check_cache(typename C::params const& p, double bound = 2e-5, double least = 1e-3) {
  cache<float, 64> a(2, 150, 21), b(2, 61, 22);
  a.keys.at(1, 30, 5) = not_a_number;
  std::vector const layers{a.layer(), b.layer()};
  if constexpr (C::observes_queries) {
    tensor<float, 64> qa(4, 150, 23), qb(4, 61, 24);
    std::vector const queries{qa.view(), qb.view()};
    check_agreement<C>(layers, p, bound, least, queries);
  } else {
    check_agreement<C>(layers, p, bound, least);
  }
}
}  // namespace kvsieve_test
