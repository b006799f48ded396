// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Reads a state. Its bytes come from anywhere: no number of it is used before it was held against how many there are.
#pragma once
#include <kvsieve/core/forced.hpp>
#include <kvsieve/engine/llama_cpp/state.hpp>

namespace kvsieve::inline v0 {
namespace engine {

namespace detail {
/// Walks over the bytes of a state; `layer` is where it is, for messages.
class llama_reader {
 public:
  explicit constexpr llama_reader(cs::span<byte const> bytes) noexcept : bytes_(bytes) {}

  [[nodiscard]] constexpr std::uint64_t left() const { return bytes_.size() - at_; }
  [[nodiscard]] constexpr cs::span<byte const> from(std::uint64_t place) const {
    return bytes_.subspan(place, at_ - place);
  }
  [[nodiscard]] constexpr std::uint64_t at() const { return at_; }

  /// One number.
  template <class T>
  [[nodiscard]] status number(char const* name, T& to, int layer = -1) {
    if (left() < sizeof(T)) return cut(name, sizeof(T), layer);
    to = io::load<T>(bytes_.data() + at_);
    at_ += sizeof(T);
    return {};
  }
  /// `count` things of `size` bytes.
  [[nodiscard]] status pass(char const* name, std::uint64_t count, std::uint64_t size, int layer = -1) {
    std::uint64_t total = 0;
    if (!io::multiply(count, size, total))
      return fail(errc::bad_file, name, real(count), "of them overflow a size, with bytes each of", real(size), layer);
    if (left() < total) return cut(name, total, layer);
    at_ += total;
    return {};
  }

  /// A cache; `to` is set when all is well.
  [[nodiscard]] status cache(llama_form const& form, llama_cache& to) {
    std::uint64_t const begin = at_;
    llama_cache c;
    c.has_values = form.values;
    c.extension = form.extension;
    std::uint32_t streams = 0;
    if (status const s = number("streams", streams); !s) return s;
    if (streams < 1 || streams > most_streams) return out_of("streams", streams, 1, most_streams);
    c.streams = static_cast<int>(streams);
    for (int i = 0; i < c.streams; ++i) {
      std::uint32_t cells = 0;
      if (status const s = number("cells", cells); !s) return s;
      if (cells == 0) continue;
      if (c.cells > 0)
        return fail(errc::bad_file, "stream", i, "has cells too, as only that of the sequence may,", c.stream);
      if (cells > static_cast<std::uint32_t>(most_tokens)) return out_of("cells", cells, 0, most_tokens);
      c.stream = i;
      c.cells = static_cast<int>(cells);
      if (status const s = all_cells(begin, c); !s) return s;
      if (status const s = tensors(c); !s) return s;
    }
    c.bytes = from(begin);
    to = c;
    return {};
  }

 private:
  static constexpr int most_streams = 256, most_layers = 512;  // of llama.cpp (LLAMA_MAX_SEQ, LLAMA_MAX_LAYERS)
  static constexpr double real(std::uint64_t x) { return static_cast<double>(x); }
  [[nodiscard]] status cut(char const* name, std::uint64_t needed, int layer) const {
    return fail(errc::bad_file, name, real(left()), "bytes: no more are left of the state; it takes", real(needed),
                layer);
  }
  [[nodiscard]] static status out_of(char const* name, std::uint64_t got, int least, int most, int layer = -1) {
    return real(got) < least ? fail(errc::bad_file, name, real(got), "must be at least", least, layer)
                             : fail(errc::bad_file, name, real(got), "must be at most", most, layer);
  }

  [[nodiscard]] status all_cells(std::uint64_t begin, llama_cache& c) {
    if (status const s = pass("cells", static_cast<std::uint64_t>(c.cells), static_cast<std::uint64_t>(c.cell_bytes()));
        !s)
      return s;
    c.bytes = from(begin);
    int most = -1, before = -1;
    for (int i = 0; i < c.cells; ++i) {
      int const position = c.position(i);
      std::uint32_t const sequences = io::load<std::uint32_t>(c.cell(i) + 4);
      if (position < 0) return fail(errc::bad_file, "cells.position", position, "must be at least", 0);
      if (position == INT32_MAX)
        return fail(errc::bad_file, "cells.position", position, "must be less than", INT32_MAX);
      if (sequences != 1) return fail(errc::bad_file, "cells.sequences", sequences, "must be, in the state of one,", 1);
      if (position < before && c.unordered == 0) c.unordered = i;
      before = position;
      most = most < position ? position : most;
    }
    c.next_position = most + 1;
    return {};
  }

  [[nodiscard]] status tensors(llama_cache& c) {
    std::uint32_t transposed = 0, layers = 0;
    if (status const s = number("transposed", transposed); !s) return s;
    if (transposed > 1) return out_of("transposed", transposed, 0, 1);
    if (status const s = number("layers", layers); !s) return s;
    if (layers < 1 || layers > most_layers) return out_of("layers", layers, 1, most_layers);
    c.transposed = transposed != 0;
    c.layers = static_cast<int>(layers);
    for (int i = 0; i < c.layers; ++i)
      if (status const s = rows(c, "keys.type", "keys.row_bytes", "keys", i); !s) return s;
    for (int i = 0; c.has_values && i < c.layers; ++i)
      if (status const s = c.transposed ? columns(c, i) : rows(c, "values.type", "values.row_bytes", "values", i); !s)
        return s;
    return {};
  }
  [[nodiscard]] status known(char const* name, llama_block& block, int layer) {
    std::uint32_t type = 0;
    if (status const s = number(name, type, layer); !s) return s;
    block = type > 30 ? llama_block{} : block_of(static_cast<llama_type>(type));
    if (block.channels == 0)
      return fail(errc::bad_file, name, static_cast<int>(type),
                  "is ggml's number of a type that no cache has; the last one is", 30, layer);
    return {};
  }
  [[nodiscard]] status rows(llama_cache const& c, char const* type, char const* row_bytes, char const* name,
                            int layer) {
    llama_block block;
    std::uint64_t bytes = 0;
    if (status const s = known(type, block, layer); !s) return s;
    if (status const s = number(row_bytes, bytes, layer); !s) return s;
    auto const of_block = static_cast<std::uint64_t>(block.bytes);
    if (bytes == 0 || bytes % of_block != 0)
      return fail(errc::bad_file, row_bytes, real(bytes), "must be a multiple, above 0, of the bytes of a block,",
                  block.bytes, layer);
    if (bytes / of_block > static_cast<std::uint64_t>(INT32_MAX / block.channels))
      return fail(errc::bad_file, row_bytes, real(bytes), "must be at most",
                  real(of_block * static_cast<std::uint64_t>(INT32_MAX / block.channels)), layer);
    return pass(name, static_cast<std::uint64_t>(c.cells), bytes, layer);
  }
  [[nodiscard]] status columns(llama_cache const& c, int layer) {
    llama_block block;
    std::uint32_t bytes = 0, channels = 0;
    if (status const s = known("values.type", block, layer); !s) return s;
    if (block.channels != 1)
      return fail(errc::bad_file, "values.type", block.channels,
                  "channels have a block in common; transposed they must have", 1, layer);
    if (status const s = number("values.element_bytes", bytes, layer); !s) return s;
    if (bytes != static_cast<std::uint32_t>(block.bytes))
      return fail(errc::bad_file, "values.element_bytes", bytes, "must be those of the type,", block.bytes, layer);
    if (status const s = number("values.channels", channels, layer); !s) return s;
    if (channels < 1 || channels > INT32_MAX) return out_of("values.channels", channels, 1, INT32_MAX, layer);
    return pass("values", channels, static_cast<std::uint64_t>(c.cells) * bytes, layer);
  }

  cs::span<byte const> bytes_;
  std::uint64_t at_ = 0;
};
}  // namespace detail

/// Reads what llama_state_seq_get_data, its _ext form without LLAMA_STATE_SEQ_FLAGS_ON_DEVICE, or
/// llama_state_seq_save_file wrote.
/// @param bytes  all of it; views refer to it
/// @param form   what the model says of it
/// @param to     what is read
/// @returns bad_file with the number that is wrong and what it was held against, and then `to` is as it was
[[nodiscard]] inline status read_llama(cs::span<byte const> bytes, llama_form const& form, llama_state& to) noexcept {
  constexpr std::uint32_t of_state = 0xaf143cd8u, of_file = 0x67677371u;
  if (form.caches < 1 || form.caches > 2) return fail(errc::bad_params, "form.caches", form.caches, "must be 1, or", 2);
  if (bytes.data() == nullptr) return fail(errc::bad_pointer, "bytes", 0, "must not be null;", 0);
  detail::llama_reader r(bytes);
  llama_state seen;
  std::uint32_t magic = 0, number = 0;
  if (status const s = r.number("magic", magic); !s) return s;
  if (magic == of_state) {
    if (status const s = r.number("sequence", number); !s) return s;
  } else if (magic == of_file) {
    if (status const s = r.number("version", number); !s) return s;
    if (number != 3) return fail(errc::bad_file, "version", number, "of a file must be", 3);
    if (status const s = r.number("tokens", number); !s) return s;
    if (status const s = r.pass("tokens", number, 4); !s) return s;
  } else {
    return fail(errc::bad_file, "magic", magic, "must be that of a state, or of a file 1734833009;", of_state);
  }
  seen.bytes = bytes;
  seen.head = r.from(0);
  if (status const s = r.cache(form, seen.cache); !s) return s;
  seen.behind = bytes.subspan(r.at());
  if (form.caches == 2)
    if (status const s = r.cache(form, seen.windows); !s) return s;
  if (r.left() > 0 && !form.more)
    return fail(errc::bad_file, "bytes", static_cast<double>(bytes.size()), "but the caches end at",
                static_cast<double>(r.at()));
  to = seen;
  return {};
}
}  // namespace engine
}  // namespace kvsieve::inline v0
