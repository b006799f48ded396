// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Which channels keys hold, as a container says it.
#include <kvsieve/io/read.hpp>

#include <catch2/catch_all.hpp>
#include <string>

#include "container_case.hpp"
#include "refusal.hpp"

using namespace kvsieve;
using test::container_case;
using test::file_bytes;
using test::fnv;
using test::with;

TEST_CASE("container: masks of channels are refused when they are not those of the heads", "[io]") {
  std::mt19937 engine{14};
  container_case const made{engine, {.layers = 1, .parts = 1, .head_dim = 80, .with_channels = true}};
  auto const bytes = made.written<fnv>();
  io::container whole;
  REQUIRE(io::read<fnv>(bytes, whole));
  CHECK(whole.version == 2);
  auto const record = whole.parts_at + io::part_field::section + 6 * io::part_field::section_bytes;
  auto const at = io::load<std::uint64_t>(bytes.data() + record);
  CHECK(io::load<std::uint64_t>(bytes.data() + record + 8) == 2 * 2 * 8);
  auto const refused = [](file_bytes const& forged) {
    io::container c;
    status const s = io::read<fnv>(forged, c, io::verify::plans);
    CHECK(s.code == errc::bad_file);
    return support::message_of(s);
  };
  using Catch::Matchers::ContainsSubstring;
  auto beyond = bytes;
  beyond[at + 8 + 3] ^= 4;  // bit 26 of the second word: channel 90 of 80
  CHECK_THAT(refused(beyond), ContainsSubstring("channels is") && ContainsSubstring("is their checksum"));
  fnv seen;
  seen.update(beyond.data() + at, 32);
  CHECK_THAT(refused(with(beyond, record + 16, seen.digest())),
             ContainsSubstring("channels is 90, is one of a mask, which must be less than 80"));
  CHECK_THAT(refused(with(bytes, io::header_field::head_dim, std::uint32_t{64})),
             ContainsSubstring("channels is 32, bytes; they should be 16"));
  CHECK_THAT(refused(with(bytes, record + 8, std::uint64_t{31})), ContainsSubstring("is their checksum"));
}
