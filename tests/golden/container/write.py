# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes version_<n>.kvs from docs/design/files.md alone, with nothing of kvsieve: python3 write.py (needs xxhash).

tests/tools/container_test.cpp holds the same caches as formulas. The files are not to change: later versions still read
them.
"""
import pathlib
import struct

import xxhash

TOKENS, HEADS, CHANNELS = 20, 2, 4


class Texts:
    """The texts of a file, one behind another."""

    def __init__(self):
        self.all = b""

    def add(self, t):
        at, t = len(self.all), t.encode()
        self.all += t
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


def part(name, keys, values, rows, positions, bias, scores, channels=None):
    """`channels`: of version 2, for each head the channels that its keys hold."""

    def side(form, factor):
        return numbers(sum(-(-r // form[1]) * form[2] for r in rows), factor)

    entries = sum(rows)
    words = -(-CHANNELS // 64)
    return name, keys, values, entries, [
        struct.pack("<%dI" % HEADS, *rows),
        lists(positions) if positions else None,
        side(keys, 7),
        side(values, 11),
        numbers(entries, 5) if bias else None,
        struct.pack("<%df" % entries, *(i / 4 for i in range(entries))) if scores else None,
        b"".join(sum(1 << c for c in of).to_bytes(8 * words, "little") for of in channels) if channels else None,
    ]


def container(version, layers):
    texts = Texts()
    text, sections_of_part = texts.add, {1: 6, 2: 7}[version]
    model = [text(t) for t in ("golden", "f16", "half", "U3")]
    first_part = 0
    layer_records, part_texts, pairs = b"", [], b""
    for layer, parts in layers:
        layer_records += struct.pack("<IIII", layer, first_part, len(parts), 0)
        first_part += len(parts)
        part_texts += [(text(p[0]), text(p[1][0]), text(p[2][0]), p) for p in parts]
    for key, value in (("strategy", "snap_kv"), ("params.score.window", "32")):
        pairs += text(key) + text(value)

    directory = len(layer_records) + (48 + 24 * sections_of_part) * len(part_texts) + len(pairs) + len(texts.all)
    directory += -(192 + directory) % 64
    at, body, part_records = 192 + directory, b"", b""
    for name, keys, values, (_, key_form, value_form, entries, sections) in part_texts:
        part_records += name + keys + values + struct.pack("<IIIIQ", *key_form[1:], *value_form[1:], entries)
        for section in sections[:sections_of_part]:
            if section is None:
                part_records += struct.pack("<QQQ", 0, 0, 0)
                continue
            part_records += struct.pack("<QQQ", at + len(body), len(section), xxhash.xxh3_64_intdigest(section))
            body += section + bytes(-len(section) % 64)

    def head(checksum):
        out = struct.pack("<8sIIQQ8sQIIII", b"KVSIEVE\0", version, 192, at + len(body), checksum, b"XXH3_64", directory,
                          len(layers), len(part_texts), len(pairs) // 16, len(texts.all))
        out += struct.pack("<IIIIdqQ", 3, 4, HEADS, CHANNELS, 10000.0, 100, TOKENS) + b"".join(model)
        out = out.ljust(192, b"\0") + layer_records + part_records + pairs + texts.all
        return out.ljust(192 + directory, b"\0")

    return head(xxhash.xxh3_64_intdigest(head(0))) + body


f16 = ("f16", 1, 8)
LAYERS = [
    (0, [
        part("kept", f16, f16, [3, 3], [[0, 1, 19], [0, 1, 19]], False, True),
        part("middle", ("k6", 4, 10), ("v4", 2, 9), [9, 0], [[2, 3, 4, 5, 7, 9, 11, 13, 17], []], True, False),
    ]),
    (2, [part("kept", f16, ("f32", 1, 16), [2, 1], None, False, False)]),
]
# The last part holds two channels of its keys, in each head others.
LAYERS_2 = LAYERS[:1] + [
    (2, [part("half", ("kept_f16", 1, 4), ("f32", 1, 16), [2, 1], None, False, False, [[0, 3], [1, 2]])])
]

for number, of_file in ((1, LAYERS), (2, LAYERS_2)):
    pathlib.Path(__file__).with_name(f"version_{number}.kvs").write_bytes(container(number, of_file))
