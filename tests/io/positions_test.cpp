// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/io/positions.hpp>

#include <catch2/catch_all.hpp>
#include <random>
#include <utility>
#include <vector>

using namespace kvsieve;

namespace {
using lists = std::vector<std::vector<int>>;

std::vector<byte> written(lists const& of, std::uint64_t tokens) {
  std::vector<byte> out;
  auto put = [&](byte const* p, std::size_t n) { out.insert(out.end(), p, p + n); };
  std::span<int const> before;
  for (std::size_t h = 0; h < of.size(); ++h) {
    io::put_list(of[h], h == 0 ? nullptr : &before, tokens, put);
    before = of[h];
  }
  return out;
}

status read(std::vector<byte> const& bytes, std::vector<std::uint64_t> const& rows, std::uint64_t tokens, lists& out,
            bool repeat = true) {
  out.assign(rows.size(), {});
  return io::read_lists(
      bytes, rows.size(), tokens, [&](std::uint64_t h) { return rows[h]; }, repeat,
      [&](std::uint64_t h, int t) { out[h].push_back(t); });
}

std::vector<std::uint64_t> lengths(lists const& of) {
  std::vector<std::uint64_t> out;
  for (auto const& l : of) out.push_back(l.size());
  return out;
}
}  // namespace

TEST_CASE("positions: bytes of each form, by hand", "[io]") {
  // 0, 130, 131 of 2000: differences 0, 129 = 1 + 1 * 128, 0.
  CHECK(written({{0, 130, 131}}, 2000) == std::vector<byte>{1, 0, 0x81, 1, 0});
  // 0, 1, 3, 4, 9 of 10: five bytes of differences against two of bits.
  CHECK(written({{0, 1, 3, 4, 9}}, 10) == std::vector<byte>{2, 0b00011011, 0b10});
  CHECK(written({{7}, {7}, {}, {}}, 64) == std::vector<byte>{1, 7, 0, 1, 0});
  CHECK(written({{INT32_MAX - 1}}, INT32_MAX) == std::vector<byte>{1, 0xfe, 0xff, 0xff, 0xff, 7});
}

TEST_CASE("positions: any lists come back, in the shorter form", "[io]") {
  std::mt19937 engine{11};
  for (int round = 0; round < 300; ++round) {
    int const tokens = static_cast<int>(engine() % 700), heads = 1 + static_cast<int>(engine() % 5);
    lists of;
    for (int h = 0; h < heads; ++h) {
      std::vector<int> one;
      double const kept = std::vector{0.0, 0.01, 0.1, 0.3, 0.9, 1.0}[engine() % 6];
      for (int t = 0; t < tokens; ++t)
        if (std::uniform_real_distribution<>{}(engine) < kept) one.push_back(t);
      of.push_back(h > 0 && engine() % 3 == 0 ? of.back() : one);
    }
    auto const bytes = written(of, static_cast<std::uint64_t>(tokens));
    CHECK(bytes.size() <= static_cast<std::size_t>(heads * (1 + (tokens + 7) / 8)));
    lists back;
    REQUIRE(read(bytes, lengths(of), static_cast<std::uint64_t>(tokens), back));
    CHECK(back == of);
    CHECK(read(bytes, lengths(of), static_cast<std::uint64_t>(tokens), back, false));
    for (std::size_t cut = 0; cut < bytes.size(); ++cut)
      CHECK_FALSE(read({bytes.begin(), bytes.begin() + static_cast<long>(cut)}, lengths(of),
                       static_cast<std::uint64_t>(tokens), back));
  }
}

TEST_CASE("positions: lists that lie are refused", "[io]") {
  struct lie {
    std::vector<byte> bytes;
    std::vector<std::uint64_t> rows;
    std::uint64_t tokens;
  };
  std::vector<lie> const lies{
      {{0}, {0}, 8},                                   // the first head repeats nothing
      {{3}, {0}, 8},                                   // no such form
      {{1, 8}, {1}, 8},                                // index = tokens
      {{1, 7, 0}, {2}, 8},                             // the second index = tokens
      {{1, 0x80, 0x80, 0x80, 0x80, 0x80, 0}, {1}, 8},  // a difference without end
      {{1, 0xff, 0xff, 0xff, 0xff, 0x7f}, {1}, 8},     // 35 bits of it
      {{1, 0x80}, {1}, 8},                             // cut
      {{2, 7}, {2}, 8},                                // three ones for two rows
      {{2, 0x81}, {2}, 7},                             // a one behind the last token
      {{2}, {0}, 8},                                   // no bitmap
      {{2, 1, 0, 0, 0, 0, 0}, {1}, 48},                // a bitmap longer than any list of its rows
      {{1, 3, 0}, {1, 2}, 8},                          // as before, but of another length
      {{1, 3, 1}, {1}, 8},                             // a byte too many
      {{1, 3}, {1, 1}, 8},                             // a head too few
  };
  for (auto const& l : lies)
    for (bool const repeat : {false, true}) {
      CAPTURE(&l - lies.data());
      lists out;
      status const s = read(l.bytes, l.rows, l.tokens, out, repeat);
      CHECK(s.code == errc::bad_file);
    }
  lists out;
  CHECK(read({2, 1, 0, 0, 0, 0}, {1}, 40, out));  // as long as a list may be
  CHECK(out == lists{{0}});
}
