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

#include "field_text.hpp"

namespace kvsieve::tool {
namespace {

/// A policy and the name it has on the command line.
template <class Policy>
struct named {
  char const* name;
};

template <class Budget, class Select>
choice make_choice(char const* budget_name, char const* select_name) {
  choice c{budget_name, select_name, name_of(Budget::uniformity_class), {}, {}};
  auto const each_field = [](auto& budget, auto& select, auto const& visit) {
    std::remove_cvref_t<decltype(budget)>::each(
        budget, [&](char const* name, auto& member, char const* unit, char const* meaning) {
          visit("budget." + std::string(name), member, unit, meaning);
        });
    std::remove_cvref_t<decltype(select)>::each(
        select, [&](char const* name, auto& member, char const* unit, char const* meaning) {
          visit("select." + std::string(name), member, unit, meaning);
        });
  };
  typename Budget::params budget_defaults;
  typename Select::params select_defaults;
  each_field(budget_defaults, select_defaults,
             [&](std::string const& key, auto& member, char const* unit, char const* meaning) {
               c.fields.push_back({key, to_text(member), unit, meaning});
             });
  c.run = [each_field](team_executor const& on, token_scores const& scores, cache_dump const& dump,
                       run_options const& options, outcome& out, chosen_plan& chosen) -> message {
    list_memory lists;
    typename Budget::params budget;
    typename Select::params select;
    if (message m = fill_budget(dump, options, budget, lists)) return m;
    for (auto const& [key, text] : options.set) {
      if (!key.starts_with("budget.") && !key.starts_with("select.")) continue;
      bool known = false, read = false;
      each_field(budget, select, [&, &key = key, &text = text](std::string const& k, auto& member, auto, auto) {
        if (k != key) return;
        known = true;
        read = set_member(member, text, lists);
      });
      if (!known) return "--set " + key + ": this budget and selection have no such field";
      if (!read) return "--set " + key + ": '" + text + "' is not a value of that field";
    }
    each_field(budget, select, [&](std::string const& key, auto& member, auto, auto) {
      out.params.emplace_back(key, to_text(member));
    });
    std::size_t const size = choose_tokens_workspace_bytes<Budget, Select>(on, scores, budget, select);
    chosen.memory = allocate(size);
    if (chosen.memory == nullptr) return "out of memory: the workspace takes " + std::to_string(size) + " bytes";
    chosen.plan = choose_tokens<Budget, Select>(on, scores, budget, select, std::span(chosen.memory.get(), size));
    if (chosen.plan) return {};
    char line[256];
    return std::string(chosen.plan.state.message(line));
  };
  return c;
}

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
  static std::vector<choice> const all =
      all_of(std::tuple{named<budget::uniform>{"uniform"},
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
