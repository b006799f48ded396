// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Head dimensions and element types on a real GPU: the host makes the same plan, and compaction moves its rows.
#pragma once
#include <cstring>
#include <utility>
#include <vector>

#include "plan.hpp"

namespace kvsieve_test {
/// Compacts beside and in place, and looks at every element.
template <class C, class T, int D>
void moves_what_was_kept(grouped_cache<T, D> const& c, typename C::params const& p) {
  stream s;
  kvs::device::on const on{s.handle};
  device_plan const made = plan_on_device<C>(on, c, p);
  auto const layers = c.on_device();
  std::vector<int> rows;
  for (int v = 0; v < made.plan.views; ++v) rows.push_back(made.plan.count(v));
  grouped_cache<T, D> const to(c.heads, 1, rows, 900);
  auto const targets = to.on_device();
  using layer = typename grouped_cache<T, D>::layer;
  REQUIRE(kvs::apply<C>(on, made.plan, kvs::kv_group<layer>(layers.data(), layers.size()),
                        kvs::kv_group<layer>(targets.data(), targets.size())));
  REQUIRE(kvs::apply<C>(on, made.plan, kvs::kv_group<layer>(layers.data(), layers.size())));
  s.wait();
  for (std::size_t v = 0; v < layers.size(); ++v) {
    for (auto const& [mine, beside] :
         {std::pair{c.keys[v].get(), to.keys[v].get()}, std::pair{c.values[v].get(), to.values[v].get()}}) {
      auto const in_place = mine->download(), copied = beside->download();
      int wrong = 0;
      for (int h = 0; h < c.heads; ++h) {
        auto const kept = fetch(made.plan, static_cast<int>(v), h).kept;
        auto const bytes = static_cast<std::size_t>(D) * sizeof(T);
        for (std::size_t i = 0; i < kept.size(); ++i) {
          auto const at = [&](std::vector<T> const& all, int tokens, std::size_t row) {
            return all.data() + (static_cast<std::size_t>(h) * static_cast<std::size_t>(tokens) + row) * D;
          };
          T const* const from = at(mine->host, mine->tokens, static_cast<std::size_t>(kept[i]));
          wrong += std::memcmp(from, at(in_place, mine->tokens, i), bytes) == 0 ? 0 : 1;
          wrong += std::memcmp(from, at(copied, beside->tokens, i), bytes) == 0 ? 0 : 1;
        }
      }
      CHECK(wrong == 0);
    }
    c.keys[v]->upload();
    c.values[v]->upload();
  }
}

template <class T, int D>
void rows_of(std::vector<int> const& lengths) {
  CAPTURE(D, sizeof(T));
  grouped_cache<T, D> const c(2, 1, lengths, 5);
  same_as_host<kvs::key_diff<>>(c, {.budget = {.keep = 0.4}, .select = {.sink = 2, .recent = 3}}, cosines);
  moves_what_was_kept<kvs::key_diff<>>(c, {.budget = {.keep = 0.4}});
}
template <class T>
void rows_of_every_dimension(std::vector<int> const& lengths) {
  rows_of<T, 64>(lengths);
  rows_of<T, 80>(lengths);
  rows_of<T, 96>(lengths);
  rows_of<T, 128>(lengths);
  rows_of<T, 256>(lengths);
}
}  // namespace kvsieve_test
