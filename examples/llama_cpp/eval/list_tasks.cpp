// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Texts without a needle: names that stand for a number through others, and words to be counted.
#include <algorithm>
#include <numeric>

#include "random_stream.hpp"
#include "task_parts.hpp"
#include "word_lists.hpp"

namespace kvsieve::llama_example {
namespace {

/// Capital letters, as no other of `taken`.
std::string drawn_name(random_stream& draw, std::size_t letters, std::vector<std::string> const& taken) {
  std::string out;
  do {
    out.clear();
    while (out.size() < letters) out += static_cast<char>('A' + draw.below(26));
  } while (std::find(taken.begin(), taken.end(), out) != taken.end());
  return out;
}

std::string joined(std::vector<std::string> const& items, std::string const& separator) {
  std::string out;
  for (auto const& item : items) out += (out.empty() ? "" : separator) + item;
  return out;
}

/// A number, and names that stand for it, each but the first through the one before.
class variables {
 public:
  variables(random_stream& draw, std::size_t letters) : value{std::to_string(10000 + draw.below(90000))} {
    for (int i = 0; i < 5; ++i) names.push_back(drawn_name(draw, letters, names));
  }
  [[nodiscard]] std::string line(std::size_t i) const {
    return "Let " + names[i] + " be " + (i == 0 ? value : names[i - 1]) + ".";
  }
  [[nodiscard]] std::string question() const { return "Which names stand for " + value + "? List them all."; }
  [[nodiscard]] std::string prefix() const { return "The names that stand for " + value + " are"; }

  std::string value;
  std::vector<std::string> names;
};

class variable_tracking : public sized_task {
 public:
  explicit variable_tracking(task_request const& request) {
    random_stream draw{request.seed, "variables"};
    variables const example{draw, 3};
    start_ = "In the text below names are given to numbers and to other names. Keep track of what each stands for.\n\n";
    for (std::size_t i = 0; i < example.names.size(); ++i)
      start_ += (i == 0 ? "" : " ") + std::string{tiled_sentence(i)} + " " + example.line(i);
    start_ += "\n\nQuestion: " + example.question() + "\nAnswer: " + example.prefix() + " " +
              joined(example.names, ", ") + ".\n\n";
    chain_ = std::make_unique<variables>(draw, 5);
    double const first = request.depth.value_or(draw.fraction());
    depths_.push_back(first);
    for (std::size_t i = 1; i < chain_->names.size(); ++i) depths_.push_back(first + (1 - first) * draw.fraction());
    std::sort(depths_.begin(), depths_.end());
  }

  std::string context(std::size_t size, std::vector<std::size_t>* places) const override {
    interleaved text{" "};
    for (std::size_t i = 0; i < size; ++i) text.add(tiled_sentence(i));
    for (std::size_t i = 0; i < depths_.size(); ++i) text.insert(chain_->line(i), depths_[i]);
    std::vector<std::size_t> all;
    auto out = text.text(start_, all);
    if (places != nullptr) *places = all;
    return out;
  }
  void ask(std::size_t, task_item& out) const override {
    out.question = "\n\nQuestion: " + chain_->question();
    out.answer_prefix = "\nAnswer: " + chain_->prefix();
    out.references = chain_->names;
    out.allowance = 30;
  }

 private:
  std::string start_;
  std::unique_ptr<variables> chain_;
  std::vector<double> depths_;
};

/// "1. salmon 2. lantern", each word as often as said.
std::string numbered(std::vector<std::string_view> const& often, std::size_t times,
                     std::vector<std::string_view> const& seldom, std::size_t few, random_stream draw) {
  std::vector<std::string_view> all;
  for (std::size_t i = 0; i < times; ++i) all.insert(all.end(), often.begin(), often.end());
  for (std::size_t i = 0; i < few; ++i) all.insert(all.end(), seldom.begin(), seldom.end());
  draw.shuffle(all);
  std::string out;
  for (std::size_t i = 0; i < all.size(); ++i)
    out += (i == 0 ? "" : " ") + std::to_string(i + 1) + ". " + std::string{all[i]};
  return out;
}

class common_words : public sized_task {
 public:
  explicit common_words(task_request const& request)
      : seed_{request.seed},
        often_{request.target_tokens < 4096 ? 6u : 30u},
        seldom_{request.target_tokens < 4096 ? 1u : 3u} {
    auto const known = counted_words();
    for (auto const i : random_stream{seed_, "words"}.sample(known.size(), known.size())) words_.push_back(known[i]);
  }

  std::string context(std::size_t size, std::vector<std::size_t>* places) const override {
    if (places != nullptr) places->clear();
    auto const example = drawn(0, asked);
    return "Below are numbered lists of words, some of which occur more often than others. Keep in mind the ten that "
           "occur most often.\n\n" +
           numbered(example, 3, drawn(asked, examples), 1, random_stream{seed_, "example"}) + question() + prefix() +
           " " + joined({example.begin(), example.end()}, ", ") + ".\n\n" +
           numbered(drawn(examples, examples + asked), often_, drawn(examples + asked, examples + asked + size),
                    seldom_, random_stream{seed_, "list"});
  }
  [[nodiscard]] std::size_t smallest() const override { return asked; }
  [[nodiscard]] std::size_t largest() const override { return words_.size() - examples - asked; }
  void ask(std::size_t, task_item& out) const override {
    out.question = question();
    out.answer_prefix = prefix();
    auto const common = drawn(examples, examples + asked);
    out.references.assign(common.begin(), common.end());
    out.allowance = 120;
  }

 private:
  static constexpr std::size_t asked = 10, examples = 20;  ///< the first words are the example's
  static std::string question() { return "\n\nQuestion: Which ten words occur most often in the list?"; }
  static std::string prefix() { return "\nAnswer: The ten words that occur most often are"; }
  [[nodiscard]] std::vector<std::string_view> drawn(std::size_t from, std::size_t to) const {
    return {words_.begin() + static_cast<std::ptrdiff_t>(from), words_.begin() + static_cast<std::ptrdiff_t>(to)};
  }

  std::uint64_t seed_;
  std::size_t often_, seldom_;
  std::vector<std::string_view> words_;
};

/// Coded words of which the k-th occurs size / (k^2 zeta(2)) times; dots stand for the first.
class frequent_words : public sized_task {
 public:
  explicit frequent_words(task_request const& request) : seed_{request.seed} {}

  std::string context(std::size_t size, std::vector<std::size_t>* places) const override {
    if (places != nullptr) places->clear();
    std::vector<std::string> all;
    auto const words = coded(size);
    for (std::size_t k = 0; k < words.size(); ++k) all.insert(all.end(), times(size, k + 1), words[k]);
    random_stream{seed_, "list"}.shuffle(all);
    return "The coded text below was read with gaps, which dots stand for. Keep in mind which coded words occur most "
           "often, without the dots.\n\n" +
           joined(all, " ");
  }
  /// The asked words then occur 9, 4 and 2 times and the one behind them once.
  [[nodiscard]] std::size_t smallest() const override { return 60; }
  void ask(std::size_t size, task_item& out) const override {
    auto const words = coded(size);
    out.question = "\n\nQuestion: Which three coded words occur most often in the text?";
    out.answer_prefix = "\nAnswer: The three coded words that occur most often are";
    out.references.assign(words.begin() + 1, words.begin() + 4);
    out.allowance = 50;
  }

 private:
  static std::size_t times(std::size_t size, std::size_t k) {
    constexpr double zeta = 1.6449340668482264;  // pi^2 / 6
    return static_cast<std::size_t>(static_cast<double>(size) / (static_cast<double>(k * k) * zeta));
  }
  /// As many words as occur at least once.
  [[nodiscard]] std::vector<std::string> coded(std::size_t size) const {
    random_stream draw{seed_, "words"};
    std::vector<std::string> out{"..."};
    for (std::size_t k = 2; times(size, k) > 0; ++k) {
      std::string word;
      do {
        word.clear();
        for (int i = 0; i < 3; ++i) {
          word += "bdfghjklmnprstvz"[draw.below(16)];
          word += "aeiou"[draw.below(5)];
        }
      } while (std::find(out.begin(), out.end(), word) != out.end());
      out.push_back(word);
    }
    return out;
  }

  std::uint64_t seed_;
};

}  // namespace

std::unique_ptr<sized_task> list_task(task_request const& request) {
  if (request.task == "vt") return std::make_unique<variable_tracking>(request);
  if (request.task == "cwe") return std::make_unique<common_words>(request);
  if (request.task == "fwe") return std::make_unique<frequent_words>(request);
  return nullptr;
}

}  // namespace kvsieve::llama_example
