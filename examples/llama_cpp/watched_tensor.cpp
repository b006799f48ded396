// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "watched_tensor.hpp"

#include <algorithm>

#include "file.hpp"
#include "watcher.hpp"

namespace kvsieve::llama_example {

tool::tensor floats(std::vector<std::int64_t> shape, float*& to) {
  tool::tensor t{kvsieve::dtype::f32, std::move(shape), nullptr};
  auto const bytes = tool::aligned_bytes(t.size_bytes());
  to = reinterpret_cast<float*>(bytes.get());
  t.bytes = bytes;
  return t;
}

tool::tensor by_token(std::span<float const> rows, std::int64_t tokens) {
  float* to = nullptr;
  tool::tensor t = floats({tokens, static_cast<std::int64_t>(rows.size()) / tokens}, to);
  if (to != nullptr) std::copy(rows.begin(), rows.end(), to);
  return t;
}

tool::tensor by_head(std::span<float const> rows, int heads, int dim) {
  float* to = nullptr;
  tool::tensor t = floats({heads, static_cast<std::int64_t>(rows.size()) / (std::int64_t{heads} * dim), dim}, to);
  if (to != nullptr) by_head(rows, heads, dim, to);
  return t;
}

}  // namespace kvsieve::llama_example
