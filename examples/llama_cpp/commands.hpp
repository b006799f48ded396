// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What the commands of the example share: options, and the way from a text to a compressed session.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "command.hpp"
#include "compressed.hpp"
#include "prompt_parts.hpp"
#include "reading.hpp"

namespace kvsieve::llama_example {

/// What every command takes.
struct model_options {
  std::string model;
  int threads = 0;  ///< 0: one for each processor
  rpc_servers servers;
};
/// How a cache is compressed.
struct compress_options {
  tool::strategy_options with;
  std::string hold = "auto";
  int queries = 64;  ///< -1: all
  double pass = 1;   ///< the share of the text that a pass behind the cache repeats
};

void add_model_options(CLI::App& command, model_options& into);
/// --rpc and --rpc-split.
void add_rpc_options(CLI::App& command, rpc_servers& into);
void add_compress_options(CLI::App& command, compress_options& into);
/// --pass.
void add_pass_option(CLI::App& command, double& into);

void add_generate(CLI::App& app, tool::console const& to, tool::action& chosen);
void add_chat(CLI::App& app, tool::console const& to, tool::action& chosen);
void add_decode(CLI::App& app, tool::console const& to, tool::action& chosen);
void add_widen(CLI::App& app, tool::console const& to, tool::action& chosen);
/// @param command_line  for the report
void add_eval(CLI::App& app, std::string const& command_line, tool::console const& to, tool::action& chosen);
void add_dump(CLI::App& app, tool::console const& to, tool::action& chosen);

/// A strategy with its options, checked.
struct chosen_strategy {
  tool::strategy const* of = nullptr;
  tool::run_options run;
  tool::byte_limit bytes;
  std::string store = "dense";
  bool merges = false;  ///< rows that stay are changed, by merging or by a refit
  holder where = holder::automatic;
  wanted reads;
};
[[nodiscard]] message check(compress_options const& given, int threads, chosen_strategy& out);

/// Runs a strategy on a cache and checks what it kept.
[[nodiscard]] message run_strategy(chosen_strategy const& with, tool::cache_dump const& dump, tool::outcome& out);

/// A cache made smaller.
struct compression {
  tool::outcome kept;
  compressed cache;
  double seconds = 0;  ///< from the dump to a session that goes on
};
/// Runs a strategy on the cache that a session holds, and makes a session of what it kept.
/// @param room  tokens that may be decoded behind it
[[nodiscard]] message compress(model const& of, session const& read_in, tool::cache_dump const& dump,
                               chosen_strategy const& with, int room, int threads, compression& out);

/// Tokens generated one by one, the most likely each time.
struct generated {
  std::vector<llama_token> tokens;
  double seconds = 0;  ///< of all but the first, which the prompt gave
};
/// Decodes tokens from a position on.
using decode_function = std::function<message(std::span<llama_token const>, int position)>;
/// Goes on from the last logits of a session.
/// @param next    the position of the first token
/// @param decode  of the session
/// @param told    called with each token's text
/// @param past_end  go on behind a token that ends an answer
[[nodiscard]] message generate(model const& of, session& in, int next, int most, decode_function const& decode,
                               std::function<void(std::string const&)> const& told, generated& out,
                               bool past_end = false);

/// Decodes what comes behind a context, then goes on from it.
[[nodiscard]] message answer(model const& of, session& in, prompt_parts const& parts, int most,
                             decode_function const& decode, std::function<void(std::string const&)> const& told,
                             generated& out, bool past_end = false);

/// The text of a file, whole; "-" is the standard input.
[[nodiscard]] message read_text_file(std::string const& name, std::string& out);
/// "12.3 tokens/s", "-" of nothing.
[[nodiscard]] std::string rate(std::size_t tokens, double seconds);
/// Of tokens that were decoded one by one: the first came with the prompt.
[[nodiscard]] std::string rate(generated const& made);
/// Threads that were asked for, or one for each processor.
[[nodiscard]] int threads_of(int given);
/// Bytes of the process in memory, 0 where the system does not say.
[[nodiscard]] std::size_t resident_bytes();

}  // namespace kvsieve::llama_example
