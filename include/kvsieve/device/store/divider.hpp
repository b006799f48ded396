// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The division of a plan into parts as launches. Where a part's lists lie and how long they are stays on the device;
// the host knows bounds, or the counts too where they follow from those of a plan that it can read.
#pragma once
#include <kvsieve/core/arena.hpp>
#include <kvsieve/device/call/check.hpp>
#include <kvsieve/device/call/launch_views.hpp>
#include <kvsieve/device/call/place_lists.hpp>
#include <kvsieve/device/call/workspace.hpp>
#include <kvsieve/device/store/rank_levels.hpp>
#include <kvsieve/store/levels.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// One call that divides a plan of the device, a token_plan or an open_plan.
template <class Launcher, class Plan>
class division {
  static constexpr bool counted = cs::is_same_v<Plan, token_plan>;

 public:
  division(Launcher const& on, Plan const& plan, int parts) : on_(on), plan_(plan), parts_(parts) {}

  /// Bytes that run() needs; nothing for what it refuses.
  [[nodiscard]] workspace_size bytes() const { return sizes(false); }
  /// Bytes that run_by_score() needs.
  [[nodiscard]] workspace_size bytes_by_score() const { return sizes(true); }

  /// Divides by what a caller says of each entry.
  template <class PartOf>
  [[nodiscard]] status run(PartOf const& part_of, workspace const& w, cs::span<open_plan> parts) const {
    memory m;
    if (status const s = begin(w, false, m); !s) return s;
    by_place<PartOf> const rule{part_of};
    if (status const s = place(m, rule); !s) return s;
    lay_out(m, parts, [&](int, index rows) { return rows; });
    return {};
  }
  /// Divides by where entries lie in their lists: parts[0] is encoded, parts[1] stays as it was.
  [[nodiscard]] status run(store::windows const& rule, workspace const& w, cs::span<Plan> parts) const {
    if (status const s = rule.check(); !s) return s;
    memory m;
    if (status const s = begin(w, false, m); !s) return s;
    if (status const s = place(m, by_windows{rule}); !s) return s;
    if constexpr (counted) {
      for (int p = 0; p < parts_; ++p) {
        index* const offset = m.host_offset + p * (rows() + 1);
        index used = 0;
        for (index r = 0; r < rows(); ++r) {
          int const n = plan_.count(static_cast<int>(r / plan_.heads), static_cast<int>(r % plan_.heads));
          offset[r] = used;
          used += p == 0 ? rule.encoded(n) : n - rule.encoded(n);
        }
        offset[rows()] = used;
        token_plan& part = parts[static_cast<cs::size_t>(p)];
        part = plan_;
        part.uniformity_class = uniformity::U3;
        part.offset = offset;
        part.device_offset = offset_of(m, p);
        part.list = m.list[p];
      }
    } else {
      lay_out(m, parts, [&](int p, index n) -> index {
        // A list of as many entries as leave the longest rest keeps all of it.
        index const rest = index{rule.sink} + rule.recent + rule.tile - 1;
        return p == 0 ? rule.encoded(static_cast<int>(n)) : n < rest ? n : rest;
      });
      parts[0].multiple = rule.tile;
    }
    return {};
  }
  /// Divides by the scores of entries, the entries[0] highest into parts[0] and so on.
  [[nodiscard]] status run_by_score(cs::span<index const> entries, workspace const& w,
                                    cs::span<open_plan> parts) const {
    if (entries.size() != parts.size())
      return fail(errc::bad_shape, "entries", static_cast<double>(entries.size()), "must equal the number of parts,",
                  static_cast<double>(parts.size()));
    for (index const n : entries)
      if (n < 0) return fail(errc::bad_params, "entries", static_cast<double>(n), "must be at least", 0);
    memory m;
    if (status const s = begin(w, true, m); !s) return s;
    if (parts_ > 1)
      if (status const s = rank(m, entries); !s) return s;
    if (parts_ == 1) {
      if (status const s = place(m, all_in_one{}); !s) return s;
    } else if (status const s = place(m, by_level{m.level}); !s) {
      return s;
    }
    index before = 0;
    lay_out(m, parts, [&](int p, index n) { return p + 1 < parts_ && entries[at(p)] < n ? entries[at(p)] : n; });
    for (int p = 0; p < parts_; ++p) {
      index const left = rows_of(plan_) > before ? rows_of(plan_) - before : 0;
      index const most = p + 1 < parts_ && entries[at(p)] < left ? entries[at(p)] : left;
      if (parts[at(p)].rows > most) parts[at(p)].rows = most;
      before += most;
    }
    return {};
  }

 private:
  struct memory {
    int* count = nullptr;            ///< device [parts, rows]
    index* offset = nullptr;         ///< device [parts, rows + 1]
    int* list[most_parts] = {};      ///< device, of each part as many as the plan may have
    int* longest = nullptr;          ///< host [parts, views]
    index* host_offset = nullptr;    ///< host [parts, rows + 1], of a plan whose counts the host knows
    level_cut* cut = nullptr;        ///< device [cuts], by score, as what follows
    unsigned* histogram = nullptr;   ///< device [4, cuts, level_bins]
    index* tie_offset = nullptr;     ///< device [cuts, rows + 1]
    unsigned char* level = nullptr;  ///< device, of every entry
  };
  [[nodiscard]] static cs::size_t at(int p) { return static_cast<cs::size_t>(p); }
  [[nodiscard]] index rows() const { return index{plan_.views} * plan_.heads; }
  [[nodiscard]] index const* offset_of(memory const& m, int p) const { return m.offset + p * (rows() + 1); }

  [[nodiscard]] memory carve(arena& device, arena& host, bool by_score) const {
    auto const n = [](index x) { return static_cast<std::size_t>(x); };
    memory m;
    m.count = device.take<int>(n(parts_ * rows()));
    m.offset = device.take<index>(n(parts_ * (rows() + 1)));
    for (int p = 0; p < parts_; ++p) m.list[p] = device.take<int>(n(rows_of(plan_)));
    m.longest = host.take<int>(n(index{parts_} * plan_.views));
    if constexpr (counted) m.host_offset = host.take<index>(n(parts_ * (rows() + 1)));
    if (!by_score) return m;
    m.cut = device.take<level_cut>(most_cuts);
    m.histogram = device.take<unsigned>(n(index{4} * (parts_ - 1) * level_bins));
    m.tie_offset = device.take<index>(n((parts_ - 1) * (rows() + 1)));
    m.level = device.take<unsigned char>(n(rows_of(plan_)));
    return m;
  }
  [[nodiscard]] workspace_size sizes(bool by_score) const {
    if (!check()) return {};
    arena device, host;
    (void)carve(device, host, by_score);
    return {device.used(), host.used()};
  }
  [[nodiscard]] status check() const {
    if (!plan_) return plan_.state;
    if (parts_ < 1) return fail(errc::bad_shape, "parts", parts_, "must be at least", 1);
    if (parts_ > most_parts)
      return fail(errc::bad_shape, "parts", parts_, "must be, on the device, at most", most_parts);
    if (plan_.heads > most_blocks_across)
      return fail(errc::bad_plan, "plan.heads", plan_.heads, "must be, on the device, at most", most_blocks_across);
    if (rows_of(plan_) > index{~0u})
      return fail(errc::bad_plan, "plan", static_cast<double>(rows_of(plan_)), "entries; it must have at most",
                  static_cast<double>(~0u));
    return {};
  }
  [[nodiscard]] status begin(workspace const& w, bool by_score, memory& m) const {
    if (status const s = check(); !s) return s;
    if (status const s = fits(w, sizes(by_score)); !s) return s;
    if (status const s = within_reach(on_, w.device.data(), "workspace.device"); !s) return s;
    if (status const s = within_reach(on_, plan_.list, "plan.list"); !s) return s;
    if (by_score)
      if (status const s = within_reach(on_, plan_.score, "plan.score"); !s) return s;
    arena device(w.device), host(w.host);
    m = carve(device, host, by_score);
    return {};
  }

  /// Counts, offsets and lists of all parts.
  template <class Rule>
  [[nodiscard]] status place(memory const& m, Rule const& rule) const {
    divide_args<Rule> args{{}, rule, plan_.heads, parts_, rows(), plan_.list, m.count, m.offset, {}};
    for (int p = 0; p < parts_; ++p) args.part[p] = m.list[p];
    auto const each = [&](int v, divided_view& part) {
      part = {lists_of(plan_, v), v};
      return 1;
    };
    status s = launch_views<count_parts_body<Rule>>(on_, plan_.views, plan_.heads, 1, args, each);
    if (s) s = on_.template launch<place_lists_body>(grid{parts_}, place_lists_args{m.count, rows(), m.offset});
    if (s) s = launch_views<place_parts_body<Rule>>(on_, plan_.views, plan_.heads, 1, args, each);
    return s;
  }
  /// The level of every entry.
  [[nodiscard]] status rank(memory const& m, cs::span<index const> entries) const {
    int const cuts = parts_ - 1;
    begin_levels_args first{m.cut, m.histogram, cuts, {}, rows_of(plan_), nullptr};
    if constexpr (!counted) first.end = plan_.offset + rows();
    index taken = 0;
    for (int c = 0; c < cuts; ++c) {
      taken = rows_of(plan_) - taken < entries[at(c)] ? rows_of(plan_) : taken + entries[at(c)];
      first.taken[c] = taken;
    }
    status s = on_.template launch<begin_levels_body>(grid{}, first);
    rank_levels_args args{{},          plan_.heads, cuts,         0,      rows(), plan_.list, m.cut,
                          m.histogram, m.count,     m.tie_offset, m.level};
    auto const each = [&](int v, ranked_view& part) {
      part = {lists_of(plan_, v), plan_.score + plan_.score_offset[v], score_stride(plan_.tokens(v)), v};
      return 1;
    };
    for (int shift = 24; s && shift >= 0; shift -= 8) {
      args.shift = shift;
      s = launch_views<count_levels_body>(on_, plan_.views, plan_.heads, 1, args, each);
      if (s) s = on_.template launch<find_level_body>(grid{cuts}, args);
    }
    if (s) s = launch_views<count_ties_body>(on_, plan_.views, plan_.heads, 1, args, each);
    if (s) s = on_.template launch<place_lists_body>(grid{cuts}, place_lists_args{m.count, rows(), m.tie_offset});
    if (s) s = launch_views<mark_levels_body>(on_, plan_.views, plan_.heads, 1, args, each);
    return s;
  }
  /// The parts as plans; most(part, n): entries of a list of up to n that go into it.
  template <class Most>
  void lay_out(memory const& m, cs::span<open_plan> parts, Most const& most) const {
    for (int p = 0; p < parts_; ++p) {
      open_plan part;
      part.note = plan_.note;
      part.views = plan_.views;
      part.heads = plan_.heads;
      part.logical_tokens = plan_.logical_tokens;
      part.score = plan_.score;
      part.score_offset = plan_.score_offset;
      part.longest = m.longest + index{p} * plan_.views;
      index all = 0;
      for (int v = 0; v < plan_.views; ++v) {
        index const n = most(p, lists_of(plan_, v).most);
        m.longest[index{p} * plan_.views + v] = static_cast<int>(n);
        all += n * plan_.heads;
      }
      part.rows = all < rows_of(plan_) ? all : rows_of(plan_);
      part.offset = offset_of(m, p);
      part.list = m.list[p];
      parts[at(p)] = part;
    }
  }

  Launcher const& on_;
  Plan const& plan_;
  int parts_;
};
}  // namespace device
}  // namespace kvsieve::inline v0
