// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "online_cache.hpp"

#include "head_dims.hpp"
#include "policy_cache.hpp"

namespace kvsieve::llama_example {
namespace {

constexpr online_kind kinds[] = {
    {"h2o", "H2O", 1, -1}, {"tova", "TOVA", 1, 1}, {"roco", "RoCo", 1, -1}, {"lazy_eviction", "LazyEviction", 32, 1}};

template <class C>
message make(int head_dim, typename C::params const& params, std::unique_ptr<online_cache>& out) {
  return tool::built_head_dims::call(head_dim, [&]<int D>(cs::integral_constant<int, D>) -> message {
    out = std::make_unique<policy_cache<C, D>>(params);
    return {};
  });
}

}  // namespace

std::span<online_kind const> online_kinds() { return kinds; }

message make_online_cache(std::string const& name, int head_dim, std::unique_ptr<online_cache>& out) {
  if (name == "h2o") return make<online::h2o<>>(head_dim, {}, out);
  if (name == "tova") return make<online::tova<>>(head_dim, {.select = {.recent = 1}}, out);
  if (name == "roco") return make<online::roco<>>(head_dim, {.select = {.first = 0.3, .recent = 10}}, out);
  if (name == "lazy_eviction") return make<online::lazy_eviction<>>(head_dim, {.select = {.recent = 32}}, out);
  std::string all;
  for (auto const& k : kinds) all += (all.empty() ? "" : ", ") + std::string(k.name);
  return "--strategy is '" + name + "'; while generating there are " + all;
}

}  // namespace kvsieve::llama_example
