#!/usr/bin/env python3
"""The queue under load: from submit to the run's first instruction, and a queue of 100,000 runs.

    cmake --preset release && cmake --build --preset release
    WATTQ_BIN=build/release tests/bench/bench_queue.py [--runs 100000] [--starts 200]

Prints ours, the target and their ratio; it judges nothing. Use a release build on an idle machine."""
import argparse
import os
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import BIN, Daemon  # noqa: E402


def row(what, ours, target, unit, larger_is_better=False):
    ratio = ours / target if larger_is_better else target / ours
    print(f"{what:<52} {ours:>10.2f} {unit:<7} target {target:>8g}  ratio {ratio:>7.2f}", flush=True)


def percentile(values, p):
    return sorted(values)[min(len(values) - 1, int(len(values) * p))]


def start_latency(d, n):
    """From before the request is sent to the byte that lets the waiting child exec (t0 of the run), and to its first
    instruction."""
    gate, first = [], []
    stamp = os.path.abspath(os.path.join(BIN, "tests", "bench_stamp"))
    for _ in range(n):
        before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        run = d.submit([stamp])
        gate.append((d.wait(run)["t0_ns"] - before) / 1e6)
        with open(os.path.join(d.state_dir, "runs", str(run), "log")) as f:
            first.append((int(f.read()) - before) / 1e6)
    row("submit -> first instruction, idle queue, p50", statistics.median(first), 5, "ms")
    print(f"{'':<52} {percentile(first, 0.95):>10.2f} ms      p95, {n} starts one after the other")
    print(f"{'':<52} {statistics.median(gate):>10.2f} ms      of it until the gate is open, p50")
    disk = disk_ms(d.state_dir, n)
    print(f"{'limit: 4 waits for this disk':<52} {4 * disk:>10.2f} ms      (one: {disk:.2f} ms): environment, its directory, "
          "row and claim, gate's note")


def disk_ms(place, n):
    """What the disk takes for one durable overwrite."""
    fd = os.open(os.path.join(place, "disk"), os.O_RDWR | os.O_CREAT, 0o600)
    took = [timed(lambda: (os.pwrite(fd, b"%16d" % i, 0), os.fdatasync(fd)))[0] for i in range(n)]
    os.close(fd)
    return statistics.median(took)


def timed(call):
    start = time.perf_counter()
    value = call()
    return (time.perf_counter() - start) * 1e3, value


def page(d, what, n=11, **keys):
    op = keys.pop("op")
    first = [timed(lambda: d.call(op, **keys))[0] for _ in range(n)]
    row(what, statistics.median(first), 50, "ms")


def big_queue(d, n):
    blocker = d.submit(["sleep", "600"])
    d.until_state(blocker, "running")
    run = dict(d.spec(["sh", "-c", "echo {i} {j}"], env={f"V{k}": "x" * 40 for k in range(50)}), label="grid")
    axes = [{"key": "i", "values": [str(i) for i in range(n // 100)]},
            {"key": "j", "values": [str(j) for j in range(100)]}]
    ms, sweep = timed(lambda: d.call("sweep", sweep={"run": run, "axes": axes, "order": "random", "seed": 1}))
    row(f"submit of a sweep of {sweep['runs']} runs", sweep["runs"] / ms * 1e3, 5000, "runs/s", True)
    one = [timed(lambda: d.submit(["true"], label="one"))[0] for _ in range(50)]
    print(f"{'':<52} {statistics.median(one):>10.2f} ms      one more submit, acknowledged, p50")
    page(d, "queue, first page (50 runs)", op="queue", limit=50)
    page(d, "runs, first page (100), newest", op="runs")
    page(d, "runs, first page, with energy and parameters", op="runs", energy=True, params=True)
    page(d, "runs, first page, label=one", op="runs", label="one")
    page(d, "runs, first page, of the sweep", op="runs", sweep=sweep["sweep"])
    page(d, "runs, first page, state=running", op="runs", state="running")
    info = d.call("info")
    print(f"{'':<52} {info['rss_bytes'] / 2**20:>10.1f} MiB     wattqd's memory with that queue")
    d.drop_client()
    d.kill()
    ms, _ = timed(d.start)
    waited, _ = timed(lambda: d.until_state(blocker, "running"))
    print(f"{'':<52} {ms + waited:>10.0f} ms      restart until it answers, queue of {n}")
    d.call("cancel", runs=[blocker])


def main():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--runs", type=int, default=100000)
    args.add_argument("--starts", type=int, default=200)
    a = args.parse_args()
    os.environ.setdefault("WATTQ_BIN", "build")
    with Daemon() as d:
        start_latency(d, a.starts)
        d.client.sock.settimeout(300)
        big_queue(d, a.runs)


if __name__ == "__main__":
    main()
