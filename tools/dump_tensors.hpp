// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Tensors of a dump by name and shape, for what reads dumps and files of weights.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "dump.hpp"
#include "safetensors.hpp"

namespace kvsieve::tool::detail {

/// One tensor of known rank; an extent of -1 may be anything.
struct wanted {
  std::string name;
  std::vector<std::int64_t> shape;
  bool required = true;
};

/// Reads one tensor, if it is there, after checking its type and shape.
[[nodiscard]] message read_one(input_file const& file, safetensors::contents const& all, wanted const& want,
                               tensor& out);

/// A tensor of a network, and where a layer has it.
struct network_tensor {
  char const* name;  ///< behind "layers.<i>."
  tensor dump_layer::* member;
};
/// Tensors that belong together: a file of weights holds all of a part or none.
struct network_part {
  char const* name;  ///< what the names of its tensors begin with
  std::vector<network_tensor> tensors;
};
/// KVzap's network, the second part of KVzap's network, the gate of Fast KVzip, the networks of LESS, LeanK's mask.
[[nodiscard]] std::vector<network_part> const& network_parts();

/// Reads the networks of a layer as far as they are there; `out.hidden` says how wide they are.
[[nodiscard]] message read_networks(input_file const& file, safetensors::contents const& all, cache_dump const& dump,
                                    std::string const& prefix, dump_layer& out);
}  // namespace kvsieve::tool::detail
