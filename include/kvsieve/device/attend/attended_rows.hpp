// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Which rows decode attention on the device reads, as far as the host can tell.
#pragma once
#include <kvsieve/device/call/check.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// How a call on the device looks at the rows of a cache: never at tables, which are device memory.
struct attended_rows {
  static constexpr bool reads_tables = false;  ///< kernels cut what tables say to what the view says
  /// Rows that kernels read 16 bytes at a time, or encoded ones at even addresses.
  template <row_view V>
  [[nodiscard]] static status readable(V const& v, char const* name, int view) {
    constexpr index size = is_encoded<V> ? 1 : index{sizeof(element_of<V>)};
    constexpr index unit = contiguous_rows<V> ? 16 : is_encoded<V> ? 2 : size;  // bytes
    static_assert(!is_encoded<V> || row_bytes<V>() % 2 == 0,
                  "kvsieve::attend on the device reads encoded rows of even sizes: take another format, or the host");
    if constexpr (V::is_always_strided()) {
      if (status const s = check::addressable(v, name, view); !s) return s;
      for (typename V::rank_type r : {0, 1}) {
        if (is_encoded<V> || v.extent(r) < 2) continue;
        if (status const s = stride_is_multiple(v.stride(r), unit / size, name, view); !s) return s;
      }
    } else {
      if (v.data_handle() == nullptr) return fail(errc::bad_pointer, name, 0, "must not be null;", 0, view);
      if (status const s = check_tables(v, 16 / size, name, view); !s) return s;
    }
    if constexpr (is_encoded<V>)
      if (status const s = state_fits(v, name, view); !s) return s;
    auto const past = static_cast<index>(reinterpret_cast<std::uintptr_t>(v.data_handle())) % unit;
    if (past == 0) return {};
    return fail(errc::bad_pointer, name, static_cast<double>(past), "bytes past the alignment that kernels need,",
                static_cast<double>(unit), view);
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
