// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "watcher.hpp"

#include <ggml-backend.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace kvsieve::llama_example {
namespace {

/// The layer of a tensor `<name>-<layer>`, or -1.
int layer_of(char const* tensor, char const* name) {
  std::size_t const length = std::strlen(name);
  if (std::strncmp(tensor, name, length) != 0 || tensor[length] != '-') return -1;
  int layer = -1, end = 0;
  if (std::sscanf(tensor + length + 1, "%d%n", &layer, &end) != 1 || tensor[length + 1 + static_cast<std::size_t>(end)])
    return -1;
  return layer;
}

/// The layer whose cached keys a node writes, and the cache; -1 for any other node.
int layer_written(ggml_tensor const* t, ggml_tensor*& cache) {
  if (t->op != GGML_OP_SET_ROWS) return -1;
  ggml_tensor* root = t->view_src;
  while (root != nullptr && root->view_src != nullptr) root = root->view_src;
  int layer = -1;
  if (root == nullptr || std::sscanf(root->name, "cache_k_l%d", &layer) != 1) return -1;
  cache = root;
  return layer;
}

/// All numbers of an f32 tensor in the order of its axes, wherever it lies.
void copy_numbers(ggml_tensor const* t, std::vector<float>& to) {
  auto const count = static_cast<std::size_t>(ggml_nelements(t));
  to.resize(count);
  if (ggml_is_contiguous(t)) return ggml_backend_tensor_get(t, to.data(), 0, count * sizeof(float));
  std::size_t const row = static_cast<std::size_t>(t->ne[0]) * sizeof(float);
  float* at = to.data();
  for (std::int64_t c = 0; c < t->ne[2]; ++c)
    for (std::int64_t b = 0; b < t->ne[1]; ++b, at += t->ne[0])
      ggml_backend_tensor_get(t, at, static_cast<std::size_t>(b) * t->nb[1] + static_cast<std::size_t>(c) * t->nb[2],
                              row);
}

void append(std::vector<float> const& from, std::vector<float>& to) { to.insert(to.end(), from.begin(), from.end()); }

}  // namespace

void by_head(std::span<float const> rows, int heads, int dim, float* to) {
  auto const tokens = static_cast<std::int64_t>(rows.size()) / (std::int64_t{heads} * dim);
  for (std::int64_t i = 0; i < tokens; ++i)
    for (std::int64_t h = 0; h < heads; ++h)
      std::copy_n(rows.data() + (i * heads + h) * dim, dim, to + (h * tokens + i) * dim);
}

void watcher::watch(what wanted) {
  wanted_ = wanted;
  kept_.assign(static_cast<std::size_t>(shape_.layers), {});
  now_.resize(static_cast<std::size_t>(shape_.layers));
}

std::vector<watched_layer> watcher::take() {
  wanted_ = {};
  return std::move(kept_);
}

bool watcher::callback(ggml_tensor* t, bool ask, void* self) {
  auto& w = *static_cast<watcher*>(self);
  return ask ? w.wants(t) : w.has(t);
}

bool watcher::wants(ggml_tensor const* t) const {
  bool const serves = replacement_ || before_,
             observes = wanted_.queries || wanted_.keys || wanted_.values || wanted_.attention;
  if (!serves && !observes && !wanted_.hidden) return false;
  if (ggml_tensor* cache = nullptr; before_ && layer_written(t, cache) >= 0) return true;
  if (t->type != GGML_TYPE_F32) return false;
  if (layer_of(t->name, "Qcur") >= 0) return true;
  if (layer_of(t->name, "Kcur") >= 0) return wanted_.keys || replacement_;
  if (layer_of(t->name, "Vcur") >= 0) return wanted_.values || replacement_;
  if (layer_of(t->name, "attn_norm") >= 0) return wanted_.hidden;
  return layer_of(t->name, "kqv_out") >= 0;
}

bool watcher::has(ggml_tensor* t) {
  now_.resize(static_cast<std::size_t>(shape_.layers));
  auto const of_layer = [&](char const* name) {
    int const layer = layer_of(t->name, name);
    return layer < shape_.layers ? layer : -1;
  };
  if (ggml_tensor* cache = nullptr; before_)
    if (int const l = layer_written(t, cache); l >= 0 && l < shape_.layers) {
      auto const& queries = now_[static_cast<std::size_t>(l)].queries;
      auto const width = static_cast<std::size_t>(shape_.query_heads) * static_cast<std::size_t>(shape_.head_dim);
      return before_({l, static_cast<int>(queries.size() / width), queries, {}, {}}, cache);
    }
  // A name may be given to several tensors on the way (product, bias, norm, RoPE): the last is what attends.
  if (int const l = of_layer("Qcur"); l >= 0) {
    copy_numbers(t, now_[static_cast<std::size_t>(l)].queries);
  } else if (int const k = of_layer("Kcur"); k >= 0) {
    copy_numbers(t, now_[static_cast<std::size_t>(k)].keys);
  } else if (int const v = of_layer("Vcur"); v >= 0) {
    copy_numbers(t, now_[static_cast<std::size_t>(v)].values);
  } else if (int const n = of_layer("attn_norm"); n >= 0) {
    copy_numbers(t, now_[static_cast<std::size_t>(n)].hidden);
  } else if (int const o = of_layer("kqv_out"); o >= 0) {
    return attended(o, t);
  }
  return true;
}

bool watcher::attended(int layer, ggml_tensor* t) {
  auto& now = now_[static_cast<std::size_t>(layer)];
  auto const width = static_cast<std::size_t>(shape_.query_heads) * static_cast<std::size_t>(shape_.head_dim);
  auto const tokens = static_cast<std::size_t>(ggml_nelements(t)) / width;
  if (replacement_) {
    std::vector<float> out(tokens * width);
    if (!replacement_({layer, static_cast<int>(tokens), now.queries, now.keys, now.values}, out)) return false;
    ggml_backend_tensor_set(t, out.data(), 0, out.size() * sizeof(float));
  }
  if (wanted_.queries || wanted_.keys || wanted_.values || wanted_.hidden || wanted_.attention) {
    auto& kept = kept_[static_cast<std::size_t>(layer)];
    if (wanted_.queries) append(now.queries, kept.queries);
    if (std::size_t const last = static_cast<std::size_t>(wanted_.last) * width;
        last > 0 && kept.queries.size() > 2 * last)
      kept.queries.erase(kept.queries.begin(), kept.queries.end() - static_cast<std::ptrdiff_t>(last));
    if (wanted_.keys) append(now.keys, kept.keys);
    if (wanted_.values) append(now.values, kept.values);
    if (wanted_.hidden) append(now.hidden, kept.hidden);
    if (wanted_.attention) {
      kept.attention.resize(width);
      ggml_backend_tensor_get(t, kept.attention.data(), (tokens - 1) * width * sizeof(float), width * sizeof(float));
    }
  }
  return true;
}

}  // namespace kvsieve::llama_example
