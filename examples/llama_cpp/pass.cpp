// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "pass.hpp"

#include <algorithm>
#include <cmath>

#include "text.hpp"
#include "watched_tensor.hpp"

namespace kvsieve::llama_example {
namespace {

constexpr int chunk_tokens = 2000;
constexpr int instruction_tokens = 128;  // at most
constexpr int sink = 4;
constexpr int most_runs = 8;
constexpr char const* repeat_all = "\n\nRepeat the previous context exactly.\n\n";

/// Tokens that a pass over a share of so many repeats.
int repeated_tokens(double share, int count) { return static_cast<int>(share * count); }

/// Rotates rows of D channels by a number of positions, RoPE's way.
class rotation {
 public:
  rotation(model_shape const& shape, int by) : dim_(shape.head_dim), interleaved_(shape.rope_interleaved) {
    for (int i = 0; i < dim_ / 2; ++i) {
      double const angle = by * std::pow(shape.rope_base, -2.0 * i / dim_);
      cosine_.push_back(static_cast<float>(std::cos(angle)));
      sine_.push_back(static_cast<float>(std::sin(angle)));
    }
  }
  /// Appends rows, rotated.
  void append(std::span<float const> rows, std::vector<float>& to) const {
    std::size_t const first = to.size(), dim = static_cast<std::size_t>(dim_);
    to.insert(to.end(), rows.begin(), rows.end());
    for (std::size_t row = first; row < to.size(); row += dim)
      for (std::size_t i = 0; i < dim / 2; ++i) {
        float& a = to[row + (interleaved_ ? 2 * i : i)];
        float& b = to[row + (interleaved_ ? 2 * i + 1 : i + dim / 2)];
        float const x = a, y = b;
        a = x * cosine_[i] - y * sine_[i];
        b = x * sine_[i] + y * cosine_[i];
      }
  }

 private:
  int dim_;
  bool interleaved_;
  std::vector<float> cosine_, sine_;
};

/// The rows of tokens [from, to) of those watched, of so many tokens in all.
std::span<float const> rows_of(std::vector<float> const& all, int count, int from, int to) {
  std::size_t const width = all.size() / static_cast<std::size_t>(count);
  return std::span(all).subspan(static_cast<std::size_t>(from) * width, static_cast<std::size_t>(to - from) * width);
}

void append(std::span<float const> rows, std::vector<float>& to) { to.insert(to.end(), rows.begin(), rows.end()); }

/// Decodes tokens behind the cache and forgets them again, watched.
message decode_behind(session& in, std::span<llama_token const> tokens, int behind, int cells) {
  message const failed = in.decode(tokens, behind);
  in.forget_from(behind, cells);
  if (failed) return "the pass behind the cache: " + *failed;
  return {};
}

/// A key of the first layer depends on its token and its position alone: that of the first token decoded behind the
/// text has to be the one that it had, rotated.
message check_rotation(session& in, model_shape const& shape, llama_token first, int count, int behind, int cells,
                       std::vector<watched_layer> const& text) {
  in.watcher().watch({.keys = true});
  message const failed = decode_behind(in, {&first, 1}, behind, cells);
  auto const there = in.watcher().take();
  if (failed) return failed;
  auto const layer = static_cast<std::size_t>(shape.cached[0]);
  std::vector<float> moved;
  if (shape.rope_base > 0) rotation(shape, count).append(rows_of(text[layer].keys, count, 0, 1), moved);
  double apart = 0, size = 0;
  for (std::size_t i = 0; i < there[layer].keys.size(); ++i) {
    auto const theirs = static_cast<double>(there[layer].keys[i]),
               ours = i < moved.size() ? static_cast<double>(moved[i]) : 0.0;
    apart += (theirs - ours) * (theirs - ours);
    size += theirs * theirs;
  }
  if (size > 0 && std::sqrt(apart / size) <= 0.01) return {};
  return "this model's keys are not rotated by RoPE of base " + tool::format_exact(shape.rope_base) +
         " alone: a pass over less than the whole text cannot move them; --pass 1";
}

/// The text's own queries and keys as the pass, chunk by chunk.
void move_text(model_shape const& shape, int count, std::vector<watched_layer> const& text,
               std::vector<watched_layer>& out, tool::cache_dump& dump) {
  for (int from = std::min(sink, count - 1); from < count; from += chunk_tokens) {
    int const to = std::min(count, from + chunk_tokens);
    rotation const turn(shape, count - from);
    for (std::size_t l = 0; l < text.size(); ++l) {
      turn.append(rows_of(text[l].queries, count, from, to), out[l].queries);
      turn.append(rows_of(text[l].keys, count, from, to), out[l].keys);
      append(rows_of(text[l].values, count, from, to), out[l].values);
      append(rows_of(text[l].hidden, count, from, to), out[l].hidden);
    }
    dump.pass.push_back({from, to, to - from});
  }
}

/// An instruction and runs of the text, spread evenly over it.
message repeat_runs(session& in, model const& of, std::span<llama_token const> tokens, int behind, double share,
                    tool::cache_dump& dump) {
  int const count = static_cast<int>(tokens.size()), from = std::min(sink, count - 1),
            all = repeated_tokens(share, count);
  int const runs = std::clamp(all / 8, 1, most_runs), length = std::min(all, count - from) / runs;
  if (length < 1) return {};
  auto asked = of.tokens(repeat_all, false, false);
  for (int r = 0; r < runs; ++r) {
    // The middle of its part of the text.
    int const begin = from + (2 * r + 1) * (count - from) / (2 * runs) - length / 2;
    asked.insert(asked.end(), tokens.begin() + begin, tokens.begin() + begin + length);
  }
  dump.pass.push_back({from, count, static_cast<int>(asked.size())});
  return decode_behind(in, asked, behind, dump.tokens);
}

/// An instruction and the text, chunk by chunk.
message repeat_text(session& in, model const& of, std::span<llama_token const> tokens, int behind,
                    tool::cache_dump& dump) {
  int const count = static_cast<int>(tokens.size());
  for (int from = std::min(sink, count - 1); from < count; from += chunk_tokens) {
    int const to = std::min(count, from + chunk_tokens);
    std::string instruction = repeat_all;
    if (from > sink) {
      std::string start;
      for (int i = std::max(0, from - 8); i < from; ++i) start += of.text(tokens[static_cast<std::size_t>(i)]);
      instruction = "\n\nRepeat the part of the previous context exactly, starting with \"" + start + "\".\n\n";
    }
    auto asked = of.tokens(instruction, false, false);
    asked.insert(asked.end(), tokens.begin() + from, tokens.begin() + to);
    if (message m = decode_behind(in, asked, behind, dump.tokens)) return m;
    dump.pass.push_back({from, to, static_cast<int>(asked.size())});
  }
  return {};
}

}  // namespace

message check_pass(double repeated) {
  if (repeated >= 0 && repeated <= 1) return {};
  return "--pass is " + tool::format_exact(repeated) + ", must be from 0 to 1";
}

int pass_room(wanted const& what, int context) {
  if (!what.pass) return 0;
  return (what.repeated < 1 ? repeated_tokens(what.repeated, context) : std::min(context, chunk_tokens)) +
         instruction_tokens;
}

message read_pass(session& in, model const& of, std::span<llama_token const> tokens, int position, wanted const& what,
                  std::vector<watched_layer> const& text, tool::cache_dump& dump) {
  auto const& shape = of.shape();
  int const count = static_cast<int>(tokens.size()), behind = position + count;
  if (dump.tokens != count) return "a pass behind the cache repeats a whole text, and this cache holds a part of one";
  std::vector<watched_layer> seen(static_cast<std::size_t>(shape.layers));
  bool const whole = what.repeated >= 1;
  if (!whole) {
    if (message m = check_rotation(in, shape, tokens[0], count, behind, dump.tokens, text)) return m;
    move_text(shape, count, text, seen, dump);
  }
  in.watcher().watch({.queries = true, .keys = true, .values = true, .hidden = what.hidden});
  message const failed =
      whole ? repeat_text(in, of, tokens, behind, dump) : repeat_runs(in, of, tokens, behind, what.repeated, dump);
  auto const repeated = in.watcher().take();
  if (failed) return failed;
  for (auto& l : dump.layers) {
    auto const number = static_cast<std::size_t>(l.layer);
    auto& to = seen[number];
    auto const& from = repeated[number];
    append(from.queries, to.queries);
    append(from.keys, to.keys);
    append(from.values, to.values);
    append(from.hidden, to.hidden);
    l.pass_queries = by_head(to.queries, shape.query_heads, shape.head_dim);
    l.pass_keys = by_head(to.keys, shape.kv_heads, shape.head_dim);
    l.pass_values = by_head(to.values, shape.kv_heads, shape.head_dim);
    if (what.hidden) l.pass_hidden = by_token(to.hidden, l.pass_queries.shape[1]);
  }
  return {};
}

}  // namespace kvsieve::llama_example
