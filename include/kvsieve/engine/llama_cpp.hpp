// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// llama.cpp's KV cache by its public C API: the state of a sequence read, seen as rows, and written anew with the cells
// that a plan keeps (docs/engines/llama_cpp.md). Nothing of llama.cpp is included.
#pragma once
#include <kvsieve/engine/llama_cpp/masking_key.hpp>
#include <kvsieve/engine/llama_cpp/read.hpp>
#include <kvsieve/engine/llama_cpp/see.hpp>
#include <kvsieve/engine/llama_cpp/write.hpp>
