// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "session.hpp"

#include <algorithm>

namespace kvsieve::llama_example {

message session::open(model const& of, session_options const& options) {
  auto fresh = std::make_unique<class watcher>(of.shape());
  auto p = llama_context_default_params();
  p.n_ctx = static_cast<std::uint32_t>(options.tokens);
  p.n_batch = p.n_ubatch = batch_tokens;
  p.n_seq_max = 1;
  p.n_threads = p.n_threads_batch = options.threads;
  p.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;
  p.type_k = options.keys;
  p.type_v = options.values;
  p.no_perf = true;
  p.swa_full = false;  // layers with sliding windows have a cache of a window and a batch
  p.cb_eval = &watcher::callback;
  p.cb_eval_user_data = fresh.get();
  std::unique_ptr<llama_context, free_context> context(llama_init_from_model(of.get(), p));
  if (context == nullptr)
    return "llama.cpp makes no context of " + std::to_string(options.tokens) + " tokens with keys in " +
           ggml_type_name(options.keys) + " and values in " + ggml_type_name(options.values);
  model_ = &of;
  options_ = options;
  options_.tokens = static_cast<int>(llama_n_ctx(context.get()));
  context_ = std::move(context);
  watcher_ = std::move(fresh);
  cells_ = 0;
  return {};
}

message session::decode(std::span<llama_token const> tokens, int position, std::vector<float>* logits, int batch) {
  auto const count = static_cast<int>(tokens.size());
  if (count > room())
    return "the context is full: " + std::to_string(count) + " tokens, room for " + std::to_string(room()) + " of " +
           std::to_string(options_.tokens);
  batch = std::min(batch, static_cast<int>(llama_n_batch(context_.get())));  // a small context takes less at once
  llama_batch one = llama_batch_init(std::min(count, batch), 0, 1);
  message failed;
  for (int begin = 0; begin < count && !failed; begin += batch) {
    one.n_tokens = std::min(batch, count - begin);
    for (int i = 0; i < one.n_tokens; ++i) {
      one.token[i] = tokens[static_cast<std::size_t>(begin + i)];
      one.pos[i] = position + begin + i;
      one.n_seq_id[i] = 1;
      one.seq_id[i][0] = 0;
      one.logits[i] = logits != nullptr || begin + i == count - 1;
    }
    if (int const result = llama_decode(context_.get(), one); result != 0)
      failed = "llama_decode gave " + std::to_string(result) + " at position " + std::to_string(position + begin);
    else
      cells_ += one.n_tokens;
    if (failed || logits == nullptr) continue;
    float const* const rows = llama_get_logits(context_.get());
    logits->insert(logits->end(), rows, rows + std::ptrdiff_t{one.n_tokens} * model_->shape().vocabulary);
  }
  llama_batch_free(one);
  return failed;
}

std::span<float const> session::last() const {
  return {llama_get_logits_ith(context_.get(), -1), static_cast<std::size_t>(model_->shape().vocabulary)};
}

llama_token session::likeliest() const {
  auto const row = last();
  return static_cast<llama_token>(std::max_element(row.begin(), row.end()) - row.begin());
}

message session::state(std::vector<unsigned char>& to) const {
  to.resize(llama_state_seq_get_size(context_.get(), 0));
  if (llama_state_seq_get_data(context_.get(), to.data(), to.size(), 0) != to.size())
    return "llama.cpp gave no state of the sequence";
  return {};
}

message session::restore(std::span<unsigned char const> state, int cells) {
  std::vector<unsigned char> before;
  if (cells_ > 0)
    if (message m = this->state(before)) return m;
  if (llama_state_seq_set_data(context_.get(), state.data(), state.size(), 0) == state.size()) {
    cells_ = cells;
    return {};
  }
  // It has removed the sequence.
  if (!before.empty()) (void)llama_state_seq_set_data(context_.get(), before.data(), before.size(), 0);
  return "llama.cpp did not take a state of " + std::to_string(cells) + " cells; the sequence is as it was";
}

void session::forget_from(int position, int cells_left) {
  llama_memory_seq_rm(llama_get_memory(context_.get()), 0, position, -1);
  cells_ = cells_left;
}

std::size_t session::cache_bytes() const {
  auto const& s = model_->shape();
  auto const channels = static_cast<std::int64_t>(s.kv_heads) * s.head_dim;
  return s.cached.size() * static_cast<std::size_t>(options_.tokens) *
         (ggml_row_size(options_.keys, channels) + ggml_row_size(options_.values, channels));
}

}  // namespace kvsieve::llama_example
