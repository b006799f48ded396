// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/core/status.hpp>

#include <string>

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
