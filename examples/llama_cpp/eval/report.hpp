// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What an evaluation found, and the forms it is written in.
#pragma once
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "divergence.hpp"

namespace kvsieve::llama_example {

/// Answers to the items of a task.
struct retrieval {
  std::size_t items = 0;
  estimate score;       ///< mean of score_answer, 0 to 1
  estimate full_score;  ///< of the full cache on the same items: what the model can do at all
  estimate loss;        ///< -ln P of the references given behind the question, a token of theirs, in nats
  estimate full_loss;   ///< of the full cache
};

/// One strategy at one keep in one storage on one text or task; either it ran or `failure` says why not.
struct report_row {
  std::string strategy, storage;                  ///< no storage: as they were
  double keep = 0;                                ///< as asked for: a share of the tokens or of the bytes
  std::size_t bytes_before = 0, bytes_after = 0;  ///< of the cache, metadata counted
  bool question_known = false;                    ///< whether the question was there when the cache was compressed
  std::string source;                             ///< the text or the task
  std::optional<divergence> kl;
  std::optional<retrieval> answers;
  double seconds = std::numeric_limits<double>::quiet_NaN();  ///< to compress once
  std::string failure;
};

struct report {
  std::string model, command;  ///< what ran, and the command line that made it
  int tokens = 0;              ///< of a prompt before it was compressed
  std::uint64_t seed = 0;
  std::vector<report_row> rows;
};

/// Share of the bytes that is left; NaN for a cache of none.
[[nodiscard]] double share_of_bytes(report_row const& row);
/// What a line of the plot is called: the strategy, and the storage if there is one.
[[nodiscard]] std::string series_of(report_row const& row);

/// A table for people. Columns that no row fills are left out.
void print_report(report const& all, std::ostream& out, bool colour);
/// A line for each row, a header line first; RFC 4180 quoting, empty for what was not measured.
[[nodiscard]] std::string report_csv(report const& all);
/// Everything, for scripts; null for what was not measured.
[[nodiscard]] std::string report_json(report const& all);

}  // namespace kvsieve::llama_example
