// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Generates out of a cache in kvsieve's memory that an online policy evicts from. llama.cpp computes everything but the
// attention; its own cache holds the tokens of one batch, and is emptied before the next.
#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>

#include "commands.hpp"
#include "online_cache.hpp"
#include "text.hpp"
#include "told.hpp"

namespace kvsieve::llama_example {
namespace {

struct options {
  model_options from;
  std::string strategy, file, prompt;
  double keep = -1;
  int tokens = -1, every = 0, queries = 0, predict = 256, context = 0;
  std::vector<std::string> set;
  bool raw = false, full = false, past_end = false;
};

/// A session whose attention is a cache's.
class online_session {
 public:
  /// Takes over the cache of a text that was read, with the queries of its last tokens.
  [[nodiscard]] message open(model const& of, tool::cache_dump const& dump, eviction_schedule const& schedule,
                             int threads, online_cache& cache) {
    cache_ = &cache;
    shape_ = of.shape();
    online_shape const shape{shape_.layers, shape_.query_heads, shape_.kv_heads, shape_.head_dim};
    if (message m = cache.begin(shape, schedule, dump.tokens, threads)) return m;
    for (int l = 0; l < shape_.layers; ++l) {
      auto const& from = dump.layers[static_cast<std::size_t>(l)];
      int const seen = static_cast<int>(from.queries.shape[1]), plain = dump.tokens - seen, dim = shape_.head_dim;
      auto const keys = rows_by_head(from.keys.as<float>(), dump.tokens, dim),
                 values = rows_by_head(from.values.as<float>(), dump.tokens, dim);
      if (message m = cache.add(l, plain, keys, values)) return m;
      std::vector<float> out(static_cast<std::size_t>(seen) * static_cast<std::size_t>(shape_.query_heads * dim));
      if (message m = cache.attend(l, seen, rows_by_head(from.queries.as<float>(), seen, dim), keys.from(plain),
                                   values.from(plain), out.data()))
        return m;
    }
    if (message m = cache.evict()) return m;
    if (message m = session_.open(of, {batch, threads})) return m;
    session_.watcher().replace([this](layer_step const& step, std::span<float> out) { return attend(step, out); });
    return {};
  }
  [[nodiscard]] session& in() { return session_; }
  /// Decodes as session::decode does, as many tokens at once as the schedule lets pass.
  [[nodiscard]] message decode(std::span<llama_token const> tokens, int position) {
    while (!tokens.empty()) {
      auto const some = tokens.first(
          std::min({tokens.size(), static_cast<std::size_t>(cache_->next_tokens()), static_cast<std::size_t>(batch)}));
      session_.forget_from(0, 0);
      if (message m = session_.decode(some, position)) return failure_ ? failure_ : m;
      if (message m = cache_->end_tokens(static_cast<int>(some.size()))) return m;
      position += static_cast<int>(some.size());
      tokens = tokens.subspan(some.size());
    }
    return {};
  }

 private:
  static constexpr int batch = 256;  // the fewest cells of a context

  [[nodiscard]] bool attend(layer_step const& step, std::span<float> out) {
    int const dim = shape_.head_dim;
    auto const size_of = [&](int h) {
      return static_cast<std::size_t>(step.tokens) * static_cast<std::size_t>(h * dim);
    };
    if (step.queries.size() != size_of(shape_.query_heads) || step.keys.size() != size_of(shape_.kv_heads) ||
        step.values.size() != size_of(shape_.kv_heads))
      failure_ =
          "layer " + std::to_string(step.layer) + " gave queries, keys or values of another shape than the model's";
    else
      failure_ = cache_->attend(step.layer, step.tokens, rows_by_token(step.queries.data(), shape_.query_heads, dim),
                                rows_by_token(step.keys.data(), shape_.kv_heads, dim),
                                rows_by_token(step.values.data(), shape_.kv_heads, dim), out.data());
    return !failure_;
  }

  online_cache* cache_ = nullptr;
  model_shape shape_;
  session session_;
  message failure_;
};

/// What can be told of the options before a model is read.
message check(options const& given, online_kind const*& kind) {
  for (auto const& k : online_kinds())
    if (given.strategy == k.name) kind = &k;
  if (kind == nullptr) {
    std::unique_ptr<online_cache> none;
    return make_online_cache(given.strategy, 0, none);
  }
  if (given.keep != -1 && !(given.keep > 0 && given.keep <= 1))
    return "--keep is " + tool::format_exact(given.keep) + ", must be above 0 and at most 1";
  auto const least = [](char const* name, int value, int bound) -> message {
    if (value >= bound) return {};
    return std::string(name) + " is " + std::to_string(value) + ", must be at least " + std::to_string(bound);
  };
  if (given.tokens != -1)
    if (message m = least("--tokens", given.tokens, 1)) return m;
  if (message m = least("--every", given.every, 0)) return m;
  if (message m = least("--queries", given.queries, -1)) return m;
  return least("--predict", given.predict, 1);
}

/// The policy with its numbers set.
message make_cache(options const& given, int head_dim, std::unique_ptr<online_cache>& out, tool::list_memory& lists) {
  if (message m = make_online_cache(given.strategy, head_dim, out)) return m;
  for (auto const& text : given.set) {
    auto const at = text.find('=');
    if (at == std::string::npos) return "--set is '" + text + "', must be stage.field=value";
    if (message m = tool::set_field(out->fields(), text.substr(0, at), text.substr(at + 1), lists, "this policy has"))
      return m;
  }
  return out->check();
}

int run(options const& given, tool::console const& to) {
  auto const failed = [&](message const& m) { return to.fail(tool::run_failed, *m); };
  int const threads = threads_of(given.from.threads);
  online_kind const* kind = nullptr;
  if (message m = check(given, kind)) return to.fail(tool::usage_wrong, *m);
  std::string text;
  if (message m = read_text_file(given.file, text)) return failed(m);
  model of;
  if (message m = of.load(given.from.model, given.from.servers)) return failed(m);
  if (message m = without_windows(of.shape(), "decode holds all layers in kvsieve's memory")) return failed(m);
  std::unique_ptr<online_cache> cache;
  tool::list_memory lists;
  if (message m = make_cache(given, of.shape().head_dim, cache, lists)) return to.fail(tool::usage_wrong, *m);
  prompt_parts all;
  std::string const question = given.prompt.empty() ? "" : "\n\n" + given.prompt;
  if (message m = divide_prompt(of, text, question, "", false, given.raw, all)) return failed(m);

  int const context = static_cast<int>(all.context.size());
  int const more = static_cast<int>(all.behind.size()) + given.predict;
  eviction_schedule schedule;
  schedule.every = given.every > 0 ? given.every : kind->every;
  if (given.tokens > 0) schedule.tokens = given.tokens;
  if (given.keep > 0) schedule.tokens = std::max(1, static_cast<int>(std::floor(context * given.keep)));
  int const behind = given.full ? more : 0, cells = given.context > 0 ? given.context : context + behind;
  if (context + behind > cells) return failed(context_too_small(cells, context, behind));
  session reads;
  if (message m = reads.open(of, {cells, threads})) return failed(m);
  reading prompt;
  to.progress("reading " + std::to_string(context) + " tokens");
  if (message m = read_prompt(reads, of, all.context, 0,
                              {.queries = given.queries != 0 ? given.queries : kind->queries}, prompt))
    return failed(m);
  to.progress({});
  generated of_full;
  if (given.full)
    if (message m = answer_full(of, reads, all, given.predict, to, of_full, given.past_end)) return failed(m);
  reads = {};
  std::size_t const bytes_before = prompt.dump.cache_bytes(), resident_before = resident_bytes();

  online_session online;
  to.progress("observing the prompt");
  auto const start = std::chrono::steady_clock::now();
  if (message m = online.open(of, prompt.dump, schedule, threads, *cache)) return failed(m);
  double const taken = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  to.progress({});
  std::size_t const observed = static_cast<std::size_t>(prompt.dump.layers.front().queries.shape[1]);
  double const prompt_seconds = prompt.seconds;
  prompt = {};
  int const first_evictions = cache->counts().evictions;
  double const first_seconds = cache->counts().seconds;
  generated made;
  to.out << kind->title << ", " << schedule.tokens << " tokens of a head:\n";
  auto const decode = [&](std::span<llama_token const> tokens, int position) {
    return online.decode(tokens, position);
  };
  if (message m = answer(of, online.in(), all, given.predict, decode, tell(to), made, given.past_end)) return failed(m);
  to.out << "\n\n";

  facts table;
  online_counts const& counts = cache->counts();
  int const evictions = counts.evictions - first_evictions;
  table.add("prompt", std::to_string(context) + " tokens, " + rate(all.context.size(), prompt_seconds));
  table.add("taken over", tool::format_seconds(taken) + ", " + std::to_string(observed) + " queries observed");
  table.add("generated", std::to_string(made.tokens.size()) + " tokens");
  table.add("rows of a head", std::to_string(cache->rows()) + " in the end, at most " +
                                  std::to_string(counts.most_rows) +
                                  (first_evictions > 0 ? " once the prompt was evicted from" : ""));
  table.add("keys and values", tool::format_bytes(bytes_before) + " of the prompt, " +
                                   tool::format_bytes(cache->row_bytes()) + " in the end; " +
                                   tool::format_bytes(cache->state_bytes()) + " remembered of them");
  table.add("evicted", std::to_string(evictions) + (evictions == 1 ? " time" : " times") + " while generating, in " +
                           tool::format_seconds(counts.seconds - first_seconds));
  table.add_resident(resident_before);
  if (given.full) table.add("decoding, full", rate(of_full));
  table.add("decoding, evicting", rate(made));
  if (given.full) table.add("same tokens", of_full.tokens == made.tokens ? "all" : "not all");
  if (!counts.note.empty()) table.add("note", counts.note);
  table.print(to);
  return tool::done;
}

}  // namespace

void add_decode(CLI::App& app, tool::console const& to, tool::action& chosen) {
  auto const given = std::make_shared<options>();
  std::string names;
  for (auto const& k : online_kinds()) names += (names.empty() ? "" : ", ") + std::string(k.name);
  auto* const command = app.add_subcommand("decode", "Generate out of a cache that is evicted from all the while");
  add_model_options(*command, given->from);
  add_rpc_options(*command, given->from.servers);
  command->add_option("--strategy", given->strategy, "What evicts: " + names)->required()->type_name("NAME");
  auto* const keep =
      command->add_option("--keep", given->keep, "Share of the text's tokens that the cache holds, 0 to 1");
  keep->type_name("F");
  command->add_option("--tokens", given->tokens, "Or how many tokens of a head (default: 1024)")
      ->type_name("N")
      ->excludes(keep);
  command->add_option("--every", given->every, "Tokens from one eviction to the next; 0: as the strategy's authors")
      ->type_name("N");
  command->add_option("--set", given->set, "Change one parameter of the strategy; may be repeated")
      ->type_name("stage.field=value")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command
      ->add_option("--queries", given->queries,
                   "Queries of the text's last positions that are observed; -1: all, 0: as the strategy")
      ->type_name("N");
  command->add_option("--file", given->file, "The text that is read; '-': standard input")
      ->required()
      ->type_name("FILE");
  command->add_option("--prompt", given->prompt, "What is asked about it");
  command->add_flag("--raw", given->raw, "No chat template");
  command->add_flag("--full", given->full, "Answer from the full cache as well, and compare");
  command->add_flag("--past-end", given->past_end, "Go on behind the end of the answer");
  command->add_option("--context", given->context, "Cells of the cache that reads; 0: as many as needed")
      ->type_name("N");
  command->add_option("--predict", given->predict, "The most tokens of an answer")->type_name("N");
  command->callback([given, &to, &chosen] { chosen = [given, &to] { return run(*given, to); }; });
}

}  // namespace kvsieve::llama_example
