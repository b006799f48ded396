// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What tests of llama.cpp's states share: states that are read, plans by hand, states written by them.
#pragma once
#include <kvsieve/engine/llama_cpp.hpp>
#include <kvsieve/kvsieve.hpp>

#include <numeric>
#include <vector>

#include <catch2/catch_all.hpp>

#include "llama_state.hpp"
#include "refusal.hpp"
#include "workspace.hpp"

namespace llama_tests {
using kvsieve::byte, kvsieve::errc, kvsieve::f16, kvsieve::bf16, kvsieve::index;
namespace kvs = kvsieve;
namespace engine = kvsieve::engine;
namespace encode = kvsieve::encode;
using engine::llama_type;
using support::llama_case;

inline kvs::cs::span<byte const> span(std::vector<byte> const& bytes) { return {bytes.data(), bytes.size()}; }
inline engine::llama_state read(std::vector<byte> const& bytes, engine::llama_form const& form = {}) {
  engine::llama_state state;
  auto const s = engine::read_llama(span(bytes), form, state);
  INFO(support::message_of(s));
  REQUIRE(s);
  return state;
}
/// A plan put together by hand from lists [views * heads].
struct plan_by_hand {
  std::vector<int> tokens, list;
  std::vector<index> offset{0};
  kvs::token_plan plan;
  plan_by_hand(int views, int heads, int cells, std::vector<std::vector<int>> const& lists) {
    tokens.assign(static_cast<std::size_t>(views), cells);
    for (std::size_t r = 0; r < static_cast<std::size_t>(views * heads); ++r) {
      auto const& own = lists[r % lists.size()];
      list.insert(list.end(), own.begin(), own.end());
      offset.push_back(static_cast<index>(list.size()));
    }
    plan.views = views;
    plan.heads = heads;
    plan.logical_tokens = tokens.data();
    plan.offset = offset.data();
    plan.list = list.data();
  }
  plan_by_hand(plan_by_hand const&) = delete;
  plan_by_hand& operator=(plan_by_hand const&) = delete;
};
inline std::vector<byte> write(engine::llama_state const& state, kvs::token_plan const& plan,
                               engine::llama_output const& output = {}) {
  std::uint64_t bytes = 0;
  auto const sized = engine::llama_bytes(state, plan, output, bytes);
  INFO(support::message_of(sized));
  REQUIRE(sized);
  support::workspace memory(bytes);  // guards show a byte too many
  auto* const to = reinterpret_cast<byte*>(memory.span().data());
  auto const s = engine::write_llama(kvs::host::on{}, state, plan, output, {to, bytes});
  INFO(support::message_of(s));
  REQUIRE(s);
  REQUIRE(memory.guards_hold());
  static kvs::host::team team{3};
  std::vector<byte> by_team(bytes);
  REQUIRE(engine::write_llama(kvs::host::on{team}, state, plan, output, {by_team.data(), bytes}));
  CHECK(by_team == std::vector<byte>(to, to + bytes));
  return by_team;
}
inline std::vector<int> first_cells(int n) {
  std::vector<int> all(static_cast<std::size_t>(n));
  std::iota(all.begin(), all.end(), 0);
  return all;
}
inline constexpr llama_type types[] = {llama_type::f32,  llama_type::f16,  llama_type::bf16,
                                       llama_type::q8_0, llama_type::q4_0, llama_type::q4_1,
                                       llama_type::q5_0, llama_type::q5_1, llama_type::iq4_nl};
}  // namespace llama_tests
