// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A kernel body is written against a block: threads that run it together. A CUDA block (cuda_block.cuh) is one model;
// the tests have another, with a context for every CUDA thread (docs/design/kernels.md).
#pragma once
#include <cuda/std/concepts>
#include <cuda/std/cstddef>
#include <cuda/std/type_traits>

#include <kvsieve/core/config.hpp>
#include <kvsieve/core/dtype.hpp>

namespace kvsieve::inline v0 {
namespace device {
namespace cs = ::cuda::std;

/// `width` neighbouring threads of a block that work on one row. Every member gets the result of a collective, and it
/// is the same bit for bit on every machine: partners at distance width/2, width/4, ..., 1 add pairwise.
template <class T>
concept block_tile = requires(T const& t, float x) {
  { T::width } -> cs::convertible_to<int>;
  { t.rank() } -> cs::same_as<int>;   // inside the tile
  { t.index() } -> cs::same_as<int>;  // of the tile inside the block
  { t.all_sum(x) } -> cs::same_as<float>;
  { t.all_max(x) } -> cs::same_as<float>;  // a NaN counts as -inf
};

/// What a body may use. Collectives are called by all threads of the block (of the tile); those that take storage end
/// with a sync, so the storage is free again. Shared memory is a struct that the kernel hands to the body.
template <class B>
concept block = requires(B& b, unsigned& u, unsigned x, float f, typename B::scan_storage& scan,
                         typename B::reduce_storage& reduce, cs::uint16_t const* bits, float (&product)[4][4]) {
  { B::threads } -> cs::convertible_to<int>;
  { b.rank() } -> cs::same_as<int>;
  b.sync();                                                  // what was written before is seen by all threads after
  { b.atomic_add(u, x) } -> cs::same_as<unsigned>;           // shared or device memory, relaxed: what u was
  { b.exclusive_sum(x, u, scan) } -> cs::same_as<unsigned>;  // u: the total
  { b.all_sum(f, reduce) } -> cs::same_as<float>;            // a fixed tree
  { b.all_max(f, reduce) } -> cs::same_as<float>;            // a NaN counts as -inf
  { b.template tile<4>() } -> block_tile;
  b.template multiply_add<bf16>(bits, bits, 8, product);  // each warp by itself, all its lanes: see below
};

/// What multiply_add means, for one lane of a warp. Rows lie `stride` elements apart in shared memory, a multiple of 8,
/// and start at a multiple of 16 bytes: 16 rows of `a` and 32 of `b`, 16 channels each, are multiplied, and the lane
/// adds its share. product[n][i] belongs to row lane / 4 + i / 2 * 8 of a and row 8 n + lane % 4 * 2 + i % 2 of b, as
/// tensor cores lay it out. Products are exact; the order of additions is that of the machine.
template <element T>
KVSIEVE_HD inline void multiply_add_lane(int lane, cs::uint16_t const* a, cs::uint16_t const* b, int stride,
                                         float (&product)[4][4]) {
  for (int n = 0; n < 4; ++n) {
    for (int i = 0; i < 4; ++i) {
      cs::uint16_t const* const x = a + (lane / 4 + i / 2 * 8) * stride;
      cs::uint16_t const* const y = b + (8 * n + lane % 4 * 2 + i % 2) * stride;
      for (int d = 0; d < 16; ++d) product[n][i] += to_float(T{x[d]}) * to_float(T{y[d]});
    }
  }
}

/// Which block of a launch this is; every body says what it counts along each axis.
struct work {
  int x = 0, y = 0, z = 0;
};
/// How many blocks a launch has along each axis; none are launched when one of them is 0.
struct grid {
  int x = 1, y = 1, z = 1;
};

/// Parts of a grouped call travel to a kernel as its parameters, so no memory has to outlive the call and a CUDA graph
/// holds its own copy. A launch takes as many parts as fit into 4 KB of parameters, at most 32.
template <class Part>
struct batch {
  static_assert(cs::is_trivially_copyable_v<Part>,
                "kvsieve::device: a view that goes to a kernel is trivially copyable");
  static constexpr int fits = static_cast<int>(3800 / sizeof(Part));
  static constexpr int limit = fits > 32 ? 32 : fits;
  static_assert(limit > 0, "kvsieve::device: the view does not fit into the parameters of a kernel");
  Part part[limit];
};

/// Threads of every kernel on a GPU.
inline constexpr int block_threads = 256;

/// ceil(n / step) for positive step.
[[nodiscard]] KVSIEVE_HD constexpr int pieces(int n, int step) { return n / step + (n % step != 0 ? 1 : 0); }
}  // namespace device
}  // namespace kvsieve::inline v0
