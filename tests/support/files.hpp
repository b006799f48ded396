// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What tests of files share: a folder that goes away, files built byte by byte, small dumps.
#pragma once
#include <unistd.h>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "safetensors.hpp"

namespace kvsieve::test {

namespace fs = std::filesystem;

/// A folder of its own for one test, removed at its end.
struct scratch {
  fs::path folder;

  scratch() {
    static int serial = 0;
    folder = fs::temp_directory_path() / ("kvsieve_" + std::to_string(::getpid()) + "_" + std::to_string(serial++));
    fs::create_directories(folder);
  }
  scratch(scratch const&) = delete;
  scratch& operator=(scratch const&) = delete;
  ~scratch() {
    std::error_code ignored;
    fs::remove_all(folder, ignored);
  }

  [[nodiscard]] std::string operator/(std::string const& name) const { return (folder / name).string(); }
  [[nodiscard]] std::size_t files() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator{folder}, fs::directory_iterator{}));
  }
};

inline void write_bytes(fs::path const& file, std::string const& bytes) {
  std::ofstream{file, std::ios::binary} << bytes;
}

inline std::string read_bytes(fs::path const& file) {
  std::ostringstream out;
  out << std::ifstream{file, std::ios::binary}.rdbuf();
  return out.str();
}

/// A safetensors file of this header text and so many zero bytes of data.
inline std::string safetensors_bytes(std::string const& header, std::size_t data) {
  std::uint64_t const length = header.size();
  std::string out(sizeof length, '\0');
  std::memcpy(out.data(), &length, sizeof length);
  return out + header + std::string(data, '\0');
}

/// A dump that can be spoiled before it is written.
struct small_dump {
  std::map<std::string, std::string> metadata{
      {"format", "kvsieve-dump-1"}, {"model", "test"},  {"num_layers", "4"},   {"num_query_heads", "4"},
      {"num_kv_heads", "2"},        {"head_dim", "64"}, {"tokens", "32"},      {"first_position", "0"},
      {"rope_theta", "10000"},      {"layers", "1,3"},  {"rope_style", "half"}};
  struct part {
    std::string name, type;
    std::vector<std::int64_t> shape;
    std::vector<float> numbers;
  };
  std::vector<part> parts;

  small_dump() {
    std::mt19937 engine{7};
    std::normal_distribution<float> normal;
    for (auto const* layer : {"1", "3"})
      for (auto const& [name, heads, rows] : {std::tuple{"k", 2, 32}, {"v", 2, 32}, {"q", 4, 16}}) {
        part p{std::string{"layers."} + layer + "." + name, "F32", {heads, rows, 64}, {}};
        for (int i = 0; i < heads * rows * 64; ++i) p.numbers.push_back(normal(engine));
        parts.push_back(std::move(p));
      }
  }

  part& operator[](std::string const& name) {
    for (auto& p : parts)
      if (p.name == name) return p;
    throw std::out_of_range{name};
  }

  /// Writes what the parts say; a part of a 16-bit type has half its numbers' bytes.
  void write(fs::path const& file) const {
    std::vector<tool::safetensors::item> items;
    for (auto const& p : parts) {
      auto bytes = std::as_bytes(std::span{p.numbers});
      if (p.type == "F16" || p.type == "BF16") bytes = bytes.first(bytes.size() / 2);
      items.push_back({p.name, p.type, p.shape, bytes});
    }
    if (auto const failed = tool::safetensors::write(file, items, metadata)) throw std::runtime_error{*failed};
  }
};
}  // namespace kvsieve::test
