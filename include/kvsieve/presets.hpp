// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Published methods, a line each, by family. Every alias takes further policies that override its own.
#pragma once
#include <kvsieve/presets/heads.hpp>
#include <kvsieve/presets/hidden.hpp>
#include <kvsieve/presets/merging.hpp>
#include <kvsieve/presets/pages.hpp>
#include <kvsieve/presets/queries.hpp>
#include <kvsieve/presets/reconstruction.hpp>
#include <kvsieve/presets/rows.hpp>
#include <kvsieve/presets/window.hpp>
