// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "model.hpp"

#include <cstdlib>

#include "head_dims.hpp"

namespace kvsieve::llama_example {

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
  model_.reset(llama_model_load_from_file(file.c_str(), how));
  if (model_ == nullptr) return "'" + file.string() + "' is not a GGUF that llama.cpp can load";
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
  if (llama_model_n_swa(m) > 0)
    return refused(
        "layers with sliding windows: those caches are bounded already, and this example does not tell "
        "the others apart (engine/llama_cpp.hpp does, with llama_form{.caches = 2})");
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
  return {};
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
