// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Rows of a container as numbers: the formats that the program can decode, by name.
#pragma once
#include <cstddef>
#include <span>
#include <string>

#include <kvsieve/io/layout.hpp>

#include "dump.hpp"

namespace kvsieve::tool {

/// The element type of a format of plain numbers of `channels` channels, or nothing for any other format.
[[nodiscard]] std::optional<kvsieve::dtype> plain_type(io::row_format const& format, int channels);

/// Decodes `rows` rows of one head, [rows, channels] floats one behind another.
[[nodiscard]] message decode_rows(io::row_format const& format, std::span<unsigned char const> bytes, std::size_t rows,
                                  int channels, float* out);

}  // namespace kvsieve::tool
