// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A text read by a model, and the cache that it left as a dump: what every strategy of the program `kvsieve` runs on.
#pragma once
#include <span>
#include <vector>

#include "dump.hpp"
#include "session.hpp"
#include "strategy.hpp"

namespace kvsieve::llama_example {

/// What is taken down beside keys and values.
struct wanted {
  int queries = 64;                ///< of the last positions; -1: of all
  bool pass = false;               ///< a pass behind the cache that repeats the text
  double repeated = 1;             ///< the share of the text that it repeats, 0 to 1: see read_pass
  bool hidden = false;             ///< what enters the attention of each layer
  bool output_projection = false;  ///< of each layer, from the GGUF
};
/// What a strategy reads, by what it says of itself.
/// @param repeated  the share of the text that a pass repeats
[[nodiscard]] wanted wanted_by(tool::strategy const& of, int queries, double repeated);
/// What either reads.
[[nodiscard]] wanted both(wanted const& a, wanted const& b);

/// A cache and what it cost to come by.
struct reading {
  tool::cache_dump dump;
  double seconds = 0;       ///< of reading the text
  double pass_seconds = 0;  ///< of the pass behind it
};

/// Reads tokens into a session from `position` on and takes down the cache, all cells of it. The attention that every
/// layer computed for the last token is held against softmax(q k / sqrt(D)) v over what was taken down: a model whose
/// attention is another is refused. On failure `out` is as it was.
/// @param threads  that numbers are widened on
[[nodiscard]] message read_prompt(session& in, model const& of, std::span<llama_token const> tokens, int position,
                                  wanted const& what, reading& out);

/// Takes down the cache of a session as it is, with the last `window` queries that were watched, at most as many as
/// there are of every layer. Checks attention as read_prompt does, where it was watched.
[[nodiscard]] message take_down(session const& in, model const& of, std::vector<watched_layer> const& seen, int window,
                                tool::cache_dump& out);

/// Writes a dump as `kvsieve-dump-1`, keys and values in f16 as llama.cpp had them.
[[nodiscard]] message write_dump(tool::cache_dump const& dump, std::filesystem::path const& file);

}  // namespace kvsieve::llama_example
