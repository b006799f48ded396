// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A compressed cache in kvsieve's own memory, of any class and in any storage, and the attention that reads it in
// place of llama.cpp's. What is decoded later lies behind it as it is.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "attend_part.hpp"
#include "model.hpp"
#include "watcher.hpp"

namespace kvsieve::llama_example {

class stored_cache {
 public:
  /// Takes over what a strategy made of a cache. On failure the object is as it was.
  /// @param room     tokens that may be decoded later
  /// @param threads  of the attention over several new tokens; one token alone has too little work to share
  [[nodiscard]] message hold(model_shape const& shape, tool::cache_dump const& dump, tool::outcome const& kept,
                             int room, int threads);

  /// Bytes of what was kept, with tables, and of the tokens decoded since.
  [[nodiscard]] std::size_t bytes() const;
  /// Attention of one layer's batch, as watcher::replace takes it: false when it failed, and then failure() says why.
  [[nodiscard]] bool attend(layer_step const& step, std::span<float> out);
  [[nodiscard]] message const& failure() const { return failure_; }

 private:
  struct part {
    stored_rows rows;
    attend_function attend = nullptr;
  };
  struct layer {
    std::vector<part> parts;
    std::vector<std::uint16_t> keys, values;  ///< f16 [Hkv, room, D] of tokens decoded since
    int tokens = 0;                           ///< of them
  };
  [[nodiscard]] message take_parts(tool::cache_dump const& dump, tool::layer_outcome const& from, std::size_t index,
                                   layer& to) const;
  [[nodiscard]] message attend_layer(layer& to, layer_step const& step, std::span<float> out);

  model_shape shape_;
  int room_ = 0;
  std::vector<layer> layers_;
  std::unique_ptr<host::team> team_, alone_;  ///< of several workers, and of the caller
  attend_memory memory_;
  message failure_;
};

}  // namespace kvsieve::llama_example
