// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Every preset of kvsieve/presets.hpp behind one run-time interface: a row of the method table that can be run.
#pragma once
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "dump.hpp"

namespace kvsieve::tool {

/// One number of a preset that a person can set: `stage.name`.
struct field {
  std::string key;      ///< "score.window"
  std::string value;    ///< its default, as text
  std::string unit;     ///< "tokens", "fraction", ...
  std::string meaning;  ///< one line
};

struct choice;
struct evict_choice;
struct storage;

struct run_options {
  double keep = -1;                     ///< fraction of tokens kept; negative: the preset's default
  long long tokens = -1;                ///< or tokens kept per head; negative: unset
  long long bytes = -1;                 ///< or bytes that what is kept may take in all; negative: unset
  choice const* other = nullptr;        ///< budget and selection instead of the preset's own; null: its own
  evict_choice const* evict = nullptr;  ///< what becomes of the others, instead of the preset's own; null: its own
  storage const* store = nullptr;       ///< what kept rows are stored in; null: dense
  bool merges = false;                  ///< whether rows may get an attention bias, a byte each
  double refit = 0;                     ///< ridge of a refit of the kept values, before they are stored; 0: none
  bool refit_own = false;               ///< the preset's own: left out where the values of the pass are not there
  int threads = 1;
  std::vector<std::pair<std::string, std::string>> set;  ///< "stage.field" = value, applied last
};

/// What attention sees of a head whose rows were merged, or are stored otherwise than as they were.
struct stored_head {
  std::vector<int> token;           ///< which token a row was, -1 for a row that stands for many
  std::vector<float> keys, values;  ///< [rows, D]
  std::vector<float> bias;          ///< [rows] added to the logits, in nats
  std::vector<float> sums;          ///< [rank, D + 1] what is left of evicted tokens, H_c then z_c; mostly none
  std::vector<double> features;     ///< [Hq / Hkv, queries judged, rank] with which queries read the sums
};

/// The bytes of one part of a layer, as a container holds them.
struct stored_part {
  /// A format of rows.
  struct format {
    std::string name;
    int tile_tokens = 1, tile_bytes = 0;
  };
  std::string name;            ///< "encoded", "level 1"
  format keys_in, values_in;   ///< formats of keys and values
  std::vector<int> rows;       ///< [Hkv]
  std::vector<int> positions;  ///< [sum of rows] token of each row; empty: rows that stand for many are among them
  std::vector<unsigned char> keys, values, bias;
  std::vector<std::uint64_t> channels;  ///< [Hkv, ceil(D / 64)] bits of the channels that keys hold; empty: all
};

struct layer_outcome {
  int layer = 0;
  std::vector<std::vector<int>> kept;  ///< per KV head, ascending token indices
  std::vector<float> score;            ///< [Hkv, N] what selection sees; +inf marks a forced token
  std::vector<stored_head> stored;     ///< per KV head; empty: kept rows are as they were
  std::vector<stored_part> parts;      ///< of what is stored in a format; empty: it is dense
};

/// What one strategy did to one dump.
struct outcome {
  std::string strategy;
  std::string uniformity;                                   ///< "U0" ... "U3", "F"
  std::vector<std::pair<std::string, std::string>> params;  ///< every field as it was used
  std::vector<layer_outcome> layers;                        ///< in the order of the dump
  std::size_t bytes_before = 0, bytes_after = 0;            ///< keys and values, metadata included
  double seconds = 0;                                       ///< of plan and apply together
  std::string note;  ///< something a person should know (a forced set over budget); may be empty
};

struct strategy {
  std::string name, title, paper;                           ///< "snap_kv", "SnapKV", "arXiv 2404.14469"
  std::vector<std::pair<std::string, std::string>> stages;  ///< ("score", "attention"), ("aggregate", "mean"), ...
  std::string reads;                                        ///< "keys, queries"
  std::string uniformity;                                   ///< "U1"
  std::string source;                                       ///< what its numbers are checked against
  std::vector<field> fields;
  std::function<message(cache_dump const&, run_options const&, outcome&)> run;
};

/// All presets, in the order of the method table.
[[nodiscard]] std::vector<strategy> const& strategies();
/// The preset of that name, or null.
[[nodiscard]] strategy const* find_strategy(std::string const& name);

}  // namespace kvsieve::tool
