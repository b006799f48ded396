// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The fixed parts of the comparison page.
#pragma once

namespace kvsieve::tool {

extern char const page_style[];   ///< the style sheet
extern char const page_body[];    ///< the markup that the script fills
extern char const page_script[];  ///< the script; reads the JSON of the element with id "data"

}  // namespace kvsieve::tool
