#!/usr/bin/env python3
"""Our training step against PyTorch's, one thread each: prints ours, the peer, the ratio, and the geometric
mean by size. One command, from a release build:

    python3 tests/bench/train_vs_torch.py [--python PYTHON_WITH_TORCH] [--sizes 5,8,11,14,17,20] [--jit]

Ours is bench_train_steps (the openblas backend), the peer is peer_torch.py, which is found beside the
checkout (../shared/bench) or by --peer. Both train 32 inputs -> 10 classes, rectangle, batch 256, Adam, on
resident data without shuffling. Three rounds A B A B, medians. Without torch only ours is printed."""
import argparse
import json
import math
import os
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
p = argparse.ArgumentParser()
p.add_argument("--build", default=os.path.join(ROOT, "build"))
p.add_argument("--python", default=sys.executable)
p.add_argument("--peer", default=os.path.join(ROOT, "..", "shared", "bench", "peer_torch.py"))
p.add_argument("--sizes", default="5,8,11,14,17,20")
p.add_argument("--depths", default="2,4,8,16")
p.add_argument("--rounds", type=int, default=3)
p.add_argument("--jit", action="store_true", help="also try torch.jit.trace and take the better one")
a = p.parse_args()
OURS = os.path.join(a.build, "tests", "bench_train_steps")


def params(layers):
    return sum((i + 1) * o for i, o in zip(layers[:-1], layers[1:]))


def rectangle(size, depth):
    nets = ([32] + [w] * (depth - 1) + [10] for w in range(1, 40000))
    best = None
    for net in nets:
        if best is None or abs(params(net) - size) < abs(params(best) - size):
            best = net
        elif params(net) > size:
            break
    return best if 0.55 < params(best) / size < 1.8 else None


def run(cmd):
    env = dict(os.environ, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
    r = subprocess.run(cmd, capture_output=True, text=True, env=env)
    if r.returncode:
        return None
    return json.loads(r.stdout.strip().splitlines()[-1])["step_us"]


def peer(layers):
    base = [a.python, a.peer, "--layers", layers, "--threads", "1", "--max_seconds", "4", "--steps", "400"]
    times = [run(base)] + ([run(base + ["--jit", "trace"])] if a.jit else [])
    times = [t for t in times if t]
    return min(times) if times else None


def main():
    have = os.path.exists(a.peer) and subprocess.run([a.python, "-c", "import torch"],
                                                     capture_output=True).returncode == 0
    if not have:
        print("no PyTorch here (--python, --peer): only our own times follow")
    print(f"{'params':>9} {'depth x width':>14} {'ours us':>10} {'torch us':>10} {'ratio':>7}")
    for e in map(int, a.sizes.split(",")):
        ratios = []
        for depth in map(int, a.depths.split(",")):
            net = rectangle(2**e, depth)
            if not net:
                continue
            layers = ",".join(map(str, net))
            ours, theirs = [], []
            for _ in range(a.rounds):
                ours.append(run([OURS, layers]))
                if have:
                    theirs.append(peer(layers))
            us = statistics.median(ours)
            them = statistics.median(theirs) if theirs and None not in theirs else None
            ratio = f"{them / us:7.2f}" if them else "      -"
            print(f"{params(net):9} {depth:7} x {net[1]:4} {us:10.1f} {them or math.nan:10.1f} {ratio}", flush=True)
            if them:
                ratios.append(them / us)
        if ratios:
            print(f"      2^{e}: geometric mean {statistics.geometric_mean(ratios):.2f}")


if __name__ == "__main__":
    main()
