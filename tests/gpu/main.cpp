// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The program of the tests that need a GPU. Without one it says so and ends with 0.
#include <cuda_runtime_api.h>
#include <catch2/catch_all.hpp>
#include <cstdio>

#include "case.hpp"

using namespace kvsieve_test;

int main(int argc, char** argv) {
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
    std::puts("skipped: no GPU here");
    return 0;
  }
  for (auto const cases : {plan_cases(), accumulator_cases(), threshold_cases(), stage_cases(), chunk_cases(),
                           apply_cases(), attend_cases(), page_cases(), head_cases(), rows_f32_cases(),
                           rows_f16_cases(), rows_bf16_cases(), schedule_cases()}) {
    for (gpu_case const& c : cases) {
      Catch::AutoReg const registered(Catch::makeTestInvoker(c.run), CATCH_INTERNAL_LINEINFO, Catch::StringRef(),
                                      Catch::NameAndTags{c.name, c.tags});
    }
  }
  return Catch::Session().run(argc, argv);
}
