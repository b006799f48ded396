// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

#include <kvsieve/reference/layer_scores.hpp>

namespace kvsieve::inline v0 {
namespace reference {

/// One row of scores that competes with others, and which of its tokens stay in any case.
struct ranked_row {
  std::vector<double> score;  ///< of each token
  std::vector<bool> stays;    ///< forced tokens; as long as `score`
};

/// How many tokens of each row are among the `total` that stay of all rows together: those that stay in any case, then
/// the largest scores, the lower row and then the lower index where they are equal, NaN below -inf. Where `total` is
/// less than the forced tokens, rows share it equally as far as they have tokens, the lower ones one more. With
/// `drop_ties` no token stays whose score equals the last one's, unless all stay.
[[nodiscard]] inline std::vector<int> over_all(std::vector<ranked_row> const& rows, long total,
                                               bool drop_ties = false) {
  struct entry {
    double score;
    std::size_t row;
    bool stays;
  };
  std::vector<entry> all;
  long forced = 0;
  for (std::size_t r = 0; r < rows.size(); ++r)
    for (std::size_t i = 0; i < rows[r].score.size(); ++i) {
      all.push_back({rows[r].score[i], r, rows[r].stays[i]});
      forced += rows[r].stays[i];
    }
  std::vector<int> count(rows.size(), 0);
  if (total < forced) {
    std::vector<long> most;
    for (auto const& row : rows) most.push_back(static_cast<long>(row.score.size()));
    auto const share = share_equally(total, most);
    for (std::size_t r = 0; r < rows.size(); ++r) count[r] = static_cast<int>(share[r]);
    return count;
  }
  std::stable_sort(all.begin(), all.end(), [](entry const& a, entry const& b) {
    if (a.stays != b.stays) return a.stays;
    if (a.stays) return false;
    if (std::isnan(a.score) || std::isnan(b.score)) return !std::isnan(a.score) && std::isnan(b.score);
    return a.score > b.score;
  });
  auto const same = [](double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); };
  for (long i = 0; i < total && i < static_cast<long>(all.size()); ++i) {
    entry const &e = all[static_cast<std::size_t>(i)], &last = all[static_cast<std::size_t>(total - 1)];
    if (drop_ties && total < static_cast<long>(all.size()) && !e.stays && !last.stays && same(e.score, last.score))
      continue;
    ++count[e.row];
  }
  return count;
}

/// Tokens that all heads of a sequence keep together: floor(heads * sum of `tokens` * keep), or, where `limit` is not
/// negative, heads * sum of min(limit, tokens).
[[nodiscard]] inline long over_all_total(double keep, int limit, std::vector<int> const& tokens, int heads) {
  long all = 0, limited = 0;
  for (int const n : tokens) {
    all += long{heads} * n;
    limited += long{heads} * std::min(limit, n);
  }
  return limit >= 0 ? limited : static_cast<long>(std::floor(static_cast<double>(all) * keep));
}
}  // namespace reference
}  // namespace kvsieve::inline v0
