// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "rpc_servers.hpp"

#include <llama.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "text.hpp"

namespace kvsieve::llama_example {
namespace {

using add_server = ggml_backend_reg_t (*)(char const* endpoint);

/// Whether somebody listens at host:port.
message reach(std::string const& endpoint) {
  auto const refused = [&](std::string const& why) { return "--rpc " + endpoint + ": " + why; };
  auto const colon = endpoint.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == endpoint.size()) return refused("must be host:port");
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  if (int const wrong =
          getaddrinfo(endpoint.substr(0, colon).c_str(), endpoint.substr(colon + 1).c_str(), &hints, &found);
      wrong != 0)
    return refused(gai_strerror(wrong));
  std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> const all(found, &freeaddrinfo);
  std::string why = "no address";
  for (auto const* a = found; a != nullptr; a = a->ai_next) {
    int const s = ::socket(a->ai_family, a->ai_socktype, a->ai_protocol);
    bool const there = s >= 0 && ::connect(s, a->ai_addr, a->ai_addrlen) == 0;
    if (!there) why = std::strerror(errno);
    if (s >= 0) ::close(s);
    if (there) return {};
  }
  return refused("no server there (" + why + "); ggml-rpc-server is llama.cpp's");
}

}  // namespace

message connect_rpc(rpc_servers const& to, rpc_devices& out) {
  rpc_devices made;
  if (to.endpoints.empty()) {
    if (!to.split.empty()) return "--rpc-split without --rpc";
    out = {};
    return {};
  }
  auto* const backend = ggml_backend_reg_by_name("RPC");
  auto const add =
      backend == nullptr
          ? nullptr
          : reinterpret_cast<add_server>(ggml_backend_reg_get_proc_address(backend, "ggml_backend_rpc_add_server"));
  if (add == nullptr) return "--rpc: this llama.cpp was built without its RPC backend (GGML_RPC)";
  for (auto const& endpoint : tool::split_list(to.endpoints)) {
    if (message m = reach(endpoint)) return m;
    auto* const server = add(endpoint.c_str());
    if (server == nullptr) return "--rpc " + endpoint + ": the server has no device";
    for (std::size_t i = 0; i < ggml_backend_reg_dev_count(server); ++i)
      made.devices.push_back(ggml_backend_reg_dev_get(server, i));
  }
  if (!to.split.empty()) {
    for (auto const& text : tool::split_list(to.split)) {
      auto const share = tool::parse_double(text);
      if (!share || !(*share >= 0)) return "--rpc-split holds '" + text + "', not a share of the layers";
      made.shares.push_back(static_cast<float>(*share));
    }
    if (made.shares.size() != made.devices.size())
      return "--rpc-split has " + std::to_string(made.shares.size()) + " shares, the servers have " +
             std::to_string(made.devices.size()) + " devices";
    if (std::all_of(made.shares.begin(), made.shares.end(), [](float x) { return x == 0; }))
      return "--rpc-split gives no device a layer";
    made.shares.resize(std::max(made.shares.size(), llama_max_devices()), 0.0f);
  }
  made.devices.push_back(nullptr);
  out = std::move(made);
  return {};
}

}  // namespace kvsieve::llama_example
