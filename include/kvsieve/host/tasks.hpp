// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Work of a grouped call, numbered through all its views, and where the rows of scores lie.
#pragma once
#include <kvsieve/core/arena.hpp>
#include <kvsieve/core/math.hpp>
#include <kvsieve/core/views.hpp>

namespace kvsieve::inline v0 {
namespace host {

/// Numbers the tasks of all views: view v has `tasks_of(v)` of them.
class task_numbers {
 public:
  static task_numbers carve(arena& a, index views) {
    return {a.take<index>(static_cast<std::size_t>(views) + 1), views};
  }

  template <class TasksOf>
  void fill(TasksOf const& tasks_of) const {
    first_[0] = 0;
    for (index v = 0; v < views_; ++v) first_[v + 1] = first_[v] + tasks_of(v);
  }
  [[nodiscard]] index count() const { return first_[views_]; }

  struct place {
    index view, task;
  };
  /// Which view a number belongs to, and which of its tasks it is.
  [[nodiscard]] place find(index number) const {
    index low = 0, high = views_ - 1;
    while (low < high) {
      index const middle = (low + high + 1) / 2;
      if (first_[middle] <= number)
        low = middle;
      else
        high = middle - 1;
    }
    return {low, number - first_[low]};
  }

 private:
  task_numbers(index* first, index views) : first_(first), views_(views) {}
  index* first_;
  index views_;
};

/// The scores of a grouped call: a row per view and KV head, padded to a multiple of 16.
struct score_rows {
  float* data = nullptr;
  index const* view_offset = nullptr;  ///< [views]

  [[nodiscard]] float* row(index view, index head, index tokens) const {
    return data + view_offset[view] + head * score_stride(tokens);
  }
};

/// Rows per unit of work. Partial sums are formed per segment and joined in order, whoever computed them: that is what
/// makes results independent of the number of workers.
inline constexpr index segment_rows = 1024;
[[nodiscard]] constexpr index segments_of(index tokens) { return (tokens + segment_rows - 1) / segment_rows; }
}  // namespace host
}  // namespace kvsieve::inline v0
