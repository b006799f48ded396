// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// ggml's types of rows, by the numbers that llama.cpp writes, and the formats of kvsieve that hold the same bytes.
#pragma once
#include <kvsieve/encode/plain.hpp>
#include <kvsieve/encode/q4_0.hpp>
#include <kvsieve/encode/q4_1.hpp>
#include <kvsieve/encode/q5_0.hpp>
#include <kvsieve/encode/q5_1.hpp>
#include <kvsieve/encode/q8_0.hpp>

namespace kvsieve::inline v0 {
namespace engine {

/// What llama.cpp's cache may be made of (ggml_type).
enum class llama_type : int {
  same = -1,    ///< of what is written: as it was
  f32 = 0,      ///< encode::plain<float>
  f16 = 1,      ///< encode::plain<f16>
  q4_0 = 2,     ///< encode::q4_0
  q4_1 = 3,     ///< encode::q4_1
  q5_0 = 6,     ///< encode::q5_0
  q5_1 = 7,     ///< encode::q5_1
  q8_0 = 8,     ///< encode::q8_0
  iq4_nl = 20,  ///< rows can be moved, not read
  bf16 = 30     ///< encode::plain<bf16>
};

/// Calls `f.template operator()<Format>()` with the format of a type; false, and no call, where there is none.
template <class F>
constexpr bool with_llama_format(llama_type t, F const& f) {
  switch (t) {
    case llama_type::f32:
      f.template operator()<encode::plain<float>>();
      return true;
    case llama_type::f16:
      f.template operator()<encode::plain<f16>>();
      return true;
    case llama_type::bf16:
      f.template operator()<encode::plain<bf16>>();
      return true;
    case llama_type::q4_0:
      f.template operator()<encode::q4_0>();
      return true;
    case llama_type::q4_1:
      f.template operator()<encode::q4_1>();
      return true;
    case llama_type::q5_0:
      f.template operator()<encode::q5_0>();
      return true;
    case llama_type::q5_1:
      f.template operator()<encode::q5_1>();
      return true;
    case llama_type::q8_0:
      f.template operator()<encode::q8_0>();
      return true;
    default:
      return false;
  }
}
/// The type that holds a format's rows; same where none does.
template <class Format>
inline constexpr llama_type llama_type_of = [] {
  llama_type found = llama_type::same;
  for (int i = 0; i <= 30; ++i)
    with_llama_format(llama_type{i}, [&]<class Other>() {
      if (cs::is_same_v<Format, Other>) found = llama_type{i};
    });
  return found;
}();

/// Channels that lie together, and their bytes.
struct llama_block {
  int channels = 0;  ///< 32 of quantised types, 1 of others; 0 of a type that is not known
  int bytes = 0;     ///< of a block
};
/// The blocks of a type.
[[nodiscard]] constexpr llama_block block_of(llama_type t) {
  if (t == llama_type::iq4_nl) return {32, 18};
  llama_block found;
  with_llama_format(t, [&]<class Format>() {
    constexpr int channels = Format::fits(1) ? 1 : 32;
    found = {channels, Format::template tile_bytes<channels>};
  });
  return found;
}
/// Whether ggml calls a type quantised: llama.cpp rotates such caches (fit.hpp).
[[nodiscard]] constexpr bool is_quantised(llama_type t) { return block_of(t).channels > 1; }
}  // namespace engine
}  // namespace kvsieve::inline v0
