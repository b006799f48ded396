// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Rows of a container as numbers: the formats that the program can decode, by name.
#pragma once
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <kvsieve/io/layout.hpp>

#include "dump.hpp"

namespace kvsieve::tool {

/// The element type of a format of plain numbers of `channels` channels, or nothing for any other format.
[[nodiscard]] std::optional<kvsieve::dtype> plain_type(io::row_format const& format, int channels);

/// Decodes `rows` rows of one head, [rows, channels] floats one behind another.
[[nodiscard]] message decode_rows(io::row_format const& format, std::span<unsigned char const> bytes, std::size_t rows,
                                  int channels, float* out);

/// The same of rows that hold some of the channels, plain numbers of encode::kept_channels; the others become 0.
/// @param held  the channels of the head, ascending, for which rows may have room for more; null: the first ones
[[nodiscard]] message decode_held_rows(io::row_format const& format, std::span<unsigned char const> bytes,
                                       std::size_t rows, int channels, std::vector<int> const* held, float* out);

/// Whether rows of a format hold only some of the channels.
[[nodiscard]] bool holds_some(io::row_format const& format);

}  // namespace kvsieve::tool
