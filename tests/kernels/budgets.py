#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Registers and shared memory of every kernel against the table beside this file, budgets.csv.

    budgets.py capture COMPILER...       runs it and keeps what ptxas says of the kernels beside the object
    budgets.py check NVCC OBJECT...      fails where a number rose or a kernel is not in the table
    budgets.py update NVCC OBJECT...     writes the rows of these kernels; others stay, of the same ptxas
    budgets.py rewrite NVCC OBJECT...    the same, and drops rows of these architectures without a kernel

Numbers are those of one version of ptxas: with another one nothing is compared, and that is said. `./dev test` compiles
for sm_90; for another architecture configure with CMAKE_CUDA_ARCHITECTURES, build kvsieve_kernels_compile, and update.
"""
import csv
import os
import re
import subprocess
import sys

TABLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "budgets.csv")
FIELDS = ["architecture", "registers", "shared", "stack", "kernel"]
NUMBERS = FIELDS[1:4]

ENTRY = re.compile(r"ptxas info\s+: Compiling entry function '(\w+)' for '(sm_\w+)'")
STACK = re.compile(r"\s+(\d+) bytes stack frame, \d+ bytes spill stores, \d+ bytes spill loads")
USED = re.compile(r"ptxas info\s+: Used (\d+) registers")
SHARED = re.compile(r"(\d+) bytes smem")
OTHER = re.compile(r"ptxas info\s+: (Function properties for|Compile time|\d+ bytes gmem)")


def capture(command):
    """Lines about kernels go to <object>.ptxas, all others where they went."""
    target = command[command.index("-o") + 1] if "-o" in command[:-1] else None
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, errors="replace", check=False)
    kept = []
    for line in done.stderr.splitlines(keepends=True):
        if any(p.match(line) for p in (ENTRY, STACK, USED)):
            kept.append(line)
        elif not OTHER.match(line):
            sys.stderr.write(line)
    if target and kept and done.returncode == 0:
        with open(target + ".ptxas", "w", encoding="utf-8") as out:
            out.writelines(kept)
    return done.returncode


def arguments(text):
    """The template arguments at the top level of `a, b<c, d>, e`."""
    parts, depth, start = [], 0, 0
    for i, c in enumerate(text):
        depth += c in "<(" and 1 or c in ">)" and -1 or 0
        if c == "," and depth == 0:
            parts.append(text[start:i].strip())
            start = i + 1
    return parts + [text[start:].strip()]


def inside(text, start):
    """From behind the `<` at `start` to in front of its `>`."""
    depth = 0
    for i in range(start, len(text)):
        depth += (text[i] == "<") - (text[i] == ">")
        if depth == 0:
            return text[start + 1 : i]
    raise ValueError(text)


def short(name):
    """A kernel's body as a person would write it, the same for every build."""
    body = arguments(inside(name, name.index("run_body<") + len("run_body")))[0]
    body = body.replace("> >", ">>").replace("> >", ">>")
    body = re.sub(r"cuda::std::__\d+::", "", body).replace("kvsieve::v0::", "").replace("(anonymous namespace)::", "")
    body = re.sub(r"\b(device|host)::(?:array::)?", "", body)
    while (at := body.find("mdspan<")) >= 0:
        text = inside(body, at + len("mdspan"))
        element, extents, layout, access = arguments(text)
        channels = re.search(r"(\d+)u?l*>$", extents).group(1)
        parts = [element, channels]
        if layout != "layout_rows":
            parts.append(layout)
        if not access.startswith("default_accessor<"):
            parts[0] = re.sub(r"^encoded<(.*), \d+, [^,]*>$", r"\1", access)
        body = body[:at] + "rows<" + ", ".join(parts) + ">" + body[at + len("mdspan<") + len(text) + 1 :]
    at = 0
    while (at := body.find("kv_layer<", at)) >= 0:
        text = inside(body, at + len("kv_layer"))
        keys, values, bias = arguments(text)
        parts = [keys] + [values] * (values != keys or bias != "no_bias") + [bias] * (bias != "no_bias")
        body = body[: at + len("kv_layer<")] + ", ".join(parts) + body[at + len("kv_layer<") + len(text) :]
        at += 1
    return body


def measured(objects):
    """{(architecture, kernel): [registers, shared, stack]}, of a kernel of several objects the largest."""
    raw = []
    for path in objects:
        if not os.path.exists(path + ".ptxas"):
            continue
        with open(path + ".ptxas", encoding="utf-8") as lines:
            for line in lines:
                if m := ENTRY.match(line):
                    entry, stack = m.groups(), 0
                elif m := STACK.match(line):
                    stack = int(m.group(1))
                elif m := USED.match(line):
                    shared = SHARED.search(line)
                    raw.append((*entry, int(m.group(1)), int(shared.group(1)) if shared else 0, stack))
    names = subprocess.run(["c++filt"], input="\n".join(r[0] for r in raw), text=True, capture_output=True, check=True)
    found = {}
    for (_, architecture, *numbers), name in zip(raw, names.stdout.splitlines()):
        if "run_body<" not in name:
            continue
        key = (architecture, short(name))
        found[key] = [max(a, b) for a, b in zip(found.get(key, numbers), numbers)]
    return found


def version(nvcc):
    text = subprocess.run([nvcc, "--version"], text=True, capture_output=True, check=True).stdout
    return re.search(r"V([\d.]*\d)", text).group(1)


def read():
    if not os.path.exists(TABLE):
        return "", {}
    with open(TABLE, encoding="utf-8", newline="") as file:
        made = re.search(r"ptxas ([\d.]*\d)", [file.readline(), file.readline()][1]).group(1)
        return made, {(r["architecture"], r["kernel"]): [int(r[n]) for n in NUMBERS] for r in csv.DictReader(file)}


def write(made, rows):
    with open(TABLE + ".part", "w", encoding="utf-8", newline="") as file:
        file.write("# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception\n")
        file.write(f"# By ptxas {made}; written by budgets.py update. Bytes of static shared memory and of stack; ")
        file.write("launches ask for no dynamic shared memory.\n")
        out = csv.writer(file, lineterminator="\n")
        out.writerow(FIELDS)
        for (architecture, kernel), numbers in sorted(rows.items(), key=lambda r: (r[0][1], r[0][0])):
            out.writerow([architecture, *numbers, kernel])
    os.replace(TABLE + ".part", TABLE)


def check(nvcc, objects):
    made, table = read()
    found = measured(objects)
    if version(nvcc) != made:
        print(f"not compared: the table is of ptxas {made}, this is {version(nvcc)}")
        return 0
    known = {architecture for architecture, _ in table}
    for architecture in sorted({a for a, _ in found} - known):
        print(f"not compared: the table has nothing of {architecture}")
    wrong = 0
    for (architecture, kernel), numbers in sorted(found.items()):
        if architecture not in known:
            continue
        if (architecture, kernel) not in table:
            print(f"{architecture}, not in the table: {kernel}")
            wrong += 1
            continue
        for what, now, before in zip(NUMBERS, numbers, table[architecture, kernel]):
            if now > before:
                print(f"{architecture}, {what} rose from {before} to {now}: {kernel}")
                wrong += 1
    fell = sum(k in table and numbers != table[k] for k, numbers in found.items())
    gone = sum(k not in found and k[0] in {a for a, _ in found} for k in table)
    print(f"{len(found)} kernels, {wrong} over their budget, {fell} other numbers, {gone} rows without a kernel")
    if not found:
        print("no kernels were found: was kvsieve_kernels_compile built?")
    if wrong or not found:
        print("when that is meant: cmake --build build/PRESET --target kvsieve_update_kernel_budgets, and commit")
        return 1
    return 0


def update(nvcc, objects, drops=False):
    made, table = read()
    found = measured(objects)
    now = version(nvcc)
    ours = {architecture for architecture, _ in found}
    rows = {k: n for k, n in table.items() if made == now and k not in found and not (drops and k[0] in ours)}
    write(now, rows | found)
    print(f"{TABLE}: {len(found)} kernels of {', '.join(sorted(ours))}, {len(rows)} other rows")
    return 0


def rewrite(nvcc, objects):
    return update(nvcc, objects, drops=True)


def main():
    if len(sys.argv) > 2 and sys.argv[1] == "capture":
        return capture(sys.argv[2:])
    commands = {"check": check, "update": update, "rewrite": rewrite}
    if len(sys.argv) > 3 and sys.argv[1] in commands:
        return commands[sys.argv[1]](sys.argv[2], sys.argv[3:])
    sys.stderr.write(__doc__)
    return 2


if __name__ == "__main__":
    sys.exit(main())
