#!/usr/bin/env python3
"""Idle power on request, brackets around a run and marginal figures: the real daemon with a meter whose power is known."""
import os
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import BIN, Daemon, boot_ns, total  # noqa: E402

HIGH, LOW, DROP = 60.0, 38.0, 9  # W at the wall, before and after so many seconds


def script():
    return (f"origin {boot_ns()}\n"
            "channel package-0 kind=counter unit=uJ quantum=61 period=1ms declared=yes scope=package\n"
            f"power package-0 = piecewise 0s:50W {DROP}s:30W\n"
            "channel wall kind=counter unit=uJ quantum=100 period=1ms declared=yes scope=node\n"
            f"power wall = piecewise 0s:{HIGH:.0f}W {DROP}s:{LOW:.0f}W\n")


def figures(run, figure):
    return [f for f in run["energy"] if f["figure"] == figure and f["part"] == "window"]


class Idle(unittest.TestCase):
    def setUp(self):
        self.t0 = time.monotonic()
        self.d = Daemon("--idle-busy", "100", script=script())
        self.addCleanup(self.d.__exit__, None, None, None)
        self.d.start()

    def wattq(self, *args):
        return subprocess.run([os.path.join(BIN, "client", "wattq"), "--socket", self.d.socket, *args], capture_output=True,
                              text=True, timeout=60)

    def test_the_way_from_idle_to_marginal(self):
        asked = subprocess.Popen([os.path.join(BIN, "client", "wattq"), "--socket", self.d.socket, "idle", "measure", "--for", "3s"],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertIn("measures; nothing is started meanwhile", asked.stderr.readline())
        waits = self.d.sh("sleep 0.3")
        why = [r.get("waiting_for") for r in self.d.call("queue")["runs"] if r["run"] == waits][0]
        self.assertIn("idle power is being measured", why)
        out, _ = asked.communicate(timeout=60)
        self.assertEqual(asked.returncode, 0, out)
        self.assertIn("measured", out)
        row = [b for b in self.d.call("baselines")["baselines"] if b["label"] == "wall"][0]
        self.assertAlmostEqual(row["power_uw"] / 1e6, HIGH, delta=0.01 + row["spread_uw"] / 1e6)
        self.assertEqual(row["basis"], "measured")
        self.assertTrue(row["in_force"])
        self.d.wait(waits)
        self.assertGreater(self.d.show(waits)["t0_ns"], 0)

        time.sleep(max(0, self.t0 + DROP + 0.5 - time.monotonic()))
        run = self.d.sh("sleep 0.5")  # below idle: signed, never clamped
        self.d.wait(run)
        shown = self.d.show(run)
        m = total(shown, figure="marginal")
        span_s = (shown["t1_ns"] - shown["t0_ns"]) / 1e9
        error = 3 * (m["random_uj"] or 0) / 1e6 + 0.1  # an edge of a register that moves each ms
        self.assertAlmostEqual(m["energy_uj"] / 1e6, (LOW - HIGH) * span_s, delta=error)
        self.assertLess(m["energy_uj"], 0)
        part = [f for f in figures(shown, "marginal") if f["label"] == "wall"][0]
        self.assertEqual(part["baseline"], row["baseline"])
        self.assertEqual(part["idle_uj"], total(shown)["energy_uj"] - part["energy_uj"])
        self.assertIn("-", self.wattq("show", str(run)).stdout)

        run = self.d.sh("sleep 0.3", idle_bracket_ns=2_000_000_000)
        self.d.wait(run)
        shown = self.d.show(run)
        self.assertEqual(shown["idle_bracket_ns"], 2_000_000_000)
        self.assertLess((shown["t1_ns"] - shown["t0_ns"]) / 1e9, 2)  # the brackets are not in the window
        m = total(shown, figure="marginal")
        self.assertAlmostEqual(m["energy_uj"] / 1e6, 0, delta=3 * (m["random_uj"] or 0) / 1e6 + 0.1)
        rows = self.d.call("baselines")["baselines"]
        bracket = [b for b in rows if b["run"] == run and b["label"] == "wall"]
        self.assertEqual([b["basis"] for b in bracket], ["bracket"])
        self.assertAlmostEqual(bracket[0]["power_uw"] / 1e6, LOW, delta=0.05)
        self.assertEqual([f["baseline"] for f in figures(shown, "marginal") if f["label"] == "wall"],
                         [bracket[0]["baseline"]])
        self.assertFalse(bracket[0]["in_force"])
        text = self.wattq("idle").stdout
        self.assertIn("in force", text)
        self.assertIn(f"around run {run}", text)
        self.calibrate(run)

    def calibrate(self, run):
        """wall = (package + 4.545 W) x 1.1; what is stored stays as it is."""
        before = total(self.d.show(run))["energy_uj"]
        self.assertIn("no meter has been fitted", self.wattq("meters", "calibrate").stdout)
        p = self.wattq("meters", "calibrate", "package-0", "--against", "wall", "--serial", "WM-17")
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertIn("WM-17", p.stdout)
        c = self.d.call("calibrations")["calibrations"][0]
        self.assertAlmostEqual(c["gain_ppm"] / 1e6, 0.1, delta=0.01)
        self.assertAlmostEqual(c["offset_uw"] / 1e6, -5 / 1.1, delta=0.5)
        self.assertIn("package-0 calibrated to wall (WM-17", self.wattq("energy", str(run), "--calibrated").stdout)
        got = self.d.call("energy", run=run, calibrated=True)
        fitted = got["calibrated"][0]
        wall = [f for f in got["figures"] if f["label"] == "wall"][0]
        self.assertAlmostEqual(fitted["energy_uj"] / wall["energy_uj"], 1, delta=0.03)
        self.assertEqual(total(self.d.show(run))["energy_uj"], before)
        self.assertIn("cannot be", self.wattq("meters", "calibrate", "wall", "--against", "wall").stderr)

    def test_what_is_refused(self):
        p = self.wattq("submit", "--idle-bracket", "1s", "--", "true")
        self.assertNotEqual(p.returncode, 0)
        self.assertIn("idle-bracket", p.stderr)
        p = self.wattq("submit", "--idle-bracket", "30s", "--shared", "--", "true")
        self.assertIn("contradict", p.stderr)
        p = self.wattq("idle", "measure", "--for", "1s")
        self.assertIn("3 s to 1 h", p.stderr)
        self.assertIn("no idle power is known yet", self.wattq("idle").stdout)
        run = self.d.sh("true")
        self.d.wait(run)
        rows = figures(self.d.show(run), "marginal")
        self.assertTrue(rows and all(f["energy_uj"] is None and f["baseline"] is None for f in rows))
        self.assertIn("wattq idle measure", rows[0]["reason"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
