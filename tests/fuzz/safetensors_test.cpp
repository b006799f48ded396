// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Safetensors headers and files that somebody spoiled: refused, or what they say is true. For the sanitizers to see.
#include "safetensors.hpp"

#include <catch2/catch_all.hpp>
#include <numeric>
#include <random>

#include "files.hpp"

namespace st = kvsieve::tool::safetensors;
using kvsieve::test::read_bytes;
using kvsieve::test::safetensors_bytes;
using kvsieve::test::scratch;
using kvsieve::test::small_dump;
using kvsieve::test::write_bytes;

namespace {

struct dice {
  std::mt19937 engine;

  explicit dice(unsigned seed) : engine{seed} {}
  std::size_t below(std::size_t n) { return std::uniform_int_distribution<std::size_t>{0, n - 1}(engine); }
  template <class T>
  T const& of(std::vector<T> const& choices) {
    return choices[below(choices.size())];
  }
};

/// What a reader may believe of a header that was accepted: tensors tile the data, and shapes have their bytes.
void believed(st::contents const& all, std::size_t data) {
  std::size_t at = 0;
  for (auto const& e : all.entries) {
    if (e.begin != at || e.end < e.begin || e.end > data) FAIL(e.name << " does not follow the tensor before it");
    std::size_t bytes = e.type.bytes;
    for (auto const n : e.shape) {
      if (n < 0) FAIL(e.name << " has a negative extent");
      if (bytes != 0 && static_cast<std::size_t>(n) > data / bytes) {
        // Only an axis of length 0 lets the others be of any length.
        if (std::find(e.shape.begin(), e.shape.end(), 0) == e.shape.end()) FAIL(e.name << " is larger than the file");
        bytes = 0;
      } else {
        bytes *= static_cast<std::size_t>(n);
      }
    }
    if (bytes != e.size_bytes()) FAIL(e.name << " has other bytes than its shape");
    if (all.find(e.name) == nullptr) FAIL(e.name << " cannot be found");
    at = e.end;
  }
  if (at != data) FAIL("bytes behind the last tensor");
}

/// Parses; a refusal is one line and leaves the result as it was. True when it was accepted.
bool parsed(std::string const& header, std::size_t data) {
  st::contents all;
  all.data_bytes = 77;
  if (auto const refused = st::parse_header(header, data, all)) {
    if (refused->find('\n') != std::string::npos) FAIL("a message of two lines: " << *refused);
    if (all.data_bytes != 77 || !all.entries.empty()) FAIL("changed by a refused header");
    return false;
  }
  believed(all, data);
  return true;
}

/// Names, numbers and shapes of which most are wrong.
std::string random_header(dice& d, std::size_t data) {
  std::vector<std::string> const names{"a", "b", "layers.1.k", "", "__metadata__", "\\u0000", "\\n", "\xff", "a"},
      types{"\"F32\"", "\"F16\"", "\"U8\"", "\"BOOL\"", "\"f32\"", "3", "null", "\"F64\""},
      counts{"0",
             "1",
             "2",
             "3",
             "8",
             "-1",
             "1.5",
             "1e3",
             "4294967296",
             "9223372036854775807",
             "18446744073709551615",
             "18446744073709551616",
             "\"4\"",
             "[1]",
             "true"};
  std::string text = "{";
  for (std::size_t tensors = d.below(4); tensors > 0; --tensors) {
    std::string shape;
    for (std::size_t rank = d.below(4); rank > 0; --rank)
      shape += (shape.empty() ? "" : ",") + (d.below(3) == 0 ? d.of(counts) : std::to_string(d.below(4)));
    auto const offset = [&] {
      return d.below(4) == 0 ? d.of(counts) : std::to_string(d.below(2) == 0 ? d.below(data + 3) : data);
    };
    std::vector<std::string> fields{"\"dtype\":" + d.of(types), "\"shape\":[" + shape + "]",
                                    "\"data_offsets\":[" + offset() + "," + offset() + "]"};
    if (d.below(8) == 0) fields.erase(fields.begin() + static_cast<long>(d.below(3)));
    if (d.below(8) == 0) fields.push_back(d.of(fields));
    std::shuffle(fields.begin(), fields.end(), d.engine);
    std::string body;
    for (auto const& f : fields) body += (body.empty() ? "" : ",") + f;
    text += (text.size() > 1 ? "," : "") + ("\"" + d.of(names) + "\":{" + body + "}");
  }
  return text + std::string(d.below(10) == 0 ? "" : "}") + std::string(d.below(3), ' ');
}

/// Changes one thing: a bit, a byte, a number, or a piece that goes or comes twice.
void spoil(dice& d, std::string& text) {
  if (text.empty()) return;
  auto const at = d.below(text.size());
  static std::vector<std::string> const pieces{
      "18446744073709551615", "-1", "9999999999", "0", "[", "]", "{", "}", "\"", ",", ":", "1e400", "[[[[[[[[[[", "\\"};
  switch (d.below(6)) {
    case 0:
      text[at] ^= static_cast<char>(1u << d.below(8));
      break;
    case 1:
      text[at] = static_cast<char>(d.below(256));
      break;
    case 2:
      text.erase(at, 1 + d.below(12));
      break;
    case 3:
      text.insert(at, text.substr(d.below(text.size()), d.below(40)));
      break;
    case 4: {
      auto const digit = text.find_first_of("0123456789", at);
      if (digit != std::string::npos)
        text.replace(digit, text.find_first_not_of("0123456789", digit) - digit, d.of(pieces));
      break;
    }
    default:
      text.insert(at, d.of(pieces));
  }
}

std::string good_header() {
  return R"({"__metadata__":{"format":"kvsieve-dump-1","tokens":"4"},)"
         R"("a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
         R"("b":{"dtype":"F16","shape":[1,4],"data_offsets":[24,32]},)"
         R"("c":{"dtype":"U8","shape":[0,7],"data_offsets":[32,32]},)"
         R"("d":{"dtype":"BOOL","shape":[8],"data_offsets":[32,40]}})";
}
}  // namespace

TEST_CASE("fuzz: 20,000 spoiled safetensors headers", "[fuzz][safetensors]") {
  dice d{1};
  REQUIRE(parsed(good_header(), 40));
  int refused = 0;
  for (int round = 0; round < 20000; ++round) {
    auto header = good_header();
    for (std::size_t times = 1 + d.below(3); times > 0; --times) spoil(d, header);
    refused += parsed(header, 40) ? 0 : 1;
  }
  CHECK(refused > 15000);
  CHECK(refused < 20000);  // names, texts
}

TEST_CASE("fuzz: 20,000 safetensors headers of random offsets, overlaps and shapes", "[fuzz][safetensors]") {
  dice d{2};
  int accepted = 0;
  for (int round = 0; round < 20000; ++round) {
    auto const data = d.below(2) == 0 ? d.below(20) : 0;
    accepted += parsed(random_header(d, data), data) ? 1 : 0;
  }
  CHECK(accepted > 100);
  CHECK(accepted < 15000);
}

TEST_CASE("fuzz: headers nested deeply and shapes of any size", "[fuzz][safetensors]") {
  for (std::size_t const deep : {5u, 1000u, 20000u}) {
    CHECK_FALSE(parsed("{\"a\":" + std::string(deep, '[') + std::string(deep, ']') + "}", 0));
    CHECK_FALSE(parsed(std::string(deep, '{'), 0));
  }
  for (std::string const extent : {"4294967296", "9223372036854775807", "3037000500"})
    for (std::string const type : {"F32", "U8"})
      for (std::string const& shape :
           {extent, extent + "," + extent, "2," + extent, extent + "," + extent + "," + extent})
        CHECK_FALSE(parsed("{\"a\":{\"dtype\":\"" + type + "\",\"shape\":[" + shape + "],\"data_offsets\":[0,8]}}", 8));
  // As many tensors as a header may want, without bytes.
  std::string many = "{";
  for (int i = 0; i < 2000; ++i)
    many += (i == 0 ? "\"" : ",\"") + std::to_string(i) +
            R"(":{"dtype":"F32","shape":[0,9223372036854775807],"data_offsets":[0,0]})";
  CHECK(parsed(many + "}", 0));
}

TEST_CASE("fuzz: files with a wrong length of the header, and every truncation", "[fuzz][safetensors]") {
  scratch const at;
  auto const whole = safetensors_bytes(good_header(), 40);
  auto const read = [&](std::string const& bytes) {
    write_bytes(at / "f", bytes);
    kvsieve::tool::input_file file;
    if (auto const failed = file.open(at / "f")) FAIL(*failed);
    st::contents all;
    auto const refused = st::read_contents(file, all);
    if (refused && refused->find('\n') != std::string::npos) FAIL("a message of two lines: " << *refused);
    if (!refused) {
      believed(all, bytes.size() - all.data_offset);
      for (auto const& e : all.entries) {
        std::shared_ptr<std::byte const> memory;
        if (auto const failed = st::read_tensor(file, all, e, memory)) FAIL(*failed);
      }
    }
    return !refused;
  };
  REQUIRE(read(whole));
  for (std::size_t n = 0; n < whole.size(); ++n)
    if (read(whole.substr(0, n))) FAIL("cut to " << n << " bytes");
  CHECK_FALSE(read(whole + '\0'));
  auto const with_length = [&](std::uint64_t length) {
    auto bytes = whole;
    std::memcpy(bytes.data(), &length, sizeof length);
    return read(bytes);
  };
  std::uint64_t const right = good_header().size();
  for (std::uint64_t length = 0; length < whole.size() + 20; ++length)
    if (with_length(length) != (length == right)) FAIL("a header of " << length << " bytes");
  for (int bit = 0; bit < 64; ++bit)
    if (with_length(right ^ std::uint64_t{1} << bit)) FAIL("bit " << bit << " of the length");
  for (std::uint64_t const length : {UINT64_MAX, UINT64_MAX - 7, UINT64_MAX - 8, std::uint64_t{1} << 63,
                                     std::uint64_t{1} << 32, std::uint64_t{100} << 20})
    CHECK_FALSE(with_length(length));
}
