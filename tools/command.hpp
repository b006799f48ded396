// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What the commands of the program share.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "choice.hpp"
#include "command_line.hpp"
#include "dump.hpp"
#include "evict_choice.hpp"
#include "strategy.hpp"

namespace CLI {
class App;
}

namespace kvsieve::tool {

enum exit_status : int { done = 0, run_failed = 1, usage_wrong = 2 };

/// Where a command writes.
struct console {
  std::ostream& out;
  std::ostream& err;
  terminal where;

  /// One line to the error stream; returns `status`, so that a command can end with it.
  [[nodiscard]] int fail(exit_status status, std::string_view text) const;
  /// A line that the next one overwrites; nothing unless the error stream is a terminal. Empty text clears it.
  void progress(std::string_view text) const;
};

/// The command that was chosen, to be run once the whole command line was understood.
using action = std::function<int()>;

void add_list(CLI::App& app, console const& to, action& chosen);
void add_compress(CLI::App& app, console const& to, action& chosen);
void add_score(CLI::App& app, console const& to, action& chosen);
void add_compare(CLI::App& app, console const& to, action& chosen);
void add_inspect(CLI::App& app, console const& to, action& chosen);
void add_expand(CLI::App& app, console const& to, action& chosen);

/// `inspect` of a container.
[[nodiscard]] int inspect_container(std::string const& name, bool as_json, console const& to);

/// Options that every command running strategies takes.
struct dump_options {
  std::string file;
  std::string weights;  ///< a file of networks; empty: those of the dump
  std::string layers;   ///< "0,9"; empty: all
  int threads = 0;      ///< 0: one for each processor
};

/// What --bytes says: a number of bytes, or a share of those of the cache.
struct byte_limit {
  long long bytes = -1;
  double share = -1;

  [[nodiscard]] bool given() const { return bytes >= 0 || share >= 0; }
  /// In bytes, of a cache of so many.
  [[nodiscard]] long long of(std::size_t cache) const {
    return bytes >= 0 ? bytes : static_cast<long long>(share * static_cast<double>(cache));
  }
};
/// "120000" or "10%".
[[nodiscard]] message parse_bytes(std::string const& text, byte_limit& out);

/// And those of a command that runs one strategy once.
struct strategy_options {
  std::string name;
  double keep = -1;
  long long tokens = -1;
  std::string bytes;             ///< as parse_bytes reads it; empty: not given
  std::string budget, select;    ///< instead of the preset's own; empty: its own
  std::string store;             ///< what kept rows are stored in; empty: the preset's own
  std::string evict;             ///< the same
  std::optional<double> refit;   ///< ridge; 0: none; not given: the preset's own
  std::vector<std::string> set;  ///< "stage.field=value"
};

void add_dump_options(CLI::App& command, dump_options& into);
void add_strategy_options(CLI::App& command, strategy_options& into);
/// --store, one storage or, in a comparison, several.
void add_store_option(CLI::App& command, std::string& into, bool several);
/// --budget and --select.
void add_choice_options(CLI::App& command, std::string& budget, std::string& select);
/// The choice that these make behind a strategy, null when both are empty. A message means they cannot.
[[nodiscard]] message find_choice(strategy const& of, std::string budget, std::string select, run_options& options);

/// --evict.
void add_evict_option(CLI::App& command, std::string& evict);
/// The policy of that name into the options; none for an empty one. A message means there is none.
[[nodiscard]] message find_evict(std::string evict, run_options& options);

/// --refit.
void add_refit_option(CLI::App& command, std::optional<double>& ridge);
/// The ridge of a strategy into the options. A message means it is none.
[[nodiscard]] message check_refit(strategy const& of, std::optional<double> ridge, run_options& options);

/// Checks the options that do not need the dump. A message means the command line is wrong.
[[nodiscard]] message check(dump_options const& given, std::vector<int>& layers, int& threads);
[[nodiscard]] message check(strategy_options const& given, strategy const*& found, run_options& out, byte_limit& bytes);
/// Whether this strategy, with these options, gives what it keeps an attention bias.
[[nodiscard]] bool merges_rows(strategy const& of, run_options const& options);
/// Reads the dump, these of its layers, and the file of weights beside it.
[[nodiscard]] message read(dump_options const& given, std::vector<int> const& layers, cache_dump& out);
/// The strategy of that name, or a message that lists all names.
[[nodiscard]] message find(std::string const& name, strategy const*& found);
/// A keep as text, a number in [0, 1].
[[nodiscard]] message parse_keep(std::string const& text, double& out);

/// A strategy run on a dump: read, run and checked.
struct single_run {
  cache_dump dump;
  outcome result;
  int threads = 1;
};
/// Reads the dump and runs the strategy, telling `to` of both. Returns `done`, or the exit status after its message.
[[nodiscard]] int run_once(dump_options const& from, strategy_options const& with, console const& to, single_run& out);

}  // namespace kvsieve::tool
