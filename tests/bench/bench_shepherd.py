#!/usr/bin/env python3
"""Memory of the shepherds of running runs, in user mode and in system mode, one alone and some beside each other, beside a
run that says nothing and one that writes a metric and a line of its log ten times a second. Needs root, for system mode.

    cmake --preset release && cmake --build --preset release
    WATTQ_BIN=build WATTQ_SRC=. tests/bench/bench_shepherd.py [--seconds 20]

Each is looked at four times a second, from 4 s after its start on (it lets go of what only its start needed after 2 s).
PSS counts a page that n processes have mapped as 1/n of it, so it depends on who else is on this machine; RSS counts all
of it, so it is what PSS would be were nobody else there. It judges nothing. Use a release build: a sanitizer's memory is
not ours."""
import argparse
import os
import re
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import system  # noqa: E402
from harness import Daemon, until  # noqa: E402

TARGET_KB = 400
SETTLED_S = 4
QUIET = ["sleep", "600"]
BUSY = ["sh", "-c", """while :; do echo '{"loss":0.5}' >>$WATTQ_METRICS; echo x; sleep 0.1; done"""]


def shepherd(d, run):
    """Its pid, once it has written it down."""
    def pid():
        with open(os.path.join(d.state_dir, "runs", str(run), "shepherd")) as f:
            found = re.search(r"^pid=(\d+)$", f.read(), re.M)
        return found and int(found[1])
    d.until_state(run, "running")
    return until(pid, "its shepherd")


def look(pids, seconds):
    """kB of each look at each of them: PSS, RSS."""
    pss, rss = [], []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for pid in pids:
            with open(f"/proc/{pid}/smaps_rollup") as f:
                text = f.read()
            pss.append(int(re.search(r"^Pss: +(\d+)", text, re.M)[1]))
            rss.append(int(re.search(r"^Rss: +(\d+)", text, re.M)[1]))
        time.sleep(0.25)
    return pss, rss


def row(mode, d, runs, what, seconds):
    pids = [shepherd(d, run) for run in runs]
    time.sleep(SETTLED_S)
    pss, rss = look(pids, seconds)
    what = f"{mode} mode, {len(runs)} {what} run{'s' if len(runs) > 1 else ''}, PSS"
    print(f"{what:<40} {statistics.mean(pss):>5.0f} kB, at most {max(pss)}; RSS {statistics.mean(rss):.0f}, at most {max(rss)}"
          f"      target {TARGET_KB}  ratio {TARGET_KB / statistics.mean(pss):.2f}", flush=True)
    d.call("cancel", runs=runs)
    d.wait(*runs)


def measure(mode, d, submit, seconds):
    for n in (1, max(2, min(10, os.cpu_count()))):
        for what, argv in (("quiet", QUIET), ("busy", BUSY)):
            row(mode, d, [submit(argv) for _ in range(n)], what, seconds)


def main():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--seconds", type=float, default=20)
    a = args.parse_args()
    with Daemon("--parallel", "10") as d:
        measure("user", d, lambda argv: d.submit(argv, exclusive=False), a.seconds)
    with system.SystemDaemon() as d:
        measure("system", d, lambda argv: d.wattq_submit("ada", *argv), a.seconds)


if __name__ == "__main__":
    system.enter()
    main()
