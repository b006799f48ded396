# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes version_1.kvs from docs/design/files.md alone, with nothing of kvsieve: python3 write_1.py (needs xxhash).

tests/tools/container_test.cpp holds the same cache as formulas. The file is not to change: later versions still read it.
"""
import pathlib
import struct

import xxhash

TOKENS, HEADS = 20, 2
texts = b""


def text(t):
    global texts
    at, t = len(texts), t.encode()
    texts += t
    return struct.pack("<II", at, len(t))


def numbers(count, factor):
    return bytes((factor * i + 1) % 256 for i in range(count))


def varint(x):
    out = b""
    while x >= 128:
        out, x = out + bytes([x % 128 + 128]), x // 128
    return out + bytes([x])


def lists(of_heads):
    out, before = b"", None
    for tokens in of_heads:
        last, differences = -1, b""
        for t in tokens:
            differences, last = differences + varint(t - last - 1), t
        bits = sum(1 << t for t in tokens).to_bytes((TOKENS + 7) // 8, "little")
        if tokens == before:
            out += b"\0"
        elif len(differences) <= len(bits):
            out += b"\1" + differences
        else:
            out += b"\2" + bits
        before = tokens
    return out


def part(name, keys, values, rows, positions, bias, scores):
    def side(form, factor):
        return numbers(sum(-(-r // form[1]) * form[2] for r in rows), factor)

    entries = sum(rows)
    return name, keys, values, entries, [
        struct.pack("<%dI" % HEADS, *rows),
        lists(positions) if positions else None,
        side(keys, 7),
        side(values, 11),
        numbers(entries, 5) if bias else None,
        struct.pack("<%df" % entries, *(i / 4 for i in range(entries))) if scores else None,
    ]


f16 = ("f16", 1, 8)
layers = [
    (0, [
        part("kept", f16, f16, [3, 3], [[0, 1, 19], [0, 1, 19]], False, True),
        part("middle", ("k6", 4, 10), ("v4", 2, 9), [9, 0], [[2, 3, 4, 5, 7, 9, 11, 13, 17], []], True, False),
    ]),
    (2, [part("kept", f16, ("f32", 1, 16), [2, 1], None, False, False)]),
]

model = [text(t) for t in ("golden", "f16", "half", "U3")]
first_part = 0
layer_records, part_texts, pairs = b"", [], b""
for layer, parts in layers:
    layer_records += struct.pack("<IIII", layer, first_part, len(parts), 0)
    first_part += len(parts)
    part_texts += [(text(p[0]), text(p[1][0]), text(p[2][0]), p) for p in parts]
for key, value in (("strategy", "snap_kv"), ("params.score.window", "32")):
    pairs += text(key) + text(value)

directory = len(layer_records) + 192 * len(part_texts) + len(pairs) + len(texts)
directory += -(192 + directory) % 64
at, body, part_records = 192 + directory, b"", b""
for name, keys, values, (_, key_form, value_form, entries, sections) in part_texts:
    part_records += name + keys + values + struct.pack("<IIIIQ", *key_form[1:], *value_form[1:], entries)
    for section in sections:
        if section is None:
            part_records += struct.pack("<QQQ", 0, 0, 0)
            continue
        part_records += struct.pack("<QQQ", at + len(body), len(section), xxhash.xxh3_64_intdigest(section))
        body += section + bytes(-len(section) % 64)


def head(checksum):
    out = struct.pack("<8sIIQQ8sQIIII", b"KVSIEVE\0", 1, 192, at + len(body), checksum, b"XXH3_64", directory,
                      len(layers), len(part_texts), len(pairs) // 16, len(texts))
    out += struct.pack("<IIIIdqQ", 3, 4, HEADS, 4, 10000.0, 100, TOKENS) + b"".join(model)
    out = out.ljust(192, b"\0") + layer_records + part_records + pairs + texts
    return out.ljust(192 + directory, b"\0")


pathlib.Path(__file__).with_name("version_1.kvs").write_bytes(head(xxhash.xxh3_64_intdigest(head(0))) + body)
