// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Mean over the queries that could see the token: kvpress's observed attention. New tokens are not at a disadvantage.
#pragma once
#include <kvsieve/aggregate/accumulator.hpp>

namespace kvsieve::inline v0 {
namespace aggregate {
struct mean_visible : additive_base {
  KVSIEVE_HD static constexpr float result(float state, observation o) { return state / static_cast<float>(o.visible); }
};
}  // namespace aggregate
}  // namespace kvsieve::inline v0
