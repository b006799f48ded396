// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Writes a container (docs/design/files.md) through a caller's function, front to back.
#pragma once
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>

#include <kvsieve/io/check_source.hpp>
#include <kvsieve/io/describe.hpp>
#include <kvsieve/io/positions.hpp>

namespace kvsieve::inline v0 {
namespace io {
namespace detail {

/// Bytes of all texts of a cache; false when they are too many for their 32-bit places.
[[nodiscard]] constexpr bool text_bytes(cache_source const& c, std::uint64_t& to) noexcept {
  std::uint64_t n = c.model.size() + c.dtype.size() + c.rope_style.size() + c.uniformity.size();
  for (auto const& pair : c.metadata) n += pair.key.size() + pair.value.size();
  for (auto const& l : c.layers)
    for (auto const& p : l.parts) n += p.name.size() + p.key_format.name.size() + p.value_format.name.size();
  to = n;
  return n <= UINT32_MAX;
}

/// Sends the bytes of one section to put(byte const*, count). False when the part does not have it.
template <class Put>
constexpr bool put_section(part_source const& p, section which, std::uint64_t tokens, Put&& put) {
  auto const all = [&](pieces of) {
    for (auto const& piece : of) put(piece.data(), piece.size());
  };
  byte number[4];
  switch (which) {
    case section::rows:
      for (int const n : p.rows) {
        store(number, static_cast<std::uint32_t>(n));
        put(number, sizeof number);
      }
      return true;
    case section::positions: {
      if (p.positions.empty()) return false;
      std::span<int const> before;
      std::size_t at = 0;
      for (std::size_t h = 0; h < p.rows.size(); ++h) {
        auto const list = p.positions.subspan(at, static_cast<std::size_t>(p.rows[h]));
        put_list(list, h == 0 ? nullptr : &before, tokens, put);
        at += list.size();
        before = list;
      }
      return true;
    }
    case section::keys:
      return all(p.keys), true;
    case section::values:
      return all(p.values), true;
    case section::bias:
      return put(p.bias.data(), p.bias.size()), !p.bias.empty();
    case section::scores:
      for (float const x : p.scores) {
        store(number, std::bit_cast<std::uint32_t>(x));
        put(number, sizeof number);
      }
      return !p.scores.empty();
    case section::channels:
      for (std::uint64_t const word : p.channels) {
        byte bits[8];
        store(bits, word);
        put(bits, sizeof bits);
      }
      return !p.channels.empty();
  }
  return false;
}

/// Fills header and directory, front to back.
template <checksum Hash>
class head_writer {
 public:
  head_writer(cache_source const& what, byte* to, std::uint64_t bytes) noexcept
      : c_(what), to_(to), bytes_(bytes), version_(what.version()) {}

  /// Returns the bytes of the whole file.
  std::uint64_t write() noexcept {
    std::fill_n(to_, bytes_, byte{0});
    std::uint64_t parts = 0, text = 0;
    for (auto const& l : c_.layers) parts += l.parts.size();
    (void)text_bytes(c_, text);
    std::uint64_t const first_part = header_bytes + layer_bytes * c_.layers.size(),
                        first_pair = first_part + part_bytes(version_) * parts;
    text_base_ = first_pair + pair_bytes * c_.metadata.size();
    using f = header_field;
    std::ranges::copy(magic, to_);
    number(f::version, version_);
    number(f::header_bytes, header_bytes);
    std::ranges::copy(std::string_view{Hash::name}.substr(0, 8), to_ + f::hash_name);
    store(to_ + f::directory_bytes, bytes_ - header_bytes);
    number(f::layers, c_.layers.size());
    number(f::parts, parts);
    number(f::pairs, c_.metadata.size());
    number(f::string_bytes, text);
    number(f::num_layers, static_cast<std::uint64_t>(c_.num_layers));
    number(f::query_heads, static_cast<std::uint64_t>(c_.query_heads));
    number(f::kv_heads, static_cast<std::uint64_t>(c_.kv_heads));
    number(f::head_dim, static_cast<std::uint64_t>(c_.head_dim));
    store(to_ + f::rope_theta, std::bit_cast<std::uint64_t>(c_.rope_theta));
    store(to_ + f::first_position, static_cast<std::uint64_t>(c_.first_position));
    store(to_ + f::tokens, static_cast<std::uint64_t>(c_.tokens));
    words(f::model, c_.model);
    words(f::dtype, c_.dtype);
    words(f::rope_style, c_.rope_style);
    words(f::uniformity, c_.uniformity);
    std::uint64_t at = header_bytes, part_at = first_part, end = bytes_, part = 0;
    for (auto const& l : c_.layers) {
      number(at, static_cast<std::uint64_t>(l.layer));
      number(at + 4, part);
      number(at + 8, l.parts.size());
      at += layer_bytes;
      part += l.parts.size();
      for (auto const& p : l.parts) {
        end = record(part_at, p, end);
        part_at += part_bytes(version_);
      }
    }
    at = first_pair;
    for (auto const& pair : c_.metadata) {
      words(at, pair.key);
      words(at + 8, pair.value);
      at += pair_bytes;
    }
    store(to_ + f::total_bytes, end);
    Hash seen;
    seen.update(to_, bytes_);  // its own field is still zero
    store(to_ + f::hash, seen.digest());
    return end;
  }

 private:
  void number(std::uint64_t at, std::uint64_t x) noexcept { store(to_ + at, static_cast<std::uint32_t>(x)); }
  /// A text: its place within the texts, its length.
  void words(std::uint64_t at, std::string_view text) noexcept {
    number(at, text_);
    number(at + 4, text.size());
    std::ranges::copy(text, to_ + text_base_ + text_);
    text_ += text.size();
  }
  /// The record of a part whose sections begin at `end`; returns where they end.
  std::uint64_t record(std::uint64_t at, part_source const& p, std::uint64_t end) noexcept {
    using f = part_field;
    words(at + f::name, p.name);
    words(at + f::key_format, p.key_format.name);
    words(at + f::value_format, p.value_format.name);
    number(at + f::key_tile_tokens, p.key_format.tile_tokens);
    number(at + f::key_tile_bytes, p.key_format.tile_bytes);
    number(at + f::value_tile_tokens, p.value_format.tile_tokens);
    number(at + f::value_tile_bytes, p.value_format.tile_bytes);
    store(to_ + at + f::rows, entries(p));
    for (int i = 0; i < sections_of(version_); ++i) {
      Hash seen;
      std::uint64_t bytes = 0;
      bool const there = put_section(p, static_cast<section>(i), static_cast<std::uint64_t>(c_.tokens),
                                     [&](byte const* from, std::size_t n) {
                                       seen.update(from, n);
                                       bytes += n;
                                     });
      if (!there) continue;
      byte* const to = to_ + at + f::section + static_cast<std::uint64_t>(i) * f::section_bytes;
      store(to, end);
      store(to + 8, bytes);
      store(to + 16, seen.digest());
      end += padded(bytes);
    }
    return end;
  }

  cache_source const& c_;
  byte* to_;
  std::uint64_t bytes_, text_base_ = 0, text_ = 0;
  std::uint32_t version_;
};

/// Gathers small pieces, so that a sink is called with thousands of bytes, and counts them.
template <class Sink>
class gatherer {
 public:
  explicit gatherer(Sink& sink) noexcept : sink_(sink) {}
  /// Takes bytes; after a failure they go nowhere.
  void operator()(byte const* from, std::size_t n) {
    sent_ += n;
    if (n > sizeof memory_ - held_) flush();
    if (n > sizeof memory_) {
      send({from, n});
    } else if (n > 0) {
      std::copy_n(from, n, memory_ + held_);
      held_ += n;
    }
  }
  /// Zeros up to the next multiple of the alignment.
  void pad() {
    static constexpr byte zeros[alignment]{};
    (*this)(zeros, static_cast<std::size_t>(padded(sent_) - sent_));
  }
  /// Sends what was gathered.
  void flush() {
    send({memory_, held_});
    held_ = 0;
  }
  /// What the sink said first that was not ok.
  [[nodiscard]] status state() const noexcept { return state_; }

 private:
  void send(std::span<byte const> bytes) {
    if (state_ && !bytes.empty()) state_ = sink_(bytes);
  }
  Sink& sink_;
  status state_{};
  std::uint64_t sent_ = 0;
  std::size_t held_ = 0;
  byte memory_[4096];
};
}  // namespace detail

/// Bytes of memory that writing a cache needs: those of header and directory. 0 when they are too many for a file.
[[nodiscard]] constexpr std::uint64_t head_bytes(cache_source const& c) noexcept {
  std::uint64_t text = 0, parts = 0;
  if (!detail::text_bytes(c, text)) return 0;
  for (auto const& l : c.layers) parts += l.parts.size();
  return padded(header_bytes + layer_bytes * c.layers.size() + part_bytes(c.version()) * parts +
                pair_bytes * c.metadata.size() + text);
}

/// Writes a cache. All sections are read twice: for their checksums, then to be sent.
/// @param memory  head_bytes(what) bytes
/// @param sink    sink(std::span<byte const>) takes the bytes of the file one behind another and returns a status; the
///                first that is not ok ends the writing and is returned
/// @returns bad_shape, bad_params when the description contradicts itself, workspace_too_small; nothing was sent then
template <checksum Hash, class Sink>
[[nodiscard]] status write(cache_source const& what, std::span<byte> memory, Sink&& sink) {
  if (status const s = check::source(what); !s) return s;
  std::uint64_t const bytes = head_bytes(what);
  if (bytes == 0)
    return fail(errc::bad_params, "bytes of names and texts", static_cast<double>(UINT32_MAX), "or more; must be below",
                static_cast<double>(UINT32_MAX));
  if (memory.size() < bytes)
    return fail(errc::workspace_too_small, "memory", static_cast<double>(memory.size()),
                "bytes; header and directory need", static_cast<double>(bytes));
  detail::head_writer<Hash>{what, memory.data(), bytes}.write();
  std::uint32_t const of_file = what.version();
  detail::gatherer<std::remove_reference_t<Sink>> out{sink};
  out(memory.data(), static_cast<std::size_t>(bytes));
  for (auto const& l : what.layers)
    for (auto const& p : l.parts)
      for (int i = 0; i < sections_of(of_file) && out.state(); ++i) {
        detail::put_section(p, static_cast<section>(i), static_cast<std::uint64_t>(what.tokens), out);
        out.pad();
      }
  out.flush();
  return out.state();
}
}  // namespace io
}  // namespace kvsieve::inline v0
