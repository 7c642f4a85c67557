#!/usr/bin/env python3
"""--energy-limit: a run is ended by what its figure says, and a limit that nobody could keep is refused. The real
wattqd and wattq-shepherd, the script meter with known power."""
import os
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import Daemon, DaemonCase, Refused, total, until  # noqa: E402

NO_ENERGY = "channel t kind=companion scope=package period=100ms\npower t = constant 1W\n"
GAUGE = """channel pkg kind=counter scope=package period=1ms quantum=1 pmax=1000W
channel gpu0 kind=gauge scope=gpu period=100ms
power pkg = constant 50W
power gpu0 = constant 200W
"""
JOULE = 1000000


def metered(d):
    """Both meters have given readings."""
    until(lambda: sum(m["in_total"] for m in d.call("meters")["channels"]) >= 2, "its meters answer")


class Ended(DaemonCase):
    args = ("--parallel", "8")

    def setUp(self):
        super().setUp()
        metered(self.d)

    def limited(self, command, joule, figure="lo", **keys):
        return self.d.sh(command, exclusive=False, energy_limit_uj=joule * JOULE, energy_limit_figure=figure, **keys)

    def check_over(self, row, words):
        self.assertEqual(row["state"], "energy_limit", row)
        self.assertIn(f"energy limit of 20.0 J reached: {words}", row["reason"])

    def test_over(self):
        """TERM, grace, KILL; also of what goes on behind a main process; by the share; and not below the limit."""
        deaf = self.limited("trap '' TERM; while :; do sleep 0.1; done", 20, grace_ns=100000000)
        child = self.limited("(while :; do sleep 0.1; done) & exit 0", 20, "machine", wait_children=True)
        busy = self.limited("while :; do :; done", 20, "attributed")
        below = self.limited("sleep 3", 1000000)
        rows = self.d.wait(deaf, child, busy, below)
        self.check_over(rows[0], "the machine had used at least")
        self.assertGreaterEqual(total(self.d.show(deaf))["lo_uj"], 20 * JOULE)
        self.check_over(rows[1], "the machine had used")
        self.assertGreaterEqual(total(self.d.show(child))["energy_uj"], 20 * JOULE)
        self.assertEqual(rows[0]["term_signal"], 9)
        moves = [(e["from"], e["to"]) for e in self.d.show(deaf)["events"]]
        self.assertEqual(moves[-2:], [("running", "stopping"), ("stopping", "energy_limit")])
        self.check_over(rows[2], "its share was")
        self.assertGreaterEqual(total(self.d.show(busy), figure="attributed")["energy_uj"], 20 * JOULE)
        self.assertEqual(rows[3]["state"], "done", rows[3])

    def test_what_flowed_while_the_daemon_was_away(self):
        """An exclusive run's limit is held against the lower bound, without a word."""
        run = self.d.sh("sleep 60", energy_limit_uj=50 * JOULE)
        self.d.until_state(run, "running")
        self.d.kill()
        time.sleep(1)
        self.d.start()
        self.assertEqual(self.d.wait(run)["state"], "energy_limit")
        shown = self.d.show(run)
        self.assertEqual((shown["energy_limit_uj"], shown["energy_limit_figure"]), (50 * JOULE, "lo"))

    def test_as_it_is_typed(self):
        self.assertIn("500J (joules) or 500kWh", self.wattq("submit", "--energy-limit", "500", "--", "true", code=2))
        self.assertIn("must name its figure",
                      self.wattq("submit", "--shared", "--energy-limit", "5kJ", "--", "true", code=2))
        self.assertIn("needs the daemon", self.wattq("exec", "--standalone", "--out", "x", "--energy-limit", "5kJ",
                                                     "--", "true", code=2))
        self.wattq("exec", "--energy-limit", "10J", "--time", "1m", "--", "sleep", "60", code=143)
        shown = self.wattq("show", "last")
        self.assertIn("10.0 J that the machine has used at least", shown)
        self.assertIn("1m00s of time", shown)
        self.wattq("submit", "--shared", "--wait", "--energy-limit", "5MJ,attributed", "--", "true")
        self.assertIn("5.00 MJ as its share", self.wattq("show", "last"))


class Refusals(unittest.TestCase):
    def refused(self, d, **keys):
        with self.assertRaises(Refused) as r:
            d.submit(["true"], energy_limit_uj=5 * JOULE, **keys)
        self.assertEqual(r.exception.code, "usage")
        return str(r.exception)

    def test_power_readings_have_no_bound(self):
        with Daemon(script=GAUGE) as d:
            metered(d)
            self.assertIn("the machine's figure has no lower bound here: gpu0 is integrated from power",
                          self.refused(d))
            held = d.submit(["true"], energy_limit_uj=5 * JOULE, energy_limit_figure="machine", hold=True)
            self.assertEqual(d.state(held), "held")

    def test_no_meter(self):
        with Daemon(script=NO_ENERGY) as d:
            for figure in ("lo", "machine", "attributed"):
                self.assertIn("no meter gives a reading", self.refused(d, energy_limit_figure=figure))


if __name__ == "__main__":
    unittest.main(verbosity=2)
