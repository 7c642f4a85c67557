#!/usr/bin/env python3
"""wattq-launcher killed at each of its system calls in turn (tests/support/killat), from the submission of a run to its
end, and while it is the witness of a run whose shepherd was killed; it is started again as its unit would: every run
ends once, with its exit code, and none runs twice. Without shepherd and witness the status may be lost.

WATTQ_GATE=all: at every call, and not at a few that are drawn; WATTQ_SEED: of the drawing (printed). Needs root."""
import contextlib
import os
import pwd
import random
import signal
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import system  # noqa: E402
from harness import check_events, until  # noqa: E402
from system import SystemDaemon, began, cgroup2  # noqa: E402
from tracer import Tracer, skip_without_ptrace  # noqa: E402

ALL = os.environ.get("WATTQ_GATE") == "all"
SEED = int(os.environ.get("WATTQ_SEED", str(time.time_ns() % 10**6)))
FEW = 8  # steps of each kind that are drawn
# The leftover outlives the main process, so that there is something to be done between the two ends.
WHOLE = "echo $WATTQ_RUN >>ran; (setsid sleep 0.02 &); exit 7"
LONGER = "echo $WATTQ_RUN >>ran; sleep 0.3; exit 7"


class GateSystem(unittest.TestCase):
    def setUp(self):
        self.rng = random.Random(SEED)
        with contextlib.suppress(FileNotFoundError):  # homes outlive a test, and runs are numbered from 1 again
            os.unlink(os.path.join(pwd.getpwnam("ada").pw_dir, "ran"))
        self.d = SystemDaemon("--linger", "1s")
        self.addCleanup(lambda: self.d.__exit__(None, None, None))
        self.d.start()

    def trace(self, n):
        return Tracer(self.d.launcher.pid, n, self.d.path("trace"))

    def renew_launcher(self):
        self.d.kill_launcher()  # it may be dead already
        self.d.start_launcher()
        until(lambda: self.d.call("info")["blocked"] is None, "wattqd to find the new launcher")

    def check(self, run, what, may_be_lost=False):
        row = self.d.wait(run)
        times, state = began(["ada"])[run], check_events(self.d.show(run)["events"])
        if may_be_lost and state == "lost":
            self.assertIn("lost(status)", row["reason"], what)
            self.assertEqual(times, 1, what)
            return "lost"
        self.assertEqual((row["state"], state, row["exit_code"], times), ("failed", "failed", 7, 1),
                         (what, row["reason"]))
        return "right"

    def submit(self):
        """Its id, or None: nobody was there to sign it."""
        r = self.d.wattq("ada", "submit", "--bare", "--", "sh", "-c", WHOLE, check=False)
        return int(r.stdout) if r.returncode == 0 else None

    def whole_run(self, n):
        """A run whose launcher is killed at its n-th call: the run, and whether it was."""
        with self.trace(n) as t:
            run = self.submit()
            if run is not None:
                until(lambda: t.killed() or self.d.show(run)["t1_ns"], "the run's end or the launcher's")
                time.sleep(0.1)  # what it does after that: the leaf of the run's cgroup
            killed = t.killed()
            self.assertTrue(killed or run is not None, "nobody was killed and nothing was signed")
            self.renew_launcher()
            return run, t.calls() if n == 0 else killed

    def orphan(self, n):
        """The same with a run whose shepherd is killed, and the launcher from then on."""
        run = self.d.wattq_submit("ada", "sh", "-c", LONGER)
        self.d.until_state(run, "running")
        until(lambda: began(["ada"])[run], "its program to begin")
        with self.trace(n) as t:
            os.kill(int(self.d.shepherd(run)["pid"]), signal.SIGKILL)
            until(lambda: t.killed() or self.d.show(run)["t1_ns"], "the run's end or the launcher's")
            time.sleep(0.1)
            killed = t.killed()
            self.renew_launcher()
            return run, t.calls() if n == 0 else killed

    def steps(self, way):
        run, calls = way(0)
        self.check(run, "counting")
        self.assertGreater(calls, 5)
        return range(1, calls + 1) if ALL else sorted(self.rng.sample(range(1, calls + 1), min(calls, FEW)))

    def test_launcher_is_killed(self):
        """Shepherds and wattqd live: nothing may be lost, and what was not signed is not there."""
        known, unsigned, steps, killed_at = set(), 0, self.steps(self.whole_run), 0
        for n in steps:
            before = {r["run"] for r in self.d.call("runs", limit=10000)["runs"]}
            run, killed = self.whole_run(n)
            killed_at += killed
            fresh = {r["run"] for r in self.d.call("runs", limit=10000)["runs"]} - before
            self.assertEqual(fresh, set() if run is None else {run}, f"launcher at call {n}")
            unsigned += run is None
            for r in fresh:
                self.check(r, f"launcher at call {n}")
                known.add(r)
        self.assertEqual(self.d.wait(self.d.wattq_submit("ada", "true"))["state"], "done")  # and it goes on
        self.assertGreater(killed_at, len(steps) // 2)
        print(f"gate: the launcher killed at {killed_at} of its calls: {len(known)} right, {unsigned} not signed")

    def test_witness_is_killed(self):
        if not cgroup2():
            self.skipTest("without a cgroup the launcher ends what has no shepherd")
        found, steps, killed_at = {"right": 0, "lost": 0}, self.steps(self.orphan), 0
        for n in steps:
            run, killed = self.orphan(n)
            killed_at += killed
            found[self.check(run, f"witness at call {n}", may_be_lost=killed)] += 1
        self.assertGreater(killed_at, len(steps) // 2)
        print(f"gate: the launcher killed at {killed_at} of its calls as witness of a run without shepherd: "
              f"{found['right']} right, {found['lost']} lost(status)")


if __name__ == "__main__":
    system.enter()
    skip_without_ptrace()
    print("seed", SEED, "(WATTQ_SEED)", flush=True)
    unittest.main()
