#!/usr/bin/env python3
"""What wattqd has found wrong with a meter is still known after it was killed, and after it was stopped: the same doubt, since the
same time, written once."""
import json
import os
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import BIN, Daemon, boot_ns, total, until  # noqa: E402


class Zone(threading.Thread):
    """A RAPL zone of 40 W without a range, so that a step backwards is a register that began anew."""

    def __init__(self, root, number):
        super().__init__()
        where = os.path.join(root, "sys/class/powercap", f"intel-rapl:{number}")
        os.makedirs(where)
        with open(os.path.join(where, "name"), "w", encoding="utf-8") as f:
            f.write(f"package-{number}\n")
        self.fd = os.open(os.path.join(where, "energy_uj"), os.O_WRONLY | os.O_CREAT, 0o644)
        self.start_ns = boot_ns()
        self.over = threading.Event()

    def again(self):
        self.start_ns = boot_ns()

    def run(self):
        while not self.over.wait(0.002):
            os.pwrite(self.fd, b"%020d\n" % ((boot_ns() - self.start_ns) * 40 // 1000), 0)
        os.close(self.fd)


class Doubts(unittest.TestCase):
    def setUp(self):
        self.d = Daemon("--disable", "perf,hwmon,battery,ipmi,nvml,thermal,estimate,script")
        root = self.d.path("root")
        self.zones = [Zone(root, 0), Zone(root, 1)]
        for z in self.zones:
            z.start()
        self.d.args += ["--sysfs-root", root]
        self.d.__enter__()

    def tearDown(self):
        for z in self.zones:
            z.over.set()
            z.join()
        self.d.__exit__(None, None, None)

    def wattq(self, *args):
        return subprocess.run([os.path.join(BIN, "client", "wattq"), "--socket", self.d.socket, *args],
                              capture_output=True, text=True, timeout=60, check=True).stdout

    def meters(self):
        return {c["label"]: c for c in json.loads(self.wattq("meters", "--json"))["channels"] if c["source"] == "powercap"}

    def doubts(self):
        return {k: c["doubt"] for k, c in self.meters().items()}

    def notes(self):
        ident = self.meters()["package-1"]["channel"]
        return [n for n in self.d.call("meter", channel=ident)["notes"] if n["kind"] == "backwards"]

    def runs_backwards(self):
        self.zones[1].again()
        return self.doubts()["package-1"] == "backwards"

    def stands(self, since, notes):
        self.assertEqual(self.doubts(), {"package-0": "", "package-1": "backwards"})
        self.assertEqual(self.meters()["package-1"]["doubt_since_ns"], since)
        self.assertEqual(self.notes(), notes)
        self.assertIn("keeps starting again from a lower value", self.wattq("meters", "package-1"))

    def test_a_doubt_outlives_the_daemon(self):
        until(lambda: self.meters()["package-1"]["state"] == "ok", "both are read")
        until(self.runs_backwards, "the doubt")
        self.zones[1].again()
        until(self.notes, "its note")
        since, notes = self.meters()["package-1"]["doubt_since_ns"], self.notes()
        self.assertEqual(len(notes), 1)
        self.d.restart()
        self.stands(since, notes)
        run = self.d.sh("sleep 1.2")  # long enough for what is judged each second
        self.d.wait(run)
        self.stands(since, notes)
        self.assertIsNotNone(total(self.d.show(run))["energy_uj"])
        self.d.stop()
        self.d.start()
        self.stands(since, notes)


if __name__ == "__main__":
    unittest.main(verbosity=2)
