#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes what README.md and pages of docs/ take from the tree.

The presets, as `kvsieve list --json` prints them; the code between the [readme] marks of
examples/01_compress_after_prefill.cpp; the struct of examples/03_own_score.cpp. With --check it writes nothing and
fails when a page differs. Python 3.9 or later, no packages.
"""
import argparse
import json
import pathlib
import re
import subprocess
import sys
import textwrap

ROOT = pathlib.Path(__file__).resolve().parent.parent
EXAMPLE = "examples/01_compress_after_prefill.cpp"
OWN_SCORE = "examples/03_own_score.cpp"
STAGES = ("score", "aggregate", "group", "heads", "smooth", "budget", "select", "evict", "store")


def find_program():
    built = [p for p in ROOT.glob("build/*/tools/kvsieve") if p.is_file()]
    if not built:
        sys.exit("method_table: no build/*/tools/kvsieve; build it (./dev demo) or name it with --program")
    return max(built, key=lambda p: p.stat().st_mtime)


def presets(program):
    text = subprocess.run([program, "list", "--json"], check=True, capture_output=True, text=True).stdout
    return json.loads(text)["strategies"]


def paper(preset):
    found = re.search(r"arXiv (\d{4}\.\d{4,5})", preset["paper"])
    if not found:
        return f"{preset['title']}, {preset['paper']}"
    return f"{preset['title']}, [{found[0]}](https://arxiv.org/abs/{found[1]})"


def stages(preset):
    names = preset["stages"]
    known = [s for s in STAGES if s in names]
    return "; ".join(f"{s} {names[s]}" for s in known + [s for s in names if s not in known])


def parameter(p):
    value = p["default"] if p["default"] != "" else "empty"
    return f"`{p['key']}` {value}" + (f" {p['unit']}" if p["unit"] else "")


def common(all_presets):
    """Parameters that at least half of the presets have, with the same default and meaning."""
    counted = {}
    for preset in all_presets:
        for p in preset["params"]:
            counted.setdefault(json.dumps(p), []).append(p)
    return [same[0] for same in counted.values() if 2 * len(same) >= len(all_presets)]


def table(all_presets):
    shared = common(all_presets)
    lines = [
        "| preset | paper | stages | own parameters | reads | class | checked against |",
        "|---|---|---|---|---|---|---|",
    ]
    for s in all_presets:
        own = ", ".join(parameter(p) for p in s["params"] if p not in shared)
        lines.append(
            f"| `{s['name']}` | {paper(s)} | {stages(s)} | {own} | {s['reads']} | {s['uniformity']} | {s['source']} |"
        )
    lines += ["", "Most presets also have: " + ", ".join(parameter(p) for p in shared) + "."]
    return "\n".join(lines)


def parameters(all_presets):
    blocks = []
    for s in all_presets:
        rows = ["| parameter | default | unit | |", "|---|---|---|---|"]
        rows += [f"| `{p['key']}` | {p['default'] or 'empty'} | {p['unit']} | {p['meaning']} |" for p in s["params"]]
        blocks.append(f"### {s['name']}\n\n{paper(s)}: {stages(s)}.\n\n" + "\n".join(rows))
    return "\n\n".join(blocks)


def example():
    parts = re.split(r"^ *// \[readme\]\n", (ROOT / EXAMPLE).read_text(), flags=re.M)
    if len(parts) != 3:
        sys.exit(f"method_table: {EXAMPLE} has to hold two lines `// [readme]`")
    return "```cpp\n" + textwrap.dedent(parts[1]).rstrip() + "\n```"


def own_score():
    found = re.search(r"^/// [^\n]*\nstruct .*?^};\n", (ROOT / OWN_SCORE).read_text(), flags=re.M | re.S)
    if not found:
        sys.exit(f"method_table: {OWN_SCORE} has to hold a documented struct")
    return "```cpp\n" + found[0].rstrip() + "\n```"


def filled(page, text, name, body):
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        sys.exit(f"method_table: {page} has to hold {begin} and {end}, in this order, once")
    return text[: text.index(begin) + len(begin)] + "\n" + body + "\n" + text[text.index(end) :]


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--check", action="store_true", help="write nothing; fail when a page differs")
    arguments.add_argument(
        "--program", type=pathlib.Path, help="the kvsieve program (default: the newest build/*/tools/kvsieve)"
    )
    arguments = arguments.parse_args()

    all_presets = presets(arguments.program or find_program())
    pages = {
        "README.md": {"methods": table(all_presets), "example": example()},
        "docs/methods.md": {"methods": table(all_presets), "parameters": parameters(all_presets)},
        "docs/adding_a_policy.md": {"own_score": own_score()},
    }
    different = []
    for page, parts in pages.items():
        before = after = (ROOT / page).read_text()
        for name, body in parts.items():
            after = filled(page, after, name, body)
        if after != before:
            different.append(page)
            if not arguments.check:
                (ROOT / page).write_text(after)
    if arguments.check and different:
        sys.exit(f"method_table: {' and '.join(different)} differ from the tree; run tools/method_table.py")
    print("method_table:", f"wrote {' and '.join(different)}" if different else "up to date")


if __name__ == "__main__":
    main()
