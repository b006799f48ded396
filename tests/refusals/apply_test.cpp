// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Everything that apply() has to refuse: the code, the argument and both values, and not a byte of the caches written.
#include "planned.hpp"
#include "raw_bits.hpp"
#include "refusal.hpp"

namespace {
using namespace kvsieve;
using support::check_refused;

struct setting {
  support::layer<bf16, 64> cache{2, 1, 40, 1, support::layout::packed, support::content::normal, 1};
  support::layer<bf16, 64> result{2, 1, 10, 1, support::layout::packed, support::content::normal, 2};
  support::workspace memory{0};
  token_plan plan;

  setting() {
    host::on const on;
    memory = support::workspace(workspace_bytes<key_norm<>>(on, cache.const_view(), {}));
    plan = kvsieve::plan<key_norm<>>(on, cache.const_view(), {}, memory.span());
    REQUIRE(plan);
    REQUIRE(plan.count() == 10);
  }
};

// Runs a call that has to be refused and checks that neither cache changed.
template <class Call>
void refused(errc code, std::vector<std::string> const& parts, Call const& call) {
  setting s;
  setting const before;
  check_refused(call(s), code, parts);
  auto const same = [](auto const& a, auto const& b) {
    return support::same_elsewhere(a, b, [](int, int) { return false; });
  };
  CHECK(same(before.cache.keys, s.cache.keys));
  CHECK(same(before.cache.values, s.cache.values));
  CHECK(same(before.result.keys, s.result.keys));
  CHECK(same(before.result.values, s.result.values));
}
host::on<> const on;
}  // namespace

TEST_CASE("apply refuses a plan that failed, with the plan's own reason") {
  auto const failed = [](setting& s) {
    support::workspace memory(0);
    return plan<key_norm<>>(on, s.cache.const_view(), {}, memory.span());
  };
  refused(errc::workspace_too_small, {"workspace is 0"},
          [&](setting& s) { return apply<key_norm<>>(on, failed(s), s.cache.view(), s.result.view()); });
  refused(errc::workspace_too_small, {"workspace is 0"},
          [&](setting& s) { return apply<key_norm<>>(on, failed(s), s.cache.view()); });
}

TEST_CASE("apply refuses a plan that was never made") {
  refused(errc::bad_plan, {"plan.views is 0", "1"},
          [](setting& s) { return apply<key_norm<>>(on, token_plan{}, s.cache.view()); });
}

TEST_CASE("apply refuses a plan of another cache") {
  support::layer<bf16, 64> longer(2, 1, 41, 1, support::layout::packed, support::content::normal, 3);
  support::layer<bf16, 64> wider(3, 1, 40, 1, support::layout::packed, support::content::normal, 3);
  refused(errc::bad_plan, {"plan.tokens is 40", "41"},
          [&](setting& s) { return apply<key_norm<>>(on, s.plan, longer.view()); });
  refused(errc::bad_plan, {"plan.tokens is 40", "41"},
          [&](setting& s) { return apply<key_norm<>>(on, s.plan, longer.view(), s.result.view()); });
  refused(errc::bad_shape, {"keys.heads is 3", "2"},
          [&](setting& s) { return apply<key_norm<>>(on, s.plan, wider.view()); });
  refused(errc::bad_plan, {"plan.views is 1", "2"}, [](setting& s) {
    std::vector const two{s.cache.view(), s.cache.view()};
    return apply<key_norm<>>(on, s.plan, cs::span<decltype(s.cache.view()) const>(two.data(), 2));
  });
}

TEST_CASE("apply refuses results of the wrong shape") {
  support::layer<bf16, 64> shorter(2, 1, 9, 1, support::layout::packed, support::content::normal, 3);
  support::layer<bf16, 64> narrower(1, 1, 10, 1, support::layout::packed, support::content::normal, 3);
  refused(errc::bad_shape, {"to.keys.tokens is 9", "10"},
          [&](setting& s) { return apply<key_norm<>>(on, s.plan, s.cache.view(), shorter.view()); });
  refused(errc::bad_shape, {"to.keys.heads is 1", "2"},
          [&](setting& s) { return apply<key_norm<>>(on, s.plan, s.cache.view(), narrower.view()); });
  refused(errc::bad_shape, {"to.values.tokens is 9", "10"}, [&](setting& s) {
    return apply<key_norm<>>(on, s.plan, s.cache.view(), kv_layer{s.result.keys.view(), shorter.values.view()});
  });
  refused(errc::bad_shape, {"to is 2", "1"}, [](setting& s) {
    std::vector const one{s.cache.view()}, two{s.result.view(), s.result.view()};
    using view = decltype(s.cache.view());
    return apply<key_norm<>>(on, s.plan, cs::span<view const>(one.data(), 1), cs::span<view const>(two.data(), 2));
  });
}

TEST_CASE("apply refuses a result that overlaps the cache") {
  refused(errc::overlap, {"to.keys"},
          [](setting& s) { return apply<key_norm<>>(on, s.plan, s.cache.view(), s.cache.view()); });
  refused(errc::overlap, {"to.values"}, [](setting& s) {
    return apply<key_norm<>>(on, s.plan, s.cache.view(), kv_layer{s.result.keys.view(), s.cache.values.view()});
  });
  refused(errc::overlap, {"to.keys"}, [](setting& s) {
    // Keys into the second half of the values.
    auto const inside = make_rows<64>(s.cache.values.memory().data() + 60 * 64, 2, 10);
    return apply<key_norm<>>(on, s.plan, s.cache.view(), kv_layer{inside, s.result.values.view()});
  });
}

TEST_CASE("apply refuses results that overlap each other") {
  refused(errc::overlap, {"to.values", "another target"}, [](setting& s) {
    return apply<key_norm<>>(on, s.plan, s.cache.view(), kv_layer{s.result.keys.view(), s.result.keys.view()});
  });
  refused(errc::overlap, {"to.values", "another target"}, [](setting& s) {
    // Values from the last channel of the keys' last row on.
    auto const touching = make_rows<64>(s.result.keys.memory().data() + 19 * 64 + 63, 1, 1);
    auto const keys = make_rows<64>(s.result.keys.memory().data(), 2, 10);
    auto const behind = make_rows<64>(touching.data_handle(), 2, 10, 0, 64);
    return apply<key_norm<>>(on, s.plan, s.cache.view(), kv_layer{keys, behind});
  });
  refused(errc::overlap, {"values"},
          [](setting& s) { return apply<key_norm<>>(on, s.plan, kv_layer{s.cache.keys.view(), s.cache.keys.view()}); });
}

TEST_CASE("apply takes keys and values interleaved in one pool") {
  setting s;
  // [token, keys or values, head, channel]
  std::vector<bf16> pool(10 * 2 * 2 * 64);
  auto const part = [&](int which) { return make_rows<64>(pool.data() + which * 2 * 64, 2, 10, 64, 2 * 2 * 64); };
  CHECK(apply<key_norm<>>(on, s.plan, s.cache.view(), kv_layer{part(0), part(1)}));
  CHECK(apply<key_norm<>>(on, s.plan, s.cache.view(), s.result.view()));
  for (int h = 0; h < 2; ++h)
    for (int t = 0; t < 10; ++t)
      for (int d = 0; d < 64; ++d) {
        CHECK(to_float(part(0)(h, t, d)) == to_float(s.result.keys.view()(h, t, d)));
        CHECK(to_float(part(1)(h, t, d)) == to_float(s.result.values.view()(h, t, d)));
      }
}

TEST_CASE("apply refuses null and misaligned memory, named by its argument") {
  auto const null = make_rows<64>(static_cast<bf16*>(nullptr), 2, 40);
  refused(errc::bad_pointer, {"keys is 0", "null"},
          [&](setting& s) { return apply<key_norm<>>(on, s.plan, kv_layer{null, s.cache.values.view()}); });
  refused(errc::bad_pointer, {"to.keys is 0", "null"}, [&](setting& s) {
    return apply<key_norm<>>(on, s.plan, s.cache.view(), kv_layer{null, s.result.values.view()});
  });
  refused(errc::bad_pointer, {"to.values is 1", "alignment", "2"}, [](setting& s) {
    auto* const odd = reinterpret_cast<bf16*>(reinterpret_cast<char*>(s.result.values.memory().data()) + 1);
    return apply<key_norm<>>(on, s.plan, s.cache.view(),
                             kv_layer{s.result.keys.view(), make_rows<64>(odd, 2, 10, 600, 64)});
  });
}
