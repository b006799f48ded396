// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// store::think_channels on a CUDA device: which channels of the keys each head keeps. apply() encodes rows of
// encode::kept_channels with these masks and attend() reads them. Those of store::lean_k_channels follow from the model
// alone: they are made on the host, once, and copied.
#pragma once
#include <kvsieve/device/on.cuh>
#include <kvsieve/device/store/choose_channels.hpp>

namespace kvsieve::inline v0 {
namespace store {

/// Chooses the channels of every head of every view, as on the host and with its masks. One launch for up to 32 views.
/// @param on       where to run
/// @param layers   views of the keys that stay, ragged or not; values are not read
/// @param queries  for each view [Hq, W, D], the queries of its last W positions after RoPE
/// @param p        the numbers
/// @param[out] masks  device memory [views, Hkv, mask_words(D)]
/// @returns ok, or what was refused, and then nothing was launched
template <class Layer, row_view Queries>
[[nodiscard]] status think_channels(device::on on, cs::span<Layer const> layers, cs::span<Queries const> queries,
                                    think const& p, cs::span<cs::uint64_t> masks) noexcept {
  return device::choose_channels(on, layers, queries, p, masks);
}
/// The same for one view.
template <class Layer, row_view Queries>
[[nodiscard]] status think_channels(device::on on, Layer const& layer, Queries const& queries, think const& p,
                                    cs::span<cs::uint64_t> masks) noexcept {
  return think_channels(on, cs::span<Layer const>(&layer, 1), cs::span<Queries const>(&queries, 1), p, masks);
}
}  // namespace store
}  // namespace kvsieve::inline v0
