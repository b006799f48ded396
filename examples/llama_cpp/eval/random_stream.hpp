// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Random numbers that are the same with every compiler and standard library.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace kvsieve::llama_example {

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014). One seed gives an independent stream for each purpose, so that a part
/// of a text does not change with the length of another.
class random_stream {
 public:
  /// @param purpose  mixed into the seed by FNV-1a; empty: the seed as it is
  explicit random_stream(std::uint64_t seed, std::string_view purpose = {}) : state_{seed} {
    if (purpose.empty()) return;
    std::uint64_t hash = 0xcbf29ce484222325u;
    for (auto const c : purpose) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
    state_ = random_stream{seed ^ hash}.next();
  }

  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  /// 0 to count - 1, each as likely. @pre count > 0
  std::size_t below(std::size_t count) {
    std::uint64_t const n = count, rest = (0 - n) % n;  // 2^64 mod n
    std::uint64_t z = next();
    while (z < rest) z = next();
    return static_cast<std::size_t>(z % n);
  }
  /// 0 <= x < 1
  double fraction() { return static_cast<double>(next() >> 11) * 0x1p-53; }

  template <class T>
  void shuffle(std::vector<T>& items) {
    for (std::size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[below(i)]);
  }
  /// `count` different numbers below `of`, in random order; of one seed, fewer are the beginning of more.
  /// @pre count <= of
  std::vector<std::size_t> sample(std::size_t count, std::size_t of) {
    std::vector<std::size_t> all(of);
    for (std::size_t i = 0; i < of; ++i) all[i] = i;
    for (std::size_t i = 0; i < count; ++i) std::swap(all[i], all[i + below(of - i)]);
    all.resize(count);
    return all;
  }

 private:
  std::uint64_t state_;
};

}  // namespace kvsieve::llama_example
