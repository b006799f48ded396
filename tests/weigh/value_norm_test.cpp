// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/reference/value_norm.hpp>
#include <kvsieve/weigh/value_norm.hpp>

#include "after_score.hpp"
#include "refusal.hpp"

TEST_CASE("weigh::value_norm: scores times the length of the value") {
  CHECK(support::holds("weigh::value_norm: scores times the length of the value", 60, [] {
    auto const s = *support::shapes(1, 400);
    int const window = *rc::gen::resize(100, rc::gen::inRange(1, s.shortest() + 1));
    float const epsilon = *rc::gen::element(0.0f, 0.01f, 2.0f);
    auto const run = [&]<class T, int D>() {
      support::check_after_score<kvsieve::weigh::value_norm, T, D>(
          s, window, [&](auto& params) { params.weigh.epsilon = epsilon; },
          [&](auto const& layer, auto& rows) {
            int head = 0;
            for (auto& row : rows)
              kvsieve::reference::value_norm(layer.values.view(), head++, static_cast<double>(epsilon), row);
          },
          // A sum of D squares and its root, the sum with epsilon, the product; squares below the range of float.
          [](double want, double had, double) {
            return support::gamma(D / 2 + 6) * std::abs(want) + (std::abs(had) + 2) * 1e-18;
          });
    };
    if (*rc::gen::arbitrary<bool>())
      run.template operator()<float, 64>();
    else
      run.template operator()<kvsieve::bf16, 80>();
  }));
}

TEST_CASE("weigh::value_norm refuses an epsilon below 0") {
  using namespace kvsieve;
  using strategy = compressor<score::key_norm, weigh::value_norm>;
  support::layer<float, 64> const l(2, 1, 40, 1, support::layout::packed, support::content::normal, 1);
  support::workspace memory(1 << 16);
  auto const p = plan<strategy>(host::on{}, l.const_view(), {.weigh = {.epsilon = -1}}, memory.span());
  support::check_refused(p.state, errc::bad_params, {"weigh.epsilon is -1", "at least 0"});
  CHECK(memory.untouched());
}
