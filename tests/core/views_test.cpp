// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/core/views.hpp>

#include <numeric>
#include <vector>

#include <catch2/catch_all.hpp>

#include "cache.hpp"

using namespace kvsieve;

TEST_CASE("packed rows lie one behind another") {
  std::vector<float> data(2 * 3 * 64);
  std::iota(data.begin(), data.end(), 0.0f);
  auto const v = make_rows<64>(data.data(), 2, 3);
  STATIC_CHECK(row_view<decltype(v)>);
  STATIC_CHECK(contiguous_rows<std::remove_const_t<decltype(v)>>);
  STATIC_CHECK(head_dim_of<std::remove_const_t<decltype(v)>> == 64);
  CHECK(v.extent(0) == 2);
  CHECK(v.extent(1) == 3);
  CHECK(v(0, 0, 0) == 0.0f);
  CHECK(v(1, 2, 63) == 383.0f);
  CHECK(v.mapping().required_span_size() == 384);
  CHECK(v.mapping().is_exhaustive());
  CHECK(v.mapping().stride(0) == 192);
  CHECK(v.mapping().stride(1) == 64);
  CHECK(v.mapping().stride(2) == 1);
}

TEST_CASE("rows of an engine lie at any head and token stride") {
  std::vector<float> data(5 * 4 * 64);
  std::iota(data.begin(), data.end(), 0.0f);
  auto const nhd = make_rows<64>(data.data(), 4, 5, 64, 4 * 64);
  for (int h = 0; h < 4; ++h)
    for (int t = 0; t < 5; ++t) CHECK(nhd(h, t, 7) == static_cast<float>((t * 4 + h) * 64 + 7));
  CHECK(nhd.mapping().required_span_size() == 5 * 4 * 64);
  CHECK(nhd.mapping().is_exhaustive());

  auto const padded = make_rows<64>(data.data(), 2, 3, 300, 80);
  CHECK(padded(1, 2, 3) == 463.0f);
  CHECK(padded.mapping().required_span_size() == 300 + 2 * 80 + 64);
  CHECK(!padded.mapping().is_exhaustive());
  CHECK(padded.mapping() != nhd.mapping());
  CHECK(padded.mapping() == make_rows<64>(data.data(), 2, 3, 300, 80).mapping());
}

TEST_CASE("a view of nothing spans nothing") {
  CHECK(make_rows<64>(static_cast<float*>(nullptr), 0, 3).mapping().required_span_size() == 0);
  CHECK(make_rows<64>(static_cast<float*>(nullptr), 3, 0).mapping().required_span_size() == 0);
}

TEST_CASE("offsets beyond 32 bits do not wrap") {
  layout_rows::mapping<row_extents<128>> const m{row_extents<128>(8, 1 << 20), kvsieve::index{1} << 40, 1 << 20};
  CHECK(m(7, (1 << 20) - 1, 127) == (kvsieve::index{7} << 40) + (kvsieve::index{1} << 40) - (1 << 20) + 127);
}

TEMPLATE_TEST_CASE("a row of any layout holds the view's elements", "", float, f16, bf16) {
  std::mt19937 random(1);
  support::tensor<TestType, 64, false> rows(2, 9, support::layout::padded);
  support::tensor<TestType, 64, true> strided(2, 9, support::layout::nhd);
  rows.fill(random, support::content::normal);
  for (int h = 0; h < 2; ++h)
    for (int t = 0; t < 9; ++t)
      for (int d = 0; d < 64; ++d) strided.set(h, t, d, rows.get(h, t, d));
  STATIC_CHECK(contiguous_rows<decltype(rows.view())>);
  STATIC_CHECK(!contiguous_rows<decltype(strided.view())>);
  auto const a = rows.view();
  auto const b = strided.view();
  bool equal = true;
  for (int h = 0; h < 2; ++h)
    for (int t = 0; t < 9; ++t)
      for (int d = 0; d < 64; ++d)
        equal = equal && to_float(row_of(a, h, t)[d]) == rows.get(h, t, d) &&
                to_float(row_of(b, h, t)[d]) == rows.get(h, t, d);
  CHECK(equal);
}

TEST_CASE("what is no view of rows is no row_view") {
  STATIC_CHECK(!row_view<int>);
  STATIC_CHECK(!row_view<cs::mdspan<float, cs::dextents<kvsieve::index, 3>>>);     // D has to be known
  STATIC_CHECK(!row_view<cs::mdspan<double, row_extents<64>>>);                    // no element type
  STATIC_CHECK(!row_view<cs::mdspan<float, cs::extents<kvsieve::index, 4, 64>>>);  // no heads
  STATIC_CHECK(row_view<cs::mdspan<bf16 const, row_extents<64>>>);
}
