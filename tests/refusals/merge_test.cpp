// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Everything that apply() has to refuse where it merges, and then not a byte is written.
#include <kvsieve/evict/cam.hpp>
#include <kvsieve/evict/merge.hpp>
#include <kvsieve/evict/zero_merge.hpp>

#include "planned.hpp"
#include "raw_bits.hpp"
#include "refusal.hpp"

namespace {
using namespace kvsieve;

template <class E>
struct setting {
  using C = compressor<score::random, E>;
  support::layer<bf16, 64> cache{2, 1, 40, 1, support::layout::packed, support::content::normal, 1};
  support::layer<bf16, 64> result{2, 1, 11, 1, support::layout::packed, support::content::normal, 2};
  std::vector<cs::uint8_t> codes = std::vector<cs::uint8_t>(22, 5);
  typename C::params params{};
  support::workspace memory{0}, work{0};
  token_plan plan;

  setting() {
    host::on const on;
    memory = support::workspace(workspace_bytes<C>(on, cache.const_view(), {}));
    plan = kvsieve::plan<C>(on, cache.const_view(), {}, memory.span());
    REQUIRE(plan);
    REQUIRE(plan.count() == 10);
    work = support::workspace(apply_workspace_bytes<C>(on, plan, cache.const_view(), params));
  }
  [[nodiscard]] status run() { return run(work.span()); }
  [[nodiscard]] status run(std::span<std::byte> workspace) {
    return apply<C>(host::on{}, plan, cache.const_view(), result.view(), params, workspace,
                    entry_bias_target{codes.data(), 11, nullptr});
  }
};

template <class E = evict::merge_nearest, class Call>
void refused(errc code, std::vector<std::string> const& parts, Call const& call) {
  setting<E> s;
  setting<E> const before;
  support::check_refused(call(s), code, parts);
  auto const same = [](auto const& a, auto const& b) {
    return support::same_elsewhere(a, b, [](int, int) { return false; });
  };
  CHECK(same(before.cache.keys, s.cache.keys));
  CHECK(same(before.cache.values, s.cache.values));
  CHECK(same(before.result.keys, s.result.keys));
  CHECK(same(before.result.values, s.result.values));
  CHECK(before.codes == s.codes);
  CHECK(s.work.untouched());
}
// Numbers out of range: neither apply nor its workspace.
template <class E, class Set>
void refused_number(std::vector<std::string> const& parts, Set const& set) {
  refused<E>(errc::bad_params, parts, [&](auto& s) {
    set(s.params.evict);
    using C = typename std::decay_t<decltype(s)>::C;
    CHECK(apply_workspace_bytes<C>(host::on{}, s.plan, s.cache.const_view(), s.params) == 0);
    return s.run();
  });
}
}  // namespace

TEST_CASE("merging runs where nothing is wrong") {
  setting<evict::merge_nearest> s;
  CHECK(s.run());
  CHECK(s.work.guards_hold());
}

TEST_CASE("merging refuses a plan that failed or was never made") {
  refused(errc::workspace_too_small, {"workspace is 0"}, [](auto& s) {
    s.plan.state = fail(errc::workspace_too_small, "workspace", 0, "bytes; it must be at least", 9);
    return s.run();
  });
  refused(errc::bad_plan, {"plan.views is 0", "1"}, [](auto& s) {
    s.plan = {};
    return s.run();
  });
}

TEST_CASE("merging refuses to work in place") {
  refused(errc::overlap, {"to.keys", "inside the cache"}, [](auto& s) {
    using C = typename std::decay_t<decltype(s)>::C;
    return apply<C>(host::on{}, s.plan, s.cache.view(), s.cache.view(), s.params, s.work.span());
  });
}

TEST_CASE("merging refuses results that are too small, slots counted") {
  support::layer<bf16, 64> ten(2, 1, 10, 1, support::layout::packed, support::content::normal, 3);
  refused<evict::zero_merge>(errc::bad_shape, {"to.keys.tokens is 10", "11"}, [&](auto& s) {
    using C = typename std::decay_t<decltype(s)>::C;
    return apply<C>(host::on{}, s.plan, s.cache.const_view(), ten.view(), s.params, s.work.span());
  });
}

TEST_CASE("merging refuses a workspace that is too small, misaligned or the plan's") {
  refused(errc::workspace_too_small, {"workspace is 0"}, [](auto& s) { return s.run({}); });
  refused(errc::workspace_too_small, {"bytes; it must be at least"},
          [](auto& s) { return s.run(s.work.span().first(s.work.span().size() - 1)); });
  refused(errc::bad_pointer, {"workspace is 1"}, [](auto& s) { return s.run(s.work.span().subspan(1)); });
  setting<evict::zero_merge> s;  // its workspace is smaller than the plan's
  support::check_refused(s.run(s.memory.span()), errc::overlap, {"workspace", "holds the plan"});
}

TEST_CASE("merging refuses biases of the wrong shape") {
  auto const with = [](auto& s, entry_bias_target const& bias) {
    using C = typename std::decay_t<decltype(s)>::C;
    std::vector const from{s.cache.const_view()};
    std::vector const to{s.result.view()};
    return apply<C>(host::on{}, s.plan, cs::span<decltype(s.cache.const_view()) const>(from.data(), 1),
                    cs::span<decltype(s.result.view()) const>(to.data(), 1), s.params, s.work.span(),
                    cs::span<entry_bias_target const>(&bias, 1));
  };
  refused(errc::bad_pointer, {"bias is 0"}, [&](auto& s) { return with(s, {}); });
  refused(errc::bad_shape, {"bias.head_stride is 9", "10"}, [&](auto& s) { return with(s, {s.codes.data(), 9}); });
  kvsieve::index const offset[] = {0, 10, 19};
  refused(errc::bad_shape, {"bias.offset is 9", "10"}, [&](auto& s) { return with(s, {s.codes.data(), 0, offset}); });
  refused(errc::bad_shape, {"bias is 2", "1"}, [](auto& s) {
    using C = typename std::decay_t<decltype(s)>::C;
    std::vector const from{s.cache.const_view()};
    std::vector const to{s.result.view()};
    std::vector<entry_bias_target> const two(2, entry_bias_target{s.codes.data(), 11, nullptr});
    return apply<C>(host::on{}, s.plan, cs::span<decltype(s.cache.const_view()) const>(from.data(), 1),
                    cs::span<decltype(s.result.view()) const>(to.data(), 1), s.params, s.work.span(),
                    cs::span<entry_bias_target const>(two.data(), 2));
  });
}

TEST_CASE("merging refuses numbers out of range") {
  refused_number<evict::merge_nearest>({"evict.most_bias is 16", "15.9375"}, [](auto& p) { p.most_bias = 16; });
  refused_number<evict::merge_nearest>({"evict.most_bias is -1", "0"}, [](auto& p) { p.most_bias = -1; });
  refused_number<evict::merge_on_evict>({"evict.fraction is 0", "0"}, [](auto& p) { p.gate.fraction = 0; });
  refused_number<evict::merge_on_evict>({"evict.fraction is 1.5", "1"}, [](auto& p) { p.gate.fraction = 1.5; });
  refused_number<evict::merge_on_evict>({"evict.threshold"},
                                        [](auto& p) { p.gate.threshold = std::numeric_limits<float>::quiet_NaN(); });
  refused_number<evict::d2o_merge>({"evict.decay is 2", "1"}, [](auto& p) { p.gate.decay = 2; });
  refused_number<evict::d2o_merge>({"evict.share is -1", "0"}, [](auto& p) { p.gate.share = -1; });
  refused_number<evict::elastic_merge>({"evict.sink is -1", "0"}, [](auto& p) { p.nearest.sink = -1; });
  refused_number<evict::elastic_merge>({"evict.recent is -2", "0"}, [](auto& p) { p.nearest.recent = -2; });
  refused_number<evict::merge_runs>({"evict.alike is 2", "1"}, [](auto& p) { p.nearest.alike = 2; });
  refused_number<evict::merge_runs>({"evict.sigma is -1", "0"}, [](auto& p) { p.weight.sigma = -1; });
  refused_number<evict::cam>({"evict.candidates is -1", "0"}, [](auto& p) { p.candidates = -1; });
  refused_number<evict::cam>({"evict.followers is 0", "1"}, [](auto& p) { p.followers = 0; });
  refused_number<evict::cam_prefill>({"evict.start is 2", "1"}, [](auto& p) { p.start = 2; });
  refused_number<evict::cam_prefill>({"evict.window is 0", "1"}, [](auto& p) { p.window = 0; });
  refused_number<evict::zero_merge>({"evict.residual is 0", "1"}, [](auto& p) { p.residual = 0; });
  refused_number<evict::zero_merge>({"evict.alpha is 2", "1"}, [](auto& p) { p.alpha = 2; });
}

TEST_CASE("merging refuses tables of the wrong length, and shared decisions over uneven heads") {
  float some[3] = {};
  refused<evict::cam>(errc::bad_shape, {"evict.attention is 3", "80"}, [&](auto& s) {
    s.params.evict.attention = {some, 3};
    return s.run();
  });
  refused<evict::d2o_merge>(errc::bad_shape, {"evict.before is 3", "1"}, [&](auto& s) {
    s.params.evict.gate.before = {some, 3};
    return s.run();
  });
  refused<evict::d2o_merge>(errc::bad_plan, {"plan.count is 9", "10"}, [&](auto& s) {
    static kvsieve::index const offset[] = {0, 10, 19};
    s.plan.offset = offset;
    s.params.evict.gate.together = true;
    return s.run();
  });
}
