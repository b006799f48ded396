// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dump.hpp"

#include <catch2/catch_all.hpp>
#include <functional>

#include "scratch.hpp"

using Catch::Matchers::ContainsSubstring;
using kvsieve::test::scratch;
using kvsieve::test::small_dump;
using kvsieve::tool::cache_dump;
using kvsieve::tool::read_dump;

TEST_CASE("dump: a good one is read whole or in part", "[tools][dump]") {
  scratch const at;
  small_dump const small;
  small.write(at / "d");
  cache_dump all;
  REQUIRE(!read_dump(at / "d", {}, all));
  CHECK(all.model == "test");
  CHECK(all.layers.size() == 2);
  CHECK(all.tokens == 32);
  CHECK(all.rope_theta == 10000);
  CHECK(all.cache_bytes() == 2u * 2 * 2 * 32 * 64 * 4);
  CHECK(all.layers[1].layer == 3);
  CHECK(all.layers[0].keys.as<float>()[5] == small.parts[0].numbers[5]);
  CHECK(all.layers[0].queries.shape == std::vector<std::int64_t>{4, 16, 64});
  CHECK(!all.layers[0].output_projection.present());
  cache_dump part;
  REQUIRE(!read_dump(at / "d", {3}, part));
  REQUIRE(part.layers.size() == 1);
  CHECK(part.layers[0].layer == 3);
}

TEST_CASE("dump: the bundled cache", "[tools][dump]") {
  cache_dump dump;
  REQUIRE(!read_dump(KVSIEVE_TEST_DATA_DIR "/smollm2_135m_layer9.safetensors", {}, dump));
  CHECK(dump.tokens == 768);
  CHECK(dump.query_heads == 9);
  CHECK(dump.kv_heads == 3);
  CHECK(dump.head_dim == 64);
  CHECK(dump.layers.size() == 1);
  CHECK(dump.layers[0].queries.shape[1] == 768);
  cache_dump others;
  REQUIRE(!read_dump(KVSIEVE_GOLDEN_DIR "/smollm2_135m_layers0_21.safetensors", {}, others));
  CHECK(others.layers.size() == 2);
}

TEST_CASE("dump: a wrong one is refused, naming the argument and both values", "[tools][dump]") {
  using change = std::function<void(small_dump&)>;
  auto const meta = [](std::string const& key, std::string const& value) {
    return change{[=](small_dump& d) { d.metadata[key] = value; }};
  };
  auto const without = [](std::string const& key) { return change{[=](small_dump& d) { d.metadata.erase(key); }}; };
  auto const [spoil, expected] = GENERATE_COPY(table<change, std::string>({
      {without("format"), "metadata format is missing"},
      {meta("format", "kvsieve-dump-2"), "\"kvsieve-dump-2\""},
      {without("tokens"), "metadata tokens is missing"},
      {without("layers"), "metadata layers is missing"},
      {meta("tokens", "0"), "tokens is 0, less than 1"},
      {meta("tokens", "-5"), "tokens is -5"},
      {meta("tokens", "32x"), "\"32x\", not a number"},
      {meta("tokens", "99999999999"), "not a number"},
      {meta("tokens", "31"), "[2, 32, 64] does not fit the metadata, which needs [2, 31, 64]"},
      {meta("num_query_heads", "3"), "num_query_heads 3 is not a multiple of num_kv_heads 2"},
      {meta("num_query_heads", "2147483646"), "needs [2147483646, *, 64]"},
      {meta("num_kv_heads", "1"), "does not fit"},
      {meta("head_dim", "16"), "does not fit"},
      {meta("rope_theta", "nan"), "rope_theta"},
      {meta("rope_theta", "inf"), "rope_theta is not finite"},
      {meta("rope_style", "spiral"), "\"spiral\""},
      {meta("first_position", "-1"), "first_position is -1"},
      {meta("layers", ""), "metadata layers"},
      {meta("layers", "1,"), "metadata layers"},
      {meta("layers", "1,1"), "names layer 1 twice"},
      {meta("layers", "1,2"), "\"layers.2.k\" is missing"},
      {meta("layers", "1,4"), "layer 4, num_layers is 4"},
      {[](small_dump& d) { d["layers.3.v"].name = "layers.3.w"; }, "\"layers.3.v\" is missing"},
      {[](small_dump& d) { d["layers.1.v"].shape = {2, 64, 32}; }, "[2, 64, 32] does not fit"},
      {[](small_dump& d) { d["layers.1.v"].shape = {64, 64}; }, "[64, 64] does not fit"},
      {[](small_dump& d) { d["layers.1.q"].shape = {4, 0, 64}, d["layers.1.q"].numbers.clear(); }, "0 queries"},
      {[](small_dump& d) { d["layers.1.q"].shape = {4, 33, 64}, d["layers.1.q"].numbers.resize(4 * 33 * 64); },
       "33 queries, more than the 32 tokens"},
      {[](small_dump& d) { d["layers.1.q"].type = "F16"; }, "dtype f16 differs from the keys' f32"},
      {[](small_dump& d) { d["layers.1.v"].type = "BF16"; }, "dtype bf16 differs from the keys' f32"},
      {[](small_dump& d) { d["layers.1.k"].type = "I32"; }, "dtype I32 is none of F32, F16, BF16"},
      {[](small_dump& d) {
         for (auto const* n : {"k", "v", "q"}) d[std::string{"layers.3."} + n].type = "F16";
       },
       "dtype f16 differs from the first layer's f32"},
  }));
  scratch const at;
  small_dump dump;
  spoil(dump);
  dump.write(at / "d");
  cache_dump out;
  out.model = "untouched";
  auto const message = read_dump(at / "d", {}, out);
  CAPTURE(expected);
  CHECK_THAT(message.value_or(""), ContainsSubstring(expected));
  CHECK(out.model == "untouched");
}

TEST_CASE("dump: a layer that is not there", "[tools][dump]") {
  scratch const at;
  small_dump{}.write(at / "d");
  cache_dump out;
  CHECK_THAT(read_dump(at / "d", {1, 2}, out).value_or(""),
             ContainsSubstring("layer 2 is asked for, the dump holds layers 1,3"));
}
