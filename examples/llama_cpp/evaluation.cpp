// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "evaluation.hpp"

#include <algorithm>
#include <span>

#include "pass.hpp"

namespace kvsieve::llama_example {
namespace {

/// What the settings read between them.
wanted wanted_by_all(std::vector<setting> const& settings) {
  wanted all{.queries = 1, .repeated = 0};
  for (auto const& s : settings) all = both(all, s.how.reads);
  return all;
}

/// Opens a session for the full cache and reads a prompt into it.
message read_full(model const& of, evaluation_plan const& plan, std::span<llama_token const> prompt, int room,
                  wanted const& what, int threads, session& reads, reading& seen) {
  ggml_type const type = plan.exact ? GGML_TYPE_F32 : GGML_TYPE_F16;
  int const tokens = static_cast<int>(prompt.size());
  if (message m = reads.open(of, {tokens + std::max(room, pass_room(what, tokens)), threads, type, type})) return m;
  if (message m = read_prompt(reads, of, prompt, 0, what, seen)) return m;
  // Bytes are those of a cache in f16, which is what is kept.
  seen.dump.type = kvsieve::dtype::f16;
  return {};
}

/// Compresses a cache by a setting; the row takes down what it cost. Of several prompts bytes are added up and times
/// are those of the last.
message compress_for(model const& of, session const& reads, tool::cache_dump const& dump, setting const& s, int room,
                     int threads, compression& out, report_row& row) {
  if (message m = compress(of, reads, dump, s.how, room, threads, out)) return m;
  row.bytes_before += dump.cache_bytes();
  row.bytes_after += out.cache.bytes();
  row.seconds = out.seconds;
  return {};
}

message judge_text(model const& of, std::vector<setting> const& settings, evaluation_plan const& plan,
                   evaluation_plan::named_text const& text, int threads,
                   std::function<void(std::string const&)> const& progress, std::vector<report_row>& out) {
  auto const all = of.tokens(text.text, true, false);
  std::vector<std::vector<position>> positions(settings.size());
  std::vector<report_row> rows;
  for (auto const& s : settings) rows.push_back(s.row);
  wanted const what = wanted_by_all(settings);
  for (int const offset : plan.offsets) {
    auto const needed = static_cast<std::size_t>(offset + plan.tokens + plan.scored + 1);
    if (all.size() < needed)
      return text.name + " has " + std::to_string(all.size()) + " tokens, and " + std::to_string(needed) +
             " are asked for";
    auto const prompt = std::span(all).subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(plan.tokens));
    auto const next = std::span(all).subspan(static_cast<std::size_t>(offset + plan.tokens));
    auto const judged = next.first(static_cast<std::size_t>(plan.scored));
    session reads;
    progress(text.name + ": reading");
    reading seen;
    if (message m = read_full(of, plan, prompt, plan.scored, what, threads, reads, seen)) return m;
    std::vector<float> full;
    if (message m = reads.decode(judged, plan.tokens, &full)) return m;
    reads.forget_from(plan.tokens, plan.tokens);
    for (std::size_t i = 0; i < settings.size(); ++i) {
      if (!rows[i].failure.empty()) continue;
      progress(text.name + " at " + std::to_string(offset) + ": " + rows[i].strategy);
      compression small;
      std::vector<float> packed;
      message m = compress_for(of, reads, seen.dump, settings[i], plan.scored, threads, small, rows[i]);
      if (!m) m = small.cache.decode(judged, plan.tokens, &packed);
      auto const width = static_cast<std::size_t>(of.shape().vocabulary);
      for (std::size_t t = 0; t < judged.size() && !m; ++t) {
        position p;
        m = judge_position(std::span(full).subspan(t * width, width), std::span(packed).subspan(t * width, width),
                           next[t + 1], p);
        if (!m) positions[i].push_back(p);
      }
      if (m) rows[i].failure = *m;
    }
  }
  for (std::size_t i = 0; i < settings.size(); ++i) {
    rows[i].source = text.name;
    if (rows[i].failure.empty()) rows[i].kl = summarise(positions[i]);
    out.push_back(std::move(rows[i]));
  }
  return {};
}

/// Gives a session the references behind its question, and takes down what they cost it: -ln P, a token of theirs.
template <class Decode>
message judge_references(model const& of, session const& in, prompt_parts const& parts,
                         std::span<llama_token const> references, Decode const& decode, double& loss) {
  int const at = static_cast<int>(parts.context.size());
  if (message m = decode(parts.behind, at, nullptr)) return m;
  std::vector<float> logits(in.last().begin(), in.last().end());
  if (references.size() > 1)
    if (message m =
            decode(references.first(references.size() - 1), at + static_cast<int>(parts.behind.size()), &logits))
      return m;
  auto const width = static_cast<std::size_t>(of.shape().vocabulary);
  double sum = 0;
  for (std::size_t i = 0; i < references.size(); ++i) {
    auto const row = std::span(logits).subspan(i * width, width);
    position p;
    if (message m = judge_position(row, row, references[i], p)) return m;
    sum += p.full_surprise;
  }
  loss = sum / static_cast<double>(references.size());
  return {};
}

message judge_task(model const& of, std::vector<setting> const& settings, evaluation_plan const& plan,
                   std::string const& task, bool known, int threads,
                   std::function<void(std::string const&)> const& progress, std::vector<report_row>& out) {
  std::vector<report_row> rows;
  for (auto const& s : settings) rows.push_back(s.row);
  std::vector<std::vector<double>> scores(settings.size()), losses(settings.size());
  std::vector<double> full_scores, full_losses;
  wanted const what = wanted_by_all(settings);
  auto const count = [&](std::string_view text) { return static_cast<int>(of.tokens(text, false, false).size()); };
  for (double const depth : plan.depths)
    for (int i = 0; i < plan.items; ++i) {
      task_request request;
      request.task = task;
      request.target_tokens = plan.tokens;
      request.seed = plan.seed + static_cast<std::uint64_t>(i);
      request.depth = depth;
      request.prose = plan.prose;
      if (task == "needle") {
        request.distractors = plan.distractors;
        request.hay = plan.prose.empty() ? haystack::tiled : haystack::prose;
      }
      task_item item;
      if (message m = make_task(request, count, item)) return m;
      prompt_parts parts;
      if (message m = divide_prompt(of, item.context, item.question, item.answer_prefix, known, false, parts)) return m;
      auto const references = of.tokens(item.expected(), false, false);
      int const context = static_cast<int>(parts.context.size()),
                more = static_cast<int>(parts.behind.size()) +
                       std::max(item.allowance, static_cast<int>(references.size()));
      session reads;
      std::string const where = task + " at " + std::to_string(depth).substr(0, 4) + ", " + std::to_string(i + 1);
      progress(where + ": reading");
      reading seen;
      if (message m = read_full(of, plan, parts.context, more, what, threads, reads, seen)) return m;
      std::string from_full, from_kept;
      generated made;
      auto const decode_full = [&](std::span<llama_token const> t, int at) { return reads.decode(t, at); };
      if (message m = answer(
              of, reads, parts, item.allowance, decode_full, [&](std::string const& piece) { from_full += piece; },
              made))
        return m;
      full_scores.push_back(score_answer(from_full, item.references));
      reads.forget_from(context, context);
      double loss = 0;
      auto const decode_given = [](auto& to) {
        return [&to](std::span<llama_token const> t, int at, std::vector<float>* logits) {
          return to.decode(t, at, logits);
        };
      };
      if (message m = judge_references(of, reads, parts, references, decode_given(reads), loss)) return m;
      full_losses.push_back(loss);
      reads.forget_from(context, context);
      for (std::size_t s = 0; s < settings.size(); ++s) {
        if (!rows[s].failure.empty()) continue;
        progress(where + ": " + rows[s].strategy);
        compression small;
        from_kept.clear();
        message m = compress_for(of, reads, seen.dump, settings[s], more, threads, small, rows[s]);
        auto const decode = [&](std::span<llama_token const> t, int at) { return small.cache.decode(t, at); };
        if (!m)
          m = answer(
              of, small.cache.in(), parts, item.allowance, decode,
              [&](std::string const& piece) { from_kept += piece; }, made);
        // What was kept, once more: a cache does not forget what was generated behind it.
        compressed again;
        auto const& how = settings[s].how;
        if (!m) m = again.make(of, reads, seen.dump, small.kept, how.store, how.merges, how.where, more, threads);
        if (!m) m = judge_references(of, again.in(), parts, references, decode_given(again), loss);
        if (m) {
          rows[s].failure = *m;
          continue;
        }
        scores[s].push_back(score_answer(from_kept, item.references));
        losses[s].push_back(loss);
      }
    }
  for (std::size_t s = 0; s < settings.size(); ++s) {
    rows[s].source = task;
    rows[s].question_known = known;
    if (rows[s].failure.empty())
      rows[s].answers = retrieval{scores[s].size(), mean_of(scores[s]), mean_of(full_scores), mean_of(losses[s]),
                                  mean_of(full_losses)};
    out.push_back(std::move(rows[s]));
  }
  return {};
}

}  // namespace

message evaluate(model const& of, std::vector<setting> const& settings, evaluation_plan const& plan, int threads,
                 std::function<void(std::string const&)> const& progress, std::vector<report_row>& out) {
  for (auto const& text : plan.texts)
    if (message m = judge_text(of, settings, plan, text, threads, progress, out)) return m;
  for (auto const& task : plan.tasks)
    for (bool const known : plan.known)
      if (message m = judge_task(of, settings, plan, task, known, threads, progress, out)) return m;
  return {};
}

}  // namespace kvsieve::llama_example
