#!/usr/bin/env python3
"""From submit to the run's first instruction of two or more builds, one start of each in turn, so that whatever the
machine does meanwhile happens to all of them. Each has a wattqd of its own, whose write-ahead log has been filled once
before, as that of one that has run for minutes: until then each commit makes that file longer.

    tests/bench/bench_pairs.py [--mode system|user] [--starts 40] [--place DIR] [--under "chrt -f 30"] TREE TREE...

A TREE has its release build in TREE/build. --mode system needs root. --place: where their state lies, /var/tmp unless
given. --under: what they are started with, and what asks them. Prints medians in milliseconds of the starts before
which the machine was idle (less than 8 % of its CPUs for half a second), then of all of them. It judges nothing."""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from machine_load import busy_for  # noqa: E402

TREE = "WATTQ_BENCH_TREE"
IDLE, PAUSE_S = 0.08, 0.55


# ---- one build's side ------------------------------------------------------------------------------

def fill_log(d, once):
    """Until it grows no more."""
    path, size = os.path.join(d.state_dir, "wattq.db-wal"), -1
    while (grown := os.path.getsize(path)) != size:
        size = grown
        for _ in range(10):
            once()


def answer(d, once):
    fill_log(d, once)
    print("ready", flush=True)
    for _ in sys.stdin:
        print(json.dumps(once()), flush=True)


def serve_system():
    import bench_launch_system
    import system
    system.enter()
    with system.SystemDaemon() as d:
        bench = bench_launch_system.Bench(d, "ada", 0)
        answer(d, lambda: bench.once()[:5])


def serve_user():
    import harness
    program = os.path.abspath(os.path.join(harness.BIN, "tests", "bench_stamp"))
    with harness.Daemon() as d:
        def once():
            begun = harness.boot_ns()
            run = d.submit([program])
            answered = harness.boot_ns()
            ended = d.wait(run)
            return [begun, begun, answered, ended["t0_ns"], int(d.logs(run)[0])]
        answer(d, once)


def serve(tree, mode, place):
    sys.path[:0] = [os.path.join(tree, "tests", "bench"), os.path.join(tree, "tests", "support")]
    tempfile.tempdir = place
    (serve_system if mode == "system" else serve_user)()


# ---- all of them -----------------------------------------------------------------------------------

def start(tree, a):
    env = dict(os.environ, WATTQ_BIN=os.path.join(tree, "build"), WATTQ_SRC=tree, **{TREE: tree})
    line = a.under.split() + [sys.executable, os.path.abspath(__file__), "--mode", a.mode, "--place", a.place]
    return subprocess.Popen(line, env=env, cwd=tree, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, text=True)


def once(p):
    """How busy the machine was before, and the five instants."""
    busy = busy_for(PAUSE_S)
    p.stdin.write("\n")
    p.stdin.flush()
    return busy, json.loads(p.stdout.readline())


def show(tree, rows):
    def median(a, b):
        return statistics.median((r[b] - r[a]) / 1e6 for r in rows)
    alls = sorted((r[4] - r[0]) / 1e6 for r in rows)
    print(f"  {len(rows):>4} starts of {os.path.basename(tree):<12} signed {median(0, 1):.2f}  answered {median(1, 2):.2f}  gate "
          f"{median(1, 3):.2f}  first instruction {median(3, 4):.2f}  all {statistics.median(alls):.2f}  p99 "
          f"{alls[int(len(alls) * 0.99)]:.1f}  fastest {alls[0]:.2f}")


def main():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--mode", choices=("system", "user"), default="system")
    args.add_argument("--starts", type=int, default=40)
    args.add_argument("--place", default="/var/tmp")  # on a disk, unlike perhaps /tmp
    args.add_argument("--under", default="")
    args.add_argument("tree", nargs="*")
    a = args.parse_args()
    if TREE in os.environ:
        serve(os.environ[TREE], a.mode, a.place)
        return
    trees = [os.path.abspath(t) for t in a.tree]
    builds = [start(t, a) for t in trees]  # at the same time: the launcher lets go of who signs nothing for seconds
    for tree, p in zip(trees, builds):
        if p.stdout.readline() != "ready\n":
            sys.exit(f"{tree}: cannot be measured; try its own tests/bench/bench_launch_system.py")
    rows = [[] for _ in trees]
    for _ in range(a.starts):
        for mine, p in zip(rows, builds):
            mine.append(once(p))
    for p in builds:
        p.stdin.close()
        p.wait()
    for what, most in ("on an idle machine", IDLE), ("whatever it did", 2):
        print(what)
        for tree, mine in zip(trees, rows):
            chosen = [r for busy, r in mine if busy < most]
            if chosen:
                show(tree, chosen)


if __name__ == "__main__":
    main()
