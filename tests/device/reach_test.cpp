// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Calls on the device that cannot be carried out: memory that kernels do not reach, rows that are not there, grids that
// no launch takes, and launches that fail. A status, and nothing launched behind it.
#include <climits>

#include "attend_cases.hpp"
#include "emulated_plan.hpp"
#include "refusal.hpp"

using namespace kvsieve_test;
using kvs::errc;

namespace {
constexpr int D = 64;

/// Emulated blocks whose launches fail once `left` were made, as a stream in error does, and that cannot reach one
/// address, as a GPU cannot reach the host's memory.
struct guarded_device : emulated_device<32> {
  int* left;
  void const* beyond = nullptr;
  bool reaches(void const* p) const { return p != beyond; }
  template <class Body, class Args>
  kvs::status launch(kvs::device::grid g, Args const& args) const {
    if (*left == 0) {
      kvs::status s;
      s.code = errc::cuda;
      s.native = 700;
      s.argument = "launch";
      return s;
    }
    --*left;
    return emulated_device<32>::launch<Body>(g, args);
  }
};

using layer_type = kvs::kv_layer<kvs::rows<float, D>>;
using view = kvs::rows<float, D>;

/// A plan and its compaction, by a device on which `left` launches go well.
struct setting {
  cache<float, D> from{2, 40, 1}, to{2, 20, 2};
  tensor<float, D> queries{4, 8, 3};
  std::vector<layer_type> layers{from.layer()}, targets{to.layer()};
  std::vector<view> observed{queries.view()};
  kvs::snap_kv<>::params params{.score = {.window = 8}, .budget = {.keep = 0.5}};
  std::vector<workspace_line> memory = std::vector<workspace_line>(4096);
  std::vector<std::byte> counts = std::vector<std::byte>(4096);
  int left = 1000;

  kvs::token_plan plan(void const* beyond = nullptr) {
    guarded_device const on{{}, &left, beyond};
    kvs::device::planner<kvs::snap_kv<>, guarded_device, layer_type, view> planner(on, group(layers),
                                                                                   {observed.data(), 1}, params);
    REQUIRE(planner.bytes().device <= memory.size() * 64);
    return planner.run({{reinterpret_cast<std::byte*>(memory.data()), memory.size() * 64}, counts});
  }
  kvs::status copy(kvs::token_plan const& made, void const* beyond = nullptr) {
    return kvs::device::copy_kept<kvs::snap_kv<>>(guarded_device{{}, &left, beyond}, made, group(layers),
                                                  group(targets));
  }
  kvs::status move(kvs::token_plan const& made, void const* beyond = nullptr) {
    return kvs::device::move_kept<kvs::snap_kv<>>(guarded_device{{}, &left, beyond}, made, group(layers));
  }
  static kvs::kv_group<layer_type> group(std::vector<layer_type> const& all) { return {all.data(), all.size()}; }
};
}  // namespace

TEST_CASE("device refusals: memory that kernels do not reach", "[device][refusals]") {
  setting s;
  auto const refused = [&](kvs::status const& got, char const* name) {
    support::check_refused(got, errc::bad_pointer, {name, "host", "kernels do not reach"});
    CHECK(s.left == 1000);
  };
  refused(s.plan(s.from.keys.data()).state, "keys is");
  refused(s.plan(s.queries.data()).state, "queries is");
  refused(s.plan(s.memory.data()).state, "workspace.device is");
  kvs::token_plan const made = s.plan();
  REQUIRE(made);
  s.left = 1000;
  refused(s.copy(made, s.from.values.data()), "from.values is");
  refused(s.copy(made, s.to.keys.data()), "to.keys is");
  refused(s.copy(made, made.list), "plan.list is");
  refused(s.move(made, s.from.values.data()), "layer.values is");
}

TEST_CASE("device refusals: rows that are not there, or between two elements", "[device][refusals]") {
  setting s;
  kvs::token_plan const made = s.plan();
  REQUIRE(made);
  int const before = s.left;
  auto const at = [&](layer_type& l, bool keys, std::ptrdiff_t bytes, bool null) {
    view& v = keys ? l.keys : l.values;
    auto* const data = null ? nullptr : reinterpret_cast<float*>(reinterpret_cast<char*>(v.data_handle()) + bytes);
    v = kvs::make_rows<D>(data, v.extent(0), v.extent(1));
  };
  layer_type const from = s.layers[0], to = s.targets[0];
  for (bool const keys : {true, false})
    for (bool const null : {true, false}) {
      std::string const part = keys ? "keys is " : "values is ", number = null ? "0" : "2";
      at(s.layers[0], keys, 2, null);
      support::check_refused(s.copy(made), errc::bad_pointer, {"from." + part + number});
      support::check_refused(s.move(made), errc::bad_pointer, {"layer." + part + number});
      s.layers[0] = from;
      at(s.targets[0], keys, 2, null);
      support::check_refused(s.copy(made), errc::bad_pointer, {"to." + part + number});
      s.targets[0] = to;
    }
  CHECK(s.left == before);
}

TEST_CASE("device refusals: a launch that fails is the last one", "[device][refusals]") {
  setting s;
  REQUIRE(s.plan());
  int const needed = 1000 - s.left;
  REQUIRE(needed > 2);
  for (int good = 0; good < needed; ++good) {
    s.left = good;
    kvs::token_plan const failed = s.plan();
    CHECK(failed.state.code == errc::cuda);
    CHECK(failed.state.native == 700);
    CHECK(s.left == 0);
    support::check_refused(s.copy(failed), errc::bad_plan, {"plan is"});
    support::check_refused(s.move(failed), errc::bad_plan, {"plan is"});
  }
  s.left = 1000;
  kvs::token_plan const made = s.plan();
  s.left = 0;
  auto const before = s.from.keys.memory, target = s.to.values.memory;
  CHECK(s.copy(made).code == errc::cuda);
  CHECK(s.move(made).code == errc::cuda);
  CHECK(std::memcmp(before.data(), s.from.keys.memory.data(), before.size() * 64) == 0);
  CHECK(std::memcmp(target.data(), s.to.values.memory.data(), target.size() * 64) == 0);
}

TEST_CASE("device refusals: attention that no grid holds, no kernel reaches, or that fails", "[device][refusals]") {
  using namespace attend_cases;
  alignas(64) static std::byte memory[1 << 16];
  auto* const rows = reinterpret_cast<float*>(memory);
  int left = 100;
  auto const run = [&](kvs::index heads, kvs::index query_heads, kvs::index asked, kvs::index tokens,
                       std::span<std::byte> workspace, void const* beyond = nullptr) {
    guarded_device const on{{}, &left, beyond};
    std::vector const layers{kvs::kv_layer{kvs::make_rows<D>(rows, heads, tokens, kvs::index{D}, kvs::index{D}),
                                           kvs::make_rows<D>(rows, heads, tokens, kvs::index{D}, kvs::index{D})}};
    std::vector const queries{kvs::make_rows<D>(rows, query_heads, asked)};
    kvs::device::attention<guarded_device, view, layer_type> const call(on, span_of(queries), span_of(layers));
    auto const out = kvs::make_rows<D>(rows + 8192, query_heads, asked);
    return call.run(kvs::cs::span<view const>(&out, 1), {}, workspace);
  };
  std::span<std::byte> const room(memory + 8192 * 5, 8192 * 3);
  REQUIRE(run(1, 2, 1, 40, room));
  CHECK(left == 98);
  support::check_refused(run(1, 65536, 1, 40, room), errc::bad_shape, {"query.heads is 65536", "65535"});
  support::check_refused(run(1, 60000, 8, 2000000000, room), errc::bad_shape, {"keys.tokens is 2000000000", "blocks"});
  support::check_refused(run(65536, 65536, 1, 40, room), errc::bad_shape, {"keys.heads is 65536", "65535"});
  support::check_refused(run(1, 2, 1, 0, room), errc::bad_shape, {"keys.tokens is 0", "1"});
  support::check_refused(run(1, 2, 1, 40, room.first(64)), errc::workspace_too_small, {"workspace is 64"});
  support::check_refused(run(1, 2, 1, 40, room, rows), errc::bad_pointer, {"keys is", "kernels do not reach"});
  support::check_refused(run(1, 2, 1, 40, room, rows + 8192), errc::bad_pointer, {"out is", "kernels do not reach"});
  support::check_refused(run(1, 2, 1, 40, room, room.data()), errc::bad_pointer, {"workspace is", "do not reach"});
  CHECK(left == 98);
  left = 1;
  CHECK(run(1, 2, 1, 40, room).code == errc::cuda);
  CHECK(left == 0);
}

TEST_CASE("device refusals: a grid that no launch takes", "[device][refusals]") {
  CHECK(kvs::device::fits_launch({INT_MAX, 65535, 65535}));
  support::check_refused(kvs::device::fits_launch({1, 65536, 1}), errc::bad_shape, {"grid.y is 65536", "65535"});
  support::check_refused(kvs::device::fits_launch({1, 1, 65536}), errc::bad_shape, {"grid.z is 65536", "65535"});
}
