// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The memory that a plan on the device is made in.
#pragma once
#include <cstddef>
#include <span>

#include <kvsieve/core/arena.hpp>
#include <kvsieve/core/math.hpp>
#include <kvsieve/core/plan.hpp>
#include <kvsieve/core/rules.hpp>
#include <kvsieve/device/plan/count_memory.hpp>
#include <kvsieve/device/plan/head_memory.hpp>
#include <kvsieve/device/plan/scored_layers.hpp>
#include <kvsieve/device/score/protect_mass.hpp>
#include <kvsieve/device/score/score_queries.hpp>
#include <kvsieve/device/score/score_rows.hpp>
#include <kvsieve/device/select/select_segments.hpp>
#include <kvsieve/score/pattern.hpp>
#include <kvsieve/select/page_representatives.hpp>
#include <kvsieve/select/top_k.hpp>
#include <kvsieve/select/top_k_in_spans.hpp>
#include <kvsieve/select/whole_pieces.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// The caller's memory for one plan, in two parts. `device` holds scores, kept lists and scratch; kernels alone touch
/// it. `host` holds what the engine reads without waiting for the device: where the lists lie and how long they are
/// (token_plan::offset, logical_tokens, score_offset), or how long at most (open_plan::longest). Both live as long as
/// the plan.
struct workspace {
  std::span<std::byte> device;  ///< device memory, aligned to 64 bytes
  std::span<std::byte> host;    ///< ordinary memory, aligned to 8 bytes
};

/// Bytes of each part.
struct workspace_size {
  std::size_t device = 0;  ///< of workspace::device
  std::size_t host = 0;    ///< of workspace::host
};

/// Tokens of a view of which the products with a table are held at a time.
inline constexpr int hidden_tokens = 4096;

template <class C>
struct score_memory;

/// Memory of the two halves of a joined score.
template <class Score, bool Joined>
struct half_memory {};
template <class Score>
struct half_memory<Score, true> {
  score_memory<typename Score::first> first;    ///< its scores lie where the joined ones come
  score_memory<typename Score::second> second;  ///< has scores of its own
};

/// What the scores of a plan lie in, and what they are made in.
template <class C>
struct score_memory {
  using score = typename C::score_policy;
  static constexpr bool pools = C::smooth_policy::pools;
  static constexpr bool per_row = cs::is_same_v<typename C::pattern, patterns::per_row>;
  static constexpr bool per_pair = cs::is_same_v<typename C::pattern, patterns::per_pair>;
  static constexpr bool per_hidden = cs::is_same_v<typename C::pattern, patterns::per_hidden>;
  static constexpr bool of_moments = reads_moments<score>;
  static constexpr bool in_own_chunks = cs::is_same_v<score, kvsieve::score::non_causal_attention>;
  /// Sums of keys and values that wait for their block.
  static constexpr bool sums_wait =
      per_row && row_scores::in_blocks<score> && row_scores::reads_keys<score> && row_scores::reads_values<score>;
  static constexpr bool per_chunk = cs::is_same_v<typename C::pattern, patterns::per_chunk>;
  static constexpr bool per_query = C::folds_queries;
  static constexpr bool joins = cs::is_same_v<typename C::pattern, patterns::joined>;
  static constexpr bool projects = requires { C::weigh_policy::quadratic; };
  static constexpr bool protects = C::protect_policy::protects;
  /// The budget reads what the accumulator measures of a view.
  static constexpr bool gathers = per_query && reads_statistics<typename C::budget_policy>;

  index* score_offset = nullptr;  ///< host [views]
  float* scores = nullptr;        ///< device, what selection sees
  float* raw = nullptr;           ///< device, as many: scores before pooling, or scratch of a scorer
  float* sums = nullptr;          ///< device, as many, of a scorer whose sums wait
  float* partial = nullptr;       ///< device, the pattern's partial results of all views
  float* joined = nullptr;        ///< device, these joined: a summary for each head, or a mass for each query
  float* head_weight = nullptr;   ///< device [views, query heads], of a group policy that weighs these
  head_memory heads{};            ///< device, of a score that looks at moments
  float* norm = nullptr;          ///< device, as many as scores: of keys that are held against each other
  float* cosine = nullptr;        ///< device, the same: of each with the last one that is alike
  int* last_alike = nullptr;      ///< device, the same
  float* product = nullptr;       ///< device [outputs, hidden_tokens]: of hidden states and a table
  float* projected = nullptr;     ///< device, as many as scores: weights of tokens by their projected values
  float* gram = nullptr;          ///< device [query heads, D, D]: of one layer
  float* beside = nullptr;        ///< device, as many as scores: what is folded beside them
  int* massive = nullptr;         ///< device, the same: tokens that hold a head's attention
  mass_bound* bound = nullptr;    ///< device [views]
  double* measured = nullptr;     ///< device, of all views: parts of what is measured, of a head and some tokens
  double* statistic = nullptr;    ///< device [views, statistics]
  [[no_unique_address]] half_memory<score, joins> half{};  ///< of a joined score

  static constexpr bool score_normalises() {
    if constexpr (per_query)
      return score::form::normalises;
    else
      return true;
  }

  /// Floats that a view takes of `partial` and of `joined`.
  struct view_scratch {
    index partial = 0, joined = 0;
  };
  /// Doubles of `measured` that a view takes: a block folds at least 32 tokens.
  [[nodiscard]] static constexpr index measured_of(index heads, int tokens) {
    return heads * pieces(tokens, 32) * statistics_of<typename C::aggregate_policy>;
  }
  template <class Layer>
  [[nodiscard]] static view_scratch scratch_of(Layer const& layer, typename C::params const& p, index query_heads) {
    index const heads = layer.heads();
    int const tokens = layer.tokens();
    if constexpr (per_row || per_pair) {
      if constexpr (score::summarises) {
        return {heads * pieces(tokens, segment_rows) * Layer::head_dim,
                heads * rows_part<typename Layer::keys_type>::summary_floats};
      }
    } else if constexpr (in_own_chunks) {
      return {0, query_heads * tokens};
    } else if constexpr (per_query && score_normalises()) {
      index const rows = query_heads / (heads < 1 ? 1 : heads) * score::queries(p.score, tokens);
      return {heads * segments_of(rows, tokens).count * rows * floats_of_part<typename C::aggregate_policy>,
              heads * rows};
    }
    return {};
  }

  /// Carves what the scores are made in, for scores that lie at `offset` from `scores` on.
  template <class Layers, class QueryHeads>
  static score_memory carve(arena& device, Layers const& layers, typename C::params const& p,
                            QueryHeads const& query_heads, float* scores, index* offset) {
    [[maybe_unused]] constexpr int head_dim = Layers::value_type::head_dim;
    index floats = 0, partial = 0, joined = 0, asking = 0;
    for (std::size_t v = 0; v < layers.size(); ++v) {
      floats += layers[v].heads() * score_stride(seen_of<score>(p.score, layers[v]).tokens);
      view_scratch const s = scratch_of(layers[v], p, query_heads(v));
      partial += round_up<index>(s.partial, 16);
      joined += round_up<index>(s.joined, 16);
      asking += query_heads(v);
    }
    auto const take = [&device](index n) { return device.template take<float>(static_cast<std::size_t>(n)); };
    score_memory m;
    m.score_offset = offset;
    m.scores = scores;
    m.raw = take(pools || per_chunk ? floats : 0);
    m.sums = take(sums_wait ? floats : 0);
    m.partial = take(partial);
    m.joined = take(joined);
    m.head_weight = take(weighs_heads<typename C::group_policy> ? asking : 0);
    if constexpr (of_moments) {
      auto const views = static_cast<index>(layers.size());
      index longest = 0, asked = 1;
      for (std::size_t v = 0; v < layers.size(); ++v) {
        longest = longest < layers[v].tokens() ? layers[v].tokens() : longest;
        asked = asked < layers[v].heads() ? layers[v].heads() : asked;
        index const own = heads_of_statistics<score>(p.score, views, head_dim, query_heads(v));
        asked = asked < own ? own : asked;
      }
      m.heads = head_memory::carve<score>(device, p.score, longest, views < 1 ? 0 : layers[0].heads(), asked, head_dim);
    }
    if constexpr (per_pair) {
      m.norm = take(floats);
      m.cosine = take(floats);
      m.last_alike = device.template take<int>(static_cast<std::size_t>(floats));
    }
    if constexpr (per_hidden)
      m.product = take(index{score::outputs(p.score, layers.empty() ? 0 : layers[0].heads())} * hidden_tokens);
    if constexpr (projects) {
      m.projected = take(floats);
      if constexpr (C::weigh_policy::quadratic) m.gram = take(index{p.weigh.query_heads} * head_dim * head_dim);
    }
    if constexpr (protects) {
      m.beside = take(floats);
      m.massive = device.template take<int>(static_cast<std::size_t>(floats));
      m.bound = device.template take<mass_bound>(layers.size());
    }
    if constexpr (gathers) {
      index parts = 0;
      for (std::size_t v = 0; v < layers.size(); ++v)
        parts += measured_of(layers[v].heads(), seen_of<score>(p.score, layers[v]).tokens);
      m.measured = device.template take<double>(static_cast<std::size_t>(parts));
      m.statistic = device.template take<double>(layers.size() * statistics_of<typename C::aggregate_policy>);
    }
    if constexpr (joins) {
      float* const own = pools ? m.raw : scores;
      m.half.first = m.half.first.carve(device, layers, p.score.first, query_heads, own, offset);
      m.half.second = m.half.second.carve(device, layers, p.score.second, query_heads, take(floats), offset);
    }
    return m;
  }
};

/// The only place that knows how a workspace is laid out.
template <class C>
struct plan_memory : score_memory<C>, count_memory<C> {
  using counted = count_memory<C>;
  using score = typename C::score_policy;
  using select_policy = typename C::select_policy;
  using rules_type = selection_rules<typename C::budget_policy, select_policy>;
  static constexpr bool in_pieces = select::in_whole_pieces<select_policy>;
  static constexpr bool in_spans = cs::is_same_v<select_policy, select::top_k_in_spans>;
  /// One selection of the best of a row, whatever other heads keep.
  static constexpr bool whole_rows =
      cs::is_same_v<select_policy, select::top_k> || cs::is_same_v<select_policy, select::heavy_hitters>;
  /// What a first round takes is forced in a second.
  static constexpr bool in_rounds =
      requires(typename C::params const& p) { select_policy::first_round(p.select, 0, 0); };

  /// Scores are asked for anew in every round.
  static constexpr bool rescores = requires { requires select_policy::rescores; };
  static constexpr bool links = reads_links<select_policy>;
  static constexpr bool represents = cs::is_same_v<select_policy, select::page_representatives>;

  index* offset = nullptr;        ///< host [views * heads + 1], where the host knows it
  int* logical_tokens = nullptr;  ///< host [views]
  int* list = nullptr;            ///< device
  float* beside = nullptr;        ///< device, as many as scores: means of pieces, scores of a second round, or links
  int* first_list = nullptr;      ///< device, like `list`: pieces that stay, or what a first round takes; or as many as
                                  ///< scores, for lists whose lengths are not known before
  float* bits = nullptr;          ///< device, as many as scores, where pages stand for others
  int* place = nullptr;           ///< device, the same
  unsigned* segmented = nullptr;  ///< device, of rows that several blocks select from
  int* listed = nullptr;          ///< device [views, white list]: pieces that hold a listed token
  int* quota = nullptr;           ///< host [spans]
  index* number = nullptr;        ///< host [spans]

  /// What follows from shapes and numbers.
  template <class Layers>
  [[nodiscard]] static rules_type rules(Layers const& layers, typename C::params const& p) {
    return {p.budget, p.select, shape_of(layers)};
  }
  /// Forced tokens of a view before they are cut to its budget; the white list lies on the device and is not counted.
  [[nodiscard]] static forced_set forced(rules_type const& rules, scored_view const& seen, int v, int head = 0) {
    return forced_of(rules, seen, rules.allotted(seen, v, head));
  }
  /// What a head keeps when its forced tokens are counted for a budget that splits tokens among views.
  template <class Rows>
  [[nodiscard]] static int asked(typename C::params const& p, Rows const& rows, int v)
    requires(counted::splits || counted::measures || counted::of_statistics)
  {
    if constexpr (counted::measures)
      return C::budget_policy::asked(p.budget, rows, v);
    else
      return C::budget_policy::mean(p.budget, rows.tokens(v));
  }
  /// The same of a head that is allotted `kept`.
  [[nodiscard]] static forced_set forced_of(rules_type const& rules, scored_view const& seen, int kept) {
    forced_set f = rules.forced(seen, kept);
    f.white_list = nullptr;
    f.white_count = 0;
    return f;
  }
  /// How a view is selected in whole pieces.
  [[nodiscard]] static select::piece_choice choice(rules_type const& rules, scored_view const& seen, int v)
    requires in_pieces
  {
    return select_policy::choice(rules.select, seen, rules.share(seen, rules.allotted(seen, v)));
  }
  /// The forced ones among these pieces.
  [[nodiscard]] static forced_set forced_pieces(rules_type const& rules, scored_view const& seen, int v)
    requires in_pieces
  {
    auto const p = choice(rules, seen, v).pieces;
    return select::detail::pieces_of(forced(rules, seen, v).within(0, p.tokens), p, nullptr);
  }
  /// Tokens that a head of a view keeps; -1 where the scores alone tell.
  [[nodiscard]] static int kept(rules_type const& rules, scored_view const& seen, int v,
                                [[maybe_unused]] int head = 0) {
    if constexpr (in_pieces)
      return select::detail::tokens_of(choice(rules, seen, v), forced_pieces(rules, seen, v),
                                       static_cast<int>(rules.select.white_list.size()));
    else
      return rules.kept(seen, v, head);
  }

  template <class Layers, class QueryHeads>
  static plan_memory carve(arena& device, arena& host, Layers const& layers, typename C::params const& p,
                           QueryHeads const& query_heads) {
    std::size_t const views = layers.size();
    std::size_t const heads = views == 0 ? 0 : static_cast<std::size_t>(layers[0].heads());
    index floats = 0, lists = 0;
    for (std::size_t v = 0; v < views; ++v) {
      scored_view const seen = seen_of<score>(p.score, layers[v]);
      floats += layers[v].heads() * score_stride(seen.tokens);
      if constexpr (!counted::open && !counted::shaped)
        for (int h = 0; h < layers[v].heads(); ++h) lists += kept(rules(layers, p), seen, static_cast<int>(v), h);
    }
    auto const entries = [](index n) { return static_cast<std::size_t>(n); };
    plan_memory m;
    static_cast<counted&>(m) = counted::carve(device, host, layers, p);
    if constexpr (counted::open || counted::shaped) lists = m.room;
    if constexpr (!counted::open) m.offset = host.template take<index>(views * heads + 1);
    index* const score_offset = host.template take<index>(views);
    m.logical_tokens = host.template take<int>(views);
    float* const scores = device.template take<float>(entries(floats));
    m.list = device.template take<int>(entries(lists));
    static_cast<score_memory<C>&>(m) = score_memory<C>::carve(device, layers, p, query_heads, scores, score_offset);
    if constexpr (in_pieces || in_rounds || rescores || links) m.beside = device.template take<float>(entries(floats));
    if constexpr (in_pieces || in_rounds || rescores) m.first_list = device.template take<int>(entries(lists));
    if constexpr (counted::floats) m.first_list = device.template take<int>(entries(floats));
    if constexpr (represents) {
      m.bits = device.template take<float>(entries(floats));
      m.place = device.template take<int>(entries(floats));
    }
    if constexpr (whole_rows) {
      index words = 0;
      for (std::size_t v = 0; v < views; ++v)
        if (int const tokens = seen_of<score>(p.score, layers[v]).tokens; tokens > segmented_shape::longest_whole)
          words += layers[v].heads() * segmented_shape{tokens}.words();
      m.segmented = device.template take<unsigned>(entries(words));
    }
    if constexpr (in_pieces) m.listed = device.template take<int>(views * p.select.white_list.size());
    if constexpr (in_spans) {
      m.quota = host.template take<int>(entries(select_policy::spans(p.select)));
      m.number = host.template take<index>(entries(select_policy::spans(p.select)));
    }
    return m;
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
