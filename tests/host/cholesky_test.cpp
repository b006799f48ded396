// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/host/row/cholesky.hpp>

#include <cmath>
#include <random>
#include <vector>

#include <catch2/catch_all.hpp>

namespace {
std::vector<double> random_matrix(int rows, int columns, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal;
  std::vector<double> m(static_cast<std::size_t>(rows * columns));
  for (double& x : m) x = normal(random);
  return m;
}
}  // namespace

TEST_CASE("cholesky: U^T U is the matrix, and solving with U^T undoes it") {
  for (int const n : {1, 2, 7, 48, 130}) {
    auto const size = static_cast<std::size_t>(n * n);
    auto const x = random_matrix(n, n, static_cast<unsigned>(n));
    std::vector<double> a(size);
    kvsieve::host::multiply_transposed(x.data(), x.data(), a.data(), n, n, n);
    auto u = a;
    REQUIRE(kvsieve::host::cholesky(u.data(), n, 0.5));
    for (int i = 0; i < n; ++i)
      for (int j = i; j < n; ++j) {
        double sum = 0, size_of = 0;
        for (int k = 0; k <= i; ++k) {
          double const term = u[static_cast<std::size_t>(k * n + i)] * u[static_cast<std::size_t>(k * n + j)];
          sum += term, size_of += std::abs(term);
        }
        // Backward stable: gamma(n + 1) of the sum of the magnitudes (Higham, theorem 10.3).
        CHECK(std::abs(sum - a[static_cast<std::size_t>(i * n + j)] - (i == j ? 0.5 : 0)) <=
              (n + 2) * 0x1p-52 * size_of);
      }
    auto const b = random_matrix(n, 5, 9);
    auto y = b;
    kvsieve::host::solve_transposed(u.data(), n, y.data(), 5);
    for (int i = 0; i < n; ++i)
      for (int c = 0; c < 5; ++c) {
        double sum = 0, size_of = 0;
        for (int k = 0; k <= i; ++k) {
          double const term = u[static_cast<std::size_t>(k * n + i)] * y[static_cast<std::size_t>(k * 5 + c)];
          sum += term, size_of += std::abs(term);
        }
        CHECK(std::abs(sum - b[static_cast<std::size_t>(i * 5 + c)]) <= (n + 2) * 0x1p-52 * size_of);
      }
  }
}

TEST_CASE("cholesky: refuses what is not positive definite or not finite") {
  std::vector<double> singular{1, 1, 1, 1};
  CHECK_FALSE(kvsieve::host::cholesky(singular.data(), 2, 0));
  std::vector<double> mended{1, 1, 1, 1};
  CHECK(kvsieve::host::cholesky(mended.data(), 2, 1e-2));
  std::vector<double> negative{1, 2, 2, 1};
  CHECK_FALSE(kvsieve::host::cholesky(negative.data(), 2, 0));
  std::vector<double> bad{1, 0, 0, __builtin_nan("")}, huge{HUGE_VAL, 0, 0, 1};
  CHECK_FALSE(kvsieve::host::cholesky(bad.data(), 2, 0));
  CHECK_FALSE(kvsieve::host::cholesky(huge.data(), 2, 0));
}

TEST_CASE("multiply: the product of two matrices") {
  auto const a = random_matrix(3, 4, 1), b = random_matrix(4, 5, 2);
  std::vector<double> c(15);
  kvsieve::host::multiply(a.data(), b.data(), c.data(), 3, 4, 5);
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 5; ++j) {
      double sum = 0;
      for (int k = 0; k < 4; ++k)
        sum += a[static_cast<std::size_t>(i * 4 + k)] * b[static_cast<std::size_t>(k * 5 + j)];
      CHECK(c[static_cast<std::size_t>(i * 5 + j)] == Catch::Approx(sum));
    }
}
