#!/usr/bin/env python3
"""A sysfs tree whose energy counters advance and wrap while it is looked at.

Makes DIR/sys/class/powercap (and hwmon) like a machine's and rewrites the counters in place every
--refresh ms until it is killed, or for --seconds. Point wattqd's sysfs root at DIR.

Energy is exact: each zone's register is watts x (CLOCK_BOOTTIME - start), integrated over the steps of
--watts, floored to --quantum uJ, modulo range + 1. Every rewrite is one pwrite of a fixed-width-or-growing
number, so a reader never sees half of one.

--state FILE writes start time and power of every zone as JSON, so that a test can compute the true energy
of any window: E(t) = sum of power x time, in uJ.

Examples:
  fixture_tree.py /tmp/t --watts 50                     one socket, package-0 at 50 W and its dram at 5 W
  fixture_tree.py /tmp/t --sockets 2 --psys 180 --mmio  psys around two sockets, MMIO mirror of package-0
  fixture_tree.py /tmp/t --range 20000000               wraps every 20 J
  fixture_tree.py /tmp/t --watts 0s:20,3s:120           20 W, from 3 s on 120 W
  fixture_tree.py /tmp/t --fail 'intel-rapl:0@2s..4s=empty'   unreadable as a number for two seconds
  fixture_tree.py /tmp/t --reset 'intel-rapl:0@5s'      the counter starts again at 0
"""
import argparse
import json
import os
import signal
import sys
import time

RANGE = 262143328850
DRAM_RANGE = 65712999613


def now_ns():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def duration_ns(text):
    for unit, factor in (("ms", 10**6), ("us", 10**3), ("ns", 1), ("s", 10**9)):
        if text.endswith(unit):
            return int(round(float(text[: -len(unit)]) * factor))
    raise argparse.ArgumentTypeError(f"'{text}' is not a duration: write 2s or 250ms")


def steps(text):
    """'50' or '0s:20,3s:120' -> [(from_ns, microwatts)]"""
    if ":" not in text:
        return [(0, int(round(float(text) * 1e6)))]
    out = []
    for part in text.split(","):
        at, watts = part.split(":")
        out.append((duration_ns(at), int(round(float(watts) * 1e6))))
    if out[0][0] != 0 or sorted(out) != out:
        raise argparse.ArgumentTypeError(f"'{text}': steps begin at 0s and rise in time")
    return out


def scaled(power, factor):
    return [(at, int(uw * factor)) for at, uw in power]


def energy_uj(power, t_ns):
    """Exact integral of the steps from 0 to t, whole uJ."""
    fj = 0
    for i, (at, uw) in enumerate(power):
        end = power[i + 1][0] if i + 1 < len(power) else t_ns
        fj += uw * max(0, min(end, t_ns) - at)
    return fj // 10**9


def write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="ascii") as f:
        f.write(text)
    os.chmod(path, mode)


class Counter:
    """One file whose number advances."""

    def __init__(self, path, key, power, wrap, quantum, start_uj):
        self.path, self.key, self.power = path, key, power
        self.wrap, self.quantum, self.start_uj = wrap, quantum, start_uj
        self.reset_ns, self.faults = [], []
        write(path, f"{start_uj}\n")
        self.fd = os.open(path, os.O_WRONLY)
        self.length = 0

    def register(self, t_ns):
        base, start = 0, self.start_uj
        for r in self.reset_ns:
            if t_ns >= r:
                base, start = energy_uj(self.power, r), 0
        uj = start + energy_uj(self.power, t_ns) - base
        uj -= uj % self.quantum
        return uj % self.wrap if self.wrap else uj

    def text(self, t_ns):
        for a, b, kind in self.faults:
            if a <= t_ns < b:
                return {"empty": "", "newline": "\n", "garbage": "n/a\n", "sentinel": "4294967295000\n"}[kind]
        return f"{self.register(t_ns)}\n"

    def update(self, t_ns):
        data = self.text(t_ns).encode()
        os.pwrite(self.fd, data, 0)
        if len(data) < self.length:
            os.ftruncate(self.fd, len(data))
        self.length = len(data)


class Tree:
    def __init__(self, args):
        self.args = args
        self.counters = []
        self.zones = os.path.join(args.dir, "sys/class/powercap")
        os.makedirs(self.zones, exist_ok=True)

    def zone(self, zid, name, power, top, key=None):
        a = self.args
        base = os.path.join(self.zones, zid)
        write(os.path.join(base, "name"), name + "\n")
        if not a.no_range:
            write(os.path.join(base, "max_energy_range_uj"), f"{top}\n", 0o444)
        if a.tdp and name.startswith("package"):
            write(os.path.join(base, "constraint_0_max_power_uw"), f"{int(a.tdp * 1e6)}\n", 0o444)
        c = Counter(os.path.join(base, "energy_uj"), key or zid, power, 0 if a.no_range else top + 1,
                    a.quantum, a.start)
        self.counters.append(c)
        return c

    def build(self):
        a = self.args
        for s in range(a.sockets):
            dies = [f"package-{s}-die-{d}" for d in range(a.dies)] if a.dies > 1 else [f"package-{s}"]
            for d, name in enumerate(dies):
                zid = f"intel-rapl:{s * a.dies + d}"
                self.zone(zid, name, a.watts, a.range)
                self.zone(f"{zid}:0", "core", scaled(a.watts, 0.7), a.range)
                if a.dram:
                    self.zone(f"{zid}:1", "dram", steps(a.dram), min(a.range, DRAM_RANGE))
        if a.psys:
            self.zone(f"intel-rapl:{a.sockets * a.dies}", "psys", steps(a.psys), a.range)
        if a.mmio:
            self.zone("intel-rapl-mmio:0", "package-0" if a.dies == 1 else "package-0-die-0", a.watts, a.range)
        if a.hwmon_energy:
            base = os.path.join(a.dir, "sys/class/hwmon/hwmon0")
            write(os.path.join(base, "name"), "xe\n")
            power = steps(a.hwmon_energy)
            self.counters.append(Counter(os.path.join(base, "energy1_input"), "hwmon0/energy1", power, 0, 1, 0))
            write(os.path.join(base, "power1_input"), f"{power[0][1]}\n")
        if a.hwmon_power is not None:
            base = os.path.join(a.dir, "sys/class/hwmon/hwmon1")
            write(os.path.join(base, "name"), "power_meter\n")
            write(os.path.join(base, "power1_average"), f"{int(a.hwmon_power * 1e6)}\n")
            write(os.path.join(base, "power1_average_interval"), "1000\n")
        for text in a.reset:
            key, at = text.split("@")
            self.find(key).reset_ns.append(duration_ns(at))
        for text in a.fail:
            key, rest = text.split("@")
            window, kind = rest.split("=")
            begin, end = window.split("..")
            self.find(key).faults.append((duration_ns(begin), duration_ns(end), kind))
        for key in a.unreadable:
            os.chmod(self.find(key).path, 0o000)

    def find(self, key):
        for c in self.counters:
            if c.key == key:
                return c
        sys.exit(f"fixture_tree: no zone '{key}'; there are {', '.join(c.key for c in self.counters)}")

    def state(self, start):
        return {"start_boot_ns": start,
                "zones": {c.key: {"power": c.power, "wrap_uj": c.wrap, "quantum": c.quantum,
                                  "start_uj": c.start_uj} for c in self.counters}}


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("dir", help="where to make the tree; made if it is not there")
    p.add_argument("--watts", type=steps, default=steps("50"), help="power of each package: 50, or 0s:20,3s:120")
    p.add_argument("--dram", default="5", help="power of each package's DRAM; '' = no dram zone")
    p.add_argument("--sockets", type=int, default=1)
    p.add_argument("--dies", type=int, default=1, help="zones per socket, named package-N-die-M when > 1")
    p.add_argument("--psys", default="", help="power of a psys zone")
    p.add_argument("--mmio", action="store_true", help="intel-rapl-mmio:0, a mirror of the first package")
    p.add_argument("--hwmon-energy", default="", help="power of a GPU card with energy1_input")
    p.add_argument("--hwmon-power", type=float, help="watts of an ACPI power meter (node)")
    p.add_argument("--range", type=int, default=RANGE, help="max_energy_range_uj of packages (default %(default)s)")
    p.add_argument("--no-range", action="store_true", help="no max_energy_range_uj; counters never wrap")
    p.add_argument("--tdp", type=float, default=0, help="constraint_0_max_power_uw of packages, watts")
    p.add_argument("--quantum", type=int, default=61, help="step of the registers, uJ")
    p.add_argument("--start", type=int, default=0, help="what every register shows at first, uJ")
    p.add_argument("--fail", action="append", default=[], metavar="ZONE@A..B=KIND",
                   help="what the file holds between A and B: empty, newline, garbage, sentinel")
    p.add_argument("--reset", action="append", default=[], metavar="ZONE@T", help="counter starts again at T")
    p.add_argument("--unreadable", action="append", default=[], metavar="ZONE", help="mode 0000 (root reads on)")
    p.add_argument("--refresh", type=float, default=1.0, help="ms between updates (default 1)")
    p.add_argument("--seconds", type=float, default=0, help="end after this long; 0 = until killed")
    p.add_argument("--state", help="write start time and powers as JSON, once the tree is ready")
    return p.parse_args()


def main():
    args = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    tree = Tree(args)
    tree.build()
    start = now_ns()
    for c in tree.counters:
        c.update(0)
    if args.state:
        with open(args.state + ".tmp", "w", encoding="ascii") as f:
            json.dump(tree.state(start), f)
        os.rename(args.state + ".tmp", args.state)
    period = int(args.refresh * 1e6)
    due = start
    while not args.seconds or now_ns() - start < args.seconds * 1e9:
        due = max(due + period, now_ns())
        time.sleep(max(0, due - now_ns()) / 1e9)
        t = now_ns() - start
        for c in tree.counters:
            c.update(t)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
