// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Counts for the layers of a model, evolved offline a group of layers at a time; what is found is a table for
// budget::per_layer.
#pragma once
#include <cmath>

#include <kvsieve/budget/search.hpp>

namespace kvsieve::inline v0 {
namespace budget {

namespace detail {
/// Covariance matrix adaptation over up to `most` numbers, as N. Hansen's tutorial has it (arXiv 1604.00772): rank-one
/// and rank-mu updates, cumulative step size. One object is one run; samples follow from the seed.
class adaptation {
 public:
  static constexpr int most = 32;            ///< numbers
  static constexpr int most_offspring = 16;  ///< 4 + floor(3 ln 32) is 14

  adaptation(int n, double start, double sigma, cs::uint64_t seed) : n_(n), sigma_(sigma), seed_(seed) {
    offspring_ = 4 + static_cast<int>(3 * std::log(static_cast<double>(n)));
    parents_ = offspring_ / 2;
    double sum = 0, squares = 0;
    for (int i = 0; i < parents_; ++i) {
      weight_[i] = std::log((offspring_ + 1) / 2.0) - std::log(i + 1.0);
      sum += weight_[i];
    }
    for (int i = 0; i < parents_; ++i) {
      weight_[i] /= sum;
      squares += weight_[i] * weight_[i];
    }
    effective_ = 1 / squares;
    for (int i = 0; i < n; ++i) {
      mean_[i] = start;
      for (int j = 0; j < n; ++j) covariance_[i][j] = basis_[i][j] = i == j ? 1 : 0;
      length_[i] = 1;
    }
  }

  [[nodiscard]] int offspring() const { return offspring_; }
  /// Draws child k of a generation; returns its numbers [n].
  double const* sample(int k) {
    double z[most];
    for (int i = 0; i < n_; ++i) z[i] = length_[i] * normal();
    for (int i = 0; i < n_; ++i) {
      double sum = 0;
      for (int j = 0; j < n_; ++j) sum += basis_[i][j] * z[j];
      step_[k][i] = sum;
      child_[i] = mean_[i] + sigma_ * sum;
    }
    return child_;
  }
  /// All children were judged: loss [offspring], the lower the better.
  void update(double const* loss) {
    double const n = n_, mu = effective_;
    double const cc = (4 + mu / n) / (n + 4 + 2 * mu / n), cs = (mu + 2) / (n + mu + 5);
    double const one = 2 / ((n + 1.3) * (n + 1.3) + mu);
    double const rank = 2 * (mu - 2 + 1 / mu) / ((n + 2) * (n + 2) + mu), many = rank < 1 - one ? rank : 1 - one;
    double const spread = std::sqrt((mu - 1) / (n + 1)) - 1, damping = 1 + 2 * (spread > 0 ? spread : 0) + cs;
    double const expected = std::sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n * n));

    int order[most_offspring];
    for (int k = 0; k < offspring_; ++k) {
      int at = k;
      for (; at > 0 && loss[k] < loss[order[at - 1]]; --at) order[at] = order[at - 1];
      order[at] = k;
    }
    double move[most], turned[most];
    for (int i = 0; i < n_; ++i) {
      move[i] = 0;
      for (int k = 0; k < parents_; ++k) move[i] += weight_[k] * step_[order[k]][i];
      mean_[i] += sigma_ * move[i];
    }
    for (int j = 0; j < n_; ++j) {
      turned[j] = 0;
      for (int i = 0; i < n_; ++i) turned[j] += basis_[i][j] * move[i];
      turned[j] /= length_[j];
    }
    ++generation_;
    double norm = 0;
    for (int i = 0; i < n_; ++i) {
      double white = 0;
      for (int j = 0; j < n_; ++j) white += basis_[i][j] * turned[j];
      path_sigma_[i] = (1 - cs) * path_sigma_[i] + std::sqrt(cs * (2 - cs) * mu) * white;
      norm += path_sigma_[i] * path_sigma_[i];
    }
    norm = std::sqrt(norm);
    bool const steady = norm / std::sqrt(1 - std::pow(1 - cs, 2.0 * generation_)) < (1.4 + 2 / (n + 1)) * expected;
    for (int i = 0; i < n_; ++i)
      path_[i] = (1 - cc) * path_[i] + (steady ? std::sqrt(cc * (2 - cc) * mu) * move[i] : 0);
    for (int i = 0; i < n_; ++i)
      for (int j = 0; j <= i; ++j) {
        double sum = 0;
        for (int k = 0; k < parents_; ++k) sum += weight_[k] * step_[order[k]][i] * step_[order[k]][j];
        double& c = covariance_[i][j];
        c = (1 - one - many) * c + one * (path_[i] * path_[j] + (steady ? 0 : cc * (2 - cc) * c)) + many * sum;
        covariance_[j][i] = c;
      }
    sigma_ *= std::exp(cs / damping * (norm / expected - 1));
    decompose();
  }

 private:
  [[nodiscard]] double uniform() {  // in (0, 1)
    return (static_cast<double>(mix(seed_ ^ mix(++draws_)) >> 11) + 0.5) * 0x1p-53;
  }
  [[nodiscard]] double normal() {
    double const radius = std::sqrt(-2 * std::log(uniform()));
    return radius * std::cos(6.283185307179586 * uniform());
  }
  // The axes of the covariance by Jacobi's rotations, and the root of its variance along each.
  void decompose() {
    double a[most][most];
    for (int i = 0; i < n_; ++i)
      for (int j = 0; j < n_; ++j) {
        a[i][j] = covariance_[i][j];
        basis_[i][j] = i == j ? 1 : 0;
      }
    for (int sweep = 0; sweep < 30; ++sweep) {
      double off = 0, diagonal = 0;
      for (int i = 0; i < n_; ++i)
        for (int j = 0; j < n_; ++j) (i == j ? diagonal : off) += a[i][j] * a[i][j];
      if (off <= 1e-24 * diagonal) break;
      for (int p = 0; p < n_; ++p)
        for (int q = p + 1; q < n_; ++q) {
          if (a[p][q] == 0) continue;
          double const theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
          double const t = (theta < 0 ? -1 : 1) / (std::abs(theta) + std::sqrt(theta * theta + 1));
          double const c = 1 / std::sqrt(t * t + 1), s = t * c;
          for (int k = 0; k < n_; ++k) {
            double const x = a[k][p], y = a[k][q];
            a[k][p] = c * x - s * y;
            a[k][q] = s * x + c * y;
          }
          for (int k = 0; k < n_; ++k) {
            double const x = a[p][k], y = a[q][k], u = basis_[k][p], v = basis_[k][q];
            a[p][k] = c * x - s * y;
            a[q][k] = s * x + c * y;
            basis_[k][p] = c * u - s * v;
            basis_[k][q] = s * u + c * v;
          }
        }
    }
    for (int i = 0; i < n_; ++i) length_[i] = std::sqrt(a[i][i] > 1e-20 ? a[i][i] : 1e-20);
  }

  int n_, offspring_ = 0, parents_ = 0, generation_ = 0;
  double sigma_, effective_ = 1;
  cs::uint64_t seed_, draws_ = 0;
  double weight_[most_offspring] = {}, mean_[most] = {}, child_[most] = {}, length_[most] = {};
  double path_[most] = {}, path_sigma_[most] = {};
  double step_[most_offspring][most] = {}, covariance_[most][most] = {}, basis_[most][most] = {};
};
}  // namespace detail

/// Numbers of evolve().
struct evolve_params {
  int target = 128;        ///< mean tokens of a layer: where the search starts, and what the fitness is held against
  int group = 8;           ///< layers that are searched together, at most 32
  int generations = 15;    ///< of each group
  int least = 0;           ///< tokens that a layer keeps
  int most = most_tokens;  ///< tokens that a layer keeps
  double sigma = 0.3;      ///< of the first samples, as a share of `target`
  double lambda = 0.3;     ///< weight of what counts save
  double gamma = 0.2;      ///< how much less than `target` gains
  cs::uint64_t seed = 0;   ///< of what is drawn; each group its own
  /// Ok, or the number that is out of range.
  [[nodiscard]] constexpr status check() const {
    return range::all(range::within("evolve.group", group, 1, detail::adaptation::most),
                      range::at_least("evolve.generations", generations, 0), range::at_least("evolve.least", least, 0),
                      range::within("evolve.most", most, least, most_tokens),
                      range::at_least("evolve.target", target, 1), range::within("evolve.target", target, least, most),
                      range::above("evolve.sigma", sigma, 0), range::at_least("evolve.lambda", lambda, 0),
                      range::within("evolve.gamma", gamma, 0, 1));
  }
};

/// EvolKV (arXiv 2509.08315, as a reproduction reads it): layers in groups of neighbours, the first ones first. A
/// group's counts are sampled by CMA-ES around `target`, rounded and limited, with all other layers as they are;
/// score(tokens), the caller's and not negative, the higher the better, becomes a fitness by the mean of the group's
/// counts, and whatever is better than all before stays at once. `tokens` [layers] is the result; complete() scales it
/// to a sum. NaN is the worst score. Deterministic by seed. `scratch` [layers]. `loss` of the result is minus the
/// fitness.
template <class Score>
[[nodiscard]] search_result evolve(evolve_params const& p, std::span<int> tokens, Score const& score,
                                   std::span<int> scratch) {
  search_result r;
  auto const layers = tokens.size();
  r.state = range::all(p.check(), range::at_least("tokens", static_cast<double>(layers), 1));
  if (r.state && scratch.size() < layers)
    r.state = fail(errc::workspace_too_small, "scratch", static_cast<double>(scratch.size()), "must have, at least,",
                   static_cast<double>(layers));
  if (!r.state) return r;
  std::span<int> const child = scratch.first(layers);
  for (std::size_t i = 0; i < layers; ++i) tokens[i] = child[i] = p.target;
  // Minus the fitness of `child`, of which layers [first, last) are searched.
  auto const judge = [&](std::size_t first, std::size_t last) {
    ++r.evaluations;
    double mean = 0;
    for (std::size_t i = first; i < last; ++i) mean += child[i];
    double const x = -fitness(score(std::span<int const>(child)), mean / static_cast<double>(last - first), p.target,
                              p.lambda, p.gamma);
    return x == x ? x : __builtin_inf();
  };
  auto const step = static_cast<std::size_t>(p.group);
  r.loss = judge(0, layers < step ? layers : step);
  for (std::size_t first = 0; first < layers; first += step) {
    std::size_t const last = first + step < layers ? first + step : layers;
    int const n = static_cast<int>(last - first);
    detail::adaptation search(n, 1, p.sigma, p.seed + first / step);
    for (int g = 0; g < p.generations; ++g) {
      double loss[detail::adaptation::most_offspring];
      for (int k = 0; k < search.offspring(); ++k) {
        double const* const x = search.sample(k);
        for (std::size_t i = first; i < last; ++i) {
          double const wanted = x[i - first] * p.target;
          child[i] = !(wanted > p.least) ? p.least
                     : wanted < p.most   ? static_cast<int>(counts::half_to_even(wanted))
                                         : p.most;
        }
        loss[k] = judge(first, last);
        if (!(loss[k] < r.loss)) continue;
        r.loss = loss[k];
        for (std::size_t i = first; i < last; ++i) tokens[i] = child[i];
      }
      search.update(loss);
    }
    for (std::size_t i = first; i < last; ++i) child[i] = tokens[i];
  }
  return r;
}
}  // namespace budget
}  // namespace kvsieve::inline v0
