#!/usr/bin/env python3
"""kill -9 of wattqd, wattq-launcher and shepherds at random moments while four users submit: every run ends in one
state, by allowed moves, with its own exit code, and none runs twice. Where a shepherd was killed and the launcher,
its witness, as well, the status may be lost: such runs are counted apart, and none of them is run again.

WATTQ_KILLS: how many kills (default 20); WATTQ_SEED: of the moments (printed). Needs root."""
import collections
import contextlib
import os
import random
import select
import signal
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import system  # noqa: E402
from harness import ENDED, boot_ns, check_events, until  # noqa: E402
from system import SystemDaemon, began, cgroup2  # noqa: E402

KILLS = int(os.environ.get("WATTQ_KILLS", "20"))
SEED = int(os.environ.get("WATTQ_SEED", str(time.time_ns() % 10**6)))
SUBMITTERS = ("ada", "bob", "eve", "joe")


class Storm:
    """Submits, cancels and kills; knows afterwards what it did."""

    def __init__(self, d, rng):
        self.d, self.rng = d, rng
        self.acknowledged = set()
        self.cancelled = set()
        self.shepherdless = collections.defaultdict(set)  # run -> its shepherds that were killed
        self.witness_killed_ns = []
        self.fds = []
        self.killed = collections.Counter()

    def submit(self):
        """A run that says when it begins; its label is its exit code. What is not acknowledged may be there or not."""
        user, code = self.rng.choice(SUBMITTERS), self.rng.randrange(6)
        seconds = self.rng.choice((0, self.rng.uniform(0, 0.3), self.rng.uniform(1, 2)))
        requeue = ["--requeue"] if self.rng.random() < 0.25 else []  # means a reboot, and there is none
        r = self.d.wattq(user, "submit", "--bare", *requeue, "-J", f"exit{code}", "--", "sh", "-c",
                         f"echo $WATTQ_RUN >>ran; sleep {seconds:.3f}; exit {code}", check=False)
        if r.returncode == 0:
            run = int(r.stdout)
            self.acknowledged.add(run)
            if self.rng.random() < 0.15 and self.d.wattq(user, "cancel", str(run), check=False).returncode == 0:
                self.cancelled.add(run)

    def shepherds(self):
        """(run, pid, pidfd) of those that live. Runs without a shepherd keep its file, and its pid may be anybody's by now:
        the descriptor is taken first and what it stands for looked at afterwards."""
        for name in filter(str.isdigit, os.listdir(self.d.path("state", "runs"))):
            facts = self.d.shepherd(name)
            if not facts:
                continue
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):
                pid = int(facts["pid"])
                fd = os.pidfd_open(pid)
                self.fds.append(fd)
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    if f.read().decode().split("\0")[1:2] == [self.d.path("state", "runs", name)]:
                        yield int(name), pid, fd

    def kill_shepherd(self):
        alive = list(self.shepherds())
        if alive:
            run, pid, fd = self.rng.choice(alive)
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(fd, signal.SIGKILL)
                assert select.select([fd], [], [], 20)[0], f"the shepherd of run {run} does not die"
                self.shepherdless[run].add(pid)
                self.killed["shepherd"] += 1
        while self.fds:
            os.close(self.fds.pop())

    def kill(self):
        """One of them or several at once; units start the two daemons again."""
        which = self.rng.choice(("wattqd", "launcher", "shepherd", "shepherd", "shepherd", "both", "all"))
        if which in ("shepherd", "all"):
            self.kill_shepherd()
        if which in ("launcher", "both", "all"):
            self.d.kill_launcher()
            self.witness_killed_ns.append(boot_ns())
            self.killed["launcher"] += 1
        if which in ("wattqd", "both", "all"):
            self.d.kill()
            self.killed["wattqd"] += 1
        time.sleep(self.rng.choice((0, 0, self.rng.uniform(0, 0.3))))
        if not self.d.launcher:
            self.d.start_launcher()
        if which in ("wattqd", "both", "all"):
            self.d.start_wattqd()

    def blow(self):
        while sum(self.killed.values()) < KILLS:
            for _ in range(self.rng.randrange(4)):
                self.submit()
            time.sleep(self.rng.choice((0, self.rng.uniform(0, 0.05), self.rng.uniform(0, 0.4))))
            self.kill()


class KillSystem(unittest.TestCase):
    def check_lost(self, storm, run, r):
        """Only without both: its shepherd, and the launcher that was there when it began or one after it."""
        self.assertIn("lost(status)", r["reason"])
        self.assertIn(run, storm.shepherdless, r["reason"])
        begin, end = (next(e["t_ns"] for e in reversed(r["events"]) if e["to"] == to) for to in ("starting", "lost"))
        if cgroup2():  # without one the launcher has to end what has no shepherd
            self.assertTrue([t for t in storm.witness_killed_ns if begin <= t <= end], (r["reason"], r["events"]))
        return "lost"

    def check_run(self, storm, row, times):
        """Its state, once its own end has been found to be one that it may have."""
        run, state = row["run"], row["state"]
        r = storm.d.show(run)
        self.assertEqual(check_events(r["events"]), state)
        self.assertLessEqual(times, 1, r["events"])
        self.assertIsNone(r["retried_by"])
        if state == "lost":
            return self.check_lost(storm, run, r)
        if state == "cancelled":
            self.assertIn(run, storm.cancelled, r["events"])
            return "cancelled"
        self.assertEqual((row["exit_code"], times), (int(row["label"].removeprefix("exit")), 1), r["events"])
        return "right"

    def test_storm(self):
        print(f"kills {KILLS} seed {SEED} (WATTQ_KILLS, WATTQ_SEED)", flush=True)
        with SystemDaemon("--parallel", "4", "--cpus", "8") as d:
            storm = Storm(d, random.Random(SEED))
            storm.blow()
            rows = until(lambda: (r := d.call("runs", limit=10000)["runs"]) and all(x["state"] in ENDED for x in r) and r,
                         "all to end", 120)
            times = began(SUBMITTERS)
            found = collections.Counter()
            self.assertEqual(storm.acknowledged - {r["run"] for r in rows}, set())
            self.assertEqual(set(times) - {r["run"] for r in rows}, set())
            for row in rows:
                with self.subTest(run=row["run"], seed=SEED):
                    found[self.check_run(storm, row, times[row["run"]])] += 1
            self.assertEqual(d.call("info")["storage"]["degraded"], False)
            # Killed at the gate a run has another; but no shepherd was killed twice, and nobody else for one.
            self.assertEqual(sum(map(len, storm.shepherdless.values())), storm.killed["shepherd"])
            print(f"kills: {dict(storm.killed)}; {len(rows)} runs of {len(SUBMITTERS)} users: {found['right']} right, "
                  f"{found['cancelled']} cancelled, {found['lost']} lost(status)")


if __name__ == "__main__":
    system.enter()
    unittest.main()
