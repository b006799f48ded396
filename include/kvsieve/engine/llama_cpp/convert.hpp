// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Rows of a state from one of ggml's types to another, with the rotation that llama.cpp stores quantised rows in.
#pragma once
#include <kvsieve/core/rotate.hpp>
#include <kvsieve/engine/llama_cpp/fit.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

namespace detail {
/// Channels [first, first + count) of a cell as floats; whole blocks.
KVSIEVE_INLINE void load_llama(engine::llama_tensor const& t, index cell, index first, int count, float* to) {
  byte const* p = t.data + t.place(cell, first);
  index const step = t.step();
  engine::with_llama_format(t.type, [&]<class Format>() {
    constexpr int block = Format::fits(1) ? 1 : 32;
    for (int j = 0; j < count; j += block, p += step)
      for (int i = 0; i < block; ++i) to[j + i] = Format::template decode<block>(p, 0, i);
  });
}
/// Writes channels [first, first + count) of a cell of a tensor whose bytes are at `to`.
KVSIEVE_INLINE void store_llama(engine::llama_tensor const& t, byte* to, index cell, index first, int count,
                                float const* x) {
  byte* p = to + t.place(cell, first);
  index const step = t.step();
  engine::with_llama_format(t.type, [&]<class Format>() {
    constexpr int block = Format::fits(1) ? 1 : 32;
    for (int j = 0; j < count; j += block, p += step) Format::template encode<block>(x + j, p);
  });
}
/// One block of a rotation.
KVSIEVE_INLINE void rotate_llama(int block, float* x) {
  switch (block) {
    case 64:
      return rotate<64>(x);
    case 128:
      return rotate<128>(x);
    case 256:
      return rotate<256>(x);
    case 512:
      return rotate<512>(x);
    default:
      return rotate<engine::most_llama_rotation>(x);
  }
}
/// The channels of a head of one cell, as cell `at` of a tensor whose bytes are at `to`.
/// @param cell      -1: zeros
/// @param rotation  channels rotated together on the way; 0: none
inline void convert_llama(engine::llama_tensor const& from, index cell, engine::llama_tensor const& target, byte* to,
                          index at, index first, int channels, int rotation) {
  float x[engine::most_llama_rotation];
  int const piece = rotation > 0 ? rotation : 32;
  for (int c = 0; c < channels; c += piece) {
    int const count = channels - c < piece ? channels - c : piece;
    if (cell >= 0)
      load_llama(from, cell, first + c, count, x);
    else
      for (int i = 0; i < count; ++i) x[i] = 0;
    if (rotation > 0) rotate_llama(rotation, x);
    store_llama(target, to, at, first + c, count, x);
  }
}
}  // namespace detail
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
