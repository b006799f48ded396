// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The fixed parts of the comparison page.
#pragma once

namespace kvsieve::tool {

extern char const page_palette[];  ///< colours on light and dark paper, for drawings beside the page too
extern char const page_style[];    ///< the style sheet
extern char const page_body[];     ///< the markup that the script fills
extern char const page_charts[];   ///< the script's first half: helpers, legend, curves; reads the element "data"
extern char const page_strips[];   ///< and the second: kept tokens, table, text, and the first drawing of all

}  // namespace kvsieve::tool
