// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Eviction while a model generates: attend_observed remembers, plan_observed decides, apply_observed moves.
#pragma once
#include <kvsieve/host/evict/compact_observed.hpp>
#include <kvsieve/host/plan/plan_observed.hpp>
#include <kvsieve/host/run.hpp>
#include <kvsieve/presets/online.hpp>
