// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Driver of the scorers that learned from hidden states: a table of weights times every hidden state, then a score for
// each head from the products. Bound by multiply-adds.
#pragma once
#include <kvsieve/core/arena.hpp>
#include <kvsieve/core/exponent.hpp>
#include <kvsieve/core/hidden.hpp>
#include <kvsieve/host/on.hpp>
#include <kvsieve/host/row/block_product.hpp>
#include <kvsieve/host/tasks.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

template <class Scorer>
class score_per_hidden {
  static constexpr int lanes = fragment::lanes;
  static constexpr index rows_of_task = 128;  ///< they share what is read of the table
  static constexpr index chunk = 128;         ///< elements of a hidden state that are met at a time
  static_assert(chunk % hidden::width_step == 0 && hidden::width_step % lanes == 0);

 public:
  using params = typename Scorer::params;

  /// Scratch: task numbers, and for each worker its products and the part of the hidden states that it meets.
  template <class Layer>
  static score_per_hidden carve(arena& a, cs::span<Layer const> layers, int workers, params const& p) {
    score_per_hidden s(task_numbers::carve(a, static_cast<index>(layers.size())), p);
    s.heads_ = layers.empty() ? 0 : layers[0].heads();
    s.outputs_ = Scorer::outputs(p, s.heads_);
    s.room_ = (s.outputs_ + chunk) * rows_of_task + chunk * packed_outputs;
    s.scratch_ = a.take<float>(static_cast<std::size_t>(s.room_ * workers));
    return s;
  }

  template <class Exec, class Layer>
  void run(Exec const& on, cs::span<Layer const> layers, score_rows out) const {
    tasks_.fill(
        [&](index v) { return (layers[static_cast<std::size_t>(v)].tokens() + rows_of_task - 1) / rows_of_task; });
    on.for_each(tasks_.count(), [&](index i, int worker) {
      auto const place = tasks_.find(i);
      index const v = place.view, tokens = layers[static_cast<std::size_t>(v)].tokens(),
                  first = place.task * rows_of_task;
      index const rows = tokens - first < rows_of_task ? tokens - first : rows_of_task;
      float* const product = scratch_ + room_ * worker;
      hidden::visit(params_.hidden[static_cast<std::size_t>(v)],
                    [&](auto const* data) { make_products(data, static_cast<int>(v), first, rows, product); });
      for (int head = 0; head < heads_; ++head)
        for (index r = 0; r < rows; r += lanes) {
          float const* const of_row = product + r / product_rows * outputs_ * product_rows + r % product_rows;
          store(out.row(v, head, tokens) + first + r,
                Scorer::template score<fragment>(params_, static_cast<int>(v), heads_, head,
                                                 [&](int o) { return load(of_row + index{o} * product_rows); }));
        }
    });
  }

 private:
  score_per_hidden(task_numbers tasks, params const& p) : tasks_(tasks), params_(p) {}

  // product [blocks][outputs][product_rows]: all products of rows [first, first + rows).
  template <class T>
  void make_products(T const* data, int view, index first, index rows, float* product) const {
    float const *const weight = Scorer::weight(params_, view, heads_), *const bias =
                                                                           Scorer::bias(params_, view, heads_);
    float *const turned = product + outputs_ * rows_of_task, *const packed = turned + chunk * rows_of_task;
    index biased = outputs_;
    if constexpr (requires { Scorer::biased(params_, heads_); }) biased = Scorer::biased(params_, heads_);
    index const width = params_.width, stride = params_.hidden[static_cast<std::size_t>(view)].stride;
    for (index from = 0; from < width; from += chunk) {
      index const elements = width - from < chunk ? width - from : chunk;
      bool const begins = from == 0, ends = from + elements == width;
      for (index r = 0; r < rows; r += product_rows)
        turn_rows([&](index i) { return data + (first + r + i) * stride; }, rows - r, from, elements,
                  turned + r * chunk);
      for (index o = 0; o < outputs_; o += packed_outputs) {
        index const some = outputs_ - o < packed_outputs ? outputs_ - o : packed_outputs;
        product_table const part = pack(product_table{weight, width, 1}, o, some, from, elements, packed);
        for (index r = 0; r < rows; r += product_rows) {
          float* const to = product + r * outputs_ + o * product_rows;
          block_product(
              part, some, turned + r * chunk, elements, product_rows,
              [&](index i, int c) {
                if (!begins) return load(to + i * product_rows + c * lanes);
                return fragment(o + i < biased ? bias[o + i] : 0.0f);
              },
              [&](index i, int c, fragment sum) {
                store(to + i * product_rows + c * lanes, ends ? Scorer::activated(sum) : sum);
              });
        }
      }
    }
  }

  task_numbers tasks_;
  params params_;
  int heads_ = 0;
  index outputs_ = 0, room_ = 0;
  float* scratch_ = nullptr;
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
