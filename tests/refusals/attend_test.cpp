// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Everything that attend() has to refuse: the code, the argument and both values, and not a byte written.
#include "planned.hpp"
#include "refusal.hpp"

namespace {
using namespace kvsieve;
using support::check_refused;

host::on<> const on;

struct setting {
  support::layer<f16, 64> cache{2, 3, 40, 1, support::layout::packed, support::content::normal, 1};
  support::tensor<float, 64> out{6, 1};
};

template <class Query, class Layer, class Out>
void refused(setting const& s, errc code, std::vector<std::string> const& parts, Query const& q, Layer const& l,
             Out const& out) {
  auto const before = s.out.memory();
  [[maybe_unused]] std::size_t const volatile bytes = attend_workspace_bytes(on, q, l);
  support::workspace memory(1 << 20);
  check_refused(attend(on, q, l, out, memory.span()), code, parts);
  CHECK(memory.untouched());
  CHECK(std::memcmp(before.data(), s.out.memory().data(), before.size() * sizeof(float)) == 0);
}
}  // namespace

TEST_CASE("attend refuses shapes that do not fit each other") {
  setting s;
  auto const layer = s.cache.const_view();
  auto const out = s.out.view();
  auto const fine = s.cache.queries.view();
  for (int const heads : {0, 1, 5}) {
    support::tensor<f16, 64> const q(heads, 1);
    refused(s, errc::bad_shape, {"query.heads is " + std::to_string(heads), "2"}, q.view(), layer, out);
  }
  support::tensor<f16, 64> const two(6, 2), none(6, 0);
  refused(s, errc::bad_shape, {"out.tokens is 1", "2"}, two.view(), layer, out);
  refused(s, errc::bad_shape, {"query.tokens is 0", "1"}, none.view(), layer, out);
  support::tensor<float, 64> fewer(4, 1), longer(6, 2);
  refused(s, errc::bad_shape, {"out.heads is 4", "6"}, fine, layer, fewer.view());
  refused(s, errc::bad_shape, {"out.tokens is 2", "1"}, fine, layer, longer.view());
}

TEST_CASE("attend refuses a cache that is empty or out of range") {
  setting s;
  f16 x[64] = {};
  auto const none = make_rows<64>(static_cast<f16 const*>(x), 2, 0);
  auto const headless = make_rows<64>(static_cast<f16 const*>(x), 0, 40);
  auto const many = make_rows<64>(static_cast<f16 const*>(x), 2, kvsieve::index{1} << 40, 64, 64);
  auto const q = s.cache.queries.view();
  refused(s, errc::bad_shape, {"keys.tokens is 0", "at least 1"}, q, kv_layer{none, none}, s.out.view());
  refused(s, errc::bad_shape, {"keys.heads is 0", "at least 1"}, q, kv_layer{headless, headless}, s.out.view());
  refused(s, errc::bad_shape, {"keys.tokens is 1099511627776", "at most"}, q, kv_layer{many, many}, s.out.view());
  support::tensor<f16, 64> const longer(2, 41);
  refused(s, errc::bad_shape, {"values.tokens is 41", "40"}, q, kv_layer{s.cache.const_view().keys, longer.view()},
          s.out.view());
}

TEST_CASE("attend refuses null and misaligned memory") {
  setting s;
  auto const layer = s.cache.const_view();
  auto const q = s.cache.queries.view();
  auto const null = make_rows<64>(static_cast<f16 const*>(nullptr), 2, 40);
  auto const odd = make_rows<64>(
      reinterpret_cast<f16 const*>(reinterpret_cast<char const*>(s.cache.keys.memory().data()) + 1), 2, 39);
  refused(s, errc::bad_pointer, {"keys is 0", "null"}, q, kv_layer{null, layer.values}, s.out.view());
  refused(s, errc::bad_pointer, {"values is 0", "null"}, q, kv_layer{layer.keys, null}, s.out.view());
  refused(s, errc::bad_pointer, {"keys is 1", "alignment", "2"}, q, kv_layer{odd, odd}, s.out.view());
  refused(s, errc::bad_pointer, {"query is 0", "null"}, make_rows<64>(static_cast<f16 const*>(nullptr), 6, 1), layer,
          s.out.view());
  refused(s, errc::bad_pointer, {"out is 0", "null"}, q, layer, make_rows<64>(static_cast<float*>(nullptr), 6, 1));
}

TEST_CASE("attend refuses groups of different lengths") {
  setting s;
  std::vector const layers{s.cache.const_view(), s.cache.const_view()};
  std::vector const queries{s.cache.queries.view()};
  std::vector const outs{s.out.view(), s.out.view(), s.out.view()};
  auto const span_of = []<class V>(std::vector<V> const& v, std::size_t n) { return cs::span<V const>(v.data(), n); };
  refused(s, errc::bad_shape, {"layers is 0", "at least 1"}, span_of(queries, 0), span_of(layers, 0), span_of(outs, 0));
  refused(s, errc::bad_shape, {"query is 1", "2"}, span_of(queries, 1), span_of(layers, 2), span_of(outs, 2));
  refused(s, errc::bad_shape, {"out is 3", "1"}, span_of(queries, 1), span_of(layers, 1), span_of(outs, 3));
}

TEST_CASE("attend refuses a workspace that is too small or misaligned") {
  setting s;
  auto const layer = s.cache.const_view();
  auto const q = s.cache.queries.view();
  auto const before = s.out.memory();
  std::size_t const needed = attend_workspace_bytes(on, q, layer);
  for (std::size_t const size : {needed - 1, std::size_t{64}, std::size_t{0}}) {
    support::workspace memory(size);
    check_refused(attend(on, q, layer, s.out.view(), memory.span()), errc::workspace_too_small,
                  {"workspace is " + std::to_string(size), std::to_string(needed)});
    CHECK(memory.untouched());
  }
  support::workspace memory(needed + 64);
  check_refused(attend(on, q, layer, s.out.view(), memory.span().subspan(4)), errc::bad_pointer,
                {"workspace is 4", "64"});
  CHECK(memory.untouched());
  CHECK(std::memcmp(before.data(), s.out.memory().data(), before.size() * sizeof(float)) == 0);
}
