// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Containers (`.kvs`) as files: written whole or not at all, read through a mapping, expanded into safetensors.
#pragma once
#include <filesystem>

#include <kvsieve/io/container.hpp>
#include <kvsieve/io/describe.hpp>

#include "dump.hpp"
#include "file.hpp"
#include "strategy.hpp"

namespace kvsieve::tool {

/// Writes any cache, of any formats.
[[nodiscard]] message write_container(std::filesystem::path const& file, io::cache_source const& what);

/// Writes what a strategy left of a dump: the parts that a storage made of a layer, else one part of plain rows, merged
/// or not, in the type of the dump's file. Scores go with plain rows that were not merged.
[[nodiscard]] message write_kept(std::filesystem::path const& file, cache_dump const& dump, outcome const& result,
                                 bool with_scores);

/// Whether a file begins like a container.
[[nodiscard]] bool is_container(input_file const& file);

/// Maps and checks a container, every byte. `to` is valid as long as `file`.
[[nodiscard]] message read_container(std::filesystem::path const& name, mapped_file& file, io::container& to);

/// Decodes a container into a safetensors file (docs/design/files.md).
[[nodiscard]] message expand_container(io::container const& from, std::filesystem::path const& file);

}  // namespace kvsieve::tool
