// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The numbers of a policy as the command line writes and reads them.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

#include <cuda/std/span>

#include "dump.hpp"
#include "storage.hpp"
#include "strategy.hpp"

namespace kvsieve::tool {

/// The number as the command line writes it; a list with commas.
template <class T>
[[nodiscard]] std::string to_text(T const& value);
/// Reads a number; false when the text is not one, or not of this type.
[[nodiscard]] bool from_text(std::string const& text, bool& value);
[[nodiscard]] bool from_text(std::string const& text, int& value);
[[nodiscard]] bool from_text(std::string const& text, float& value);
[[nodiscard]] bool from_text(std::string const& text, double& value);
[[nodiscard]] bool from_text(std::string const& text, std::uint64_t& value);
[[nodiscard]] bool from_text(std::string const& text, std::int64_t& value);
/// Reads "i,j,k".
[[nodiscard]] bool from_text(std::string const& text, std::vector<int>& value);
[[nodiscard]] bool from_text(std::string const& text, std::vector<float>& value);
[[nodiscard]] bool from_text(std::string const& text, std::vector<double>& value);

/// Keeps the memory of lists that params point to.
class list_memory {
 public:
  /// A view of a list that lives as long as this.
  template <class T>
  cuda::std::span<T const> hold(std::vector<T> list) {
    auto const held = std::make_shared<std::vector<T>>(std::move(list));
    kept_.push_back(held);
    return {held->data(), held->size()};
  }

 private:
  std::vector<std::shared_ptr<void>> kept_;
};

/// Where a number or a list of a policy lies.
using number_ref =
    std::variant<bool*, int*, float*, double*, cuda::std::uint64_t*, cuda::std::int64_t*, cuda::std::span<int const>*,
                 cuda::std::span<float const>*, cuda::std::span<double const>*>;
/// The number as the command line writes it.
[[nodiscard]] std::string to_text(number_ref const& member);
/// Sets a number from text; a list is kept in `lists`. False when the text is not one.
[[nodiscard]] bool set_member(number_ref const& member, std::string const& text, list_memory& lists);

/// One field of params that the command line can write and read.
struct field_ref {
  std::string stage, name;
  number_ref member;
  char const *unit, *meaning;

  [[nodiscard]] std::string key() const { return stage + "." + name; }
};
using field_refs = std::vector<field_ref>;

/// Adds the fields of one stage that are numbers or lists of them.
template <class Params>
void add_fields(field_refs& fields, char const* stage, Params& params) {
  Params::each(params, [&](char const* name, auto& member, char const* unit, char const* meaning) {
    if constexpr (std::is_constructible_v<number_ref, decltype(&member)>)
      fields.push_back({stage, name, &member, unit, meaning});
  });
}

/// Fields as rows of a table, with the values they have.
[[nodiscard]] std::vector<field> rows_of(field_refs const& fields);
/// Sets a field; `owner` is who a message says has none of that name: "this policy has".
[[nodiscard]] message set_field(field_refs const& fields, std::string const& key, std::string const& text,
                                list_memory& lists, char const* owner);

/// Which layer each view is, for a policy that asks.
template <class Params>
void fill_layers(cache_dump const& dump, Params& params, list_memory& lists) {
  if constexpr (requires { params.layer.data(); }) {
    std::vector<int> layers;
    for (auto const& l : dump.layers) layers.push_back(l.layer);
    params.layer = lists.hold(std::move(layers));
    if constexpr (requires { params.layers = 1; }) params.layers = dump.num_layers;
  }
}

/// What is said of a budget that counts no bytes when it is to count them.
inline constexpr char takes_no_bytes[] = "--bytes: this budget takes none; --budget bytes and --budget over_all do";

/// What the command line and the dump say about any budget: --keep, --tokens, --bytes, the bytes of a row as the file
/// has it, and which layer each view is.
template <class Budget>
[[nodiscard]] message fill_budget(cache_dump const& dump, run_options const& options, Budget& budget,
                                  list_memory& lists) {
  if (options.keep >= 0) {
    if constexpr (requires { budget.keep = options.keep; })
      budget.keep = options.keep;
    else
      return "--keep: this budget takes none; see its fields with --set";
  }
  if (options.tokens >= 0) {
    if (options.tokens > 2147418112)
      return "--tokens is " + std::to_string(options.tokens) + ", must be at most 2147418112";
    if constexpr (requires { budget.tokens = 1; })
      budget.tokens = static_cast<int>(options.tokens);
    else
      return "--tokens: this budget takes none; see its fields with --set";
  }
  if constexpr (requires { budget.row_bytes = 1; })
    budget.row_bytes = 2 * dump.head_dim * static_cast<int>(size_of(dump.type));
  fill_layers(dump, budget, lists);
  if (options.bytes < 0) return {};
  if constexpr (requires { budget.bytes = options.bytes; }) {
    std::int64_t bytes = 0;
    message failed = bytes_as_they_were(dump, options, bytes);
    budget.bytes = bytes;
    return failed;
  } else {
    return takes_no_bytes;
  }
}
}  // namespace kvsieve::tool
