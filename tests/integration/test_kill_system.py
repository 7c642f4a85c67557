#!/usr/bin/env python3
"""kill -9 of wattqd, wattq-launcher and shepherds at random moments while four users submit: every run ends in one
state, by allowed moves, with its own exit code, and none runs twice. Where a shepherd was killed and the launcher,
its witness, as well, the status may be lost: such runs are counted apart.

WATTQ_KILLS: how many kills (default 20); WATTQ_SEED: of the moments (printed). Needs root."""
import collections
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
from harness import ENDED, until  # noqa: E402
from system import SystemDaemon  # noqa: E402

KILLS = int(os.environ.get("WATTQ_KILLS", "20"))
SEED = int(os.environ.get("WATTQ_SEED", str(time.time_ns() % 10**6)))
SUBMITTERS = ("ada", "bob", "eve", "joe")


class Storm:
    """Submits, cancels and kills; knows afterwards what it did."""

    def __init__(self, d, rng):
        self.d, self.rng = d, rng
        self.acknowledged = set()
        self.cancelled = set()
        self.shepherdless = set()  # runs whose shepherd was killed
        self.killed = collections.Counter()

    def submit(self):
        """A run that says when it begins; its label is its exit code. What is not acknowledged may be there or not."""
        user, code = self.rng.choice(SUBMITTERS), self.rng.randrange(6)
        seconds = self.rng.choice((0, self.rng.uniform(0, 0.3), self.rng.uniform(0.5, 1.5)))
        r = self.d.wattq(user, "submit", "--bare", "-J", f"exit{code}", "--", "sh", "-c",
                         f"echo $WATTQ_RUN >>ran; sleep {seconds:.3f}; exit {code}", check=False)
        if r.returncode == 0:
            run = int(r.stdout)
            self.acknowledged.add(run)
            if self.rng.random() < 0.15 and self.d.wattq(user, "cancel", str(run), check=False).returncode == 0:
                self.cancelled.add(run)

    def alive(self):
        """Runs that have not ended, as the files say: wattqd may be away."""
        for name in os.listdir(self.d.path("state", "runs")):
            facts = name.isdigit() and self.d.shepherd(name)
            if facts and not os.path.exists(self.d.path("state", "runs", name, "result")):
                yield int(name), int(facts["pid"])

    def kill_shepherd(self):
        victims = list(self.alive())
        if victims:
            run, pid = self.rng.choice(victims)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self.shepherdless.add(run)
                self.killed["shepherd"] += 1

    def kill(self):
        """One of them or several at once; units start the two daemons again."""
        which = self.rng.choice(("wattqd", "launcher", "shepherd", "shepherd", "both", "all"))
        if which in ("shepherd", "all"):
            self.kill_shepherd()
        if which in ("launcher", "both", "all"):
            self.d.kill_launcher()
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


def began(users):
    """How often each run's program has begun."""
    count = collections.Counter()
    for user in users:
        with contextlib.suppress(FileNotFoundError), open(os.path.join(pwd.getpwnam(user).pw_dir, "ran")) as f:
            count.update(int(line) for line in f)
    return count


class KillSystem(unittest.TestCase):
    def check_events(self, events):
        for before, after in zip(events, events[1:]):
            self.assertEqual(after["from"], before["to"], events)
        self.assertEqual([e["to"] for e in events if e["to"] in ENDED and e["from"] != e["to"]], [events[-1]["to"]], events)

    def check_run(self, storm, row, times):
        """Its state, once its own end has been found to be one that it may have."""
        run, state = row["run"], row["state"]
        r = storm.d.show(run)
        self.check_events(r["events"])
        self.assertLessEqual(times, 1, r["events"])
        if state == "lost":
            self.assertIn("lost(status)", r["reason"])
            self.assertIn(run, storm.shepherdless, r["reason"])
            return "lost"
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
            print(f"kills: {dict(storm.killed)}; {len(rows)} runs of {len(SUBMITTERS)} users: {found['right']} right, "
                  f"{found['cancelled']} cancelled, {found['lost']} lost(status)")


if __name__ == "__main__":
    system.enter()
    unittest.main()
