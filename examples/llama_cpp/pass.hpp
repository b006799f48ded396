// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What would be asked of the cache if its text came again: queries and keys behind it, of a pass that repeats the text,
// or of the text itself as it was read, moved there.
#pragma once
#include <span>
#include <vector>

#include "reading.hpp"
#include "session.hpp"
#include "watcher.hpp"

namespace kvsieve::llama_example {

/// Ok, or what is wrong with the share of the text that a pass repeats.
[[nodiscard]] message check_pass(double repeated);

/// Cells that the pass takes behind a context of so many tokens; 0 without one.
[[nodiscard]] int pass_room(wanted const& what, int context);

/// Decodes the pass behind a text, takes down its queries, keys and values, and forgets it again.
///
/// `what.repeated` 1: an instruction and the text again, in chunks of 2000 tokens, each of which observes its own part
/// of the cache (KVzip, arXiv 2505.23416). Less: the queries and keys that the text had when it was read are rotated to
/// the positions behind it, where each query sees its chunk of the cache whole and the moved keys before it; they cost
/// a token to decode, by which the rotation is checked. What `repeated` leaves of the text is repeated beside them, in
/// up to eight runs spread evenly over it, which observe all of the cache.
/// @param text  what was watched of all of the text, queries, keys, values, and hidden states where these are wanted;
///              read where `repeated` is less than 1
[[nodiscard]] message read_pass(session& in, model const& of, std::span<llama_token const> tokens, int position,
                                wanted const& what, std::vector<watched_layer> const& text, tool::cache_dump& dump);

}  // namespace kvsieve::llama_example
