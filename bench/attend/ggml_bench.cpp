// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Decode attention against ggml's flash attention on the CPU: the same rows, bit for bit, and as many threads. Built
// where KVSIEVE_GGML_SOURCE names a folder of ggml.
#include <kvsieve/encode/q4_0.hpp>
#include <kvsieve/encode/q8_0.hpp>

#include <ggml-cpu.h>
#include <ggml.h>

#include <cmath>
#include <memory>

#include "stored.hpp"

namespace kvsieve::bench {
namespace {
/// ggml's attention of one query a head over keys and values of one type, as a graph of one operation.
class flash_attention {
 public:
  flash_attention(ggml_type type, int tokens)
      : context_(ggml_init({std::size_t{1} << 20, nullptr, true}), ggml_free),
        out_(static_cast<std::size_t>(query_heads * head_dim)) {
    ggml_context* const c = context_.get();
    query_ = ggml_new_tensor_4d(c, GGML_TYPE_F32, head_dim, 1, query_heads, 1);
    keys_ = ggml_new_tensor_4d(c, type, head_dim, tokens, kv_heads, 1);
    values_ = ggml_new_tensor_4d(c, type, head_dim, tokens, kv_heads, 1);
    ggml_tensor* const attended = ggml_flash_attn_ext(
        c, query_, keys_, values_, nullptr, static_cast<float>(1 / std::sqrt(static_cast<double>(head_dim))), 0, 0);
    attended->data = out_.data();
    graph_ = ggml_new_graph(c);
    ggml_build_forward_expand(graph_, attended);
    plan_ = ggml_graph_plan(graph_, workers().workers(), threads());
    work_.resize(plan_.work_size + 64);
    plan_.work_data = work_.data();
    plan_.threadpool = threads();
  }
  /// Attends; false where ggml did not.
  bool run(float const* query, void const* keys, void const* values) {
    query_->data = const_cast<float*>(query);
    keys_->data = const_cast<void*>(keys);
    values_->data = const_cast<void*>(values);
    return ggml_graph_compute(graph_, &plan_) == GGML_STATUS_SUCCESS;
  }
  [[nodiscard]] std::vector<float> const& out() const { return out_; }

 private:
  static ggml_threadpool* threads() {
    static ggml_threadpool* const pool = [] {
      ggml_threadpool_params params = ggml_threadpool_params_default(workers().workers());
      return ggml_threadpool_new(&params);
    }();
    return pool;
  }
  std::unique_ptr<ggml_context, void (*)(ggml_context*)> context_;
  std::vector<float> out_;
  std::vector<std::uint8_t> work_;
  ggml_tensor *query_ = nullptr, *keys_ = nullptr, *values_ = nullptr;
  ggml_cgraph* graph_ = nullptr;
  ggml_cplan plan_{};
};

/// Times both over the layers that next() gives; at(layer) tells where its keys and its values lie.
template <class Next, class At>
void time_both(benchmark::State& state, char const* name, dtype type, int tokens, ggml_type theirs, double goal,
               Next const& next, At const& at) {
  auto const query = some_queries<float>(1);
  std::vector<float> out(static_cast<std::size_t>(query_heads * head_dim));
  auto const view = make_rows<head_dim>(out.data(), query_heads, 1);
  workspace const memory(attend_workspace_bytes(on(), query, next()));
  flash_attention peer(theirs, tokens);
  status last;
  bool done = true;
  auto const ask = [&](auto const& layer) {
    auto const [keys, values] = at(layer);
    done = peer.run(&query(0, 0, 0), keys, values) && done;
  };
  auto const same = next();
  last = attend(on(), query, same, view, memory.bytes());
  ask(same);
  // ggml rounds the query to the keys' type and adds in halves: it differs by hundredths.
  double off = 0, size = 0;
  for (std::size_t i = 0; i < out.size(); ++i) {
    off += std::pow(static_cast<double>(out[i] - peer.out()[i]), 2);
    size += std::pow(static_cast<double>(out[i]), 2);
  }
  if (!last || !done || !(off < 0.03 * 0.03 * size)) return state.SkipWithError("ggml's result is another one");
  in_turns(
      state, name, type, tokens, {.limit = "ggml flash attention (100 %: as fast)", .goal = goal},
      [&] { last = attend(on(), query, next(), view, memory.bytes()); }, [&] { ask(next()); });
  if (!last || !done) state.SkipWithError("attention refused its arguments");
}

auto const halves = register_shapes<f16>("attend/dense/ggml", [](auto, benchmark::State& state, int tokens) {
  time_both(
      state, "attend/dense/ggml", dtype::f16, tokens, GGML_TYPE_F16, 6, [&] { return cold_layer<f16>(tokens); },
      [](auto const& l) { return std::pair<void const*, void const*>{l.keys.data_handle(), l.values.data_handle()}; });
});

template <codec C>
int register_blocks(std::string const& format, ggml_type theirs, double goal) {
  static std::string const name = "attend/" + format + "/ggml";
  return register_shapes<float>(name.c_str(), [theirs, goal](auto, benchmark::State& state, int tokens) {
    stored_layers<C, C> layers;
    time_both(
        state, name.c_str(), dtype::f32, tokens, theirs, goal, [&] { return layers.take(kv_heads, tokens); },
        [](auto const& l) {
          return std::pair<void const*, void const*>{row_of(l.keys, 0, 0).tile, row_of(l.values, 0, 0).tile};
        });
  });
}
auto const q8 = register_blocks<encode::q8_0>("q8_0", GGML_TYPE_Q8_0, 15);
auto const q4 = register_blocks<encode::q4_0>("q4_0", GGML_TYPE_Q4_0, 30);
}  // namespace
}  // namespace kvsieve::bench
