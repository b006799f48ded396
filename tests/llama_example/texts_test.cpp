// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "texts.hpp"

#include <algorithm>
#include <catch2/catch_all.hpp>
#include <fstream>
#include <set>
#include <sstream>

#include "files.hpp"
#include "tasks.hpp"

using namespace kvsieve::llama_example;
using Catch::Matchers::ContainsSubstring;
using kvsieve::test::scratch;

TEST_CASE("texts: long enough to judge on, plain, and never the same sentence twice", "[llama_example][texts]") {
  for (auto const* const name : {"prose.txt", "dialogue.txt"}) {
    CAPTURE(name);
    std::string text;
    auto const wrong = read_text(std::filesystem::path{KVSIEVE_LLAMA_TEXTS_DIR} / name, text);
    CAPTURE(wrong.value_or(""));
    REQUIRE(!wrong);
    CHECK(std::all_of(text.begin(), text.end(), [](char c) { return c == '\n' || (c >= ' ' && c <= '~'); }));
    std::istringstream in{text};
    std::size_t words = 0;
    for (std::string word; in >> word;) ++words;
    CHECK(words > 1500);  // a context of 1024 tokens and some hundred behind it
    auto const sentences = sentences_of(text);
    std::set<std::string> once;
    for (auto const& s : sentences)
      if (s.size() > 20) CHECK(once.insert(s).second);
    CHECK(once.size() > 60);
  }
}

TEST_CASE("texts: what is no text is refused", "[llama_example][texts]") {
  scratch const at;
  std::string text = "as it was";
  auto const refused = [&](std::filesystem::path const& file, std::string const& why) {
    auto const wrong = read_text(file, text);
    REQUIRE(wrong);
    CHECK_THAT(*wrong, ContainsSubstring(why));
    CHECK(text == "as it was");
  };
  refused(at / "nothing", "nothing");
  refused(at.folder, "");
  std::ofstream{at / "empty"};
  refused(at / "empty", "is empty");
  std::ofstream{at / "binary", std::ios::binary} << "GGUF" << '\0' << "more";
  refused(at / "binary", "is no text: its byte 4 is zero");
  std::ofstream{at / "huge"};
  std::filesystem::resize_file(at / "huge", largest_text + 1);
  refused(at / "huge", "bytes, more than 67108864");
  std::ofstream{at / "good"} << "a line\n";
  CHECK(!read_text(at / "good", text));
  CHECK(text == "a line\n");
}
