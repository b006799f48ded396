// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/core/status.hpp>

#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch_all.hpp>

using namespace kvsieve;

namespace {
std::string text(status const& s) {
  char buffer[200];
  return std::string(s.message(buffer));
}
}  // namespace

TEST_CASE("a status converts to true only when all went well") {
  CHECK(status{});
  CHECK(!fail(errc::bad_params, "budget.keep", 1.5, "must be at most", 1));
}

TEST_CASE("a message names the view, the argument and both values") {
  CHECK(text({}) == "ok");
  CHECK(text(fail(errc::bad_params, "budget.keep", 1.5, "must be at most", 1)) ==
        "budget.keep is 1.5, must be at most 1");
  CHECK(text(fail(errc::bad_params, "budget.keep", 1.5, "must be at most", 1, 3)) ==
        "view 3: budget.keep is 1.5, must be at most 1");
  CHECK(text(fail(errc::workspace_too_small, "workspace", 2147483648.0, "must hold at least", 4294967297.0)) ==
        "workspace is 2147483648, must hold at least 4294967297");
  status cuda;
  cuda.code = errc::cuda;
  cuda.native = 700;
  cuda.argument = "plan";
  CHECK(text(cuda) == "plan: CUDA error 700");
}

TEST_CASE("a message writes whole numbers with all digits and fractions with few") {
  constexpr auto two_53 = std::int64_t{1} << 53;
  std::vector<std::pair<double, std::string>> numbers{
      {0, "0"},
      {-0.0, "0"},
      {-1, "-1"},
      {2147418112, "2147418112"},
      {12345678901.0, "12345678901"},
      {-12345678901.0, "-12345678901"},
      {static_cast<double>(two_53 - 1), "9007199254740991"},
      {static_cast<double>(two_53), "9007199254740992"},
      {static_cast<double>(-two_53), "-9007199254740992"},
      {0.1, "0.1"},
      {-0.1, "-0.1"},
      {static_cast<double>(-0.1f), "-0.1"},
      {1.5, "1.5"},
      {0.123456789, "0.123456789"},
      {1e30, "1e+30"},
      {1e300, "1e+300"},
      {-1e-300, "-1e-300"},
      {std::numeric_limits<double>::infinity(), "inf"},
      {-std::numeric_limits<double>::infinity(), "-inf"},
      {std::numeric_limits<double>::quiet_NaN(), "nan"},
  };
  for (int power = 0; power <= 53; ++power) {
    std::int64_t const whole = (std::int64_t{1} << power) - 1;
    numbers.emplace_back(static_cast<double>(whole), std::to_string(whole));
  }
  for (auto const& [number, expected] : numbers) {
    CHECK(text(fail(errc::bad_params, "a", number, "must be", number)) == "a is " + expected + ", must be " + expected);
  }
}

TEST_CASE("a message tells a number from its limit however close they are") {
  double const above = 1 + std::numeric_limits<double>::epsilon();
  CHECK(text(fail(errc::bad_params, "budget.keep", above, "must be at most", 1)) ==
        "budget.keep is 1.0000000000000002, must be at most 1");
  CHECK(text(fail(errc::bad_params, "score.value_share", -static_cast<double>(std::numeric_limits<float>::denorm_min()),
                  "must be from 0 to", 1e30)) == "score.value_share is -1.4013e-45, must be from 0 to 1e+30");
}

TEST_CASE("a message is cut to its buffer") {
  status const s = fail(errc::bad_params, "budget.keep", 1.5, "must be at most", 1, 3);
  std::string const whole = text(s);
  for (std::size_t size = 1; size < whole.size() + 3; ++size) {
    std::string buffer(size + 1, '#');
    std::string_view const part = s.message(std::span(buffer.data(), size));
    CHECK(part == whole.substr(0, size - 1));
    CHECK(buffer[size] == '#');
  }
  CHECK(s.message({}).empty());
}
