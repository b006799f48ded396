// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Attention over rows in a format that is known when the program runs.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <kvsieve/core/views.hpp>
#include <kvsieve/host/team.hpp>

#include "strategy.hpp"

namespace kvsieve::llama_example {
using tool::message;

/// Rows of a layer in one format, as a strategy left them: ragged by head.
struct stored_rows {
  std::vector<kvsieve::index> offset;  ///< [Hkv + 1] in rows
  std::vector<unsigned char> keys, values;
  std::vector<std::uint8_t> bias;       ///< [rows] codes of core/entry_bias.hpp; empty: none
  std::vector<std::uint64_t> channels;  ///< of keys that hold some of them; empty: all

  /// Everything that has to stay in memory.
  [[nodiscard]] std::size_t bytes() const {
    return offset.size() * sizeof(kvsieve::index) + keys.size() + values.size() + bias.size() +
           channels.size() * sizeof(std::uint64_t);
  }
};

/// Memory that calls share; grows when one needs more.
struct attend_memory {
  std::vector<std::byte> bytes;
  [[nodiscard]] std::span<std::byte> of(std::size_t size);
};

/// out [rows] = attention of query rows [Hq, T, D] over all of a head's rows, and the natural logarithms of their sums
/// [Hq, T]. Every query sees every row.
using attend_function = message (*)(host::team&, stored_rows const&, float const* queries, int query_rows, int kv_heads,
                                    float* out, float* log_sum, attend_memory&);

/// The function for a part of an outcome; a message where this program has none for its formats.
[[nodiscard]] message find_attend(tool::stored_part const& part, int head_dim, attend_function& found);

/// Attention of T new queries over the first `tokens` rows of each head, f16 [Hkv, room, D], of which the last T are
/// those of the queries themselves: query i sees all but the T - 1 - i last ones. T is at most 8.
[[nodiscard]] message attend_own(host::team&, std::uint16_t const* keys, std::uint16_t const* values, int room,
                                 int tokens, int head_dim, float const* queries, int query_heads, int kv_heads,
                                 int asked, float* out, float* log_sum, attend_memory&);

}  // namespace kvsieve::llama_example
