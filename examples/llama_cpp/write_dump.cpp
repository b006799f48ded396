// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <ggml.h>

#include <deque>

#include "reading.hpp"
#include "safetensors.hpp"

namespace kvsieve::llama_example {

message write_dump(tool::cache_dump const& dump, std::filesystem::path const& file) {
  std::deque<std::vector<ggml_fp16_t>> memory;
  std::vector<tool::safetensors::item> items;
  std::string layers;
  auto const add = [&](int layer, char const* name, tool::tensor const& t) {
    if (!t.present()) return;
    auto& narrow = memory.emplace_back(static_cast<std::size_t>(t.elements()));
    ggml_fp32_to_fp16_row(t.as<float>(), narrow.data(), t.elements());
    items.push_back({"layers." + std::to_string(layer) + "." + name, "F16", t.shape, std::as_bytes(std::span(narrow))});
  };
  for (auto const& l : dump.layers) {
    layers += (layers.empty() ? "" : ",") + std::to_string(l.layer);
    for (auto const& [name, t] : {std::pair{"k", &l.keys},
                                  {"v", &l.values},
                                  {"q", &l.queries},
                                  {"pass_k", &l.pass_keys},
                                  {"pass_v", &l.pass_values},
                                  {"pass_q", &l.pass_queries},
                                  {"o_proj", &l.output_projection},
                                  {"hidden", &l.hidden},
                                  {"pass_hidden", &l.pass_hidden}})
      add(l.layer, name, *t);
  }
  std::map<std::string, std::string> metadata{{"format", "kvsieve-dump-1"},
                                              {"model", dump.model},
                                              {"num_layers", std::to_string(dump.num_layers)},
                                              {"layers", layers},
                                              {"num_query_heads", std::to_string(dump.query_heads)},
                                              {"num_kv_heads", std::to_string(dump.kv_heads)},
                                              {"head_dim", std::to_string(dump.head_dim)},
                                              {"tokens", std::to_string(dump.tokens)},
                                              {"first_position", std::to_string(dump.first_position)},
                                              {"rope_style", dump.rope_style}};
  if (dump.rope_theta > 0) metadata["rope_theta"] = std::to_string(dump.rope_theta);
  std::string chunks;
  for (auto const& c : dump.pass)
    chunks += (chunks.empty() ? "" : ",") + std::to_string(c.from) + "-" + std::to_string(c.to) + ":" +
              std::to_string(c.queries);
  if (!chunks.empty()) metadata["pass_chunks"] = chunks;
  return tool::safetensors::write(file, items, metadata);
}

}  // namespace kvsieve::llama_example
