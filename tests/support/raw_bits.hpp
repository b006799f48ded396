// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Tensors of arbitrary bits, and which of their elements belong to rows.
#pragma once
#include <cstring>
#include <random>
#include <vector>

#include "cache.hpp"

namespace support {

/// Fills all memory of a tensor, gaps included, with random bits: every NaN, every denormal.
template <class Tensor>
void fill_bits(Tensor& tensor, std::mt19937& random) {
  auto& memory = tensor.memory();
  auto* const bytes = reinterpret_cast<unsigned char*>(memory.data());
  for (std::size_t i = 0; i < memory.size() * sizeof(memory[0]); ++i) bytes[i] = static_cast<unsigned char>(random());
}

/// True when two elements have the same bits.
template <class T>
bool same_bits(T const& a, T const& b) {
  return std::memcmp(&a, &b, sizeof(T)) == 0;
}

/// True when two tensors of one shape and layout differ in no element but those that `may_differ(head, token)`.
template <class Tensor, class MayDiffer>
bool same_elsewhere(Tensor const& before, Tensor const& after, MayDiffer const& may_differ) {
  std::vector<bool> free(before.memory().size(), false);
  auto const view = before.view();
  for (int h = 0; h < before.heads(); ++h)
    for (int t = 0; t < before.tokens(); ++t)
      for (kvsieve::index d = 0; d < view.extent(2); ++d)
        if (may_differ(h, t)) free[static_cast<std::size_t>(view.mapping()(h, t, d))] = true;
  for (std::size_t i = 0; i < free.size(); ++i)
    if (!free[i] && !same_bits(before.memory()[i], after.memory()[i])) return false;
  return true;
}
}  // namespace support
