// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "row_formats.hpp"

#include <algorithm>
#include <cstring>
#include <kvsieve/encode/asymmetric.hpp>
#include <kvsieve/encode/bitmap.hpp>
#include <kvsieve/encode/bits.hpp>
#include <kvsieve/encode/kivi.hpp>
#include <kvsieve/encode/q4_0.hpp>
#include <kvsieve/encode/q4_1.hpp>
#include <kvsieve/encode/q5_0.hpp>
#include <kvsieve/encode/q5_1.hpp>
#include <kvsieve/encode/q8_0.hpp>
#include <kvsieve/encode/rotated.hpp>
#include <utility>
#include <vector>

namespace kvsieve::tool {
namespace {

template <element T>
void widen(unsigned char const* from, std::size_t count, float* out) {
  for (std::size_t i = 0; i < count; ++i) {
    T x;
    std::memcpy(&x, from + i * sizeof x, sizeof x);
    out[i] = to_float(x);
  }
}

/// Decodes rows of a codec for one head dimension; false when it or the tiles are others.
template <codec C, int D>
bool decode_with(io::row_format const& format, unsigned char const* from, std::size_t rows, int channels, float* out) {
  if constexpr (!C::fits(D)) {
    return false;
  } else {
    if (channels != D || format.tile_tokens != static_cast<std::uint32_t>(C::tile_tokens) ||
        format.tile_bytes != static_cast<std::uint32_t>(C::template tile_bytes<D>))
      return false;
    constexpr auto tile = static_cast<std::size_t>(C::tile_tokens);
    for (std::size_t r = 0; r < rows; ++r)
      for (int c = 0; c < D; ++c)
        out[r * D + static_cast<std::size_t>(c)] = C::template decode<D>(
            from + r / tile * static_cast<std::size_t>(C::template tile_bytes<D>), static_cast<int>(r % tile), c);
    return true;
  }
}

enum class found { no, misfit, yes };
template <codec... C>
found decode_any(io::row_format const& format, unsigned char const* from, std::size_t rows, int channels, float* out) {
  auto result = found::no;
  auto const one = [&]<class Codec>(std::type_identity<Codec>) {
    if (format.name != Codec::name || result == found::yes) return;
    result =
        [&]<int... D>(std::integer_sequence<int, D...>) {
          return (decode_with<Codec, D>(format, from, rows, channels, out) || ...);
        }(std::integer_sequence<int, 64, 80, 96, 128, 256>{})
            ? found::yes
            : found::misfit;
  };
  (one(std::type_identity<C>{}), ...);
  return result;
}

/// How names of formats begin whose rows hold some of the channels.
constexpr std::string_view some_channels = "kept_";

std::string shown(io::row_format const& format) {
  std::string name;
  for (char const c : format.name.substr(0, 40)) name += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  return "rows of format '" + name + "'";
}
message cannot_decode(io::row_format const& format) { return shown(format) + ", which this program cannot decode"; }
message does_not_fit(io::row_format const& format, int channels) {
  return shown(format) + " with tiles of " + std::to_string(format.tile_tokens) + " tokens and " +
         std::to_string(format.tile_bytes) + " bytes, which do not fit head dimension " + std::to_string(channels);
}

}  // namespace

std::optional<kvsieve::dtype> plain_type(io::row_format const& format, int channels) {
  for (auto const type : {dtype::f32, dtype::f16, dtype::bf16}) {
    auto const plain = io::format_of(type, channels);
    if (format.name == plain.name && format.tile_tokens == plain.tile_tokens && format.tile_bytes == plain.tile_bytes)
      return type;
  }
  return {};
}

message decode_rows(io::row_format const& format, std::span<unsigned char const> bytes, std::size_t rows, int channels,
                    float* out) {
  if (auto const type = plain_type(format, channels)) {
    std::size_t const count = rows * static_cast<std::size_t>(channels);
    switch (*type) {
      case dtype::f32:
        widen<float>(bytes.data(), count, out);
        break;
      case dtype::f16:
        widen<f16>(bytes.data(), count, out);
        break;
      case dtype::bf16:
        widen<bf16>(bytes.data(), count, out);
        break;
    }
    return {};
  }
  using namespace encode;
  auto const result =
      decode_any<q8_0, q4_0, q4_1, q5_0, q5_1, kivi_keys<2>, kivi_keys<4>, kivi_values<2>, kivi_values<4>, bitmap<32>,
                 bitmap<64>, bitmap<128>, bits<3>, bits<4>, bits<5>, bits<6>, bits<8>, rotated<bits<3>>,
                 rotated<bits<4>>, rotated<bits<5>>, rotated<bits<6>>, rotated<bits<8>>, rotated<asymmetric>>(
          format, bytes.data(), rows, channels, out);
  if (result == found::yes) return {};
  return result == found::no ? cannot_decode(format) : does_not_fit(format, channels);
}

bool holds_some(io::row_format const& format) { return format.name.starts_with(some_channels); }

message decode_held_rows(io::row_format const& format, std::span<unsigned char const> bytes, std::size_t rows,
                         int channels, std::vector<int> const* held, float* out) {
  if (!holds_some(format)) return cannot_decode(format);
  io::row_format inner{format.name.substr(some_channels.size()), format.tile_tokens, format.tile_bytes};
  for (auto const type : {dtype::f32, dtype::f16, dtype::bf16}) {
    if (inner.name != name_of(type)) continue;
    int const size = static_cast<int>(size_of(type)), room = static_cast<int>(format.tile_bytes) / size;
    std::size_t const used = held == nullptr ? static_cast<std::size_t>(room) : held->size();
    if (plain_type(inner, room) != type || room > channels || used > static_cast<std::size_t>(room))
      return does_not_fit(format, channels);
    std::vector<float> numbers(rows * static_cast<std::size_t>(room));
    if (auto failed = decode_rows(inner, bytes, rows, room, numbers.data())) return failed;
    std::fill_n(out, rows * static_cast<std::size_t>(channels), 0.0f);
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t i = 0; i < used; ++i)
        out[r * static_cast<std::size_t>(channels) + (held == nullptr ? i : static_cast<std::size_t>((*held)[i]))] =
            numbers[r * static_cast<std::size_t>(room) + i];
    return {};
  }
  return cannot_decode(format);
}

}  // namespace kvsieve::tool
