// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "output_projection.hpp"

#include <ggml.h>
#include <gguf.h>

#include <algorithm>

#include <memory>

#include "file.hpp"

namespace kvsieve::llama_example {

message read_output_projections(model const& of, tool::cache_dump& dump) {
  gguf_init_params const header{.no_alloc = true, .ctx = nullptr};
  std::unique_ptr<gguf_context, decltype(&gguf_free)> const gguf(gguf_init_from_file(of.file().c_str(), header),
                                                                 &gguf_free);
  if (gguf == nullptr) return "'" + of.file().string() + "' cannot be read as a GGUF a second time";
  tool::input_file file;
  if (message m = file.open(of.file())) return m;
  std::int64_t const columns = std::int64_t{dump.query_heads} * dump.head_dim;
  std::vector<tool::tensor> found;
  for (auto const& l : dump.layers) {
    std::string const name = "blk." + std::to_string(l.layer) + ".attn_output.weight";
    auto const id = gguf_find_tensor(gguf.get(), name.c_str());
    if (id < 0) return name + " is not in '" + of.file().string() + "' (a GGUF in several files is not read)";
    auto const type = gguf_get_tensor_type(gguf.get(), id);
    auto const* const traits = ggml_get_type_traits(type);
    std::size_t const size = gguf_get_tensor_size(gguf.get(), id), row = ggml_row_size(type, columns);
    if (row == 0 || size % row != 0 || (type != GGML_TYPE_F32 && traits->to_float == nullptr))
      return name + " has " + std::to_string(size) + " bytes of " + ggml_type_name(type) + ", not rows of " +
             std::to_string(columns);
    std::vector<std::byte> bytes(size);
    if (message m = file.read(gguf_get_data_offset(gguf.get()) + gguf_get_tensor_offset(gguf.get(), id), bytes))
      return m;
    tool::tensor& t = found.emplace_back();
    t.shape = {static_cast<std::int64_t>(size / row), columns};
    auto const memory = tool::aligned_bytes(t.size_bytes());
    if (memory == nullptr) return "out of memory: " + name;
    auto* const to = reinterpret_cast<float*>(memory.get());
    if (type == GGML_TYPE_F32)
      std::copy_n(reinterpret_cast<float const*>(bytes.data()), t.elements(), to);
    else
      traits->to_float(bytes.data(), to, t.elements());
    t.bytes = memory;
  }
  for (std::size_t l = 0; l < found.size(); ++l) dump.layers[l].output_projection = std::move(found[l]);
  return {};
}

}  // namespace kvsieve::llama_example
