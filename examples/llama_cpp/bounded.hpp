// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A text of any length read through a cache of a fixed size: whenever it is full it is compressed where it lies.
#pragma once
#include <functional>
#include <span>

#include "commands.hpp"

namespace kvsieve::llama_example {

class bounded {
 public:
  bounded() = default;
  bounded(bounded const&) = delete;
  bounded& operator=(bounded const&) = delete;

  /// @param cells    of the cache, in f16
  /// @param with     the strategy; its budget counts the cells that are full then. One whose heads keep numbers of
  ///                 their own, or whose rows cells cannot hold, is refused at the first compression
  /// @param threads  of llama.cpp and kvsieve
  [[nodiscard]] message open(model const& of, int cells, chosen_strategy const& with, int threads);

  /// Decodes tokens behind those before, and compresses as often as it takes. Afterwards `room` cells are free, at
  /// least one.
  [[nodiscard]] message read(std::span<llama_token const> tokens, int room);
  [[nodiscard]] session& in() { return session_; }
  [[nodiscard]] int position() const { return position_; }  ///< of the next token
  [[nodiscard]] int compressions() const { return compressions_; }
  [[nodiscard]] double seconds_compressing() const { return seconds_; }

 private:
  [[nodiscard]] message compress();

  model const* model_ = nullptr;
  chosen_strategy with_;
  int threads_ = 1, position_ = 0, compressions_ = 0;
  double seconds_ = 0;
  session session_;
};

}  // namespace kvsieve::llama_example
