// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What a call on the device refuses besides what every backend does (core/check.hpp). Looks at shapes, strides and
// pointer values only: device memory is never read from the host.
#pragma once
#include <cstdint>

#include <kvsieve/core/check.hpp>
#include <kvsieve/device/call/check_tables.hpp>
#include <kvsieve/device/call/workspace.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// True for views that kernels walk by strides alone.
template <class Layer>
inline constexpr bool by_strides = Layer::keys_type::is_always_strided() && Layer::values_type::is_always_strided();
/// True for rows that kernels find by strides or through one table of pages.
template <row_view V>
inline constexpr bool finds_rows = V::is_always_strided() || (paged_rows<V> && !ragged_rows<V>);
/// True for views that kernels plan, and merge: those whose heads have as many tokens.
template <class Layer>
inline constexpr bool walks = finds_rows<typename Layer::keys_type> && finds_rows<typename Layer::values_type>;

/// A state of a format that fits the view, as far as it shows without reading device memory.
template <row_view V>
  requires is_encoded<V>
[[nodiscard]] status state_fits([[maybe_unused]] V const& v, [[maybe_unused]] char const* name,
                                [[maybe_unused]] int view) {
  if constexpr (requires { codec_of<V>::check_shape(v.accessor().state, v.extent(0), name, view); })
    return codec_of<V>::check_shape(v.accessor().state, v.extent(0), name, view);
  else
    return {};
}

/// Rows that kernels reach an element at a time: there, in a pool that has a page where there are rows.
template <row_view V>
[[nodiscard]] status reached(V const& v, char const* name, int view) {
  if constexpr (is_encoded<V>)
    if (status const s = state_fits(v, name, view); !s) return s;
  if constexpr (V::is_always_strided()) {
    return check::addressable(v, name, view);
  } else {
    if (status const s = check_tables(v, 1, name, view); !s) return s;
    if constexpr (paged_rows<V>)
      if (v.mapping().pool.pages < 1)
        return fail(errc::bad_shape, name, static_cast<double>(v.mapping().pool.pages),
                    "pages of a pool, which must be at least", 1, view);
    if constexpr (paged_rows<V> || !is_encoded<V>) return check::addressable(v, name, view);
    // The offsets, which tiles would be held against, are device memory.
    if (v.data_handle() == nullptr) return fail(errc::bad_pointer, name, 0, "must not be null;", 0, view);
    return {};
  }
}

/// Rows that kernels read four channels at a time: there, and aligned to four elements.
template <row_view V>
[[nodiscard]] status readable(V const& v, char const* name, int view) {
  if (status const s = reached(v, name, view); !s) return s;
  if constexpr (contiguous_rows<V>) {
    constexpr std::size_t bytes = 4 * sizeof(element_of<V>);
    if (auto const past = reinterpret_cast<std::uintptr_t>(v.data_handle()) % bytes; past != 0) {
      return fail(errc::bad_pointer, name, static_cast<double>(past), "bytes past the alignment that kernels need,",
                  static_cast<double>(bytes), view);
    }
    if constexpr (paged_rows<V>) {
      if (status const s = check_tables(v, 4, name, view); !s) return s;
    } else if constexpr (V::is_always_strided()) {
      for (typename V::rank_type r : {0, 1}) {
        if (v.extent(r) < 2) continue;
        if (status const s = stride_is_multiple(v.mapping().stride(r), 4, name, view); !s) return s;
      }
    }
  }
  return {};
}

/// A workspace against what is needed.
[[nodiscard]] inline status fits(workspace const& w, workspace_size const& needed) {
  auto const at = [](std::size_t x) { return static_cast<double>(x); };
  constexpr auto small = errc::workspace_too_small;
  if (w.device.size() < needed.device)
    return fail(small, "workspace.device", at(w.device.size()), "must be at least", at(needed.device));
  if (w.host.size() < needed.host)
    return fail(small, "workspace.host", at(w.host.size()), "must be at least", at(needed.host));
  if (auto const past = reinterpret_cast<std::uintptr_t>(w.device.data()) % 64; past != 0) {
    return fail(errc::bad_pointer, "workspace.device", at(past), "bytes past the alignment that it needs,", 64);
  }
  if (auto const past = reinterpret_cast<std::uintptr_t>(w.host.data()) % alignof(index); past != 0) {
    return fail(errc::bad_pointer, "workspace.host", at(past), "bytes past the alignment that it needs,",
                alignof(index));
  }
  return {};
}
}  // namespace device
}  // namespace kvsieve::inline v0
