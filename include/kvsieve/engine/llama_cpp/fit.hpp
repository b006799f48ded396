// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A state, a plan and what is to be written, held against each other; and the size of the new state.
#pragma once
#include <cstring>

#include <kvsieve/core/plan.hpp>
#include <kvsieve/core/rotate.hpp>
#include <kvsieve/engine/llama_cpp/output.hpp>
#include <kvsieve/engine/llama_cpp/state.hpp>

namespace kvsieve::inline v0 {
namespace engine {

/// Channels of a head that llama.cpp multiplies by a Hadamard matrix together before it quantises them, where all
/// layers of the cache have heads of one size and LLAMA_ATTN_ROT_DISABLE is not set; 0: it does not. Keys: the largest
/// power of two that divides the head dimension; values: 64.
[[nodiscard]] constexpr int llama_rotation(int head_dim, bool values) {
  return head_dim % 64 != 0 ? 0 : values ? 64 : rotation_block(head_dim);
}

/// Most channels that write_llama rotates together.
inline constexpr int most_llama_rotation = 1024;

namespace detail {
/// One call: what it is given, and what follows from it once checked. Tensors are numbered as in llama_cache::tensor.
struct llama_fit {
  llama_state const& state;
  token_plan const& plan;
  llama_output const& output;
  llama_cache const& cache = state.cache;
  index cells = 0;     ///< of the new state
  bool shared = true;  ///< one list for all layers and heads
  bool own = false;    ///< cells state the positions of their tokens

  [[nodiscard]] int tensors() const { return cache.layers * (cache.has_values ? 2 : 1); }
  [[nodiscard]] int layer_of(int i) const { return i % cache.layers; }
  [[nodiscard]] bool is_values(int i) const { return i >= cache.layers; }
  [[nodiscard]] bool columns() const {
    return output.order == llama_values::same ? cache.transposed : output.order == llama_values::columns;
  }
  /// What a tensor becomes.
  [[nodiscard]] llama_tensor target(int i) const {
    llama_tensor t = cache.tensor(i);
    llama_type const wanted = is_values(i) ? output.values : output.keys;
    t.type = wanted == llama_type::same ? t.type : wanted;
    t.transposed = is_values(i) && columns();
    t.cells = static_cast<int>(cells);
    return t;
  }
  /// Whether bytes stay what they are.
  [[nodiscard]] static bool moves(llama_tensor const& from, llama_tensor const& to) {
    return from.type == to.type && from.transposed == to.transposed;
  }
  /// Channels that are rotated together on the way from a type that llama.cpp rotates to one that it does not, or back.
  [[nodiscard]] int rotation(int i) const {
    llama_tensor const t = cache.tensor(i);
    if (!output.rotated || is_quantised(t.type) == is_quantised(target(i).type)) return 0;
    int const first = is_values(i) ? cache.layers : 0;
    for (int j = first; j < first + cache.layers; ++j)
      if (cache.tensor(j).channels != t.channels) return 0;
    return llama_rotation(t.channels / plan.heads, is_values(i));
  }
  /// Bytes of the new state.
  [[nodiscard]] std::uint64_t bytes() const {
    index sum = cells * cache.cell_bytes() + 12 + 4 * index{cache.streams};
    for (int i = 0; i < tensors(); ++i) sum += llama_cache::tensor_head + target(i).bytes();
    return static_cast<std::uint64_t>(sum) + state.head.size() + state.behind.size();
  }

  /// Everything that can be wrong.
  [[nodiscard]] status check() {
    if (!plan) return plan.state;
    if (cache.cells < 1) return fail(errc::bad_shape, "state.cells", cache.cells, "must be at least", 1);
    if (plan.views != cache.layers)
      return fail(errc::bad_plan, "plan.views", plan.views, "must equal the layers of the state,", cache.layers);
    if (plan.heads < 1) return fail(errc::bad_plan, "plan.heads", plan.heads, "must be at least", 1);
    if (cache.unordered > 0)
      return fail(errc::bad_shape, "cells.position", cache.position(cache.unordered),
                  "must be at least that of the cell before,", cache.position(cache.unordered - 1));
    status s = check_lists();
    if (s) s = check_positions();
    for (int i = 0; s && i < tensors(); ++i) s = check_tensor(i);
    return s;
  }

 private:
  [[nodiscard]] status check_lists() {
    for (int v = 0; v < plan.views; ++v) cells = cells < plan.count(v) ? plan.count(v) : cells;
    if (cells < 1) return fail(errc::bad_plan, "plan.count", static_cast<double>(cells), "must be at least", 1);
    auto const first = plan.kept(0, 0);
    for (int v = 0; v < plan.views; ++v) {
      if (plan.tokens(v) != cache.cells)
        return fail(errc::bad_plan, "plan.tokens", plan.tokens(v), "must equal the cells of the state,", cache.cells,
                    v);
      for (int h = 0; h < plan.heads; ++h) {
        auto const list = plan.kept(v, h);
        if (plan.count(v, h) != cells && !output.pad)
          return fail(errc::bad_plan, "plan.count", plan.count(v, h),
                      "must be that of every head, class U1, or output.pad set; another keeps",
                      static_cast<double>(cells), v);
        int before = -1;
        for (int const t : list) {
          if (t <= before || t >= cache.cells)
            return fail(errc::bad_plan, "plan.kept", t, "must ascend and be less than the cells,", cache.cells, v);
          before = t;
        }
        shared =
            shared && list.size() == first.size() &&
            (list.data() == first.data() || std::memcmp(list.data(), first.data(), list.size() * sizeof(int)) == 0);
      }
    }
    return {};
  }
  [[nodiscard]] status check_positions() {
    int const last = cache.next_position - 1;
    int const end = shared ? cache.position(plan.kept(0, 0)[static_cast<cs::size_t>(cells - 1)]) : -1;
    own = output.positions != llama_positions::packed && shared && end == last;
    if (own) return {};
    if (output.positions == llama_positions::packed && cache.extension)
      return fail(errc::bad_params, "output.positions", 2, "(packed), which cells with an extension cannot be; own is",
                  1);
    if (output.positions == llama_positions::own || cache.extension) {
      // Cells with an extension cannot stand for other tokens than their own.
      return shared
                 ? fail(errc::bad_plan, "plan.kept", end,
                        "is the last position kept; for cells to state their own it must be the sequence's,", last)
                 : fail(
                       errc::bad_plan, "plan.uniformity", static_cast<int>(plan.uniformity_class),
                       "with lists that differ; for cells to state their own positions there must be lists, in number,",
                       1);
    }
    if (cells > cache.next_position)
      return fail(errc::bad_plan, "plan.count", static_cast<double>(cells), "must be at most the next position,",
                  cache.next_position);
    return {};
  }
  [[nodiscard]] status check_tensor(int i) const {
    llama_tensor const from = cache.tensor(i), to = target(i);
    char const* const channels = is_values(i) ? "values.channels" : "keys.channels";
    char const* const type = is_values(i) ? "output.values" : "output.keys";
    if (from.channels % plan.heads != 0)
      return fail(errc::bad_shape, channels, from.channels, "must be a multiple of the heads of the plan,", plan.heads,
                  layer_of(i));
    if (block_of(to.type).channels == 0)
      return fail(errc::bad_params, type, static_cast<int>(to.type), "is no type of ggml that a cache may have; f16 is",
                  1);
    if (to.transposed && is_quantised(to.type))
      return fail(errc::bad_params, type, static_cast<int>(to.type),
                  "is a type of blocks, which cannot be transposed; f16 can,", 1);
    if (!moves(from, to) && (from.type == llama_type::iq4_nl || to.type == llama_type::iq4_nl))
      return fail(errc::bad_params, type, static_cast<int>(to.type), "cannot be made of rows of ggml's type",
                  static_cast<int>(from.type), layer_of(i));
    int const a = block_of(from.type).channels, b = block_of(to.type).channels, block = a < b ? b : a;
    if (int const head = from.channels / plan.heads; !(moves(from, to) && shared) && head % block != 0)
      return fail(errc::bad_shape, channels, head, "in a head; they must be a multiple of those of a block,", block,
                  layer_of(i));
    if (rotation(i) > most_llama_rotation)
      return fail(errc::bad_shape, channels, rotation(i), "in a head are rotated together; they must be at most",
                  most_llama_rotation, layer_of(i));
    return {};
  }
};
}  // namespace detail

/// Bytes of the state that write_llama makes of the same arguments.
[[nodiscard]] inline status llama_bytes(llama_state const& state, token_plan const& plan, llama_output const& output,
                                        std::uint64_t& bytes) noexcept {
  detail::llama_fit fit{state, plan, output};
  if (status const s = fit.check(); !s) return s;
  bytes = fit.bytes();
  return {};
}
}  // namespace engine
}  // namespace kvsieve::inline v0
