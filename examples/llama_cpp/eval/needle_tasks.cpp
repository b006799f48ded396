// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// "The locker code of the amber falcon is 4821937.", somewhere in a long text.
#include <algorithm>
#include <array>
#include <optional>

#include "random_stream.hpp"
#include "task_parts.hpp"
#include "word_lists.hpp"

namespace kvsieve::llama_example {
namespace {

/// What needles are: how many names, codes to a name, and names asked for.
struct needle_form {
  std::string_view task;
  int names = 1, codes = 1, asked = 1;
  bool uuid_names = false, uuid_codes = false;
  bool among_needles = false;  ///< the haystack is made of needles
  int allowance = 128;
};

constexpr std::array forms{
    needle_form{"needle"},
    needle_form{"niah_single_1"},
    needle_form{"niah_single_2"},
    needle_form{.task = "niah_single_3", .uuid_codes = true},
    needle_form{.task = "niah_multikey_1", .names = 4},
    needle_form{.task = "niah_multikey_2", .among_needles = true},
    needle_form{.task = "niah_multikey_3", .uuid_names = true, .uuid_codes = true, .among_needles = true},
    needle_form{.task = "niah_multivalue", .codes = 4},
    needle_form{.task = "niah_multiquery", .names = 4, .asked = 4},
};

std::optional<needle_form> form_of(task_request const& request) {
  auto const* const found =
      std::find_if(forms.begin(), forms.end(), [&](needle_form const& f) { return f.task == request.task; });
  if (found == forms.end()) return {};
  auto form = *found;
  if (request.task == "needle") {
    form.names = 1 + request.distractors;
    form.allowance = request.digits + 3;
  }
  return form;
}

std::string code_of_digits(random_stream& draw, int digits) {
  std::string out(1, static_cast<char>('1' + draw.below(9)));
  while (out.size() < static_cast<std::size_t>(digits)) out += static_cast<char>('0' + draw.below(10));
  return out;
}

/// Random, in the form of RFC 9562's version 4.
std::string uuid(random_stream& draw) {
  std::string out;
  for (int i = 0; i < 32; ++i) {
    if (i == 8 || i == 12 || i == 16 || i == 20) out += '-';
    std::size_t const drawn = draw.below(16);
    out += "0123456789abcdef"[i == 12 ? 4 : i == 16 ? 8 + drawn % 4 : drawn];
  }
  return out;
}

/// "the amber falcon"; every pair is another name.
std::string name_of(std::size_t index) {
  auto const first = adjectives(), second = nouns();
  return "the " + std::string{first[index / second.size()]} + " " + std::string{second[index % second.size()]};
}

/// "a, b and c"
std::string listed(std::vector<std::string> const& items) {
  std::string out;
  for (std::size_t i = 0; i < items.size(); ++i)
    out += (i == 0 ? "" : i + 1 == items.size() ? " and " : ", ") + items[i];
  return out;
}

std::string instruction(bool several) {
  return several
             ? "Somewhere in the text below locker codes are given for names. Keep them in mind: a question about "
               "them comes at the end.\n\n"
             : "Somewhere in the text below a locker code is given for a name. Keep it in mind: a question about it "
               "comes at the end.\n\n";
}

/// Question and prefix for names that have `codes` codes together.
void ask_for(std::vector<std::string> const& names, std::size_t codes, task_item& out) {
  auto const whose = listed(names);
  std::string const all = codes == names.size() ? "" : "all ";
  out.question = codes == 1 ? "\n\nQuestion: What is the locker code of " + whose + "?"
                            : "\n\nQuestion: What are " + all + "the locker codes of " + whose + "?";
  out.answer_prefix =
      codes == 1 ? "\nAnswer: The locker code of " + whose + " is" : "\nAnswer: The locker codes of " + whose + " are";
}

/// A few needles in sentences.
class needles_in_text : public sized_task {
 public:
  needles_in_text(task_request const& request, needle_form const& form)
      : prose_{lies_in_prose(request) ? request.prose : std::span<std::string const>{}}, form_{form} {
    random_stream draw{request.seed, "needles"};
    if (!prose_.empty()) start_ = draw.below(prose_.size());
    // Forty equally spaced depths, none twice as far as they suffice; the first is the asked needle's.
    std::vector<double> depths;
    while (depths.size() < static_cast<std::size_t>(form.names * form.codes))
      for (auto const i : draw.sample(40, 40)) depths.push_back(static_cast<double>(i) / 39);
    if (request.depth) depths[0] = *request.depth;
    auto const pairs = draw.sample(static_cast<std::size_t>(form.names), adjectives().size() * nouns().size());
    for (auto const pair : pairs)
      for (int c = 0; c < form.codes; ++c) {
        std::string code;
        do code = form.uuid_codes ? uuid(draw) : code_of_digits(draw, request.task == "needle" ? request.digits : 7);
        while (std::any_of(needles_.begin(), needles_.end(), [&](needle const& n) { return n.code == code; }));
        needles_.push_back({name_of(pair), code, depths[needles_.size()]});
      }
  }

  std::string context(std::size_t size, std::vector<std::size_t>* places) const override {
    interleaved text{" "};
    for (std::size_t i = 0; i < size; ++i)
      text.add(prose_.empty() ? tiled_sentence(i) : std::string_view{prose_[(start_ + i) % prose_.size()]});
    for (auto const& n : needles_)
      text.insert((form_.codes > 1 ? "One locker code of " : "The locker code of ") + n.name + " is " + n.code + ".",
                  n.depth);
    std::vector<std::size_t> all;
    auto out = text.text(instruction(needles_.size() > 1), all);
    all.resize(asked());
    if (places != nullptr) *places = all;
    return out;
  }

  void ask(std::size_t, task_item& out) const override {
    std::vector<std::string> names;
    for (std::size_t i = 0; i < asked(); ++i) {
      out.references.push_back(needles_[i].code);
      if (names.empty() || names.back() != needles_[i].name) names.push_back(needles_[i].name);
    }
    ask_for(names, asked(), out);
    out.allowance = form_.allowance;
  }

 private:
  struct needle {
    std::string name, code;
    double depth;
  };
  /// Needles whose codes are asked for, the first ones.
  [[nodiscard]] std::size_t asked() const { return static_cast<std::size_t>(form_.asked * form_.codes); }

  std::span<std::string const> prose_;
  needle_form form_;
  std::size_t start_ = 0;
  std::vector<needle> needles_;
};

/// Nothing but needles, a line each.
class needles_among_needles : public sized_task {
 public:
  needles_among_needles(task_request const& request, needle_form const& form)
      : form_{form}, seed_{request.seed}, depth_{request.depth.value_or(random_stream{seed_, "line"}.fraction())} {}

  std::string context(std::size_t size, std::vector<std::size_t>* places) const override {
    auto out = instruction(true);
    auto const all = lines(size);
    for (std::size_t i = 0; i < size; ++i) {
      if (i == asked(size) && places != nullptr) *places = {out.size()};
      out += (i == 0 ? "The locker code of " : "\nThe locker code of ") + all[i].name + " is " + all[i].code + ".";
    }
    return out;
  }
  [[nodiscard]] std::size_t smallest() const override { return 1; }
  [[nodiscard]] std::size_t largest() const override {
    return form_.uuid_names ? sized_task::largest() : adjectives().size() * nouns().size();
  }
  void ask(std::size_t size, task_item& out) const override {
    auto const mine = lines(size)[asked(size)];
    out.references = {mine.code};
    ask_for({mine.name}, 1, out);
    out.allowance = form_.allowance;
  }

 private:
  struct line {
    std::string name, code;
  };
  /// The line asked for.
  [[nodiscard]] std::size_t asked(std::size_t size) const {
    return std::min(size - 1, static_cast<std::size_t>(depth_ * static_cast<double>(size)));
  }
  /// The first lines of the seed: a shorter text is the beginning of a longer one.
  [[nodiscard]] std::vector<line> lines(std::size_t size) const {
    random_stream draw{seed_, "needles"}, which{seed_, "names"};
    auto const pairs =
        form_.uuid_names ? std::vector<std::size_t>{} : which.sample(size, adjectives().size() * nouns().size());
    std::vector<line> out;
    for (std::size_t i = 0; i < size; ++i) {
      auto name = form_.uuid_names ? uuid(draw) : name_of(pairs[i]);
      out.push_back({std::move(name), form_.uuid_codes ? uuid(draw) : code_of_digits(draw, 7)});
    }
    return out;
  }

  needle_form form_;
  std::uint64_t seed_;
  double depth_;
};

}  // namespace

bool lies_in_prose(task_request const& request) {
  auto const form = form_of(request);
  if (!form || form->among_needles || request.task == "niah_single_1") return false;
  return request.task != "needle" || request.hay == haystack::prose;
}

std::unique_ptr<sized_task> needle_task(task_request const& request) {
  auto const form = form_of(request);
  if (!form) return nullptr;
  if (form->among_needles) return std::make_unique<needles_among_needles>(request, *form);
  return std::make_unique<needles_in_text>(request, *form);
}

}  // namespace kvsieve::llama_example
