// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// How the tasks are put together: each knows its text for any size, and the size is searched for.
#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "tasks.hpp"

namespace kvsieve::llama_example {

/// A task whose draws are made, except for the size of its haystack.
class sized_task {
 public:
  virtual ~sized_task() = default;

  /// The context with `size` units of haystack: sentences, words.
  /// @param[out] places  bytes before the needle of each reference; none where words are counted; may be null
  [[nodiscard]] virtual std::string context(std::size_t size, std::vector<std::size_t>* places) const = 0;
  [[nodiscard]] virtual std::size_t smallest() const { return 0; }
  /// The most units that its words suffice for.
  [[nodiscard]] virtual std::size_t largest() const { return std::size_t{1} << 22; }
  /// Question, prefix, references and allowance of an item whose haystack has this size.
  virtual void ask(std::size_t size, task_item& out) const = 0;
};

/// A request that was checked -> the task, or null for a name of another family.
[[nodiscard]] std::unique_ptr<sized_task> needle_task(task_request const& request);
[[nodiscard]] std::unique_ptr<sized_task> list_task(task_request const& request);

/// Whether a task's haystack is the caller's prose.
[[nodiscard]] bool lies_in_prose(task_request const& request);

/// The trivial sentences.
[[nodiscard]] std::string_view tiled_sentence(std::size_t index);

/// Sentences of one text, and sentences put between them at depths.
class interleaved {
 public:
  explicit interleaved(std::string separator) : separator_{std::move(separator)} {}
  void add(std::string_view sentence) { hay_.emplace_back(sentence); }
  /// Behind as many sentences of the haystack as take at most a share `depth` of its bytes.
  void insert(std::string sentence, double depth) { needles_.push_back({std::move(sentence), depth}); }
  /// The text behind `start`, and the bytes before each inserted sentence and the separator in front of it.
  [[nodiscard]] std::string text(std::string start, std::vector<std::size_t>& places) const;

 private:
  struct needle {
    std::string sentence;
    double depth;
  };
  std::string separator_;
  std::vector<std::string> hay_;
  std::vector<needle> needles_;
};

}  // namespace kvsieve::llama_example
