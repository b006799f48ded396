// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/core/arena.hpp>

#include <cstdint>
#include <limits>
#include <vector>

#include <rapidcheck.h>
#include <catch2/catch_all.hpp>

#include "generators.hpp"

using namespace kvsieve;

namespace {
// One take of a random sequence: how many objects of which size.
void* take(arena& a, int kind, std::size_t count) {
  switch (kind) {
    case 0:
      return a.take<char>(count);
    case 1:
      return a.take<float>(count);
    case 2:
      return a.take<std::int64_t>(count);
    default:
      return a.take<std::byte[48]>(count);
  }
}
std::size_t bytes_of(int kind, std::size_t count) {
  return count * (kind == 0 ? 1 : kind == 1 ? 4 : kind == 2 ? 8 : 48);
}
}  // namespace

TEST_CASE("what an arena counts is what it hands out") {
  CHECK(support::holds("what an arena counts is what it hands out", 300, [] {
    auto const takes = *rc::gen::arbitrary<std::vector<std::uint16_t>>();
    arena counting;
    for (auto const t : takes) {
      bool const null = take(counting, t % 4, t / 4 % 1000) == nullptr;
      RC_ASSERT(null);
    }

    std::vector<std::byte> memory(counting.used() + arena::alignment);
    auto const first = reinterpret_cast<std::uintptr_t>(memory.data());
    auto const skip = (arena::alignment - first % arena::alignment) % arena::alignment;
    std::byte* const base = memory.data() + skip;
    arena carving(std::span(base, counting.used()));
    std::byte* free = base;
    for (auto const t : takes) {
      std::size_t const count = t / 4 % 1000;
      auto* const piece = static_cast<std::byte*>(take(carving, t % 4, count));
      bool const given = piece != nullptr;
      RC_ASSERT(given);
      RC_ASSERT(reinterpret_cast<std::uintptr_t>(piece) % arena::alignment == 0u);
      bool const behind = piece >= free;
      RC_ASSERT(behind);  // pieces do not overlap
      free = piece + bytes_of(t % 4, count);
      bool const inside = free <= base + counting.used();
      RC_ASSERT(inside);
    }
    RC_ASSERT(carving.used() == counting.used());
    RC_ASSERT(carving.fits());
  }));
}

TEST_CASE("an arena that is spent gives null and says so") {
  alignas(64) std::byte memory[256];
  arena a{std::span(memory)};
  CHECK(a.take<float>(32) == reinterpret_cast<float*>(memory));
  CHECK(a.take<char>(1) == reinterpret_cast<char*>(memory + 128));
  CHECK(a.fits());
  CHECK(a.take<char>(65) == nullptr);
  CHECK(!a.fits());
  CHECK(a.used() == 192 + 65);
  CHECK(a.take<char>(1) == nullptr);
  CHECK(!a.fits());
}

TEST_CASE("a request beyond all memory saturates instead of wrapping around") {
  std::size_t const huge = std::numeric_limits<std::size_t>::max();
  alignas(64) std::byte memory[64];
  for (std::size_t const count : {huge, huge / 2, huge / 8 + 1, huge / 16, huge / 32}) {
    CAPTURE(count);
    arena carving{std::span(memory)}, counting;
    for (int i = 0; i < 20; ++i) {
      CHECK(carving.take<double>(count) == nullptr);
      CHECK(counting.take<double>(count) == nullptr);
      CHECK(counting.used() >= huge / 32);  // never small again
    }
    CHECK(!carving.fits());
    CHECK(carving.take<char>(1) == nullptr);
    CHECK(!carving.fits());
  }
}

TEST_CASE("a counting arena fits nothing but nothing") {
  arena a;
  CHECK(a.fits());
  CHECK(a.take<char>(1) == nullptr);
  CHECK(a.used() == 1);
  CHECK(!a.fits());
}
