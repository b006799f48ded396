// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The calls of the host, the presets and the policies that they use; other policies have a header each. Needs a C++20
// compiler and the CCCL headers, no CUDA toolkit.
#pragma once
#include <kvsieve/compressor.hpp>
#include <kvsieve/host/run.hpp>
#include <kvsieve/host/score_tokens.hpp>
#include <kvsieve/presets.hpp>
#include <kvsieve/version.hpp>
