// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What the drivers of the stage evict share. A merger has check, which refuses plans and numbers; carve, which takes
// its memory; and run, which writes the result.
#pragma once
#include <kvsieve/core/config.hpp>
#include <kvsieve/evict/merging.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// The driver of a policy that merges, by its pattern.
template <class Pattern, class Evict, class Layer>
class merger;
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
