// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "choice.hpp"

#include <cstdlib>
#include <set>

#include <kvsieve/budget/arithmetic.hpp>
#include <kvsieve/budget/bytes.hpp>
#include <kvsieve/budget/composite.hpp>
#include <kvsieve/budget/entropy_variance.hpp>
#include <kvsieve/budget/head_importance.hpp>
#include <kvsieve/budget/head_shares.hpp>
#include <kvsieve/budget/layer_errors.hpp>
#include <kvsieve/budget/layer_scores.hpp>
#include <kvsieve/budget/layer_variance.hpp>
#include <kvsieve/budget/lazy_layers.hpp>
#include <kvsieve/budget/over_all.hpp>
#include <kvsieve/budget/over_heads.hpp>
#include <kvsieve/budget/over_heads_mixed.hpp>
#include <kvsieve/budget/per_layer.hpp>
#include <kvsieve/budget/preference.hpp>
#include <kvsieve/budget/pyramid.hpp>
#include <kvsieve/budget/pyramid_floor.hpp>
#include <kvsieve/budget/retrieval_heads.hpp>
#include <kvsieve/budget/uncertainty.hpp>

#include "choice_row.hpp"

namespace kvsieve::tool {
namespace {

/// A policy and the name it has on the command line.
template <class Policy>
struct named {
  char const* name;
};

template <class... Budgets, class... Selects>
std::vector<choice> all_of(std::tuple<named<Budgets>...> const& budgets, std::tuple<named<Selects>...> const& selects) {
  std::vector<choice> all;
  auto const with = [&]<class Budget>(named<Budget> const& b) {
    std::apply([&](auto const&... s) { (all.push_back(make_choice<Budget, Selects>(b.name, s.name)), ...); }, selects);
  };
  std::apply([&](auto const&... b) { (with(b), ...); }, budgets);
  return all;
}

std::string names_of(std::string choice::* member) {
  std::set<std::string> seen;
  std::string text;
  for (auto const& c : choices())
    if (seen.insert(c.*member).second) text += (text.empty() ? "" : ", ") + c.*member;
  return text;
}
}  // namespace

bytes_ptr allocate(std::size_t size) {
  std::size_t const whole = (size + 63) / 64 * 64;
  return {static_cast<std::byte*>(std::aligned_alloc(64, whole == 0 ? 64 : whole)), std::free};
}

std::vector<choice> const& choices() {
  static std::vector<choice> const all = [] {
    auto rows = all_of(std::tuple{named<budget::uniform>{"uniform"},
                                  named<budget::per_layer>{"per_layer"},
                                  named<budget::pyramid>{"pyramid"},
                                  named<budget::pyramid_floor>{"pyramid_floor"},
                                  named<budget::arithmetic>{"arithmetic"},
                                  named<budget::preference>{"preference"},
                                  named<budget::layer_errors>{"layer_errors"},
                                  named<budget::entropy_variance>{"entropy_variance"},
                                  named<budget::layer_variance>{"layer_variance"},
                                  named<budget::layer_scores>{"layer_scores"},
                                  named<budget::uncertainty>{"uncertainty"},
                                  named<budget::composite>{"composite"},
                                  named<budget::lazy_layers>{"lazy_layers"},
                                  named<budget::bytes>{"bytes"},
                                  named<budget::over_heads>{"over_heads"},
                                  named<budget::over_heads_mixed>{"over_heads_mixed"},
                                  named<budget::over_all>{"over_all"},
                                  named<budget::head_shares>{"head_shares"},
                                  named<budget::head_importance>{"head_importance"},
                                  named<budget::retrieval_heads>{"retrieval_heads"}},
                       std::tuple{named<select::top_k>{"top_k"}, named<select::heavy_hitters>{"heavy_hitters"}});
    add_selections(rows);
    return rows;
  }();
  return all;
}

message find_choice(std::string const& budget, std::string const& select, choice const*& found) {
  bool budget_known = false;
  for (auto const& c : choices()) {
    budget_known |= c.budget == budget;
    if (c.budget != budget || c.select != select) continue;
    found = &c;
    return {};
  }
  if (!budget_known) return "--budget " + budget + ": there is " + names_of(&choice::budget);
  return "--select " + select + ": with another budget there is " + names_of(&choice::select);
}
}  // namespace kvsieve::tool
