// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "bounded.hpp"

#include <algorithm>
#include <chrono>

#include "cells.hpp"

namespace kvsieve::llama_example {

message bounded::open(model const& of, int cells, chosen_strategy const& with, int threads) {
  if (with.reads.pass) return with.of->name + " repeats a whole text behind its cache, and this one holds parts of it";
  if (with.reads.hidden || with.reads.queries < 0)
    return with.of->name + " looks at every token of the text, and most are gone when it asks";
  if (with.store != "dense")
    return "a cache that is compressed where it lies keeps its type; --store " + with.store + " changes it";
  if (with.where == holder::memory) return "--hold memory: a cache that is compressed where it lies is llama.cpp's";
  if (message m = session_.open(of, {cells, threads})) return m;
  session_.watcher().watch({.queries = true, .attention = true, .last = with.reads.queries});
  model_ = &of;
  with_ = with;
  threads_ = threads;
  return {};
}

message bounded::read(std::span<llama_token const> tokens, int room) {
  if (room >= session_.options().tokens)
    return "the cache has " + std::to_string(session_.options().tokens) + " cells, not more than the " +
           std::to_string(room) + " that are to be free";
  while (static_cast<int>(tokens.size()) + room > session_.room()) {
    auto const some = tokens.first(std::min(tokens.size(), static_cast<std::size_t>(session_.room())));
    if (some.empty())
      return "of " + std::to_string(session_.options().tokens) + " cells " + std::to_string(session_.room()) +
             " are free after a compression, and " + std::to_string(room) + " have to be: the budget is too large";
    if (message m = session_.decode(some, position_)) return m;
    position_ += static_cast<int>(some.size());
    tokens = tokens.subspan(some.size());
    if (message m = compress()) return m;
  }
  if (tokens.empty()) return {};
  if (message m = session_.decode(tokens, position_)) return m;
  position_ += static_cast<int>(tokens.size());
  return {};
}

message bounded::compress() {
  auto const start = std::chrono::steady_clock::now();
  tool::cache_dump dump;
  if (message m = take_down(session_, *model_, session_.watcher().seen(), with_.reads.queries, dump)) return m;
  tool::outcome kept;
  if (message m = run_strategy(with_, dump, kept)) return m;
  if (message m = fits_cells(kept)) return m;
  if (!same_counts(kept))
    return with_.of->name +
           " keeps other numbers of tokens in some heads, which cells that are compressed again cannot hold";
  kept_cells made;
  if (message m =
          make_cells(session_, model_->shape(), dump, kept, session_.options().keys, session_.options().values, made))
    return m;
  if (message m = session_.restore(made.state, made.cells)) return m;
  ++compressions_;
  seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return {};
}

}  // namespace kvsieve::llama_example
