// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "model.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "head_dims.hpp"

namespace kvsieve::llama_example {
namespace {

/// Takes down llama.cpp's first error, while it lives, instead of having it told.
class complaints {
 public:
  explicit complaints(std::string& first) {
    llama_log_get(&before_, &user_);
    llama_log_set(
        [](ggml_log_level level, char const* text, void* to) {
          auto& line = *static_cast<std::string*>(to);
          if (level == GGML_LOG_LEVEL_ERROR && line.empty()) line.assign(text, std::strcspn(text, "\n"));
        },
        &first);
  }
  complaints(complaints const&) = delete;
  complaints& operator=(complaints const&) = delete;
  ~complaints() { llama_log_set(before_, user_); }

 private:
  ggml_log_callback before_ = nullptr;
  void* user_ = nullptr;
};

}  // namespace

message model::load(std::filesystem::path const& file, rpc_servers const& servers) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(file, error)) return "'" + file.string() + "' is not a file";
  rpc_devices remote;
  if (message m = connect_rpc(servers, remote)) return m;
  auto how = llama_model_default_params();
  if (!remote.devices.empty()) {
    how.devices = remote.devices.data();
    how.n_gpu_layers = -1;  // all of them
    how.split_mode = LLAMA_SPLIT_MODE_LAYER;
    if (!remote.shares.empty()) how.tensor_split = remote.shares.data();
  }
  std::string why;
  {
    complaints const heard(why);
    model_.reset(llama_model_load_from_file(file.c_str(), how));
  }
  if (model_ == nullptr)
    return "'" + file.string() + "' is not a GGUF that llama.cpp can load" + (why.empty() ? "" : ": " + why);
  vocabulary_ = llama_model_get_vocab(model_.get());
  file_ = file;
  if (message m = inspect()) {
    model_.reset();
    return m;
  }
  return {};
}

std::string model::metadata(std::string const& key) const {
  std::string value(256, '\0');
  int const length = llama_model_meta_val_str(model_.get(), key.c_str(), value.data(), value.size());
  value.resize(length < 0 ? 0 : std::min(value.size() - 1, static_cast<std::size_t>(length)));
  return value;
}

message model::inspect() {
  auto const* const m = model_.get();
  auto const refused = [&](char const* what) { return "'" + file_.string() + "' has " + what; };
  if (llama_model_is_recurrent(m) || llama_model_is_hybrid(m))
    return refused("recurrent layers, whose state is not a cache of keys and values");
  if (llama_model_has_encoder(m)) return refused("an encoder; only decoders are compressed");
  std::string const family = metadata("general.architecture");
  if (!metadata(family + ".attention.kv_lora_rank").empty())
    return refused("a latent cache (MLA), which has no values of its own");
  int const width = llama_model_n_embd(m);
  shape_ = {};
  shape_.layers = llama_model_n_layer(m);
  shape_.query_heads = llama_model_n_head(m);
  shape_.kv_heads = llama_model_n_head_kv(m);
  if (shape_.query_heads < 1 || shape_.kv_heads < 1 || shape_.query_heads % shape_.kv_heads != 0)
    return refused("numbers of query and KV heads that do not divide");
  auto const number = [&](char const* key) { return std::strtod(metadata(family + key).c_str(), nullptr); };
  int const keys = static_cast<int>(number(".attention.key_length")),
            values = static_cast<int>(number(".attention.value_length"));
  shape_.head_dim = keys > 0 ? keys : width / shape_.query_heads;
  if (values > 0 && values != shape_.head_dim) return refused("keys and values of different head dimensions");
  if (message unbuilt = tool::built_head_dims::call(shape_.head_dim,
                                                    []<int D>(cs::integral_constant<int, D>) -> message { return {}; }))
    return unbuilt;
  shape_.vocabulary = llama_vocab_n_tokens(vocabulary_);
  shape_.trained_tokens = llama_model_n_ctx_train(m);
  shape_.rope_base = number(".rope.freq_base");
  auto const rope = llama_model_rope_type(m);
  shape_.rope_interleaved = rope == LLAMA_ROPE_TYPE_NORM;
  shape_.extension = rope == LLAMA_ROPE_TYPE_MROPE || rope == LLAMA_ROPE_TYPE_IMROPE;
  shape_.name = metadata("general.name");
  if (shape_.name.empty()) shape_.name = file_.stem().string();
  shape_.window = llama_model_n_swa(m);
  if (shape_.window > 0) return find_windows();
  for (int l = 0; l < shape_.layers; ++l) shape_.cached.push_back(l);
  return {};
}

/// The cache of layers with sliding windows is as long as a window and a batch: one token decoded in a longer context
/// tells them from the others.
message model::find_windows() {
  std::vector<std::int64_t> cells(static_cast<std::size_t>(shape_.layers), 0);
  auto p = llama_context_default_params();
  p.n_batch = p.n_ubatch = 32;
  p.n_ctx = static_cast<std::uint32_t>(shape_.window) + 1024;
  p.n_seq_max = 1;
  p.swa_full = false;
  p.cb_eval_user_data = &cells;
  p.cb_eval = [](ggml_tensor* t, bool, void* user) {
    auto& found = *static_cast<std::vector<std::int64_t>*>(user);
    ggml_tensor const* root = t->op == GGML_OP_SET_ROWS ? t->view_src : nullptr;
    while (root != nullptr && root->view_src != nullptr) root = root->view_src;
    std::size_t layer = 0;
    if (root != nullptr && std::sscanf(root->name, "cache_k_l%zu", &layer) == 1 && layer < found.size())
      found[layer] = root->ne[1];
    return false;
  };
  std::unique_ptr<llama_context, decltype(&llama_free)> const context(llama_init_from_model(model_.get(), p),
                                                                      &llama_free);
  llama_token token = 0;
  if (context == nullptr || llama_decode(context.get(), llama_batch_get_one(&token, 1)) != 0)
    return "llama.cpp decodes nothing with '" + file_.string() + "'";
  for (int l = 0; l < shape_.layers; ++l)
    if (cells[static_cast<std::size_t>(l)] >= static_cast<std::int64_t>(p.n_ctx)) shape_.cached.push_back(l);
  if (!shape_.cached.empty()) return {};
  return "'" + file_.string() + "' has sliding windows of " + std::to_string(shape_.window) + " tokens in all " +
         std::to_string(shape_.layers) + " layers, whose caches are bounded already";
}

message without_windows(model_shape const& shape, std::string const& what) {
  if (shape.window == 0) return {};
  std::string windowed;
  for (int l = 0; l < shape.layers; ++l)
    if (!std::binary_search(shape.cached.begin(), shape.cached.end(), l))
      windowed += (windowed.empty() ? "" : ", ") + std::to_string(l);
  return what + ": layers " + windowed + " see sliding windows of " + std::to_string(shape.window) +
         " tokens, in a cache of their own that is llama.cpp's";
}

std::vector<llama_token> model::tokens(std::string_view text, bool begin, bool special) const {
  auto const length = static_cast<std::int32_t>(text.size());
  std::vector<llama_token> all(text.size() + 2);
  int const count = llama_tokenize(vocabulary_, text.data(), length, all.data(), static_cast<std::int32_t>(all.size()),
                                   begin, special);
  all.resize(static_cast<std::size_t>(std::max(count, 0)));
  return all;
}

std::string model::text(llama_token token) const {
  char buffer[256];
  int const length = llama_token_to_piece(vocabulary_, token, buffer, sizeof buffer, 0, false);
  return {buffer, static_cast<std::size_t>(std::max(length, 0))};
}

bool model::ends(llama_token token) const { return llama_vocab_is_eog(vocabulary_, token); }

std::string model::chat(std::vector<std::pair<std::string, std::string>> const& turns, bool answer) const {
  char const* const form = llama_model_chat_template(model_.get(), nullptr);
  if (form == nullptr) return {};
  std::vector<llama_chat_message> messages;
  std::size_t room = 1024;
  for (auto const& [role, said] : turns) {
    messages.push_back({role.c_str(), said.c_str()});
    room += role.size() + said.size() + 64;
  }
  std::string text(room, '\0');
  int const length = llama_chat_apply_template(form, messages.data(), messages.size(), answer, text.data(),
                                               static_cast<std::int32_t>(text.size()));
  if (length < 0 || static_cast<std::size_t>(length) > text.size()) return {};
  text.resize(static_cast<std::size_t>(length));
  return text;
}

}  // namespace kvsieve::llama_example
