// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What a call on the device refuses besides what every backend does (core/check.hpp). Looks at shapes, strides and
// pointer values only: device memory is never read from the host.
#pragma once
#include <cstdint>

#include <kvsieve/core/check.hpp>
#include <kvsieve/device/workspace.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// True for views that kernels walk: by strides. Those of tables are for the host.
template <class Layer>
inline constexpr bool walks = Layer::keys_type::is_always_strided() && Layer::values_type::is_always_strided();

/// Rows that kernels read four channels at a time: there, and aligned to four elements.
template <row_view V>
[[nodiscard]] status readable(V const& v, char const* name, int view) {
  if (status const s = check::readable(v, name, view); !s) return s;
  if constexpr (contiguous_rows<V>) {
    constexpr std::size_t bytes = 4 * sizeof(element_of<V>);
    if (auto const past = reinterpret_cast<std::uintptr_t>(v.data_handle()) % bytes; past != 0) {
      return fail(errc::bad_pointer, name, static_cast<double>(past), "bytes past the alignment that kernels need,",
                  static_cast<double>(bytes), view);
    }
    for (typename V::rank_type r : {0, 1}) {
      index const stride = v.mapping().stride(r);
      if (stride % 4 != 0 && v.extent(r) > 1) {
        return fail(errc::bad_shape, name, static_cast<double>(stride), "is a stride that must be a multiple of", 4,
                    view);
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
