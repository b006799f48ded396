// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "html_page.hpp"

namespace kvsieve::tool {

char const page_palette[] = R"css(
:root {
  color-scheme: light dark;
  --paper: #fff; --raised: #f7f7f5; --ink: #1c1d1f; --soft: #5d6166; --rule: #dcdcd8; --grid: #ececea;
  --kept: #17324d; --dropped: #e9edf1; --accent: #0b62a8; --bad: #a8321f;
  --c0: #0072b2; --c1: #d55e00; --c2: #00805e; --c3: #b8478d; --c4: #b07a00; --c5: #2f9fd8;
  --c6: #7a55b0; --c7: #6b6f74; --c8: #8f4a1e; --c9: #5b8c00; --c10: #c0334d; --c11: #3f5fc4;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #141619; --raised: #1c1f23; --ink: #e7e8ea; --soft: #9ea4ab; --rule: #33383e; --grid: #262a2f;
    --kept: #cfe3f5; --dropped: #24292f; --accent: #6db6f2; --bad: #f0937f;
    --c0: #56a9e0; --c1: #f58b4c; --c2: #3cc29b; --c3: #e68cc3; --c4: #e3b341; --c5: #7cc9f2;
    --c6: #b39ddb; --c7: #a5abb2; --c8: #d39a6e; --c9: #a3cc52; --c10: #f2798e; --c11: #8ea6f5;
  }
}
)css";

}  // namespace kvsieve::tool
