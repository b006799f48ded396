// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compressed.hpp"

#include <ggml-backend.h>

#include <algorithm>

#include "cells.hpp"
#include "head_dims.hpp"
#include "text.hpp"

namespace kvsieve::llama_example {

message parse_holder(std::string const& text, holder& out) {
  if (text == "auto")
    out = holder::automatic;
  else if (text == "cells")
    out = holder::cells;
  else if (text == "memory")
    out = holder::memory;
  else
    return "--hold is '" + text + "', must be auto, cells or memory";
  return {};
}

bool compressed::hide_padding(layer_step const& step, ggml_tensor* keys) {
  auto const at = std::lower_bound(shape_.cached.begin(), shape_.cached.end(), step.layer);
  if (at == shape_.cached.end() || *at != step.layer) return true;
  auto const index_of = static_cast<int>(at - shape_.cached.begin());
  failure_ = tool::built_head_dims::call(shape_.head_dim, [&]<int D>(cs::integral_constant<int, D>) -> message {
    int const group = shape_.query_heads / shape_.kv_heads;
    for (int h = 0; h < shape_.kv_heads; ++h) {
      int const hidden = padding_[static_cast<std::size_t>(index_of * shape_.kv_heads + h)];
      if (hidden == 0) continue;
      // [tokens, Hq, D]: those of the group, whatever their order.
      auto const queries = make_rows<D>(step.queries.data() + index{h} * group * D, group, step.tokens, index{D},
                                        index{shape_.query_heads} * D);
      float key[D];
      engine::masking found;
      if (status const s = engine::masking_key(queries, key, found); !s) return tool::text_of(s);
      ggml_fp16_t row[D];
      ggml_fp32_to_fp16_row(key, row, D);
      for (int c = 0; c < hidden; ++c)
        ggml_backend_tensor_set(keys, row,
                                static_cast<std::size_t>(c) * keys->nb[1] + static_cast<std::size_t>(h) * sizeof row,
                                sizeof row);
    }
    return {};
  });
  return !failure_;
}

message compressed::make(model const& of, session const& read_in, tool::cache_dump const& dump,
                         tool::outcome const& kept, std::string const& store, bool merged, holder where, int room,
                         int threads) {
  shape_ = of.shape();
  ggml_type keys = GGML_TYPE_F16, values = GGML_TYPE_F16;
  message misfit = types_of(store, keys, values);
  if (!misfit) misfit = fits_cells(kept);
  if (!misfit && store != "dense" && merged) misfit = "merged rows go into cells of f16 alone";
  if (store != "dense")
    if (message m = without_windows(shape_, "a cache in " + store)) return m;
  if (where == holder::cells && misfit) return misfit;
  bool const memory = where == holder::memory || (where == holder::automatic && (misfit || !same_counts(kept)));
  where_ = memory ? holder::memory : holder::cells;
  if (memory) {
    if (message m = without_windows(shape_, misfit ? *misfit : "kvsieve's memory")) return m;
    stored_ = std::make_unique<stored_cache>();
    if (message m = stored_->hold(shape_, dump, kept, room, threads)) return m;
    if (message m = session_.open(of, {room, threads, GGML_TYPE_F16, GGML_TYPE_F16})) return m;
    session_.watcher().replace(
        [this](layer_step const& step, std::span<float> out) { return stored_->attend(step, out); });
    return {};
  }
  kept_cells made;
  if (message m = make_cells(read_in, shape_, dump, kept, keys, values, made)) return m;
  cells_ = made.cells;
  padding_ = std::move(made.padding);
  // The state brings the cells of windows along.
  int const least = shape_.window > 0 ? shape_.window + session::batch_tokens : 0;
  if (message m = session_.open(of, {std::max(cells_ + room, least), threads, keys, values})) return m;
  cell_bytes_ = session_.cache_bytes() / static_cast<std::size_t>(session_.options().tokens);
  if (!padding_.empty())
    session_.watcher().before([this](layer_step const& step, ggml_tensor* cache) { return hide_padding(step, cache); });
  return session_.restore(made.state, cells_);
}

std::size_t compressed::bytes() const {
  if (stored_ != nullptr) return stored_->bytes();
  return cell_bytes_ * static_cast<std::size_t>(cells_ + decoded_);
}

message compressed::decode(std::span<llama_token const> tokens, int position, std::vector<float>* logits) {
  // A masking key has to hide from every query of a batch, which one step's do.
  int const batch = padding_.empty() ? session::batch_tokens : 1;
  message m = session_.decode(tokens, position, logits, batch);
  if (!m) decoded_ += static_cast<int>(tokens.size());
  if (m && stored_ != nullptr && stored_->failure()) return stored_->failure();
  if (m && failure_) return failure_;
  return m;
}

}  // namespace kvsieve::llama_example
