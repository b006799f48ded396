// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Driver of the protection by mass: how many tokens of each head hold it, without a sort, and which these are.
#pragma once
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/core/scores.hpp>
#include <kvsieve/host/budget/count_mass.hpp>
#include <kvsieve/host/on.hpp>
#include <kvsieve/host/select/top_k.hpp>
#include <kvsieve/protect/mass.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// Tokens of a view that have scores, and how many the scorer keeps behind them.
struct scored_tokens {
  index count;
  int tail;
};

template <class Protect>
class protect_mass {
 public:
  using params = typename Protect::params;

  /// Scratch: two numbers of each view, and rows for each worker.
  static protect_mass carve(arena& a, index views, index longest, int workers) {
    protect_mass s;
    s.room_ = round_up<index>(longest, 16) + 16;
    auto const rows = static_cast<std::size_t>(s.room_ * workers);
    s.bound_ = a.take<double>(static_cast<std::size_t>(views));
    s.largest_ = a.take<float>(static_cast<std::size_t>(views));
    s.key_ = a.take<unsigned>(rows);
    s.candidate_ = a.take<unsigned>(rows);
    s.list_ = a.take<int>(rows);
    return s;
  }

  /// Raises the protected tokens. seen(view) are its scored_tokens, kept(view) the fraction that its budget keeps,
  /// row(view, head) and mean(view, head) the first scored token's score and mean attention.
  template <class Exec, class Seen, class Kept, class Row, class Mean>
  void run(Exec const& on, params const& p, index views, index heads, Seen const& seen, Kept const& kept,
           Row const& row, Mean const& mean) const {
    on.for_each(views, [&](index v, int) {
      scored_tokens const s = seen(v);
      double outside = 0;
      float largest = -__builtin_inff();
      for (index h = 0; h < heads; ++h) {
        float const *const score = row(v, h), *const attention = mean(v, h);
        double all = 0, last = 0;
        for (index t = 0; t < s.count; ++t) {
          double const x = finite(attention[t]) ? static_cast<double>(attention[t]) : 0.0;
          all += x;
          if (t + s.tail >= s.count) last += x;
          if (finite(score[t]) && largest < score[t]) largest = score[t];
        }
        outside += (p.as_source ? last : 1 - all) / static_cast<double>(heads);
      }
      bound_[v] = p.share - outside;
      largest_[v] = largest;
    });
    on.for_each(views * heads, [&](index i, int worker) {
      index const v = i / heads, h = i % heads, at = room_ * worker;
      scored_tokens const s = seen(v);
      float const* const attention = mean(v, h);
      int const most = Protect::most(static_cast<int>(s.count), kept(v), s.tail);
      index const held = count_mass(attention, s.count, bound_[v], key_ + at) - 1;
      int const count = held < most ? static_cast<int>(held) : most;
      if (count < 1) return;
      int const n = static_cast<int>(s.count);
      top_k(attention, n, count, forced_set{n, 0, 0, nullptr, 0}, 0, list_ + at, {key_ + at, candidate_ + at});
      float* const score = row(v, h);
      for (int k = 0; k < count; ++k) {
        float& x = score[list_[at + k]];
        if (finite(x)) x = largest_[v];
      }
    });
  }

 private:
  index room_ = 0;
  double* bound_ = nullptr;                         ///< [views]: the share that protected tokens stay below
  float* largest_ = nullptr;                        ///< [views]
  unsigned *key_ = nullptr, *candidate_ = nullptr;  ///< a row a worker
  int* list_ = nullptr;
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
