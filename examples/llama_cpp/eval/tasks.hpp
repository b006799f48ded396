// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Seeded texts that ask for something a compressed cache must still hold: needles in haystacks, chains of variables,
// words to be counted. The tasks are those of RULER (Hsieh et al., 2024) in their mechanics and figures; wording, words
// and haystacks are our own, so that scores are not comparable with published ones.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dump.hpp"

namespace kvsieve::llama_example {

using tool::message;

/// Tokens of a text. It is asked about each part of an item alone: a caller that compresses between the parts reads
/// them one by one too.
using token_counter = std::function<int(std::string_view)>;

/// What needles lie in.
enum class haystack {
  tiled,  ///< five trivial sentences again and again. Their keys repeat, which makes needles easy to find for scores
          ///< of diversity and of key norms: conclude nothing about those from it.
  prose,  ///< the caller's sentences, from a random one on, from the first again behind the last
};

/// What is asked for.
struct task_request {
  std::string task;       ///< one of task_names()
  int target_tokens = 0;  ///< of the item with its allowance; never more, and as many as whole sentences allow
  std::uint64_t seed = 0;
  std::optional<double> depth;           ///< of the answer's first needle, 0 to 1 of the haystack; without: drawn
  haystack hay = haystack::prose;        ///< of "needle" alone; the others have their own
  std::span<std::string const> prose{};  ///< sentences, for tasks that lie in prose
  int digits = 7;                        ///< of the needle's code, 4 to 256; of "needle" alone
  int distractors = 0;                   ///< needles of the same form with other names, 0 to 64; of "needle" alone
};

/// Where an answer lies.
struct needle_place {
  int token = 0;     ///< of the context, the first of the sentence or of the line end before it
  double depth = 0;  ///< its share of the context's tokens
};

/// One text with its question. The prompt is context + question + answer_prefix, each with its own line ends; where the
/// cache is compressed, behind the context or behind the question, is the caller's choice.
struct task_item {
  std::string task;
  std::uint64_t seed = 0;
  std::string context, question, answer_prefix;
  std::vector<std::string> references;  ///< at least one
  int allowance = 0;                    ///< tokens to generate, greedily
  std::vector<needle_place> needles;    ///< of the references, in their order; empty where words are counted
  int tokens = 0;                       ///< of the three parts

  [[nodiscard]] std::string prompt() const { return context + question + answer_prefix; }
  /// The references as they would follow the prompt: " a, b, c". A model that is too weak to generate them can be given
  /// them: what -ln P of their tokens loses by a compressed cache is continuous.
  [[nodiscard]] std::string expected() const;
};

/// "needle", "niah_single_1" to "_3", "niah_multikey_1" to "_3", "niah_multivalue", "niah_multiquery", "vt", "cwe",
/// "fwe". The first is the pass key with a name; those of RULER:
///   niah_single     one needle; digits in tiled sentences / digits in prose / UUID in prose
///   niah_multikey   four needles in prose, one asked for / a haystack of needles / of UUIDs named by UUIDs
///   niah_multivalue one name with four codes / niah_multiquery four names
///   vt              a number and four names that are the same, in tiled sentences
///   cwe, fwe        the ten commonest words of a list / the three commonest coded words behind the dots
[[nodiscard]] std::span<std::string_view const> task_names();

/// Makes an item. The same request and the same counts give the same item everywhere.
/// @return a message, and `out` unchanged, when the request is not as described above, when not even the shortest item
///         fits, when its words do not suffice for the length, or when the counter does not count
[[nodiscard]] message make_task(task_request const& request, token_counter const& count, task_item& out);

/// How references are scored.
enum class credit {
  share,  ///< the share of them that the answer holds
  any,    ///< 1 when it holds one of them
};

/// What an answer is worth, 0 to 1: a reference counts when it lies in it, upper and lower case (of ASCII) alike. Words
/// beside it cost nothing, so generate no more than the allowance. 0 without references; an empty one counts never.
[[nodiscard]] double score_answer(std::string_view answer, std::span<std::string const> references,
                                  credit how = credit::share);

/// The sentences of a text, for haystacks: each up to a full stop, question or exclamation mark, with quotation marks
/// behind it, that blanks follow, or up to an empty line; blanks within become one.
[[nodiscard]] std::vector<std::string> sentences_of(std::string_view text);

}  // namespace kvsieve::llama_example
