#!/usr/bin/env python3
"""Memory of wattqd with 1000 clients connected: as they are there, after each has asked for the queue, after each has asked
for the energy of a window, and while each is sent a live line every second.

    cmake --preset release && cmake --build --preset release
    WATTQ_BIN=build WATTQ_SRC=. tests/bench/bench_memory.py [--clients 1000] [--runs 20]

A real wattqd in user mode with 20 channels at 10 Hz, whose queue has that many runs that have ended. Pages that are there:
of nobody's file (`own`), of the program, of libraries (whole, whoever else has them mapped). It judges nothing. Use a
release build: a sanitizer's memory is not ours."""
import argparse
import os
import re
import resource
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import Daemon  # noqa: E402
from wattqproto import Client  # noqa: E402

TARGET_MB = 12
SCRIPT = "".join(f"channel c{i} kind=counter scope=other period=1ms quantum=1 pmax=100W\npower c{i} = constant {5 + i}W\n"
                 for i in range(20))


def memory(pid):
    """MB: its anonymous pages, those of its program, those of libraries and the rest."""
    kb = {"own": 0, "program": 0, "libraries": 0}
    with open(f"/proc/{pid}/smaps") as f:
        for line in f:
            if m := re.match(r"[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \S+ *(.*)", line):
                what = "program" if m[1].endswith("/wattqd") else "libraries" if m[1].startswith("/") else "own"
            elif m := re.match(r"Rss: +(\d+) kB", line):
                kb[what] += int(m[1])
    return [x / 1024 for x in kb.values()]


def row(what, d):
    own, program, libraries = memory(d.proc.pid)
    print(f"{what:<44} own {own:>5.1f} MB  program {program:>4.1f}  libraries {libraries:>4.1f}  together"
          f" {own + program + libraries:>5.1f}      target {TARGET_MB}  ratio {TARGET_MB / (own + program + libraries):.2f}",
          flush=True)


def drain(clients, seconds):
    """Reads what they are sent; how many frames."""
    end, frames = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        for c in clients:
            c.recv_any()
            frames += 1
    return frames


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--clients", type=int, default=1000)
    a.add_argument("--runs", type=int, default=20)
    a = a.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    with Daemon(script=SCRIPT) as d:
        d.wait(*[d.submit(["true"]) for _ in range(a.runs)])
        time.sleep(2)
        row("one client", d)
        clients = [Client(d.socket) for _ in range(a.clients)]
        row(f"{a.clients} clients", d)
        for c in clients:
            c.call("queue")
        row("each has asked for the queue", d)
        now = time.time_ns()
        for i, c in enumerate(clients):
            c.call("energy", since_utc_ns=now - (1 + i % 5) * 10**9, until_utc_ns=now)
        row("each has asked for the energy of a window", d)
        for c in clients:
            c.send("power", live=True, interval_ns=10**9)
        frames = drain(clients, 5)
        row(f"each is sent live power ({frames / 5:.0f} frames/s)", d)
        for c in clients:
            c.close()
        time.sleep(1)
        row("they have gone", d)


if __name__ == "__main__":
    main()
