// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "storage.hpp"

#include <algorithm>
#include <deque>

#include <kvsieve/core/entry_bias.hpp>
#include <kvsieve/encode/bitmap.hpp>
#include <kvsieve/encode/kivi.hpp>
#include <kvsieve/encode/q4_0.hpp>
#include <kvsieve/encode/q4_1.hpp>
#include <kvsieve/encode/q5_0.hpp>
#include <kvsieve/encode/q5_1.hpp>
#include <kvsieve/encode/q8_0.hpp>

#include "head_dims.hpp"
#include "refit.hpp"
#include "store_part.hpp"

namespace kvsieve::tool {
namespace {

/// A format for rows of any length.
template <class Codec>
struct fixed {
  template <int D>
  using of = Codec;
};
/// Half of the channels.
struct half_bitmap {
  template <int D>
  using of = encode::bitmap<D / 2>;
};

/// Whole tiles between the windows in a format, the rest as it was.
template <class Keys, class Values, int D>
message store_in_tiles(team_executor const& on, store::windows const& rule, packed_cache const& from,
                       cache_dump const& dump, outcome& out) {
  store::windows whole = rule;
  whole.tile = std::max(Keys::tile_tokens, Values::tile_tokens);
  token_plan parts[2];
  std::size_t const size = store::divide_workspace_bytes(from.plan, 2);
  bytes_ptr const memory = allocate(size);
  if (status const s = store::divide(from.plan, whole, std::span(memory.get(), size), cs::span<token_plan>(parts, 2));
      !s)
    return text_of(s);
  out.bytes_after = 0;
  bool const rest = store::entries_of(parts[1]) > 0;
  if (!rest || store::entries_of(parts[0]) > 0)
    if (message m = store_part<Keys, Values, D>(on, "encoded", parts[0], from, out)) return m;
  if (!rest) return {};
  return store_plain<D>(on, parts[1], from, dump, out);
}

/// A format for whole tiles between the windows, the rest as it was.
template <class KeyFormat, class ValueFormat>
storage encoded_storage(std::string name, std::string title, std::string source, store::windows rule = {}) {
  auto const run = [rule, name](team_executor const& on, packed_cache const& from, cache_dump const& dump,
                                outcome& out) {
    return built_head_dims::call(dump.head_dim, [&]<int D>(cs::integral_constant<int, D>) -> message {
      using Keys = typename KeyFormat::template of<D>;
      using Values = typename ValueFormat::template of<D>;
      if constexpr (Keys::fits(D) && Values::fits(D))
        return store_in_tiles<Keys, Values, D>(on, rule, from, dump, out);
      else
        return does_not_hold(name, D);
    });
  };
  auto const rows_in = [rule, name](cache_dump const& dump, index bytes, bool biased, index& rows) {
    return built_head_dims::call(dump.head_dim, [&]<int D>(cs::integral_constant<int, D>) -> message {
      using Keys = typename KeyFormat::template of<D>;
      using Values = typename ValueFormat::template of<D>;
      int const plain = rule.sink + rule.recent + std::max(Keys::tile_tokens, Values::tile_tokens) - 1;
      if constexpr (Keys::fits(D) && Values::fits(D)) {
        rows = rows_in_tiles<Keys, Values, D>(dump, bytes - table_bytes(dump, plain > 0 ? 2 : 1), biased, plain);
        return {};
      } else {
        return does_not_hold(name, D);
      }
    });
  };
  return {std::move(name), std::move(title), std::move(source), run, rows_in};
}

storage dense_storage() {
  return {"dense", "rows as they were, in the element type of the dump", "",
          [](team_executor const&, packed_cache const&, cache_dump const&, outcome&) -> message { return {}; },
          [](cache_dump const& dump, index bytes, bool biased, index& rows) -> message {
            index const row = 2 * index{dump.head_dim} * size_of(dump.type) + (biased ? 1 : 0);
            rows = std::min(bytes / row, all_rows(dump));
            return {};
          }};
}

/// Rows of a layer [Hkv, rows, D] as a store gives them back, in the order of the plan.
std::vector<float> keys_read_back(layer_outcome const& from, std::size_t rows, std::size_t dim) {
  std::vector<float> keys(from.stored.size() * rows * dim);
  for (std::size_t h = 0; h < from.stored.size(); ++h) {
    auto const& kept = from.kept[h];
    auto const& head = from.stored[h];
    for (std::size_t i = 0; i < head.token.size(); ++i) {
      auto const rank = std::lower_bound(kept.begin(), kept.end(), head.token[i]) - kept.begin();
      std::copy_n(head.keys.begin() + static_cast<std::ptrdiff_t>(i * dim), dim,
                  keys.begin() + static_cast<std::ptrdiff_t>((h * rows + static_cast<std::size_t>(rank)) * dim));
    }
  }
  return keys;
}

/// Values refitted to queries that read the keys as the store gives them back.
message refit_before(storage const& form, team_executor const& on, token_plan const& plan, packed_cache const& from,
                     cache_dump const& dump, double ridge, outcome const& out, std::vector<std::vector<float>>& to) {
  kept_rows rows{from.keys, from.values, from.rows, from.biases};
  std::vector<std::vector<float>> keys;
  if (form.name != "dense") {
    outcome stored;
    for (auto const& l : out.layers) stored.layers.push_back({l.layer, l.kept, {}, {}, {}});
    if (message m = form.run(on, from, dump, stored)) return m;
    for (std::size_t v = 0; v < stored.layers.size(); ++v) {
      keys.push_back(keys_read_back(stored.layers[v], static_cast<std::size_t>(from.rows[v]),
                                    static_cast<std::size_t>(dump.head_dim)));
      rows.keys[v] = keys.back().data();
    }
  }
  return refit(on, plan, dump, ridge, rows, to);
}

/// Rows as they are, for attention to see.
void leave_dense(token_plan const& plan, packed_cache const& from, int head_dim, outcome& out) {
  auto const dim = static_cast<std::size_t>(head_dim);
  for (int v = 0; v < plan.views; ++v) {
    auto const at = static_cast<std::size_t>(v);
    for (int h = 0; h < plan.heads; ++h) {
      auto const count = static_cast<std::size_t>(plan.count(v, h)),
                 first = static_cast<std::size_t>(h) * static_cast<std::size_t>(from.rows[at]);
      auto const copy = [&](float const* rows) {
        return std::vector<float>(rows + first * dim, rows + (first + count) * dim);
      };
      stored_head& head = out.layers[at].stored.emplace_back();
      head.token = out.layers[at].kept[static_cast<std::size_t>(h)];
      head.keys = copy(from.keys[at]);
      head.values = copy(from.values[at]);
      for (std::size_t i = 0; i < count; ++i)
        head.bias.push_back(from.biases.empty() ? 0.0f : decode_bias(from.biases[at][first + i]));
    }
  }
}
}  // namespace

storage const* own_storage(strategy const& of) {
  for (auto const& [stage, policy] : of.stages)
    if (stage == "store")
      for (auto const& s : storages())
        if (s.name == policy) return &s;
  return nullptr;
}

message bytes_as_they_were(cache_dump const& dump, run_options const& options, std::int64_t& bytes) {
  storage const& form = options.store == nullptr ? storages().front() : *options.store;
  bytes = options.bytes;
  if (form.name == "dense" && !options.merges) return {};
  index rows = 0;
  if (message m = form.rows_in(dump, static_cast<index>(options.bytes), options.merges, rows)) return m;
  bytes = std::int64_t{rows} * 2 * dump.head_dim * size_of(dump.type);
  return {};
}

message store_packed(run_options const& options, team_executor const& on, token_plan const& plan,
                     std::vector<float const*> keys, std::vector<float const*> values, cache_dump const& dump,
                     outcome& out) {
  storage const& form = options.store == nullptr ? storages().front() : *options.store;
  bool const dense = form.name == "dense";
  bool const fits = refits(options, dump);
  if (options.refit > 0 && !fits && out.note.empty())
    out.note = "values are not refitted: the pass of this dump has none (pass_v)";
  if (dense && !fits) return {};
  // Merged rows take the place of the kept ones.
  std::deque<std::vector<float>> merged;  // keys and values of each layer, whose places stay
  std::vector<std::vector<std::uint8_t>> codes;
  std::vector<std::uint8_t const*> biases;
  for (int v = 0; v < plan.views; ++v) {
    auto& l = out.layers[static_cast<std::size_t>(v)];
    if (l.stored.empty()) continue;
    auto const dim = static_cast<std::size_t>(dump.head_dim), rows = static_cast<std::size_t>(plan.count(v));
    auto& k = merged.emplace_back(l.stored.size() * rows * dim);
    auto& x = merged.emplace_back(l.stored.size() * rows * dim);
    auto& c = codes.emplace_back(l.stored.size() * rows);
    for (std::size_t h = 0; h < l.stored.size(); ++h) {
      auto const& head = l.stored[h];
      if (!head.sums.empty()) return "--store: sums of evicted tokens cannot be stored beside " + form.name;
      if (head.token != l.kept[h]) return "--store: rows that stand for no token cannot be stored in " + form.name;
      std::copy(head.keys.begin(), head.keys.end(), k.begin() + static_cast<std::ptrdiff_t>(h * rows * dim));
      std::copy(head.values.begin(), head.values.end(), x.begin() + static_cast<std::ptrdiff_t>(h * rows * dim));
      for (std::size_t i = 0; i < head.bias.size(); ++i) c[h * rows + i] = encode_bias(head.bias[i]);
    }
    l.stored.clear();
  }
  bool biased = false;
  for (auto const& c : codes) biased = biased || std::any_of(c.begin(), c.end(), [](auto b) { return b != 0; });
  for (std::size_t v = 0; 2 * v + 1 < merged.size(); ++v) {
    keys[v] = merged[2 * v].data();
    values[v] = merged[2 * v + 1].data();
    if (biased) biases.push_back(codes[v].data());
  }
  // The plan of the rows themselves: entry i of a head is its row i, with the score that its token had.
  packed_cache from{plan, keys, values, {}, biases};
  std::vector<int> list;
  std::vector<index> score_offset;
  std::vector<float> score;
  for (int v = 0; v < plan.views; ++v) {
    from.rows.push_back(plan.count(v));
    score_offset.push_back(static_cast<index>(score.size()));
    auto const stride = static_cast<std::size_t>(score_stride(plan.count(v)));
    for (int h = 0; h < plan.heads; ++h) {
      auto const kept = plan.kept(v, h);
      std::vector<float> row(stride, 0.0f);
      for (int i = 0; i < plan.count(v, h); ++i) {
        list.push_back(i);
        row[static_cast<std::size_t>(i)] =
            plan.scores(v, h)[static_cast<std::size_t>(kept[static_cast<std::size_t>(i)])];
      }
      score.insert(score.end(), row.begin(), row.end());
    }
  }
  from.plan.logical_tokens = from.rows.data();
  from.plan.list = list.data();
  from.plan.score = score.data();
  from.plan.score_offset = score_offset.data();
  from.bytes = static_cast<index>(options.bytes);
  std::vector<std::vector<float>> refitted;
  if (fits) {
    if (message m = refit_before(form, on, plan, from, dump, options.refit, out, refitted)) return m;
    for (std::size_t v = 0; v < refitted.size(); ++v) from.values[v] = refitted[v].data();
  }
  if (dense) {
    leave_dense(plan, from, dump.head_dim, out);
    return {};
  }
  if (message m = form.run(on, from, dump, out)) return m;
  if (options.bytes >= 0 && out.bytes_after > static_cast<std::size_t>(options.bytes))
    return "--bytes is " + std::to_string(options.bytes) + ", less than what these rows take in " + form.name + ", " +
           std::to_string(out.bytes_after);
  return {};
}

std::vector<storage> const& storages() {
  using namespace encode;
  static std::vector<storage> const all = {
      dense_storage(),
      encoded_storage<fixed<q8_0>, fixed<q8_0>>("q8_0", "keys and values in ggml's q8_0", "ggml"),
      encoded_storage<fixed<q8_0>, fixed<q4_0>>("q8_0_q4_0", "keys in ggml's q8_0, values in its q4_0", "ggml"),
      encoded_storage<fixed<q5_1>, fixed<q5_1>>("q5_1", "keys and values in ggml's q5_1", "ggml"),
      encoded_storage<fixed<q5_0>, fixed<q5_0>>("q5_0", "keys and values in ggml's q5_0", "ggml"),
      encoded_storage<fixed<q4_1>, fixed<q4_1>>("q4_1", "keys and values in ggml's q4_1", "ggml"),
      encoded_storage<fixed<q4_0>, fixed<q4_0>>("q4_0", "keys and values in ggml's q4_0", "ggml"),
      encoded_storage<fixed<kivi_keys<4>>, fixed<kivi_values<4>>>(
          "kivi4", "KIVI, 4 bits: keys by channel over 32 tokens, values by token; the last 32 as they were", "KIVI",
          {.recent = 32}),
      encoded_storage<fixed<kivi_keys<2>>, fixed<kivi_values<2>>>(
          "kivi2", "KIVI, 2 bits: keys by channel over 32 tokens, values by token; the last 32 as they were", "KIVI",
          {.recent = 32}),
      encoded_storage<half_bitmap, half_bitmap>("bitmap50", "the larger half of a row's channels in f16, and a bitmap",
                                                "our definition"),
      think_storage(),
      lean_k_storage(),
      levels_storage(),
      levels_unrotated_storage(),
  };
  return all;
}

message find_storage(std::string const& name, storage const*& found) {
  found = nullptr;
  std::string names;
  for (auto const& s : storages()) {
    if (s.name == name) found = &s;
    names += (names.empty() ? "" : ", ") + s.name;
  }
  if (found == nullptr) return "there is no storage '" + name + "'; there are " + names;
  return {};
}

}  // namespace kvsieve::tool
