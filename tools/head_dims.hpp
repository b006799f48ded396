// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The head dimensions that this program is built for.
#pragma once
#include <string>

#include <kvsieve/core/views.hpp>

#include "dump.hpp"

namespace kvsieve::tool {

template <int... D>
struct head_dims {
  /// f(integral_constant<int, D>), D being `head_dim`; a message where that is none of them.
  template <class F>
  static message call(int head_dim, F const& f) {
    message result;
    if (((head_dim == D && (result = f(cs::integral_constant<int, D>{}), true)) || ...)) return result;
    std::string all;
    ((all += (all.empty() ? "" : ", ") + std::to_string(D)), ...);
    return "head_dim is " + std::to_string(head_dim) + ", this program is built for " + all +
           " (cmake -DKVSIEVE_TOOL_HEAD_DIMS=64,128,256 names others)";
  }
};
using built_head_dims = head_dims<KVSIEVE_TOOL_HEAD_DIMS>;

}  // namespace kvsieve::tool
