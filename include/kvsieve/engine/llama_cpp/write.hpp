// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A new state of the cells that a plan keeps, for llama_state_seq_set_data.
#pragma once
#include <cstring>

#include <kvsieve/engine/llama_cpp/convert.hpp>
#include <kvsieve/engine/llama_cpp/fit.hpp>
#include <kvsieve/host/on.hpp>

namespace kvsieve::inline v0 {
namespace engine {

namespace detail {
[[nodiscard]] inline byte* put(byte* to, cs::span<byte const> from) {
  if (!from.empty()) std::memcpy(to, from.data(), from.size());
  return to + from.size();
}
template <class T>
[[nodiscard]] byte* put_number(byte* to, T x) {
  io::store(to, x);
  return to + sizeof x;
}
/// Metadata of the cells.
[[nodiscard]] inline byte* put_cells(llama_fit const& fit, byte* to) {
  llama_cache const& cache = fit.cache;
  auto const first = fit.plan.kept(0, 0);
  for (index i = 0; i < fit.cells; ++i) {
    byte* const cell = to;
    to = put(
        to, {cache.cell(fit.own ? first[static_cast<cs::size_t>(i)] : 0), static_cast<cs::size_t>(cache.cell_bytes())});
    if (!fit.own) io::store(cell, static_cast<std::uint32_t>(cache.next_position - fit.cells + i));
  }
  return to;
}
/// What stands in front of a tensor.
[[nodiscard]] inline byte* put_tensor_head(llama_tensor const& t, byte* to) {
  to = put_number(to, static_cast<std::uint32_t>(t.type));
  if (!t.transposed) return put_number(to, static_cast<std::uint64_t>(t.row_bytes(t.channels)));
  to = put_number(to, static_cast<std::uint32_t>(block_of(t.type).bytes));
  return put_number(to, static_cast<std::uint32_t>(t.channels));
}
/// Some channels of cells [begin, end), bytes as they are; `kept` are the last cells, those before them zeros.
inline void move_cells(llama_tensor const& from, llama_tensor const& target, byte* to, cs::span<int const> kept,
                       index first, int channels, index begin, index end) {
  // Of a transposed tensor one channel after another, else all of them at once.
  index const parts = from.transposed ? channels : 1;
  auto const size = static_cast<std::size_t>(from.row_bytes(from.transposed ? 1 : channels));
  index const hidden = target.cells - static_cast<index>(kept.size());
  for (index p = first; p < first + parts; ++p)
    for (index c = begin; c < end; ++c)
      if (byte* const cell = to + target.place(c, p); c < hidden)
        std::memset(cell, 0, size);
      else
        std::memcpy(cell, from.data + from.place(kept[static_cast<cs::size_t>(c - hidden)], p), size);
}
/// The numbers of a tensor.
template <host::executor Exec>
void put_rows(Exec const& on, llama_fit const& fit, int i, llama_tensor const& target, byte* to) {
  constexpr index pieces = 8;  // of the cells, so that few heads still feed all workers
  llama_tensor const from = fit.cache.tensor(i);
  bool const moves = llama_fit::moves(from, target);
  index const heads = moves && fit.shared ? 1 : fit.plan.heads;  // cells are whole then
  int const channels = static_cast<int>(from.channels / heads), rotation = fit.rotation(i);
  on.for_each(heads * pieces, [&](index job, int) {
    index const head = job / pieces, piece = job % pieces, first = head * channels;
    index const begin = target.cells * piece / pieces, end = target.cells * (piece + 1) / pieces;
    auto const kept = fit.plan.kept(fit.layer_of(i), static_cast<int>(head));
    index const hidden = target.cells - static_cast<index>(kept.size());
    if (moves) return move_cells(from, target, to, kept, first, channels, begin, end);
    for (index c = begin; c < end; ++c)
      host::detail::convert_llama(from, c < hidden ? -1 : kept[static_cast<cs::size_t>(c - hidden)], target, to, c,
                                  first, channels, rotation);
  });
}
}  // namespace detail

/// Writes a state that has the cells which a plan keeps. What follows the first cache (that of layers with sliding
/// windows, recurrent layers) is copied.
/// @param on      where to run
/// @param state   as it was read
/// @param plan    of the host: a view for each layer of the first cache, the KV heads of the model; tokens are cells
/// @param output  types, order and positions
/// @param to      llama_bytes(...) bytes or more, apart from the state's own
/// @returns ok, or what was refused, and then nothing was written
template <host::executor Exec>
[[nodiscard]] status write_llama(Exec const& on, llama_state const& state, token_plan const& plan,
                                 llama_output const& output, cs::span<byte> to) noexcept {
  detail::llama_fit fit{state, plan, output};
  if (status const s = fit.check(); !s) return s;
  if (to.data() == nullptr) return fail(errc::bad_pointer, "to", 0, "must not be null;", 0);
  std::uint64_t const needed = fit.bytes();
  if (to.size() < needed)
    return fail(errc::bad_shape, "to.bytes", static_cast<double>(to.size()), "must be at least",
                static_cast<double>(needed));
  auto const from = reinterpret_cast<std::uintptr_t>(state.bytes.data()),
             at = reinterpret_cast<std::uintptr_t>(to.data()), end = from + state.bytes.size();
  if (at < end && from < at + needed)
    return fail(errc::overlap, "to", static_cast<double>(at), "reaches into the state, which ends at",
                static_cast<double>(end));
  byte* p = detail::put(to.data(), state.head);
  p = detail::put_number(p, static_cast<std::uint32_t>(fit.cache.streams));
  for (int s = 0; s < fit.cache.streams; ++s) {
    bool const has_cells = s == fit.cache.stream;
    p = detail::put_number(p, static_cast<std::uint32_t>(has_cells ? fit.cells : 0));
    if (!has_cells) continue;
    p = detail::put_cells(fit, p);
    p = detail::put_number(p, fit.columns() ? std::uint32_t{1} : std::uint32_t{0});
    p = detail::put_number(p, static_cast<std::uint32_t>(fit.cache.layers));
    for (int i = 0; i < fit.tensors(); ++i) {
      llama_tensor const t = fit.target(i);
      p = detail::put_tensor_head(t, p);
      detail::put_rows(on, fit, i, t, p);
      p += t.bytes();
    }
  }
  if (!state.behind.empty()) std::memcpy(p, state.behind.data(), state.behind.size());
  return {};
}
}  // namespace engine
}  // namespace kvsieve::inline v0
