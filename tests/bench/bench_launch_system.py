#!/usr/bin/env python3
"""From submit to the run's first instruction on a machine that many people share: the real wattq-launcher as root,
wattqd as user wattq, the run another user's, on an idle queue. Needs root.

    cmake --preset release && cmake --build --preset release
    WATTQ_BIN=build WATTQ_SRC=. tests/bench/bench_launch_system.py [--starts 100]

Starts are --pace seconds apart: of a user who starts more, no edges are swept (daemon/queue/sweep_budget.h); --pace 0
shows that. Counted from before the launcher is asked for its signature to the first line of main() of a run that has
nothing to load. Prints ours, the target, the ratio, and the limit: the waits for the disk that a start makes one after
the other, each as long as this disk takes for one; then the same for those starts alone before which the machine was
idle for a second (less than 10 % of its CPUs). It judges nothing. Use a release build on an idle machine."""
import argparse
import os
import socket
import statistics
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import launchproto  # noqa: E402
import system  # noqa: E402
from harness import BIN, boot_ns  # noqa: E402
from machine_load import busy_for  # noqa: E402

TARGET_MS = 5
# Row and claim; the launcher's journal; the gate's note. Beside them: environment, warrant, the run's directory and the
# open sweep.
DURABLE = 3
IDLE = 0.1


def percentile(values, p):
    return sorted(values)[min(len(values) - 1, int(len(values) * p))]


class Bench:
    def __init__(self, d, user, pace):
        self.d, self.pace = d, pace
        self.program = os.path.abspath(os.path.join(BIN, "tests", "bench_stamp"))
        self.peer = d.peer(user)
        with system.As(user):
            self.signer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self.signer.connect(os.path.join(d.launcher_dir, "sign"))

    def once(self):
        """ns: begun, signed, answered, gate open, first instruction; and how busy the machine was before."""
        busy = busy_for(self.pace)
        spec = {"argv": [self.program], "cwd": "/", "env": ["PATH=/usr/bin:/bin"], "umask": 0o022,
                "exclusive": False}
        at = [boot_ns()]
        order = launchproto.Order(spec["argv"], env=spec["env"], cwd="/", umask=spec["umask"])
        warrant = launchproto.sign(self.signer, [order])
        at.append(boot_ns())
        self.peer.call("warrants", warrants=[warrant.bytes()])
        run = self.peer.call("submit", run=spec)["run"]
        at.append(boot_ns())
        ended = self.d.wait(run)
        assert ended["state"] == "done", self.d.show(run)["reason"]
        return at + [ended["t0_ns"], int(self.d.run_file(run, "log")), busy]


def disk_ms(place, n):
    """What the disk takes for one durable overwrite."""
    fd = os.open(os.path.join(place, "disk"), os.O_RDWR | os.O_CREAT, 0o600)
    took = []
    for i in range(n):
        begin = boot_ns()
        os.pwrite(fd, b"%16d" % i, 0)
        os.fdatasync(fd)
        took.append((boot_ns() - begin) / 1e6)
    os.close(fd)
    return statistics.median(took)


def main():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--starts", type=int, default=100)
    args.add_argument("--pace", type=float, default=1.05)
    a = args.parse_args()
    tempfile.tempdir = "/var/tmp"  # on a disk, unlike perhaps /tmp
    with system.SystemDaemon() as d:
        b = Bench(d, "ada", a.pace)
        for _ in range(3):
            b.once()
        disk = disk_ms(d.dir, a.starts)
        rows = [b.once() for _ in range(a.starts)]
        mode = d.show(1)["mode"]
    print(f"{a.starts} starts one after the other, {mode}")
    show(rows, disk)
    idle = [r for r in rows if r[5] < IDLE]
    print(f"{len(idle)} of them on an idle machine")
    if idle:
        show(idle, disk)


def show(rows, disk):
    alls = [(r[4] - r[0]) / 1e6 for r in rows]
    for name, i, k in (("signed by wattq-launcher", 0, 1), ("signed to gate open", 1, 3),
                       ("of it until the submit is answered", 1, 2), ("open gate to first instruction", 3, 4)):
        took = [(r[k] - r[i]) / 1e6 for r in rows]
        print(f"{name:<52} {statistics.median(took):>10.2f} ms      p99 {percentile(took, 0.99):.2f} ms")
    p50 = statistics.median(alls)
    print(f"{'submit -> first instruction, system mode, p50':<52} {p50:>10.2f} ms      target {TARGET_MS:>8g}  "
          f"ratio {TARGET_MS / p50:>7.2f}")
    print(f"{'':<52} {percentile(alls, 0.99):>10.2f} ms      p99; {min(alls):.2f} ms the fastest")
    print(f"{'limit: ' + str(DURABLE) + ' waits for this disk':<52} {DURABLE * disk:>10.2f} ms      ratio "
          f"{DURABLE * disk / p50:>7.2f}  (one: {disk:.2f} ms)")


if __name__ == "__main__":
    system.enter()
    main()
