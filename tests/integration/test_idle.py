#!/usr/bin/env python3
"""Idle power on request, brackets around a run and marginal figures: the real daemon with a meter whose power is known."""
import os
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import BIN, Daemon, boot_ns, total  # noqa: E402

HIGH, LOW, DROP = 50.0, 30.0, 9  # W before and after so many seconds


def script():
    return (f"origin {boot_ns()}\n"
            "channel package-0 kind=counter unit=uJ quantum=61 period=1ms declared=yes scope=package\n"
            f"power package-0 = piecewise 0s:{HIGH:.0f}W {DROP}s:{LOW:.0f}W\n")


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
        row = self.d.call("baselines")["baselines"][0]
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
        error = 3 * (m["random_uj"] or 0) / 1e6 + 0.01
        self.assertAlmostEqual(m["energy_uj"] / 1e6, (LOW - HIGH) * span_s, delta=error)
        self.assertLess(m["energy_uj"], 0)
        part = [f for f in figures(shown, "marginal") if f["channel"] is not None][0]
        self.assertEqual(part["baseline"], row["baseline"])
        self.assertEqual(part["idle_uj"], total(shown)["energy_uj"] - part["energy_uj"])
        self.assertIn("-", self.wattq("show", str(run)).stdout)

        run = self.d.sh("sleep 0.3", idle_bracket_ns=2_000_000_000)
        self.d.wait(run)
        shown = self.d.show(run)
        self.assertEqual(shown["idle_bracket_ns"], 2_000_000_000)
        self.assertLess((shown["t1_ns"] - shown["t0_ns"]) / 1e9, 2)  # the brackets are not in the window
        m = total(shown, figure="marginal")
        self.assertAlmostEqual(m["energy_uj"] / 1e6, 0, delta=3 * (m["random_uj"] or 0) / 1e6 + 0.02)
        rows = self.d.call("baselines")["baselines"]
        bracket = [b for b in rows if b["run"] == run]
        self.assertEqual([b["basis"] for b in bracket], ["bracket"])
        self.assertAlmostEqual(bracket[0]["power_uw"] / 1e6, LOW, delta=0.05)
        self.assertEqual([f["baseline"] for f in figures(shown, "marginal") if f["channel"] is not None],
                         [bracket[0]["baseline"]])
        self.assertFalse(bracket[0]["in_force"])
        text = self.wattq("idle").stdout
        self.assertIn("in force", text)
        self.assertIn(f"around run {run}", text)

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
