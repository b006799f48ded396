// expected-error: kvsieve::plan on the device takes budgets that read no scores, rank them, or measure rows or views
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/budget/uncertainty.hpp>
#include <kvsieve/device/plan/planner.hpp>
#include <kvsieve/presets.hpp>

// A budget of somebody's own, which looks at the scores as it likes.
struct by_first_score : kvsieve::policy_base<kvsieve::stages::budget> {
  static constexpr kvsieve::uniformity uniformity_class = kvsieve::uniformity::U2;
  static constexpr bool reads_scores = true;
  static constexpr kvsieve::cs::int64_t room(params const&, int heads, int tokens) {
    return kvsieve::cs::int64_t{heads} * tokens;
  }
  template <class Rows>
  static void allot(params const&, Rows const& rows, int* count) {
    for (int v = 0; v < rows.views(); ++v)
      for (int h = 0; h < rows.heads(); ++h) count[v * rows.heads() + h] = rows.row(v, 0)[0] > 0 ? 1 : 0;
  }
};

#if defined(KVSIEVE_SHOULD_COMPILE)
using strategy = kvsieve::key_norm<kvsieve::budget::uncertainty>;
#else
using strategy = kvsieve::key_norm<by_first_score>;
#endif

struct launcher {
  static constexpr int threads = 128;
};
using layer = kvsieve::kv_layer<kvsieve::rows<float, 64>>;
using planner = kvsieve::device::planner<strategy, launcher, layer, kvsieve::device::no_queries>;
static_assert(sizeof(planner) > 0);
