#!/usr/bin/env python3
"""The design of a measurement in the queue: idle pauses, warm-up, canaries, blocks. The real wattqd."""
import os
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import Daemon, Refused, until  # noqa: E402

PAUSE = 700_000_000


class Base(unittest.TestCase):
    def setUp(self):
        self.d = Daemon()
        self.addCleanup(self.d.__exit__, None, None, None)
        self.d.start()

    def gaps(self, runs):
        """Nanoseconds between the end of each window and the start of the next."""
        rows = sorted((self.d.show(r) for r in runs), key=lambda r: r["t0_ns"])
        return [b["t0_ns"] - a["t1_ns"] for a, b in zip(rows, rows[1:])]


class Pause(Base):
    def test_idle_before_each_run(self):
        runs = [self.d.sh("sleep 0.05", pause_ns=PAUSE) for _ in range(4)]
        self.d.wait(*runs)
        gaps = self.gaps(runs)
        self.assertEqual(len(gaps), 3)
        for g in gaps:
            self.assertGreaterEqual(g, PAUSE)
            self.assertLess(g, 5 * PAUSE)

    def test_says_what_it_waits_for(self):
        first = self.d.sh("sleep 0.05")
        self.d.wait(first)
        run = self.d.sh("true", pause_ns=3_000_000_000)
        row = [r for r in self.d.call("queue")["runs"] if r["run"] == run][0]
        self.assertEqual(row["state"], "queued")
        self.assertRegex(row["waiting_for"], r"idle pause before it.*: [0-3]\.[0-9] s are left")
        self.assertEqual(self.d.show(run)["pause_ns"], 3_000_000_000)
        self.d.call("cancel", runs=[run])

    def test_others_do_not_wait(self):
        run = self.d.sh("sleep 0.05")
        quick = self.d.sh("true")
        self.d.wait(run, quick)
        self.assertLess(self.gaps([run, quick])[0], PAUSE)

    def test_an_idle_machine_does_not_wait_twice(self):
        time.sleep(1.2 * PAUSE / 1e9)
        t = time.monotonic()
        self.d.wait(self.d.sh("true", pause_ns=PAUSE), until="started")
        self.assertLess(time.monotonic() - t, PAUSE / 1e9)

    def test_survives_a_kill(self):
        """The daemon is killed in the pause and in a run; the pause is kept all the same."""
        runs = [self.d.sh("sleep 0.3", pause_ns=PAUSE) for _ in range(3)]
        self.d.wait(runs[0])
        self.d.restart()
        self.d.until_state(runs[1], "running")
        self.d.restart()
        rows = self.d.wait(*runs)
        self.assertEqual([r["state"] for r in rows], ["done"] * 3)
        for g in self.gaps(runs):
            self.assertGreaterEqual(g, PAUSE)

    def test_only_alone(self):
        with self.assertRaises(Refused) as r:
            self.d.sh("true", pause_ns=1, exclusive=False)
        self.assertIn("exclusive", r.exception.text)


class Design(Base):
    def sweep(self, sizes, **keys):
        run = dict(self.d.spec(["--epochs", "1"]), kind="train", pause_ns=1_000_000)
        axes = [{"key": "dataset", "values": ["standin:banana"]}, {"key": "shape", "values": ["rectangle"]},
                {"key": "depth", "values": ["3"]}, {"key": "size", "values": sizes}]
        return self.d.call("sweep", sweep={"run": run, "axes": axes, "label": "d", "seed": 3, **keys})

    def test_order_and_roles(self):
        canary = ["--dataset", "standin:banana", "--size", "64", "--epochs", "2"]
        s = self.sweep(["128", "256", "512"], repeat=2, canary=canary, canary_every=4, warmup=canary)
        self.assertEqual(s["runs"], 1 + 6 + 3)
        rows = self.d.wait(*range(s["first"], s["last"] + 1))
        self.assertEqual([r["state"] for r in rows], ["done"] * 10)
        shown = [self.d.show(r["run"]) for r in sorted(rows, key=lambda r: r["t0_ns"])]
        params = [r["params"] for r in shown]
        self.assertEqual([p.get("role", "-") for p in params],
                         ["warmup", "canary", "-", "-", "-", "-", "canary", "-", "-", "canary"])
        self.assertEqual([p.get("block") for p in params], [None] + ["1"] * 5 + ["2"] * 4)
        self.assertEqual([p.get("repeat") for p in params if "role" not in p], ["1"] * 3 + ["2"] * 3)
        self.assertEqual(shown[1]["argv"], canary)
        self.assertEqual(shown[1]["summary"]["epochs"], 2)
        self.assertEqual(shown[1]["label"], "d canary")
        state = until(lambda: [x for x in self.d.call("sweeps")["sweeps"] if x["state"] == "ended"], "its end")
        self.assertEqual((state[0]["total"], state[0]["done"]), (10, 10))

    def test_refused(self):
        for keys in ({"canary_every": 2}, {"canary": [], "canary_every": 2}, {"warmup": [1]}, {"canary": "x"}):
            with self.assertRaises(Refused) as r:
                self.sweep(["128"], **keys)
            self.assertEqual(r.exception.code, "usage")


if __name__ == "__main__":
    unittest.main()
