// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// llama.cpp's own RPC servers, which hold layers of a model in other processes, here or on other machines.
#pragma once
#include <ggml-backend.h>

#include <string>
#include <vector>

#include "dump.hpp"

namespace kvsieve::llama_example {
using tool::message;

/// Where the layers of a model are.
struct rpc_servers {
  std::string endpoints;  ///< "host:port,host:port"; empty: in this process
  std::string split;      ///< shares of the layers, one for each device, as "1,2"; empty: by their free memory
};

/// Devices of servers, as llama_model_params takes them.
struct rpc_devices {
  std::vector<ggml_backend_dev_t> devices;  ///< null-terminated; empty: none
  std::vector<float> shares;                ///< [llama_max_devices()]; empty: by free memory
};
/// Connects to the servers. One that nobody listens at gets a message: llama.cpp itself would end the process.
[[nodiscard]] message connect_rpc(rpc_servers const& to, rpc_devices& out);

}  // namespace kvsieve::llama_example
