#!/usr/bin/env python3
"""The record of a figure: what stalls, slow meters and short runs do to it. The real wattqd and client."""
import os
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import BIN, Daemon, until  # noqa: E402

# Powers that every whole second holds, so that the truth of a window needs no formula.
SCRIPT = """channel pkg kind=counter scope=package period=1ms quantum=1 pmax=1000W
channel gpu kind=gauge scope=gpu period=100ms
power pkg = constant 50W
power gpu = constant 10W
"""
SLOW = """channel pkg kind=counter scope=package period=1s quantum=1 pmax=1000W
power pkg = constant 50W
"""


def figure(run, label, name="machine"):
    return next(f for f in run["energy"]
                if f["label"] == label and f["figure"] == name and f["part"] == "window")


class Figure(unittest.TestCase):
    def daemon(self, script):
        d = Daemon(script=script)
        self.addCleanup(d.__exit__, None, None, None)
        d.start()
        return d

    def record(self, d, run):
        out = subprocess.run([os.path.join(BIN, "client", "wattq"), "--socket", d.socket, "show", str(run),
                              "--energy"], capture_output=True, text=True, check=True).stdout
        return " ".join(out.split())

    def check_bounds(self, f, run, watts):
        truth = watts * (run["t1_ns"] - run["t0_ns"]) / 1000
        self.assertLessEqual(f["lo_uj"] - 1, truth)
        self.assertGreaterEqual(f["hi_uj"] + 1, truth)

    def test_stopped_daemon(self):
        """The sampler stands still for 5 s: the counter keeps every joule, the gauge says what it missed."""
        d = self.daemon(SCRIPT)
        run = d.submit(["sleep", "6"])
        d.wait(run, until="started")
        time.sleep(0.5)
        os.kill(d.proc.pid, signal.SIGSTOP)
        time.sleep(5)
        os.kill(d.proc.pid, signal.SIGCONT)
        d.wait(run)
        shown = d.show(run)
        pkg, gpu = figure(shown, "pkg"), figure(shown, "gpu")
        self.check_bounds(pkg, shown, 50)
        self.assertEqual(pkg["unknown_ns"], 0)
        window_ns = shown["t1_ns"] - shown["t0_ns"]
        self.assertEqual(pkg["covered_ns"], window_ns)
        self.assertAlmostEqual(pkg["energy_uj"] / 1e6, 50 * window_ns / 1e9, delta=50 * 0.03)
        self.assertGreater(gpu["unknown_ns"], 4.5e9)
        self.assertEqual(gpu["covered_ns"] + gpu["unknown_ns"], window_ns)
        self.assertLess(gpu["energy_uj"], 10 * (gpu["covered_ns"] + 2e8) / 1000)
        self.assertIn("stalled", gpu["flags"])
        self.assertGreater(pkg["max_gap_ns"], 4.5e9)
        self.assertIs(shown["conformance"]["rate_1hz"], False)
        self.assertIs(shown["conformance"]["whole_run"], False)
        text = self.record(d, run)
        self.assertIn("stalled: the sampler did not get to run", text)
        self.assertIn("not met the whole run was covered", text)

    def test_short_and_late(self):
        """Shorter than the meter's period: a bound and never a bare 0. The late reading comes by itself."""
        d = self.daemon(SLOW)
        run = d.submit(["sleep", "0.05"])
        d.wait(run)
        done = until(lambda: (lambda r: r if figure(r, "pkg")["lo_uj"] is not None else None)(d.show(run)),
                     "the late reading")
        f = figure(done, "pkg")
        self.check_bounds(f, done, 50)
        self.assertGreater(f["hi_uj"], 0)
        self.assertIn("below_resolution", f["flags"])
        self.assertIn("below_resolution: too short", self.record(d, run))
        # What memory shows follows the disk, without a restart.
        recent = until(lambda: [r for r in d.call("queue")["runs"] if r["energy"]["lo_uj"] is not None],
                       "the same in the list of ended runs")
        self.assertEqual((recent[0]["run"], recent[0]["energy"]["hi_uj"]), (run, f["hi_uj"]))


if __name__ == "__main__":
    unittest.main(verbosity=2)
