// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The views of a plan as far as shapes go: layers of a cache, or rows of scores that are there already.
#pragma once
#include <kvsieve/core/rules.hpp>
#include <kvsieve/core/scores.hpp>
#include <kvsieve/core/views.hpp>
#include <kvsieve/score/pattern.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// One view of given scores. It has no keys and values; their types stand for rows that any body walks.
struct scored_layer {
  static constexpr int head_dim = 16;
  using keys_type = rows<float const, head_dim>;
  using values_type = keys_type;

  scored_view seen;         ///< tokens, and what the scorer itself keeps
  int kv_heads;             ///< KV heads
  float* score;             ///< device [heads] rows, score_stride(tokens) apart
  float* weighed;           ///< the same, with the weight; or null
  double const* statistic;  ///< device, of all views of the call

  [[nodiscard]] int heads() const { return kv_heads; }
  [[nodiscard]] int tokens() const { return seen.tokens; }
};
/// The views of token_scores, which nobody has to write down.
class scored_layers {
 public:
  using value_type = scored_layer;
  explicit scored_layers(token_scores const& scores) : scores_(&scores) {}
  /// Of scores that have no `seen`: of each view so many tokens, of which the scorer keeps none.
  scored_layers(token_scores const& scores, int const* tokens) : scores_(&scores), tokens_(tokens) {}
  [[nodiscard]] std::size_t size() const { return static_cast<std::size_t>(scores_->shape.views); }
  [[nodiscard]] bool empty() const { return size() == 0; }
  [[nodiscard]] scored_layer operator[](std::size_t v) const {
    auto const row = [&](float* p) { return p == nullptr ? p : p + scores_->score_offset[v]; };
    return {tokens_ != nullptr ? scored_view{tokens_[v], {}, {}} : scores_->seen[v], scores_->shape.heads,
            row(scores_->score), row(scores_->weighed), scores_->statistics.value};
  }
  [[nodiscard]] call_shape const& shape() const { return scores_->shape; }

 private:
  token_scores const* scores_;
  int const* tokens_ = nullptr;
};

namespace detail {
template <class Layer>
struct range_of_layers {
  using type = cs::span<Layer const>;
};
template <>
struct range_of_layers<scored_layer> {
  using type = scored_layers;
};
}  // namespace detail
/// The views of a call.
template <class Layer>
using layer_range = typename detail::range_of_layers<Layer>::type;

/// What selection sees of a view, beside its scores.
template <class Score, class Layer>
[[nodiscard]] scored_view seen_of([[maybe_unused]] typename Score::params const& p, Layer const& layer) {
  if constexpr (cs::is_same_v<Layer, scored_layer>)
    return layer.seen;
  else
    return describe<Score>(p, layer.tokens());
}
/// The shape of a call.
template <class Layers>
[[nodiscard]] call_shape shape_of(Layers const& layers) {
  using layer = typename Layers::value_type;
  if constexpr (cs::is_same_v<layer, scored_layer>)
    return layers.shape();
  else
    return {static_cast<int>(layers.size()), layers.empty() ? 0 : layers[0].heads(), layer::head_dim,
            token_bytes<layer>()};
}
}  // namespace device
}  // namespace kvsieve::inline v0
