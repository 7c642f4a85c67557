#!/usr/bin/env python3
"""How far apart the bounds of a run of one second stand, on a counter that refreshes every millisecond.

    cmake --preset release && cmake --build build
    tests/bench/bench_edges.py [--runs 40]

A real wattqd on a private socket runs real runs through its queue (sleeping ones and busy ones). `file`: the
counter is a file in a powercap tree that another process (bench_counter) rewrites every millisecond, its power
a square wave; `script`: the same curve as a formula, without a file. For each: median and worst of
(hi - lo) / energy, the limit of 0.5 % and the ratio to it (above 1 = worse), and how many of the windows held
the truth. A run whose edge fell into a moment in which the rewriting process was held up is counted apart
("counter late"): for that moment it was no 1-ms counter. Say the load beside the numbers."""
import argparse
import os
import statistics
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
os.environ.setdefault("WATTQ_BIN", "build")
import harness  # noqa: E402

LIMIT = 0.5
EVERYTHING = "perf,perf_core,hwmon,thermal,battery,ipmi,nvml,cray,estimate"
KINDS = {"sleep": ["sleep", "1"], "busy": ["timeout", "1", "sh", "-c", "while :; do :; done"]}


class Wave:
    """Low for half a period, then high; exact."""

    def __init__(self, start_ns, low_uw, high_uw, half_ns):
        self.start, self.low, self.high, self.half = start_ns, low_uw, high_uw, half_ns

    def femto(self, t_ns):
        cycles, rest = divmod(t_ns - self.start, 2 * self.half)
        low = min(rest, self.half)
        return cycles * self.half * (self.low + self.high) + low * self.low + (rest - low) * self.high

    def energy_uj(self, t0_ns, t1_ns):
        return (self.femto(t1_ns) - self.femto(t0_ns)) / 1e9


class Counter:
    """The process that keeps the file."""

    def __init__(self, root, low, high, half_ms, tdp):
        self.proc = subprocess.Popen(
            [os.path.join(harness.BIN, "tests", "bench_counter"), root, *map(str, (low, high, half_ms, tdp))],
            stdout=subprocess.PIPE, text=True)
        self.wave = Wave(*map(int, self.proc.stdout.readline().split()[1:]))
        self.late = []
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        for line in self.proc.stdout:
            _, at, gap = line.split()
            self.late.append((int(at) - int(gap), int(at)))

    def was_late(self, t0_ns, t1_ns):
        """At an edge; in between it changes no bound."""
        return any(a < t + 20e6 and b > t - 20e6 for a, b in self.late for t in (t0_ns, t1_ns))

    def stop(self):
        self.proc.kill()
        self.proc.wait()


def figure(run):
    return next(f for f in run["energy"] if f["channel"] is None and f["part"] == "window"
                and f["figure"] == "machine")


def judge(what, runs, wave, late):
    wide, late_ones, outside = [], 0, 0
    for run in runs:
        f = figure(run)
        truth = wave.energy_uj(run["t0_ns"], run["t1_ns"])
        if late(run["t0_ns"], run["t1_ns"]):
            late_ones += 1
            continue
        outside += not f["lo_uj"] <= truth <= f["hi_uj"]
        wide.append((f["hi_uj"] - f["lo_uj"]) / f["energy_uj"] * 100)
    if not wide:
        print(f"{what:<22} no run counted: the counter was late at an edge of all {late_ones}")
        return
    middle, worst = statistics.median(wide), max(wide)
    print(f"{what:<22} {middle:>9.3f} {worst:>9.3f} {LIMIT:>7.2f} {middle / LIMIT:>7.2f} "
          f"{len(wide) - outside:>5}/{len(wide):<5} {late_ones:>12} {os.getloadavg()[0]:>6.1f}", flush=True)


def measure(d, runs):
    """Both kinds in turn."""
    done = {k: [] for k in KINDS}
    for _ in range(runs // 2):
        for kind, argv in KINDS.items():
            run = d.submit(argv)
            d.wait(run)
            done[kind].append(d.show(run))
    return done


def on_file(runs, low, high, tdp):
    with harness.tempfile.TemporaryDirectory(prefix="wattq-bench-") as root:
        counter = Counter(root, low, high, 370, tdp)
        try:
            with harness.Daemon("--sysfs-root", root, "--disable", EVERYTHING + ",script") as d:
                for kind, done in measure(d, runs).items():
                    judge(f"file {low}-{high} W {kind}", done, counter.wave, counter.was_late)
        finally:
            counter.stop()


def on_script(runs, low, high, tdp):
    origin = harness.boot_ns()
    text = (f"origin {origin}\n"
            f"channel pkg kind=counter scope=package period=1ms quantum=61 pmax={2 * tdp}W\n"
            f"power pkg = piecewise 0s:{low}W 370ms:{high}W repeat 740ms\n")
    with harness.Daemon("--disable", EVERYTHING + ",powercap", script=text) as d:
        wave = Wave(origin, low * 10**6, high * 10**6, 370 * 10**6)
        for kind, done in measure(d, runs).items():
            judge(f"script {low}-{high} W {kind}", done, wave, lambda *_: False)


def main():
    args = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    args.add_argument("--runs", type=int, default=40, help="per row pair; half of them sleep (default 40)")
    args.add_argument("--low", type=int, default=20, help="watts (default 20)")
    args.add_argument("--high", type=int, default=120, help="watts (default 120)")
    args.add_argument("--tdp", type=int, default=125, help="stated limit; the largest power is twice it (default 125)")
    a = args.parse_args()
    print(f"{'(hi - lo) / E, %':<22} {'median':>9} {'worst':>9} {'limit':>7} {'ratio':>7} {'truth inside':>11} "
          f"{'counter late':>12} {'load':>6}")
    on_file(a.runs, a.low, a.high, a.tdp)
    on_script(a.runs, a.low, a.high, a.tdp)


if __name__ == "__main__":
    main()
