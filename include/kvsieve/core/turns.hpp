// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Cosines and sines of a model's rotation at one position after another, in double: the angles themselves are only
// formed where a run starts.
#pragma once
#include <cmath>

#include <kvsieve/core/rope.hpp>
#include <kvsieve/core/views.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// The turns of D / 2 pairs.
template <int D>
class turns {
 public:
  static constexpr int pairs = D / 2;  ///< channels that turn together
  double cosine[pairs];                ///< of each pair at the present position
  double sine[pairs];                  ///< the same

  /// Of a model; start() says where.
  explicit turns(rope_params const& rope) {
    for (int i = 0; i < pairs; ++i) {
      frequency_[i] = rope.rope_frequencies.empty() ? std::pow(rope.rope_base, -2.0 * i / D)
                                                    : rope.rope_frequencies[static_cast<cs::size_t>(i)];
      step_cosine_[i] = std::cos(frequency_[i]);
      step_sine_[i] = std::sin(frequency_[i]);
    }
  }

  /// Goes to a position.
  void start(double position) {
    for (int i = 0; i < pairs; ++i) {
      cosine[i] = std::cos(position * frequency_[i]);
      sine[i] = std::sin(position * frequency_[i]);
    }
  }
  /// Goes to the next position.
  void next() {
    for (int i = 0; i < pairs; ++i) {
      double const c = cosine[i] * step_cosine_[i] - sine[i] * step_sine_[i];
      sine[i] = sine[i] * step_cosine_[i] + cosine[i] * step_sine_[i];
      cosine[i] = c;
    }
  }

 private:
  double frequency_[pairs], step_cosine_[pairs], step_sine_[pairs];
};

/// The mean of a model's rotation over positions: pair i is turned and shortened by (cosine[i], sine[i]).
template <int D>
struct mean_turn {
  double cosine[D / 2] = {};  ///< of each pair, the mean
  double sine[D / 2] = {};    ///< the same
  bool interleaved;           ///< pairs are neighbours, not half a row apart

  /// Over positions [first, first + count), count at least 1.
  mean_turn(rope_params const& rope, double first, int count) : interleaved(rope.rope_interleaved) {
    turns<D> t(rope);
    for (int p = 0; p < count; ++p) {
      if (p % 1024 == 0)
        t.start(first + p);
      else
        t.next();
      for (int i = 0; i < D / 2; ++i) cosine[i] += t.cosine[i], sine[i] += t.sine[i];
    }
    for (int i = 0; i < D / 2; ++i) cosine[i] *= rope.rope_factor / count, sine[i] *= rope.rope_factor / count;
  }

  /// Turns the D numbers x[0], x[step], ... in place.
  void apply(double* x, index step = 1) const {
    for (index i = 0; i < D / 2; ++i) {
      double& a = x[(interleaved ? 2 * i : i) * step];
      double& b = x[(interleaved ? 2 * i + 1 : i + D / 2) * step];
      double const turned = cosine[i] * a - sine[i] * b;
      b = cosine[i] * b + sine[i] * a;
      a = turned;
    }
  }
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
