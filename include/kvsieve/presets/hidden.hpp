// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Published methods that read hidden states, by a small network beside the model.
#pragma once
#include <kvsieve/budget/over_all.hpp>
#include <kvsieve/compressor.hpp>
#include <kvsieve/score/gate.hpp>
#include <kvsieve/score/kv_zap.hpp>
#include <kvsieve/select/threshold.hpp>
#include <kvsieve/store/ragged.hpp>

namespace kvsieve::inline v0 {

/// What a linear map of the hidden states says of KVzip's scores (KVzap of kvpress).
template <policy... Override>
using kv_zap_linear = compressor<score::kv_zap_linear, Override...>;

/// What a small network says of KVzip's scores (KVzap of kvpress).
template <policy... Override>
using kv_zap = compressor<score::kv_zap, Override...>;

/// The same by a threshold behind a window, as it is meant to run: select.threshold is a natural logarithm, -4 for
/// kvpress's networks (KVzap with DMS's inference form, kvpress).
template <policy... Override>
using kv_zap_threshold = kv_zap<select::threshold, store::ragged, Override...>;

/// What a trained gate says, one ranking over all layers and heads (Fast KVzip of kvpress).
template <policy... Override>
using fast_kv_zip = compressor<score::gate, budget::over_all, store::ragged, Override...>;
}  // namespace kvsieve::inline v0
