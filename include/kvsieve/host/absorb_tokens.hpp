// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Tokens that leave a cache while it is generated into, added to the sums of evict::low_rank_state by themselves: what
// apply() does with a plan's, without moving what stays.
#pragma once
#include <cstddef>
#include <span>

#include <kvsieve/core/check.hpp>
#include <kvsieve/core/parts.hpp>
#include <kvsieve/host/evict/merge_sums.hpp>
#include <kvsieve/host/on.hpp>

namespace kvsieve::inline v0 {

namespace host::inline KVSIEVE_TARGET {

/// One call of absorb_tokens.
template <class Layer>
class absorbing {
  using params = evict::low_rank_state::params;
  struct lists {
    leaving_tokens const* leaving = nullptr;
    int heads = 1;
    [[nodiscard]] index count(index row) const { return leaving[row / heads].count; }
    [[nodiscard]] int const* list(index row) const {
      return leaving[row / heads].data + row % heads * leaving[row / heads].head_stride;
    }
  };

 public:
  absorbing(cs::span<Layer const> layers, cs::span<leaving_tokens const> leaving, params const& p)
      : layers_(layers), leaving_(leaving), p_(p) {}

  /// Bytes of workspace; 0 for arguments that run() refuses.
  [[nodiscard]] std::size_t bytes() const { return check() ? count_bytes() : 0; }

  template <class Exec>
  [[nodiscard]] status run(Exec const& on, std::span<std::byte> workspace) const {
    if (status const s = check(); !s) return s;
    if (status const s = check::workspace(workspace, count_bytes()); !s) return s;
    arena a(workspace);
    add_to_sums<Layer, lists>::carve(a, {leaving_.data(), heads()}, p_, views(), heads()).run(on, p_, layers_);
    return {};
  }

 private:
  [[nodiscard]] int views() const { return static_cast<int>(layers_.size()); }
  [[nodiscard]] int heads() const { return layers_[0].heads(); }
  [[nodiscard]] std::size_t count_bytes() const {
    arena a;
    (void)add_to_sums<Layer, lists>::carve(a, {leaving_.data(), heads()}, p_, views(), heads());
    return a.used();
  }
  [[nodiscard]] status check() const {
    if (layers_.empty()) return fail(errc::bad_shape, "layers", 0, "must be at least", 1);
    if (status const s = check::one_each("leaving", leaving_.size(), layers_.size()); !s) return s;
    if (status const s = p_.check({views(), heads(), Layer::head_dim, 0}); !s) return s;
    for (int v = 0; v < views(); ++v) {
      auto const& l = layers_[static_cast<std::size_t>(v)];
      if (status const s = check::layer(l, heads(), v); !s) return s;
      if (status const s = check::readable(l.keys, "keys", v); !s) return s;
      if (status const s = check::readable(l.values, "values", v); !s) return s;
      if (status const s = low_rank::check_sums("evict.state", p_.state[static_cast<std::size_t>(v)], heads(), p_.rank,
                                                Layer::head_dim, v);
          !s)
        return s;
      if (status const s = check_lists(leaving_[static_cast<std::size_t>(v)], l, v); !s) return s;
    }
    return {};
  }
  [[nodiscard]] static status check_lists(leaving_tokens const& t, Layer const& l, int view) {
    if (t.count < 0 || t.count > l.tokens())
      return fail(errc::bad_shape, "leaving.count", t.count,
                  t.count < 0 ? "must be at least" : "must be at most the tokens,", t.count < 0 ? 0 : l.tokens(), view);
    if (t.count == 0) return {};
    if (t.data == nullptr) return fail(errc::bad_pointer, "leaving", 0, "must not be null;", 0, view);
    if (l.heads() > 1 && t.head_stride < t.count)
      return fail(errc::bad_shape, "leaving.head_stride", static_cast<double>(t.head_stride), "must be at least",
                  t.count, view);
    for (int h = 0; h < l.heads(); ++h)
      for (int i = 0; i < t.count; ++i) {
        int const token = t.data[h * t.head_stride + i], least = i == 0 ? 0 : t.data[h * t.head_stride + i - 1] + 1;
        if (token < least)
          return fail(errc::bad_params, "leaving", token, "is a token that must be at least", least, view);
        if (token >= l.tokens(h))
          return fail(errc::bad_params, "leaving", token, "is a token that must be less than", l.tokens(h), view);
      }
    return {};
  }

  cs::span<Layer const> layers_;
  cs::span<leaving_tokens const> leaving_;
  params const& p_;
};
}  // namespace host::inline KVSIEVE_TARGET

/// Bytes of workspace that absorb_tokens needs with the same arguments; aligned to 64 bytes. 0 when it would refuse
/// them.
template <kv_layer_view Layer>
[[nodiscard]] std::size_t absorb_tokens_workspace_bytes(cs::span<Layer const> layers,
                                                        cs::span<leaving_tokens const> leaving,
                                                        evict::low_rank_state::params const& params) noexcept {
  return host::absorbing<Layer>(layers, leaving, params).bytes();
}
/// Adds tokens that are about to leave the cache to the sums of params.state (evict::low_rank_state, LESS). A token
/// counts as often as it is absorbed.
/// @param on         where to run
/// @param layers     views that still hold the tokens; not changed
/// @param leaving    for each view, which
/// @param params     tables and sums
/// @param workspace  at least absorb_tokens_workspace_bytes(...) bytes, aligned to 64
/// @returns ok, or what was refused, and then nothing was written
template <host::executor Exec, kv_layer_view Layer>
[[nodiscard]] status absorb_tokens(Exec const& on, cs::span<Layer const> layers, cs::span<leaving_tokens const> leaving,
                                   evict::low_rank_state::params const& params,
                                   std::span<std::byte> workspace) noexcept {
  return host::absorbing<Layer>(layers, leaving, params).run(on, workspace);
}
}  // namespace kvsieve::inline v0
