// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Reads a container. Its bytes come from anywhere: no count or offset is used before it was held against their number.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include <kvsieve/io/check_source.hpp>
#include <kvsieve/io/container.hpp>

namespace kvsieve::inline v0 {
namespace io {

/// How much of a container is read through before it is believed.
enum class verify : unsigned char {
  all,   ///< every byte, against its checksum
  plans  ///< header, directory, counts and positions; keys, values, biases and scores are left on disk
};

namespace detail {
[[nodiscard]] constexpr status bad_file(char const* argument, double got, char const* rule, double expected,
                                        int layer = -1) noexcept {
  return fail(errc::bad_file, argument, got, rule, expected, layer);
}

/// The reader of versions 1 and 2, which differ in the sections that a part may have.
template <checksum Hash>
class reader_1_2 {
 public:
  reader_1_2(std::span<byte const> bytes, std::uint32_t version) noexcept {
    c_.bytes = bytes;
    c_.version = version;
  }

  /// Reads all; `to` is set when all is well.
  [[nodiscard]] status read(verify how, container& to) noexcept {
    status s = head();
    if (s) s = numbers();
    if (s) s = records();
    if (s) s = layer_list(how);
    if (s) to = c_;
    return s;
  }

 private:
  using f = header_field;
  static double real(std::uint64_t x) noexcept { return static_cast<double>(x); }
  [[nodiscard]] std::uint64_t u32(std::uint64_t place) const noexcept { return load<std::uint32_t>(c_.at(place)); }
  [[nodiscard]] std::uint64_t u64(std::uint64_t place) const noexcept { return load<std::uint64_t>(c_.at(place)); }
  static std::uint64_t hash_of(std::span<byte const> bytes) noexcept {
    Hash seen;
    seen.update(bytes.data(), bytes.size());
    return seen.digest();
  }

  /// Size, checksum of header and directory: from here on their bytes are what was written, or forged.
  status head() noexcept {
    std::uint64_t const size = c_.bytes.size();
    if (size < header_bytes) return bad_file("bytes", real(size), "is less than the header,", real(header_bytes));
    if (u32(f::header_bytes) != header_bytes)
      return bad_file("header bytes", real(u32(f::header_bytes)), "must be, in this version,", real(header_bytes));
    if (u64(f::total_bytes) != size)
      return bad_file("bytes", real(size), "differ from those that the header states,", real(u64(f::total_bytes)));
    std::string_view const name{reinterpret_cast<char const*>(c_.at(f::hash_name)), 8};
    auto const own = std::string_view{Hash::name}.substr(0, 8);
    if (name.substr(0, own.size()) != own || name.find_first_not_of('\0', own.size()) != name.npos)
      return bad_file("name of the checksum", u64(f::hash_name) == 0 ? 0 : 1, "is not that of this reader,", 0);
    directory_ = u64(f::directory_bytes);
    if (directory_ > size - header_bytes || directory_ % alignment != 0)
      return bad_file("directory bytes", real(directory_), "must be a multiple of 64 and at most",
                      real(size - header_bytes));
    static constexpr byte zeros[8]{};
    Hash seen;
    seen.update(c_.at(0), static_cast<std::size_t>(f::hash));
    seen.update(zeros, sizeof zeros);
    seen.update(c_.at(f::hash + 8), static_cast<std::size_t>(header_bytes + directory_ - f::hash - 8));
    if (seen.digest() != u64(f::hash))
      return bad_file("checksum of header and directory", real(seen.digest()), "differs from the one stored,",
                      real(u64(f::hash)));
    return {};
  }

  status numbers() noexcept {
    struct bound {
      char const* name;
      std::uint64_t place, least, most;
    };
    for (bound const& b :
         {bound{"layers", f::layers, 0, most_layers}, bound{"parts", f::parts, 0, most_parts},
          bound{"texts", f::pairs, 0, INT32_MAX}, bound{"model layers", f::num_layers, 1, most_layers},
          bound{"query heads", f::query_heads, 1, most_heads}, bound{"KV heads", f::kv_heads, 1, most_heads},
          bound{"head dimension", f::head_dim, 1, most_channels}}) {
      if (u32(b.place) < b.least) return bad_file(b.name, real(u32(b.place)), "must be at least", real(b.least));
      if (u32(b.place) > b.most) return bad_file(b.name, real(u32(b.place)), "must be at most", real(b.most));
    }
    if (u64(f::tokens) > most_tokens)
      return bad_file("tokens", real(u64(f::tokens)), "must be at most", real(most_tokens));
    auto const first = static_cast<std::int64_t>(u64(f::first_position));
    if (first > INT64_MAX - static_cast<std::int64_t>(most_tokens))
      return bad_file("first position", static_cast<double>(first), "must be at most", real(INT64_MAX - most_tokens));
    if (u32(f::query_heads) % u32(f::kv_heads) != 0)
      return bad_file("query heads", real(u32(f::query_heads)), "must be a multiple of the KV heads,",
                      real(u32(f::kv_heads)));
    c_.num_layers = c_.number(f::num_layers);
    c_.query_heads = c_.number(f::query_heads);
    c_.kv_heads = c_.number(f::kv_heads);
    c_.head_dim = c_.number(f::head_dim);
    c_.rope_theta = std::bit_cast<double>(u64(f::rope_theta));
    c_.first_position = first;
    c_.tokens = static_cast<int>(u64(f::tokens));
    c_.layers = c_.number(f::layers);
    c_.pairs = c_.number(f::pairs);
    return {};
  }

  /// Places of the records, and every text of theirs. The bounds above keep these sums far from 2^64.
  status records() noexcept {
    c_.parts_at = header_bytes + layer_bytes * u32(f::layers);
    c_.pairs_at = c_.parts_at + part_bytes(c_.version) * u32(f::parts);
    c_.texts_at = c_.pairs_at + pair_bytes * u32(f::pairs);
    std::uint64_t const end = c_.texts_at + u32(f::string_bytes), there = header_bytes + directory_;
    if (padded(end) != there)
      return bad_file("records and texts", real(padded(end)), "bytes with the header; the directory ends at",
                      real(there));
    for (std::uint64_t const place : {f::model, f::dtype, f::rope_style, f::uniformity})
      if (status const s = text(place); !s) return s;
    for (std::uint64_t at = c_.pairs_at; at < c_.texts_at; at += 8)
      if (status const s = text(at); !s) return s;
    for (std::uint64_t at = c_.parts_at; at < c_.pairs_at; at += part_bytes(c_.version))
      for (std::uint64_t const field : {part_field::name, part_field::key_format, part_field::value_format})
        if (status const s = text(at + field); !s) return s;
    c_.model = c_.text(f::model);
    c_.dtype = c_.text(f::dtype);
    c_.rope_style = c_.text(f::rope_style);
    c_.uniformity = c_.text(f::uniformity);
    return {};
  }
  [[nodiscard]] status text(std::uint64_t place) const noexcept {
    std::uint64_t const end = u32(place) + u32(place + 4);
    return end <= u32(f::string_bytes) ? status{}
                                       : bad_file("end of a text", real(end), "must be at most the bytes of texts,",
                                                  real(u32(f::string_bytes)));
  }

  status layer_list(verify how) noexcept {
    std::uint64_t part = 0, end = header_bytes + directory_;
    std::int64_t before = -1;
    for (int i = 0; i < c_.layers; ++i) {
      std::uint64_t const at = c_.layer_at(i), layer = u32(at), count = u32(at + 8);
      if (static_cast<std::int64_t>(layer) <= before || layer >= u32(f::num_layers))
        return bad_file("layer", real(layer), "must ascend and be less than", real(u32(f::num_layers)), i);
      before = static_cast<std::int64_t>(layer);
      if (u32(at + 4) != part || count > u32(f::parts) - part)
        return bad_file("first part", real(u32(at + 4)), "and its parts must follow the layer before, which ends at",
                        real(part), i);
      for (std::uint64_t k = 0; k < count; ++k, ++part)
        if (status const s = one_part(c_.parts_at + part_bytes(c_.version) * part, how, static_cast<int>(layer), end);
            !s)
          return s;
    }
    if (part != u32(f::parts)) return bad_file("parts", real(u32(f::parts)), "but the layers have", real(part));
    if (end != c_.bytes.size()) return bad_file("bytes", real(c_.bytes.size()), "but the sections end at", real(end));
    return {};
  }

  /// Sections lie one behind another, each from the next multiple of 64, with zeros between.
  status all_sections(std::uint64_t at, verify how, int layer, std::uint64_t& end) noexcept {
    static constexpr char const* names[most_sections] = {"rows", "positions", "keys",    "values",
                                                         "bias", "scores",    "channels"};
    for (int i = 0; i < sections_of(c_.version); ++i) {
      std::uint64_t const place = at + part_field::section + static_cast<std::uint64_t>(i) * part_field::section_bytes;
      std::uint64_t const offset = u64(place), size = u64(place + 8), total = c_.bytes.size();
      if (offset == 0 && size == 0 && u64(place + 16) == 0) continue;
      if (offset != end) return bad_file(names[i], real(offset), "is their offset, which must be", real(end), layer);
      if (size > total - end)
        return bad_file(names[i], real(size), "are their bytes, which must be at most", real(total - end), layer);
      std::uint64_t const past = padded(end + size);
      if (past > total)
        return bad_file(names[i], real(past), "is where they end, which must be at most", real(total), layer);
      auto const own = c_.bytes.subspan(static_cast<std::size_t>(end), static_cast<std::size_t>(size));
      bool const small = i <= static_cast<int>(section::positions) || i == static_cast<int>(section::channels);
      if (how == verify::all || small) {
        if (std::uint64_t const hash = hash_of(own); hash != u64(place + 16))
          return bad_file(names[i], real(hash), "is their checksum, which differs from the one stored,",
                          real(u64(place + 16)), layer);
        for (std::uint64_t b = end + size; b < past; ++b)
          if (*c_.at(b) != 0) return bad_file(names[i], *c_.at(b), "is a byte behind them, which must be", 0, layer);
      }
      end = past;
    }
    return {};
  }

  status one_part(std::uint64_t at, verify how, int layer, std::uint64_t& end) noexcept {
    if (status const s = all_sections(at, how, layer, end); !s) return s;
    stored_part const p = c_.record((at - c_.parts_at) / part_bytes(c_.version));
    if (status const s = check::format(p.key_format, errc::bad_file, "keys", layer); !s) return s;
    if (status const s = check::format(p.value_format, errc::bad_file, "values", layer); !s) return s;
    auto const heads = static_cast<std::uint64_t>(p.heads);
    auto const holds = [&](char const* name, std::uint64_t given, bool fits, std::uint64_t wanted) {
      return fits && given == wanted ? status{}
                                     : bad_file(name, real(given), "bytes; they should be", real(wanted), layer);
    };
    if (status const s = holds("rows", p.row_counts.size(), true, 4 * heads); !s) return s;
    auto const rows = [&](std::uint64_t h) { return p.rows(h); };
    if (std::uint64_t const sum = p.first(heads); sum != p.entries)
      return bad_file("entries", real(p.entries), "but the rows of the heads are", real(sum), layer);
    std::uint64_t wanted = 0;
    bool fits = row_bytes(p.key_format, heads, rows, wanted);
    if (status const s = holds("keys", p.key_bytes.size(), fits, wanted); !s) return s;
    fits = row_bytes(p.value_format, heads, rows, wanted);
    if (status const s = holds("values", p.value_bytes.size(), fits, wanted); !s) return s;
    if (!p.biases.empty())
      if (status const s = holds("bias", p.biases.size(), true, p.entries); !s) return s;
    if (!p.score_bytes.empty())
      if (status const s = holds("scores", p.score_bytes.size(), true, 4 * p.entries); !s) return s;
    if (status const s = channels(p, layer); !s) return s;
    if (p.lists.empty()) return {};
    status s = read_lists(p.lists, heads, p.tokens, rows, false, [](std::uint64_t, int) {});
    s.layer = s ? -1 : layer;
    return s;
  }

  /// Masks of channels have the words of all heads, and no channel beyond the head dimension.
  [[nodiscard]] status channels(stored_part const& p, int layer) const noexcept {
    if (p.masks.empty()) return {};
    std::uint64_t const words = channel_words(static_cast<std::uint64_t>(c_.head_dim)),
                        wanted = 8 * words * static_cast<std::uint64_t>(p.heads);
    if (p.masks.size() != wanted)
      return bad_file("channels", real(p.masks.size()), "bytes; they should be", real(wanted), layer);
    for (std::uint64_t i = 0; i < p.masks.size() / 8; ++i)
      if (int const beyond = check::channel_beyond(load<std::uint64_t>(p.masks.data() + 8 * i), i % words, c_.head_dim);
          beyond >= 0)
        return bad_file("channels", beyond, "is one of a mask, which must be less than", c_.head_dim, layer);
    return {};
  }

  container c_;
  std::uint64_t directory_ = 0;
};
}  // namespace detail

/// Reads a container from its bytes, all of them and no more. On failure `to` is left as it was.
/// @tparam Hash  the checksum that it was written with
/// @returns bad_file with what is wrong; a version that this reader does not know is refused by its number
template <checksum Hash>
[[nodiscard]] status read(std::span<byte const> bytes, container& to, verify how = verify::all) noexcept {
  auto const at = [](std::uint64_t x) { return static_cast<double>(x); };
  if (bytes.size() < header_field::header_bytes)
    return detail::bad_file("bytes", at(bytes.size()), "is less than magic and version,",
                            at(header_field::header_bytes));
  for (std::size_t i = 0; i < magic.size(); ++i)
    if (auto const wanted = static_cast<byte>(magic[i]); bytes[i] != wanted)
      return detail::bad_file("magic", bytes[i], "is one of its first 8 bytes, which must be", wanted);
  switch (std::uint32_t const found = load<std::uint32_t>(bytes.data() + header_field::version)) {
    case 1:
    case 2:
      return detail::reader_1_2<Hash>{bytes, found}.read(how, to);
    default:
      return detail::bad_file("version", found, "must be at least 1 and at most", version);
  }
}
}  // namespace io
}  // namespace kvsieve::inline v0
