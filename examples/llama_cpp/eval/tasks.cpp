// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tasks.hpp"

#include <algorithm>
#include <array>
#include <numeric>

#include "task_parts.hpp"

namespace kvsieve::llama_example {
namespace {

constexpr std::array<std::string_view, 12> names{"needle",
                                                 "niah_single_1",
                                                 "niah_single_2",
                                                 "niah_single_3",
                                                 "niah_multikey_1",
                                                 "niah_multikey_2",
                                                 "niah_multikey_3",
                                                 "niah_multivalue",
                                                 "niah_multiquery",
                                                 "vt",
                                                 "cwe",
                                                 "fwe"};

message check_request(task_request const& r) {
  if (std::find(names.begin(), names.end(), r.task) == names.end()) {
    std::string known;
    for (auto const n : names) known += (known.empty() ? "" : ", ") + std::string{n};
    return "no task is called '" + r.task + "'; there are " + known;
  }
  auto const where = r.task + ": ";
  if (r.depth && !(*r.depth >= 0 && *r.depth <= 1))
    return where + "a depth of " + std::to_string(*r.depth) + " is not from 0 to 1";
  if (r.digits < 4 || r.digits > 256) return where + std::to_string(r.digits) + " digits are not 4 to 256";
  if (r.distractors < 0 || r.distractors > 64)
    return where + std::to_string(r.distractors) + " distractors are not 0 to 64";
  bool const own = r.task != "needle";
  if (own && (r.hay != haystack::prose || r.digits != task_request{}.digits || r.distractors != 0))
    return where + "haystack, digits and distractors are its own, and chosen for 'needle' alone";
  if (r.depth && (r.task == "cwe" || r.task == "fwe")) return where + "words to be counted have no depth";
  if (lies_in_prose(r)) {
    if (r.prose.empty()) return where + "it lies in prose, and there is none";
    for (std::size_t i = 0; i < r.prose.size(); ++i)
      if (r.prose[i].empty()) return where + "sentence " + std::to_string(i) + " of the prose is empty";
  }
  return {};
}

/// Parts of an item, and their tokens.
class fitting {
 public:
  fitting(sized_task const& task, token_counter const& count, int target)
      : task_{task}, count_{count}, target_{target} {}

  /// Tokens of an item of this size with its allowance; -1 when the counter failed.
  int measure(std::size_t size) {
    task_item item;
    task_.ask(size, item);
    return add(add(add(item.allowance, task_.context(size, nullptr)), item.question), item.answer_prefix);
  }

  /// The largest size that was measured to fit.
  message search(std::size_t& size) {
    std::size_t fits = task_.smallest();
    int const least = measure(fits);
    if (least < 0) return "the counter gave " + std::to_string(wrong_) + " tokens for a text";
    if (least > target_)
      return "the shortest text with its answer takes " + std::to_string(least) + " tokens, more than " +
             std::to_string(target_);
    for (std::size_t step = 1, over = task_.largest() + 1; fits + 1 < over;) {
      // Doubled steps until one is too long, then halves. What fits was measured, so that nothing is assumed of the
      // counter.
      std::size_t const next =
          over > task_.largest() ? std::min(fits + step, task_.largest()) : fits + (over - fits) / 2;
      int const tokens = measure(next);
      if (tokens < 0) return "the counter gave " + std::to_string(wrong_) + " tokens for a text";
      if (tokens > target_)
        over = next;
      else
        fits = next;
      step *= 2;
    }
    if (fits == task_.largest())
      return "its words do not suffice for " + std::to_string(target_) + " tokens: " + std::to_string(fits) +
             " sentences or words take " + std::to_string(measure(fits));
    size = fits;
    return {};
  }

 private:
  int add(int sum, std::string_view text) {
    if (sum < 0) return sum;
    int const tokens = count_(text);
    if (tokens <= 0) wrong_ = tokens;
    return tokens <= 0 ? -1 : sum + tokens;
  }

  sized_task const& task_;
  token_counter const& count_;
  int target_, wrong_ = 0;
};

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string lowered(std::string_view text) {
  std::string out{text};
  std::transform(out.begin(), out.end(), out.begin(), lower);
  return out;
}

}  // namespace

std::span<std::string_view const> task_names() { return names; }

std::string task_item::expected() const {
  std::string out;
  for (auto const& r : references) out += (out.empty() ? " " : ", ") + r;
  return out;
}

message make_task(task_request const& request, token_counter const& count, task_item& out) {
  if (auto wrong = check_request(request)) return wrong;
  auto const where = request.task + ": ";
  if (!count) return where + "no counter of tokens";
  auto task = needle_task(request);
  if (!task) task = list_task(request);

  std::size_t size = 0;
  if (auto wrong = fitting{*task, count, request.target_tokens}.search(size)) return where + *wrong;
  task_item item;
  task->ask(size, item);
  item.task = request.task;
  item.seed = request.seed;
  std::vector<std::size_t> places;
  item.context = task->context(size, &places);
  int const whole = count(item.context);
  item.tokens = whole + count(item.question) + count(item.answer_prefix);
  for (auto const bytes : places) {
    int const token = count(std::string_view{item.context}.substr(0, bytes));
    item.needles.push_back({token, static_cast<double>(token) / whole});
  }
  out = std::move(item);
  return {};
}

double score_answer(std::string_view answer, std::span<std::string const> references, credit how) {
  if (references.empty()) return 0;
  auto const text = lowered(answer);
  auto const found = std::count_if(references.begin(), references.end(), [&](std::string const& r) {
    return !r.empty() && text.find(lowered(r)) != std::string::npos;
  });
  if (how == credit::any) return found > 0 ? 1 : 0;
  return static_cast<double>(found) / static_cast<double>(references.size());
}

std::vector<std::string> sentences_of(std::string_view text) {
  std::vector<std::string> out;
  std::string now;
  auto const close = [&] {
    if (!now.empty()) out.push_back(std::move(now));
    now.clear();
  };
  for (std::size_t at = 0; at < text.size();) {
    auto const blank = text.find_first_not_of(" \t\r\n", at);
    auto const between = text.substr(at, std::min(blank, text.size()) - at);
    at += between.size();
    if (std::count(between.begin(), between.end(), '\n') > 1) close();
    auto const word = text.substr(at, std::min(text.find_first_of(" \t\r\n", at), text.size()) - at);
    at += word.size();
    if (word.empty()) continue;
    now += (now.empty() ? "" : " ") + std::string{word};
    auto const last = word.find_last_not_of("\"')");
    if (last != std::string_view::npos && std::string_view{".?!"}.find(word[last]) != std::string_view::npos) close();
  }
  close();
  return out;
}

std::string_view tiled_sentence(std::size_t index) {
  static constexpr std::array<std::string_view, 5> block{"The kettle is on the stove.", "Rain falls on the roof.",
                                                         "A dog sleeps by the door.", "The clock ticks on.",
                                                         "Nothing else happens here."};
  return block[index % block.size()];
}

std::string interleaved::text(std::string out, std::vector<std::size_t>& places) const {
  std::size_t const total = std::accumulate(hay_.begin(), hay_.end(), std::size_t{0},
                                            [](std::size_t n, auto const& s) { return n + s.size(); });
  // The sentence of the haystack before which each needle goes; needles of one place stay in order.
  std::vector<std::size_t> before(needles_.size(), 0);
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < hay_.size(); ++i) {
    bytes += hay_[i].size();
    for (std::size_t n = 0; n < needles_.size(); ++n)
      if (static_cast<double>(bytes) <= needles_[n].depth * static_cast<double>(total)) before[n] = i + 1;
  }
  places.assign(needles_.size(), 0);
  bool first = true;
  auto const put = [&](std::string const& sentence) {
    auto const start_of = out.size();  // with the blank before, which is a part of the first word's token
    if (!first) out += separator_;
    first = false;
    out += sentence;
    return start_of;
  };
  for (std::size_t i = 0; i <= hay_.size(); ++i) {
    for (std::size_t n = 0; n < needles_.size(); ++n)
      if (before[n] == i) places[n] = put(needles_[n].sentence);
    if (i < hay_.size()) put(hay_[i]);
  }
  return out;
}

}  // namespace kvsieve::llama_example
