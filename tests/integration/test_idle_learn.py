#!/usr/bin/env python3
"""What wattqd does by itself while nothing runs: it learns idle power, and fits the estimate to a real meter.

WATTQ_IDLE_FULL=1 does both at their real times (20 minutes; .ci/slow): 90 s of idle time, a second look that finds
another power, ten minutes of samples before the fit."""
import os
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import BIN, Daemon, boot_ns, total, until  # noqa: E402

FULL = os.environ.get("WATTQ_IDLE_FULL")
BEFORE, AFTER, STEP_S = 40, 25, 300  # W, and when it changes

# A package whose power follows the CPUs as the estimate's does, at twice the watts and 7 W more.
PACKAGE = r"""#!/usr/bin/env python3
import os, time
def busy():
    with open("/proc/stat") as f:
        v = [int(x) for x in f.readline().split()[1:]]
    return (sum(v[:8]) - v[3] - v[4]) / os.sysconf("SC_CLK_TCK")
cpus, j, t, b = os.sysconf("SC_NPROCESSORS_ONLN"), 0.0, time.monotonic(), busy()
while True:
    time.sleep(0.25)
    t1, b1 = time.monotonic(), busy()
    j += 2 * (cpus * 0.74 * (t1 - t) + (3.5 - 0.74) * (b1 - b)) + 7 * (t1 - t)
    t, b = t1, b1
    print(f"{j:.4f} J", flush=True)
"""


def script(origin):
    return (f"origin {origin}\n"
            "channel wall kind=counter unit=uJ quantum=100 period=1ms declared=yes scope=node\n"
            f"power wall = piecewise 0s:{BEFORE}W {STEP_S}s:{AFTER}W\n")


class Learn(unittest.TestCase):
    def begin(self, *args):
        d = Daemon("--idle-busy", "100", *args, script=script(boot_ns()))
        self.addCleanup(d.__exit__, None, None, None)
        return d

    def rows(self, label="wall"):
        return [b for b in self.d.call("baselines")["baselines"] if b["label"] == label]

    def check(self, row, watts):
        self.assertEqual(row["basis"], "learned")
        self.assertAlmostEqual(row["power_uw"] / 1e6, watts, delta=0.01 + row["spread_uw"] / 1e6)

    def marginal(self):
        run = self.d.sh("sleep 0.4")
        self.d.wait(run)
        return total(self.d.show(run), figure="marginal")

    def test_learned_while_nothing_runs(self):
        other = self.begin("--idle-learn", "3s")  # on which a run is on, and which is warm then
        other.start()
        runs = other.sh("sleep 4")
        never = self.begin("--idle-learn", "0s")
        never.start()
        self.d = self.begin("--idle-learn", "4s")
        self.d.start()
        self.assertEqual(self.rows(), [])
        until(self.rows, "idle power is learned", 60)
        rows = self.rows()
        self.assertEqual(len(rows), 1)
        self.check(rows[0], BEFORE)
        self.assertTrue(rows[0]["in_force"])
        self.assertEqual(self.d.log_text().count("idle power learned"), 1)
        m = self.marginal()  # a run that does nothing: what it took beyond idle is nothing
        self.assertAlmostEqual(m["energy_uj"] / 1e6, 0, delta=3 * (m["random_uj"] or 0) / 1e6 + 0.1)
        self.assertEqual([f["baseline"] for f in self.d.show(1)["energy"]
                          if f["label"] == "wall" and f["figure"] == "marginal" and f["part"] == "window"],
                         [rows[0]["baseline"]])
        out = subprocess.run([os.path.join(BIN, "client", "wattq"), "--socket", self.d.socket, "idle"],
                             capture_output=True, text=True, timeout=60).stdout
        self.assertIn("learned", out)
        self.assertEqual(other.wait(runs)["state"], "done")
        time.sleep(1)
        self.assertEqual(other.call("baselines")["baselines"], [])
        self.assertEqual(never.call("baselines")["baselines"], [])

    @unittest.skipUnless(FULL, "takes 20 minutes: WATTQ_IDLE_FULL=1")
    def test_at_real_times(self):
        self.d = self.begin("--disable", "perf,powercap,hwmon,battery,ipmi,nvml", "--estimate")
        with open(self.d.path("package.py"), "w", encoding="utf-8") as f:
            f.write(PACKAGE)
        with open(self.d.path("meters.conf"), "w", encoding="utf-8") as f:
            f.write(f"run pkg {sys.executable} {self.d.path('package.py')}\n"
                    "channel pkg kind=counter scope=package period=250ms declared=yes\n")
        self.d.args += ["--meters", self.d.path("meters.conf")]
        self.d.start()
        began = time.monotonic()
        time.sleep(85)
        self.assertEqual(self.rows(), [])
        until(self.rows, "the first one", 60)
        self.check(self.rows()[0], BEFORE)
        first = time.monotonic() - began
        # A load that varies, outside of any run, so that there is a line to be drawn.
        while time.monotonic() - began < 840:
            until_s = time.monotonic() + 7
            while time.monotonic() < until_s and int(time.monotonic()) % 60 < 30:
                sum(range(10000))
            time.sleep(7)
        until(lambda: len(self.rows()) > 1, "the machine takes another power", 120)
        second = time.monotonic() - began
        rows = sorted(self.rows(), key=lambda b: b["baseline"])
        self.check(rows[1], AFTER)
        self.assertEqual([b["in_force"] for b in rows], [False, True])
        until(self.fitted, "the estimate is fitted", 600)
        c = self.fitted()[0]
        self.assertAlmostEqual(c["gain_ppm"] / 1e6, 1, delta=0.1)
        m = self.marginal()
        self.assertIsNotNone(m["energy_uj"])
        print(f"learned after {first:.0f} s, anew after {second:.0f} s; the estimate fitted after "
              f"{time.monotonic() - began:.0f} s: gain {c['gain_ppm'] / 1e4:+.1f} % of +100 %, {c['n']} windows")

    def fitted(self):
        return self.d.call("calibrations")["calibrations"]


if __name__ == "__main__":
    unittest.main(verbosity=2)
