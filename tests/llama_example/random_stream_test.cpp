// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "random_stream.hpp"

#include <algorithm>
#include <catch2/catch_all.hpp>
#include <set>
#include <string_view>
#include <vector>

#include "generators.hpp"
#include "word_lists.hpp"

using namespace kvsieve::llama_example;

TEST_CASE("random stream: SplitMix64, and what is drawn from it", "[llama_example][tasks]") {
  random_stream known{1234567};
  for (auto const expected :
       {6457827717110365317u, 3203168211198807973u, 9817491932198370423u, 4593380528125082431u, 16408922859458223821u})
    CHECK(known.next() == expected);
  CHECK(random_stream{1, "a"}.next() != random_stream{1, "b"}.next());
  CHECK(random_stream{1, "a"}.next() != random_stream{2, "a"}.next());
  CHECK(support::holds("random_stream: a sample", 100, [] {
    auto const seed = *rc::gen::arbitrary<std::uint64_t>();
    auto const of = *rc::gen::inRange<std::size_t>(1, 200), count = *rc::gen::inRange<std::size_t>(0, of + 1);
    auto const some = random_stream{seed}.sample(count, of), all = random_stream{seed}.sample(of, of);
    RC_ASSERT(std::equal(some.begin(), some.end(), all.begin()));
    RC_ASSERT(std::set<std::size_t>(all.begin(), all.end()).size() == of);
    RC_ASSERT(*std::max_element(all.begin(), all.end()) == of - 1);
    auto mixed = all;
    random_stream{seed}.shuffle(mixed);
    RC_ASSERT(std::is_permutation(mixed.begin(), mixed.end(), all.begin()));
    double const x = random_stream{seed}.fraction();
    RC_ASSERT(x >= 0 && x < 1);
  }));
}

TEST_CASE("word lists: enough words, none twice, none to be counted within another", "[llama_example][tasks]") {
  CHECK(adjectives().size() == 64);
  CHECK(nouns().size() == 64);
  auto const words = counted_words();
  CHECK(words.size() > 800);
  for (auto const list : {adjectives(), nouns(), words})
    CHECK(std::set<std::string_view>(list.begin(), list.end()).size() == list.size());
  for (auto const& a : words)
    for (auto const& b : words)
      if (&a != &b && b.find(a) != std::string_view::npos) FAIL_CHECK(a << " in " << b);
}
