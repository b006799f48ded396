// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tasks.hpp"

#include <algorithm>
#include <catch2/catch_all.hpp>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "generators.hpp"

using namespace kvsieve::llama_example;
using Catch::Matchers::ContainsSubstring;

namespace {

/// Words and marks, each a token; digits one by one: near what tokenizers of small vocabularies do.
int tokens_of(std::string_view text) {
  int count = 0;
  bool letters = false;
  for (auto const c : text) {
    bool const letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (c != ' ' && !(letter && letters)) ++count;
    letters = letter;
  }
  return count;
}

std::vector<std::string> const& prose() {
  static std::vector<std::string> const sentences = [] {
    std::vector<std::string> out;
    for (int i = 0; i < 60; ++i)
      out.push_back("On day " + std::to_string(i) + " the boat left the harbour" +
                    (i % 3 == 0 ? " later than it should have, for want of a crew." : "."));
    return out;
  }();
  return sentences;
}

task_request request_for(std::string_view task, int target, std::uint64_t seed = 7) {
  task_request r;
  r.task = task;
  r.target_tokens = target;
  r.seed = seed;
  r.prose = prose();
  return r;
}

task_item made(task_request const& request, token_counter const& count = tokens_of) {
  task_item out;
  auto const wrong = make_task(request, count, out);
  CAPTURE(wrong.value_or(""));
  REQUIRE(!wrong);
  return out;
}

std::uint64_t hash_of(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (auto const c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

std::size_t occurrences(std::string_view text, std::string_view of) {
  std::size_t count = 0;
  for (auto at = text.find(of); at != std::string_view::npos; at = text.find(of, at + 1)) ++count;
  return count;
}

}  // namespace

TEST_CASE("tasks: never longer than asked for, and as long as sentences allow", "[llama_example][tasks]") {
  CHECK(support::holds("tasks: never longer than asked for", 100, [] {
    auto const task = *rc::gen::elementOf(std::vector<std::string_view>(task_names().begin(), task_names().end()));
    // The counter may be off by some tokens anywhere: what fits is measured.
    int const noise = *rc::gen::elementOf(std::vector<int>{0, 0, 9});
    auto const count = [noise](std::string_view text) {
      return tokens_of(text) + (noise == 0 ? 0 : static_cast<int>(hash_of(text) % static_cast<unsigned>(noise)));
    };
    auto const request = request_for(task, *rc::gen::inRange(900, 4500), *rc::gen::arbitrary<std::uint64_t>());
    task_item item;
    auto const wrong = make_task(request, count, item);
    RC_ASSERT(!wrong);
    RC_ASSERT(item.tokens == count(item.context) + count(item.question) + count(item.answer_prefix));
    RC_ASSERT(item.tokens + item.allowance <= request.target_tokens);
    // A sentence more would not fit; a line of UUIDs is the longest. Counted words come three times each.
    if (noise == 0) RC_ASSERT(item.tokens + item.allowance > request.target_tokens - 100);
    RC_ASSERT(item.task == task && item.seed == request.seed);
    task_item again;
    RC_ASSERT(!make_task(request, count, again));
    RC_ASSERT(again.prompt() == item.prompt() && again.references == item.references);
    RC_ASSERT(score_answer(item.expected(), item.references) == 1);
    RC_ASSERT(score_answer(item.context, item.references) == 1);  // all that is asked for lies in the context
  }));
}

TEST_CASE("tasks: references and allowances are RULER's", "[llama_example][tasks]") {
  auto const figures = [](std::string_view task) {
    auto const item = made(request_for(task, 2000));
    return std::pair{item.references.size(), item.allowance};
  };
  CHECK(figures("needle") == std::pair<std::size_t, int>{1, 10});
  for (auto const* const one :
       {"niah_single_1", "niah_single_2", "niah_single_3", "niah_multikey_1", "niah_multikey_2", "niah_multikey_3"})
    CHECK(figures(one) == std::pair<std::size_t, int>{1, 128});
  CHECK(figures("niah_multivalue") == std::pair<std::size_t, int>{4, 128});
  CHECK(figures("niah_multiquery") == std::pair<std::size_t, int>{4, 128});
  CHECK(figures("vt") == std::pair<std::size_t, int>{5, 30});
  CHECK(figures("cwe") == std::pair<std::size_t, int>{10, 120});
  CHECK(figures("fwe") == std::pair<std::size_t, int>{3, 50});
}

TEST_CASE("tasks: a needle lies where it was asked for", "[llama_example][tasks]") {
  for (auto const hay : {haystack::tiled, haystack::prose})
    for (double const depth : {0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0}) {
      CAPTURE(depth);
      auto request = request_for("needle", 1000);
      request.hay = hay;
      request.depth = depth;
      request.distractors = 3;
      auto const item = made(request);
      REQUIRE(item.needles.size() == 1);
      // The instruction before the haystack takes some of the depth; sentences are whole.
      CHECK(std::abs(item.needles[0].depth - depth) < 0.05);
      CHECK(item.needles[0].depth ==
            static_cast<double>(item.needles[0].token) / static_cast<double>(tokens_of(item.context)));
      auto const at = item.context.find(item.references[0]);
      REQUIRE(at != std::string::npos);
      auto const sentence = item.context.rfind("The locker code of", at);
      CHECK(tokens_of(item.context.substr(0, sentence)) == item.needles[0].token);
      CHECK(occurrences(item.context, item.references[0]) == 1);
      CHECK(occurrences(item.context, "The locker code of the ") == 4);
      // The question names the needle, and the prefix ends where its code begins.
      auto const start = item.context.substr(sentence, at - sentence - 1);
      CHECK(item.answer_prefix == "\nAnswer: " + start);
    }
}

TEST_CASE("tasks: codes have the digits asked for", "[llama_example][tasks]") {
  for (int const digits : {4, 7, 64, 256}) {
    auto request = request_for("needle", 20000);
    request.digits = digits;
    request.distractors = 64;
    auto const item = made(request);
    CHECK(item.references[0].size() == static_cast<std::size_t>(digits));
    CHECK(item.references[0].find_first_not_of("0123456789") == std::string::npos);
    CHECK(item.references[0][0] != '0');
    CHECK(item.allowance == digits + 3);
    CHECK(occurrences(item.context, item.references[0]) == 1);
  }
}

TEST_CASE("tasks: needles among needles", "[llama_example][tasks]") {
  for (auto const* const task : {"niah_multikey_2", "niah_multikey_3"}) {
    auto request = request_for(task, 4000);
    auto const item = made(request);
    std::set<std::string> names;
    std::size_t lines = 0;
    for (std::size_t at = item.context.find("\n\n") + 2; at < item.context.size(); ++lines) {
      auto const end = std::min(item.context.find('\n', at), item.context.size());
      auto const line = item.context.substr(at, end - at);
      CHECK(line.starts_with("The locker code of "));
      names.insert(line.substr(0, line.find(" is ")));
      at = end + 1;
    }
    CHECK(lines > 40);
    CHECK(names.size() == lines);
    auto const at = item.context.find(item.references[0]);
    CHECK(item.context.substr(0, at).ends_with(item.answer_prefix.substr(9) + " "));
    request.depth = 1;
    CHECK(made(request).context.ends_with(made(request).references[0] + "."));
    request.depth = 0;
    CHECK(made(request).needles[0].token == tokens_of(item.context.substr(0, item.context.find("\n\n") + 2)));
  }
  // 64 x 64 names, of which a line takes some fifteen tokens.
  task_item out;
  auto const wrong = make_task(request_for("niah_multikey_2", 1000000), tokens_of, out);
  REQUIRE(wrong);
  CHECK_THAT(*wrong, ContainsSubstring("niah_multikey_2: its words do not suffice for 1000000 tokens: 4096 "));
}

TEST_CASE("tasks: several codes, several names", "[llama_example][tasks]") {
  auto const values = made(request_for("niah_multivalue", 2000)), queries = made(request_for("niah_multiquery", 2000));
  CHECK(values.needles.size() == 4);
  CHECK(queries.needles.size() == 4);
  CHECK(std::set<std::string>(values.references.begin(), values.references.end()).size() == 4);
  for (auto const& code : queries.references) {
    auto const at = queries.context.find(" is " + code);
    auto const sentence = queries.context.rfind("The locker code of ", at);
    auto const name = queries.context.substr(sentence + 19, at - sentence - 19);
    CHECK_THAT(queries.question, ContainsSubstring(name));
    CHECK_THAT(queries.answer_prefix, ContainsSubstring(name));
  }
  CHECK(occurrences(values.context, "One locker code of ") == 4);
  auto const& codes = values.references;
  CHECK(values.expected() == " " + codes[0] + ", " + codes[1] + ", " + codes[2] + ", " + codes[3]);
}

TEST_CASE("tasks: a chain of names", "[llama_example][tasks]") {
  auto const item = made(request_for("vt", 2000));
  std::size_t at = item.context.find("\n\n", item.context.find("Answer:"));
  std::string stands_for = item.question.substr(item.question.find("stand for ") + 10, 5);
  for (std::size_t i = 0; i < 5; ++i) {
    at = item.context.find("Let " + item.references[i] + " be " + stands_for + ".", at);
    REQUIRE(at != std::string::npos);
    CHECK(tokens_of(item.context.substr(0, at)) == item.needles[i].token);
    stands_for = item.references[i];
  }
  CHECK(std::is_sorted(item.needles.begin(), item.needles.end(),
                       [](needle_place const& a, needle_place const& b) { return a.token < b.token; }));
  auto request = request_for("vt", 2000);
  request.depth = 0.5;
  CHECK(std::abs(made(request).needles[0].depth - 0.5) < 0.06);
}

TEST_CASE("tasks: words are as common as they are said to be", "[llama_example][tasks]") {
  for (auto const& [target, often, seldom] : {std::tuple{2000, 6, 1}, std::tuple{4096, 30, 3}}) {
    auto const item = made(request_for("cwe", target));
    auto const list = item.context.substr(item.context.rfind("\n\n") + 2);
    std::map<std::string, int> counts;
    for (std::size_t at = 0; at < list.size();) {
      at = list.find(". ", at) + 2;
      auto const end = std::min(list.find(' ', at), list.size());
      ++counts[list.substr(at, end - at)];
      at = end;
    }
    for (auto const& [word, count] : counts) {
      bool const common = std::find(item.references.begin(), item.references.end(), word) != item.references.end();
      CHECK(count == (common ? often : seldom));
    }
    CHECK(counts.size() >= 20);
  }
  // Whatever the length, the three are more frequent than the others, and each more than the next.
  for (int target = 300; target < 700; target += 7) {
    auto const item = made(request_for("fwe", target));
    std::map<std::string, int> counts;
    for (auto const& sentence : {item.context.substr(item.context.find("\n\n") + 2)})
      for (std::size_t at = 0; at < sentence.size();) {
        auto const end = std::min(sentence.find(' ', at), sentence.size());
        ++counts[sentence.substr(at, end - at)];
        at = end + 1;
      }
    int before = counts["..."];
    for (auto const& word : item.references) {
      CHECK(counts[word] < before);
      before = counts[word];
    }
    for (auto const& [word, count] : counts)
      if (word != "..." && std::find(item.references.begin(), item.references.end(), word) == item.references.end())
        CHECK(count < before);
  }
}

TEST_CASE("tasks: a seed gives the same text everywhere", "[llama_example][tasks]") {
  std::map<std::string, std::uint64_t> const known{{"needle", 0x592d6a6a737096f1},
                                                   {"niah_single_1", 0xc82401ab3e788ff6},
                                                   {"niah_single_2", 0x2436b25560fe210e},
                                                   {"niah_single_3", 0xcd0d9663206ae277},
                                                   {"niah_multikey_1", 0x3332c393bc814db9},
                                                   {"niah_multikey_2", 0xb54e300e626572a9},
                                                   {"niah_multikey_3", 0x3d160fbc05cd7ebc},
                                                   {"niah_multivalue", 0x56affcb300454707},
                                                   {"niah_multiquery", 0x4e39cdd14b627449},
                                                   {"vt", 0xc0569bf19540a919},
                                                   {"cwe", 0x122d57c10de40bff},
                                                   {"fwe", 0x2bd368c7ebab86ca}};
  for (auto const task : task_names()) {
    auto const prompt = made(request_for(task, 1500)).prompt();
    CAPTURE(task, hash_of(prompt));
    CHECK((known.contains(std::string{task}) && known.at(std::string{task}) == hash_of(prompt)));
    CHECK(prompt != made(request_for(task, 1500, 8)).prompt());
  }
}

TEST_CASE("tasks: bad requests are refused", "[llama_example][tasks]") {
  task_item out;
  out.context = "as it was";
  auto const refused = [&](task_request const& request, token_counter const& count, std::string const& why) {
    auto const wrong = make_task(request, count, out);
    REQUIRE(wrong);
    CHECK_THAT(*wrong, ContainsSubstring(why));
    CHECK(out.context == "as it was");
  };
  auto const with = [](std::string_view task, auto change) {
    auto request = request_for(task, 2000);
    change(request);
    return request;
  };
  refused(request_for("nap", 2000), tokens_of, "no task is called 'nap'; there are needle, niah_single_1,");
  refused(with("needle", [](auto& r) { r.depth = 1.5; }), tokens_of, "needle: a depth of 1.5");
  refused(with("needle", [](auto& r) { r.depth = NAN; }), tokens_of, "needle: a depth of nan");
  refused(with("needle", [](auto& r) { r.digits = 3; }), tokens_of, "needle: 3 digits are not 4 to 256");
  refused(with("needle", [](auto& r) { r.digits = 257; }), tokens_of, "257 digits");
  refused(with("needle", [](auto& r) { r.distractors = -1; }), tokens_of, "-1 distractors are not 0 to 64");
  refused(with("needle", [](auto& r) { r.distractors = 65; }), tokens_of, "65 distractors");
  refused(with("needle", [](auto& r) { r.prose = {}; }), tokens_of, "needle: it lies in prose, and there is none");
  std::vector<std::string> const hole{"One.", ""};
  refused(with("niah_multikey_1", [&](auto& r) { r.prose = hole; }), tokens_of, "sentence 1 of the prose is empty");
  refused(with("vt", [](auto& r) { r.digits = 5; }), tokens_of, "vt: haystack, digits and distractors are its own");
  refused(with("niah_single_1", [](auto& r) { r.hay = haystack::tiled; }), tokens_of, "are its own");
  refused(with("cwe", [](auto& r) { r.depth = 0.5; }), tokens_of, "cwe: words to be counted have no depth");
  refused(request_for("needle", 60), tokens_of, "needle: the shortest text with its answer takes ");
  refused(request_for("needle", 0), tokens_of, "tokens, more than 0");
  refused(request_for("cwe", 1000000), tokens_of, "cwe: its words do not suffice for 1000000 tokens");
  refused(request_for("needle", 2000), {}, "needle: no counter of tokens");
  refused(request_for("needle", 2000), [](std::string_view) { return -1; }, "the counter gave -1 tokens for a text");
  refused(request_for("needle", 2000), [](std::string_view) { return 0; }, "the counter gave 0 tokens");
}

TEST_CASE("tasks: what an answer is worth", "[llama_example][tasks]") {
  std::vector<std::string> const four{"1234", "FALCON", "naïve", "x y"};
  CHECK(score_answer("", four) == 0);
  CHECK(score_answer("the Falcon has 1234", four) == 0.5);
  CHECK(score_answer("51234.", four) == 0.25);  // within a longer number too, as in RULER
  CHECK(score_answer("1 2 3 4", four) == 0);
  CHECK(score_answer("x\ny", four) == 0);
  CHECK(score_answer("falcon 1234 NAïVE X Y", four) == 1);
  CHECK(score_answer("NAÏVE", four) == 0);  // letters beyond ASCII are as they are
  CHECK(score_answer("nothing", four, credit::any) == 0);
  CHECK(score_answer("X y", four, credit::any) == 1);
  CHECK(score_answer("1234 falcon", four, credit::any) == 1);
  CHECK(score_answer("anything", {}) == 0);
  CHECK(score_answer("anything", std::vector<std::string>{""}) == 0);
  CHECK(score_answer("anything", std::vector<std::string>{"", "thing"}) == 0.5);
}

TEST_CASE("tasks: the sentences of a text", "[llama_example][tasks]") {
  using list = std::vector<std::string>;
  CHECK(sentences_of("").empty());
  CHECK(sentences_of(" \n\n ").empty());
  CHECK(sentences_of("One. Two? \"Three!\" Four") == list{"One.", "Two?", "\"Three!\"", "Four"});
  CHECK(sentences_of("A line\nand its rest.\n\nA title\n\nEnd.\n") == list{"A line and its rest.", "A title", "End."});
  CHECK(sentences_of("In 3.5 seconds. (So fast.) Yes") == list{"In 3.5 seconds.", "(So fast.)", "Yes"});
  CHECK(sentences_of("tabs\tand  blanks\r\nbecome one") == list{"tabs and blanks become one"});
}
