// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Driver of the scorers that look at all rows of a KV head at once: moments, a factorisation, then every row. A head is
// one task, so results do not depend on the workers.
#pragma once
#include <kvsieve/core/arena.hpp>
#include <kvsieve/host/on.hpp>
#include <kvsieve/host/tasks.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// The largest head of a call, for a scorer's scratch.
struct head_extents {
  int tokens = 0, group = 1, head_dim = 0;
};

/// What a scorer sees of one KV head.
template <class Layer, class Queries>
struct whole_head {
  static constexpr int head_dim = Layer::head_dim;

  Layer const& layer;
  Queries const* queries;  ///< of the view, null where the scorer reads none
  index view, head;
  int views, heads;  ///< of the call, and KV heads of a view
  int group;         ///< query heads of a KV head

  [[nodiscard]] int tokens() const { return layer.tokens(); }
};

/// How a scorer of this pattern runs on the host: a struct `room`, the scratch of a worker, `carve(arena, extents,
/// params)` that makes it, and `score_head(params, head, room, score)`. A scorer may have the three itself.
template <class Scorer>
struct head_scorer : Scorer {};

template <class Scorer>
class score_per_head {
  using body = head_scorer<Scorer>;

 public:
  template <class Layer, class Queries>
  static score_per_head carve(arena& a, cs::span<Layer const> layers, cs::span<Queries const> queries, int workers,
                              typename Scorer::params const& params) {
    head_extents most{0, 1, Layer::head_dim};
    for (std::size_t v = 0; v < layers.size(); ++v) {
      most.tokens = most.tokens < layers[v].tokens() ? layers[v].tokens() : most.tokens;
      int const group = group_of(layers[v], queries, v);
      most.group = most.group < group ? group : most.group;
    }
    score_per_head s{params, task_numbers::carve(a, static_cast<index>(layers.size())),
                     a.take<typename body::room>(static_cast<std::size_t>(workers))};
    for (int w = 0; w < workers; ++w) {
      typename body::room const r = body::carve(a, most, params);
      if (s.rooms_ != nullptr) s.rooms_[w] = r;
    }
    return s;
  }

  template <class Exec, class Layer, class Queries>
  void run(Exec const& on, cs::span<Layer const> layers, cs::span<Queries const> queries, score_rows out) const {
    tasks_.fill([&](index v) { return layers[static_cast<std::size_t>(v)].heads(); });
    on.for_each(tasks_.count(), [&](index i, int worker) {
      auto const [v, head] = tasks_.find(i);
      auto const at = static_cast<std::size_t>(v);
      Layer const& l = layers[at];
      whole_head<Layer, Queries> const h{l,
                                         at < queries.size() ? &queries[at] : nullptr,
                                         v,
                                         head,
                                         static_cast<int>(layers.size()),
                                         l.heads(),
                                         group_of(l, queries, at)};
      body::score_head(params_, h, rooms_[worker], out.row(v, head, l.tokens()));
    });
  }

 private:
  score_per_head(typename Scorer::params const& p, task_numbers tasks, typename body::room* rooms)
      : params_(p), tasks_(tasks), rooms_(rooms) {}

  template <class Layer, class Queries>
  static int group_of(Layer const& l, cs::span<Queries const> queries, std::size_t v) {
    if constexpr (requires { queries[v].extent(0); })
      return v < queries.size() && l.heads() > 0 ? static_cast<int>(queries[v].extent(0)) / l.heads() : 1;
    else
      return 1;
  }

  typename Scorer::params params_;
  task_numbers tasks_;
  typename body::room* rooms_;
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
