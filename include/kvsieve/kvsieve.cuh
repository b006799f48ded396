// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Everything that runs on the host, and CUDA. Needs nvcc.
#pragma once
#include <kvsieve/device/run.cuh>
#include <kvsieve/kvsieve.hpp>
