// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Everything that runs on the host. Needs a C++20 compiler and the CCCL headers, no CUDA toolkit.
#pragma once
#include <kvsieve/compressor.hpp>
#include <kvsieve/host/run.hpp>
#include <kvsieve/host/score_tokens.hpp>
#include <kvsieve/presets.hpp>
#include <kvsieve/version.hpp>
