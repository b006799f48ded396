// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Networks over hidden states in a file of their own.
#include <catch2/catch_all.hpp>
#include <nlohmann/json.hpp>

#include <kvsieve/reference/gate.hpp>
#include <kvsieve/reference/kv_zap.hpp>

#include "scratch.hpp"

using Catch::Matchers::ContainsSubstring;
using kvsieve::test::program;
using kvsieve::test::read_bytes;
using kvsieve::test::scratch;
using kvsieve::test::small_dump;

namespace {
constexpr int width = 48, units = 6, channels = 8, base_keys = 3;

/// Tensors of layers 1, 2 and 3, of which the dump holds 1 and 3.
struct weights {
  std::vector<small_dump::part> parts;

  void add(std::string const& name, std::vector<std::int64_t> shape, float scale = 1) {
    std::int64_t size = 1;
    for (auto const extent : shape) size *= extent;
    std::mt19937 random(static_cast<unsigned>(std::hash<std::string>{}(name)));
    std::normal_distribution<float> normal(0, scale);
    small_dump::part p{name, "F32", std::move(shape), {}};
    for (std::int64_t i = 0; i < size; ++i) p.numbers.push_back(normal(random));
    parts.push_back(std::move(p));
  }
  weights() {
    for (std::string const layer : {"layers.1.", "layers.2.", "layers.3."}) {
      add(layer + "kv_zap.weight", {units, width}, 0.2f);
      add(layer + "kv_zap.bias", {units});
      add(layer + "kv_zap.out_weight", {2, units});
      add(layer + "kv_zap.out_bias", {2});
      add(layer + "gate.weight", {(4 + 2) * channels, width}, 0.2f);
      add(layer + "gate.bias", {4 * channels});
      add(layer + "gate.query_norm", {channels});
      add(layer + "gate.key_norm", {channels});
      add(layer + "gate.base_key", {2, base_keys, channels});
      add(layer + "gate.offset", {2, 2});
    }
  }
  small_dump::part& operator[](std::string const& name) {
    for (auto& p : parts)
      if (p.name == name) return p;
    throw std::out_of_range{name};
  }
  void drop(std::string const& name) {
    std::erase_if(parts, [&](small_dump::part const& p) { return p.name.starts_with(name); });
  }
  void write(std::string const& file) const {
    small_dump d;
    d.metadata = {{"format", "pt"}};
    d.parts = parts;
    d.write(file);
  }
};

/// A small dump with hidden states and no network.
small_dump with_hidden() {
  small_dump d;
  weights of_states;
  of_states.parts.clear();
  for (std::string const layer : {"layers.1.", "layers.3."}) of_states.add(layer + "hidden", {32, width});
  d.parts.insert(d.parts.end(), of_states.parts.begin(), of_states.parts.end());
  return d;
}

std::vector<double> row_of(std::vector<float> const& x, std::size_t t) {
  auto const first = x.begin() + static_cast<std::ptrdiff_t>(t * width);
  return {first, first + width};
}

/// Runs `score` and hands out the numbers of a layer.
template <class Expected>
void check_scores(small_dump& d, weights& w, std::string const& preset, Expected const& expected) {
  scratch const at;
  d.write(at / "d");
  w.write(at / "w");
  std::vector<std::string> arguments{"score", at / "d", "--strategy", preset, "--out", at / "s", "--weights", at / "w"};
  if (preset == "fast_kv_zip") arguments.insert(arguments.end(), {"--set", "score.sink=0"});
  program const p{arguments};
  CAPTURE(p.err, preset);
  REQUIRE(p.status == 0);
  kvsieve::tool::input_file file;
  kvsieve::tool::safetensors::contents contents;
  REQUIRE(!file.open(at / "s"));
  REQUIRE(!kvsieve::tool::safetensors::read_contents(file, contents));
  for (std::string const layer : {"layers.1.", "layers.3."}) {
    std::shared_ptr<std::byte const> bytes;
    REQUIRE(!kvsieve::tool::safetensors::read_tensor(file, contents, *contents.find(layer + "score"), bytes));
    auto const* const got = reinterpret_cast<float const*>(bytes.get());
    for (std::size_t t = 0; t < 32; ++t) {
      auto const want = expected(layer, row_of(d[layer + "hidden"].numbers, t));
      for (std::size_t h = 0; h < 2; ++h)
        CHECK(static_cast<double>(got[h * 32 + t]) == Catch::Approx(want[h]).margin(1e-5));
    }
  }
}
}  // namespace

TEST_CASE("weights from a file: kv_zap, kv_zap_linear and fast_kv_zip score as their references", "[tools][weights]") {
  auto d = with_hidden();
  weights w;
  check_scores(d, w, "kv_zap", [&](std::string const& l, std::vector<double> const& x) {
    return kvsieve::reference::kv_zap(w[l + "kv_zap.weight"].numbers, w[l + "kv_zap.bias"].numbers,
                                      w[l + "kv_zap.out_weight"].numbers, w[l + "kv_zap.out_bias"].numbers, x);
  });
  check_scores(d, w, "fast_kv_zip", [&](std::string const& l, std::vector<double> const& x) {
    auto const of = [&](char const* name) { return std::span<float const>(w[l + name].numbers); };
    return kvsieve::reference::gate(
        {2, 2, channels, base_keys, of("gate.weight"), of("gate.bias"), of("gate.query_norm"), of("gate.key_norm"),
         of("gate.base_key"), of("gate.offset")},
        x);
  });
  for (std::string const layer : {"layers.1.", "layers.2.", "layers.3."}) {
    w.drop(layer + "kv_zap");
    w.add(layer + "kv_zap.weight", {2, width});
    w.add(layer + "kv_zap.bias", {2});
  }
  check_scores(d, w, "kv_zap_linear", [&](std::string const& l, std::vector<double> const& x) {
    return kvsieve::reference::products(w[l + "kv_zap.weight"].numbers, w[l + "kv_zap.bias"].numbers, x);
  });
}

TEST_CASE("weights from a file: they come in place of the dump's own, as a whole", "[tools][weights]") {
  scratch const at;
  auto d = with_hidden();
  weights of_dump, of_file;
  d.parts.insert(d.parts.end(), of_dump.parts.begin(), of_dump.parts.end());
  for (std::string const layer : {"layers.1.", "layers.3."}) {
    of_file.drop(layer + "kv_zap.out_");
    of_file.drop(layer + "gate.");
    for (float& x : of_file[layer + "kv_zap.bias"].numbers) x += 1;
  }
  d.write(at / "d");
  of_file.write(at / "w");
  kvsieve::tool::cache_dump own, other;
  REQUIRE(!kvsieve::tool::read_dump(at / "d", {}, own));
  REQUIRE(!kvsieve::tool::read_dump(at / "d", {}, other));
  REQUIRE(!kvsieve::tool::read_weights(at / "w", other));
  for (std::size_t l = 0; l < 2; ++l) {
    CHECK(own.layers[l].zap_out_weight.present());
    CHECK(!other.layers[l].zap_out_weight.present());
    CHECK(other.layers[l].gate_weight.present());
    CHECK(other.layers[l].zap_bias.as<float>()[0] == own.layers[l].zap_bias.as<float>()[0] + 1);
  }
  // Each command that runs strategies reads it.
  program const run{
      {"compare", at / "d", "--strategies", "kv_zap_linear,kv_zap", "--keeps", "0.5", "--weights", at / "w", "--json"}};
  CHECK(run.status == 1);  // 6 units for 2 heads; and no second part
  CHECK_THAT(run.out, ContainsSubstring("score.weight") &&
                          ContainsSubstring("layers.1.kv_zap.out_weight is missing, and this strategy reads it"));
  weights{}.write(at / "w");
  CHECK(program{{"compress", at / "d", "--strategy", "fast_kv_zip", "--weights", at / "w"}}.status == 0);
}

TEST_CASE("weights from a file: what is missing or does not fit is named in one line", "[tools][weights]") {
  scratch const at;
  with_hidden().write(at / "d");
  auto const refusal = [&](auto const& spoil) {
    weights w;
    spoil(w);
    w.write(at / "w");
    program const p{{"compress", at / "d", "--strategy", "kv_zap", "--weights", at / "w"}};
    CHECK(std::count(p.err.begin(), p.err.end(), '\n') == (p.err.empty() ? 0 : 1));
    CHECK(p.status == (p.err.empty() ? 0 : 1));
    // The dump stays as it was.
    kvsieve::tool::cache_dump dump;
    REQUIRE(!kvsieve::tool::read_dump(at / "d", {}, dump));
    bool const refused = kvsieve::tool::read_weights(at / "w", dump).has_value();
    CHECK(dump.layers[0].zap_weight.present() == !refused);
    return p.err;
  };
  CHECK(refusal([](weights&) {}).empty());
  CHECK_THAT(refusal([](weights& w) { w.drop("layers.3.kv_zap.bias"); }),
             ContainsSubstring("\"layers.3.kv_zap.bias\" is missing, \"layers.3.kv_zap.weight\" is there"));
  CHECK_THAT(refusal([](weights& w) { w.drop("layers.1.kv_zap.out_bias"); }),
             ContainsSubstring("\"layers.1.kv_zap.out_bias\" is missing, \"layers.1.kv_zap.out_weight\" is there"));
  CHECK_THAT(refusal([](weights& w) { w.drop("layers.1.gate.offset"); }),
             ContainsSubstring("\"layers.1.gate.offset\" is missing, \"layers.1.gate."));
  CHECK_THAT(refusal([](weights& w) {
               w.drop("layers.1.kv_zap.weight");
               w.drop("layers.1.kv_zap.bias");
             }),
             ContainsSubstring("\"layers.1.kv_zap.weight\" is missing, \"layers.1.kv_zap.out_weight\" is there"));
  CHECK_THAT(refusal([](weights& w) { w.drop("layers.3."); }),
             ContainsSubstring("no weights of layer 3, it holds those of layers 1,2"));
  CHECK_THAT(refusal([](weights& w) { w.add("layers.4.kv_zap.bias", {units}); }),
             ContainsSubstring("\"layers.4.kv_zap.bias\": the dump's model has 4 layers"));
  CHECK_THAT(refusal([](weights& w) {
               w.drop("");
               w.add("layers.1.mlp.weight", {1});
             }),
             ContainsSubstring("no tensor is named layers.<i>.kv_zap.*, .gate.*, .less.* or .lean_k.mask"));
  for (auto const& [name, shape, needed] : {std::tuple<char const*, std::vector<std::int64_t>, char const*>{
                                                "layers.3.kv_zap.weight", {units, 32}, "[*, 48]"},
                                            {"layers.3.kv_zap.bias", {units + 1}, "[6]"},
                                            {"layers.1.kv_zap.out_weight", {3, units}, "[2, 6]"},
                                            {"layers.1.kv_zap.out_bias", {1}, "[2]"},
                                            {"layers.1.gate.weight", {40, width}, "[48, 48]"},
                                            {"layers.1.gate.bias", {16}, "[32]"},
                                            {"layers.1.gate.key_norm", {9}, "[8]"},
                                            {"layers.1.gate.base_key", {2, base_keys, 4}, "[2, *, 8]"},
                                            {"layers.1.gate.offset", {4}, "[2, 2]"}}) {
    CAPTURE(name);
    CHECK_THAT(refusal([&name = name, &shape = shape](weights& w) {
                 w.drop(name);
                 w.add(name, shape);
               }),
               ContainsSubstring("\"" + std::string(name) + "\": shape ") &&
                   ContainsSubstring(std::string("does not fit the metadata, which needs ") + needed));
  }
  CHECK_THAT((program{{"compress", at / "d", "--strategy", "kv_zap", "--weights", at / "none"}}.err),
             ContainsSubstring("cannot open"));
  // Not every layer has as many units.
  CHECK_THAT(refusal([](weights& w) {
               w.drop("layers.3.kv_zap.");
               w.add("layers.3.kv_zap.weight", {units + 1, width});
               w.add("layers.3.kv_zap.bias", {units + 1});
               w.add("layers.3.kv_zap.out_weight", {2, units + 1});
               w.add("layers.3.kv_zap.out_bias", {2});
             }),
             ContainsSubstring("layers.3.kv_zap.weight has shape [7, 48], that of the first layer has [6, 48]"));
}
