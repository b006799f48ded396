// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel bodies that make several plans of one: how many entries of a head go into each part, and their lists.
#pragma once
#include <kvsieve/core/views.hpp>
#include <kvsieve/device/block.hpp>
#include <kvsieve/device/call/open_plan.hpp>
#include <kvsieve/store/divide.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// Parts that a plan is divided into, at most.
inline constexpr int most_parts = 16;

/// One head of one view of the plan that is divided.
struct divided_list {
  int view, head;
  int count;    ///< entries of its list
  index first;  ///< where the list begins, in entries of all lists
};

/// Rules, as bodies ask them for the part of entry i of a list: what a caller says of view, head and entry,
template <class PartOf>
struct by_place {
  PartOf part_of;
  KVSIEVE_CALLS_GIVEN
  [[nodiscard]] KVSIEVE_HD int operator()(divided_list const& l, int i) const { return part_of(l.view, l.head, i); }
};
/// where it lies in its list,
struct by_windows {
  store::windows rule;
  [[nodiscard]] KVSIEVE_HD int operator()(divided_list const& l, int i) const { return rule.part_of(l.count, i); }
};
/// nothing at all, where there is one part,
struct all_in_one {
  [[nodiscard]] KVSIEVE_HD int operator()(divided_list const&, int) const { return 0; }
};
/// or what was found for it before.
struct by_level {
  unsigned char const* level;  ///< of every entry
  [[nodiscard]] KVSIEVE_HD int operator()(divided_list const& l, int i) const { return level[l.first + i]; }
};

/// One view of such a launch.
struct divided_view {
  kept_lists kept;
  int view;
};
/// The entries of a thread: a run of a list, so that what threads find is in order.
struct run_of_thread {
  int first, last;
  KVSIEVE_HD run_of_thread(int count, int rank, int threads) {
    int const each = pieces(count, threads);
    first = count - each * rank > 0 ? each * rank : count;
    last = count - first < each ? count : first + each;
  }
};

template <class Rule>
struct divide_args {
  batch<divided_view> views;
  Rule rule;
  int heads, parts;
  index rows;             ///< views * heads
  int const* list;        ///< of all heads
  int* count;             ///< [parts, rows]
  index const* offset;    ///< [parts, rows + 1]
  int* part[most_parts];  ///< the lists of each part

  [[nodiscard]] KVSIEVE_HD divided_list of(work w) const {
    divided_view const& v = views.part[w.z];
    return {v.view, w.y, v.kept.count(w.y), v.kept.of(w.y) - list};
  }
  /// The part of an entry; what leaves the range goes into the last one.
  [[nodiscard]] KVSIEVE_HD int part_of(divided_list const& l, int i) const {
    int const p = rule(l, i);
    return p >= 0 && p < parts ? p : parts - 1;
  }
};

/// Block (0, head, view): how many entries go into each part.
template <class Rule>
struct count_parts_body {
  template <block Block>
  struct shared {
    unsigned count[most_parts];
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, divide_args<Rule> const& a, work w, shared<Block>& s) {
    divided_list const l = a.of(w);
    for (int p = b.rank(); p < a.parts; p += Block::threads) s.count[p] = 0;
    b.sync();
    for (int i = b.rank(); i < l.count; i += Block::threads) b.atomic_add(s.count[a.part_of(l, i)], 1u);
    b.sync();
    for (int p = b.rank(); p < a.parts; p += Block::threads)
      a.count[p * a.rows + index{l.view} * a.heads + l.head] = static_cast<int>(s.count[p]);
  }
};

/// Block (0, head, view): the lists of its parts, which ascend as its own does.
template <class Rule>
struct place_parts_body {
  template <block Block>
  struct shared {
    typename Block::scan_storage scan;
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, divide_args<Rule> const& a, work w, shared<Block>& s) {
    divided_list const l = a.of(w);
    int const* const list = a.list + l.first;
    run_of_thread const own(l.count, b.rank(), Block::threads);
    for (int p = 0; p < a.parts; ++p) {
      unsigned count = 0, total = 0;
      for (int i = own.first; i < own.last; ++i) count += a.part_of(l, i) == p ? 1u : 0u;
      unsigned const before = b.exclusive_sum(count, total, s.scan);
      int* to = a.part[p] + a.offset[p * (a.rows + 1) + index{l.view} * a.heads + l.head] + before;
      for (int i = own.first; i < own.last; ++i)
        if (a.part_of(l, i) == p) *to++ = list[i];
    }
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
