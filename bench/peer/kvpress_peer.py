#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Times kvpress on torch, and beside it kvsieve_bench: the same shapes, element types and number of threads.

    python bench/peer/kvpress_peer.py --kvsieve build/bench/bench/kvsieve_bench

Needs torch and kvpress in the Python that runs it. torch allocates its temporaries in every call, which is part of its
cost; it does not select, which kvsieve's plan does. SnapKV is its core on given queries (repeat, matmul, mask, float
softmax, mean, average pool), since kvpress's own wants a model's projections."""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from types import SimpleNamespace

KV_HEADS, QUERY_HEADS, HEAD_DIM, WINDOW, KERNEL = 8, 32, 128, 64, 5


def operations(torch, keys, values, queries):
    """Name in kvsieve_bench -> a call that scores one layer."""
    from kvpress import KeyDiffPress, KnormPress, LagKVPress

    functional = torch.nn.functional
    config = SimpleNamespace(num_attention_heads=QUERY_HEADS, num_key_value_heads=KV_HEADS)
    module = SimpleNamespace(config=config, head_dim=HEAD_DIM, layer_idx=0)

    def press(kind):
        one = kind(0.5)
        return lambda: one.score(module, None, keys, values, None, {})

    def snap_kv():
        tokens = keys.shape[2]
        repeated = keys[:, :, None].expand(-1, -1, QUERY_HEADS // KV_HEADS, -1, -1).reshape(1, QUERY_HEADS, tokens, HEAD_DIM)
        weights = torch.matmul(queries, repeated.transpose(2, 3)) / math.sqrt(HEAD_DIM)
        weights += torch.triu(torch.ones_like(weights) * float("-inf"), diagonal=tokens - WINDOW + 1)
        weights = functional.softmax(weights, dim=-1, dtype=torch.float32).to(queries.dtype)
        scores = weights[..., :-WINDOW].mean(dim=-2)
        scores = functional.avg_pool1d(scores, kernel_size=KERNEL, padding=KERNEL // 2, stride=1)
        scores = scores.view(1, KV_HEADS, QUERY_HEADS // KV_HEADS, tokens - WINDOW).mean(2)
        return functional.pad(scores, (0, WINDOW), value=scores.max().item() + 1)

    return {
        "plan/key_norm": press(KnormPress),
        "plan/key_diff": press(KeyDiffPress),
        "plan/lag_kv": press(LagKVPress),
        "plan/snap_kv": snap_kv,
    }


def timed(call, seconds, most=25):
    """Median wall-clock and CPU milliseconds of at least three calls, after one that warms up."""
    call()
    wall, cpu = [], []
    start = time.perf_counter()
    while len(wall) < 3 or (len(wall) < most and time.perf_counter() - start < seconds):
        w, c = time.perf_counter(), time.process_time()
        call()
        cpu.append(1e3 * (time.process_time() - c))
        wall.append(1e3 * (time.perf_counter() - w))
    return statistics.median(wall), statistics.median(cpu)


def torch_times(args, tokens):
    """(name, dtype) -> (wall ms, CPU ms per thread)."""
    import torch

    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    times = {}
    with torch.inference_mode():
        for name, dtype in (("f32", torch.float32), ("bf16", torch.bfloat16)):
            layers = [torch.randn(1, KV_HEADS, tokens, HEAD_DIM).to(dtype) for _ in range(2)]
            queries = torch.randn(1, QUERY_HEADS, WINDOW, HEAD_DIM).to(dtype)
            for operation, call in operations(torch, *layers, queries).items():
                wall, cpu = timed(call, args.seconds)
                times[operation, name] = wall, cpu / args.threads
                print(f"  torch {operation:14} {name:4} {wall:9.2f} ms", file=sys.stderr)
    return times


def kvsieve_times(program, tokens):
    """The same from kvsieve_bench's table."""
    with tempfile.TemporaryDirectory() as folder:
        table = os.path.join(folder, "table.json")
        command = [program, f"--benchmark_filter=^plan/.*/{tokens}/", f"--table_out={table}"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        with open(table, encoding="utf-8") as file:
            results = json.load(file)["results"]
    return {(r["name"], r["dtype"]): (r["ms"]["median"], r["cpu_ms"]) for r in results}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kvsieve", metavar="PROGRAM", help="kvsieve_bench: run it too and print the ratios")
    parser.add_argument("--tokens", type=int, nargs="+", default=[16384], choices=[4096, 16384, 65536])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seconds", type=float, default=1.5, help="time for each torch operation (default 1.5)")
    parser.add_argument("--json", metavar="FILE", help="write the table as JSON too")
    args = parser.parse_args()
    try:
        import kvpress  # noqa: F401
        import torch
    except ImportError as missing:
        print(f"skipped: {missing}; install torch and kvpress into {sys.executable}")
        return 0

    rows = []
    print(f"torch {torch.__version__}, {args.threads} threads")
    for tokens in args.tokens:
        theirs = torch_times(args, tokens)
        ours = kvsieve_times(args.kvsieve, tokens) if args.kvsieve else {}
        print(f"\n{'operation':14} {'dtype':5} {'tokens':>6} | {'torch ms':>9} {'CPU ms':>9} | "
              f"{'kvsieve':>9} {'CPU ms':>9} | {'ratio':>6} {'CPU':>6}")
        for (name, dtype), (wall, cpu) in theirs.items():
            row = {"name": name, "dtype": dtype, "tokens": tokens, "torch_ms": wall, "torch_cpu_ms": cpu}
            line = f"{name:14} {dtype:5} {tokens:6} | {wall:9.2f} {cpu:9.2f} |"
            if (name, dtype) in ours:
                own_wall, own_cpu = ours[name, dtype]
                row |= {"ms": own_wall, "cpu_ms": own_cpu, "ratio": wall / own_wall, "cpu_ratio": cpu / own_cpu}
                line += f" {own_wall:9.2f} {own_cpu:9.2f} | {wall / own_wall:6.1f} {cpu / own_cpu:6.1f}"
            print(line)
            rows.append(row)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump({"torch": torch.__version__, "threads": args.threads, "results": rows}, file, indent=1)
            file.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
