"""A meter that appears while wattqd runs: it is listed, recorded, and in the figure of the next run. A message of the
kernel is enough for that (needs root: the kernel is asked for one)."""
import json
import os
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import BIN, Daemon, boot_ns, total, until  # noqa: E402


class Zone:
    """A RAPL zone of constant power that comes as a whole, goes, and comes back."""

    def __init__(self, root, number, watts):
        self.dir = os.path.join(root, "sys/class/powercap", f"intel-rapl:{number}")
        self.away = os.path.join(root, f"away{number}")
        self.watts = watts
        self.start = boot_ns()
        os.makedirs(self.away)
        self.put("name", f"package-{number}\n")
        self.put("max_energy_range_uj", "262143328850\n")
        self.put("energy_uj", "0\n")
        self.fd = os.open(os.path.join(self.away, "energy_uj"), os.O_WRONLY)
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def put(self, name, text):
        with open(os.path.join(self.away, name), "w") as f:
            f.write(text)

    def run(self):
        while not self.stop.wait(0.001):
            os.pwrite(self.fd, b"%d\n" % ((boot_ns() - self.start) * self.watts // 1000), 0)
        os.close(self.fd)

    def come(self):
        os.makedirs(os.path.dirname(self.dir), exist_ok=True)
        os.rename(self.away, self.dir)

    def go(self):
        os.rename(self.dir, self.away)


class Plug(unittest.TestCase):
    def setUp(self):
        self.d = Daemon("--reprobe", "100ms", "--disable", "perf,hwmon,battery,ipmi,nvml,thermal,estimate,script")
        self.root = os.path.join(self.d.dir, "root")
        os.makedirs(os.path.join(self.root, "sys/class"))
        self.zones = [Zone(self.root, 0, 40), Zone(self.root, 1, 20)]
        self.d.args += ["--sysfs-root", self.root]
        self.d.__enter__()

    def tearDown(self):
        for z in self.zones:
            z.stop.set()
            z.thread.join()
        self.d.__exit__(*sys.exc_info())

    def meters(self):
        p = subprocess.run([os.path.join(BIN, "client", "wattq"), "--socket", self.d.socket, "meters", "--json"],
                           capture_output=True, text=True, timeout=60)
        self.assertEqual(p.returncode, 0, p.stdout + p.stderr)
        rows = json.loads(p.stdout)
        rows = rows["channels"] if isinstance(rows, dict) else rows
        return {m["label"]: m for m in rows if m["source"] == "powercap"}

    def state(self, label):
        return self.meters().get(label, {}).get("state")

    def figure(self):
        run = self.d.sh("sleep 1")
        self.d.wait(run)
        return total(self.d.show(run))

    def test_comes_goes_and_returns(self):
        self.assertEqual(self.meters(), {})
        self.zones[0].come()
        until(lambda: self.state("package-0") == "ok", "the first zone")
        first = self.meters()["package-0"]["channel"]
        time.sleep(0.5)
        e = self.figure()
        self.assertIsNotNone(e["energy_uj"], e)
        self.assertAlmostEqual(e["energy_uj"] / (e["covered_ns"] / 1e3), 40, delta=4)
        self.zones[1].come()
        until(lambda: self.state("package-1") == "ok", "the second zone")
        time.sleep(0.5)
        e = self.figure()
        self.assertAlmostEqual(e["energy_uj"] / (e["covered_ns"] / 1e3), 60, delta=6)
        self.zones[0].go()
        until(lambda: self.state("package-0") == "gone", "the first zone is gone")
        self.zones[0].come()
        until(lambda: self.state("package-0") == "ok", "the first zone is back")
        self.assertEqual(self.meters()["package-0"]["channel"], first)
        until(lambda: self.d.log_text().count("meter back") == 1, "its return in the log")
        self.assertEqual(self.d.log_text().count("meter away"), 1)


class Kernel(unittest.TestCase):
    """The kernel's own message, and no regular look for a day."""

    EVENT = "/sys/bus/event_source/devices/software/uevent"

    def setUp(self):
        if not os.access(self.EVENT, os.W_OK) or os.geteuid() != 0:
            self.skipTest("only root may ask the kernel for a message")
        self.d = Daemon("--reprobe", "1d")
        self.addCleanup(self.d.__exit__, None, None, None)
        self.d.args += ["--meters", self.d.path("meters.conf")]
        self.d.start()

    def say(self, action):
        with open(self.EVENT, "w", encoding="utf-8") as f:
            f.write(action)

    def found(self):
        return "meter found source=line" in self.d.log_text()

    def test_a_message_is_a_reason_to_look(self):
        with open(self.d.path("meters.conf"), "w", encoding="utf-8") as f:
            f.write("run wall while sleep 0.1; do echo 80 W; done\nchannel wall kind=gauge scope=node\n")
        self.say("change")  # a device that only changed is none
        time.sleep(1.5)
        self.assertFalse(self.found())
        self.say("add")
        began = time.monotonic()
        until(self.found, "the kernel was heard")
        until(lambda: [c for c in self.d.call("meters")["channels"] if c["uid"] == "line/wall" and c["state"] == "ok"],
              "the meter speaks")
        print(f"a meter within {time.monotonic() - began:.1f} s of the kernel's message")


if __name__ == "__main__":
    unittest.main()
