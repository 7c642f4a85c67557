#!/usr/bin/env python3
"""Whose turn it is. The real wattqd with one run at a time. A daemon of one user's own takes submissions of nobody else,
so the other users of these tests get their runs while wattqd is down: their rows are given another uid."""
import os
import sqlite3
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import BIN, Daemon, Refused  # noqa: E402


class Base(unittest.TestCase):
    args = ()

    def setUp(self):
        self.d = Daemon(*self.args)
        self.addCleanup(self.d.__exit__, None, None, None)
        self.d.start()

    def blocker(self):
        """A run that keeps all others waiting until release()."""
        gate = self.d.path("gate")
        os.mkfifo(gate)
        run = self.d.sh(f"read x < {gate}")
        self.d.until_state(run, "running")
        return run

    def release(self):
        with open(self.d.path("gate"), "w") as f:
            f.write("go\n")

    def give(self, owners):
        """Runs to other users: {uid: [run, ...]}; wattqd is restarted."""
        self.d.stop()
        with sqlite3.connect(self.d.path("state", "wattq.db")) as db:
            for uid, runs in owners.items():
                for run in runs:
                    db.execute("UPDATE run SET uid = ? WHERE id = ?", (uid, run))
        db.close()
        self.d.start()

    def order(self):
        runs = self.d.call("queue")["runs"]
        waiting = [r for r in runs if r.get("position")]
        self.assertEqual([r["position"] for r in waiting], list(range(1, len(waiting) + 1)))
        for r in waiting:  # asked for alone, the same
            self.assertEqual(self.d.show(r["run"])["position"], r["position"])
        return [r["run"] for r in waiting]

    def starts(self, runs):
        self.d.wait(*runs)
        with sqlite3.connect(f"file:{self.d.path('state', 'wattq.db')}?mode=ro", uri=True) as db:
            rows = db.execute("SELECT run FROM event WHERE to_state = 'starting' ORDER BY id").fetchall()
        return [r[0] for r in rows if r[0] in runs]


class Users(Base):
    def test_users_take_turns_and_a_restart_changes_none(self):
        first = self.blocker()
        runs = [self.d.sh("true") for _ in range(8)]
        urgent = self.d.sh("true", priority=5)
        a, b = 4001, 4002
        self.give({a: runs[4:7], b: runs[7:]})
        mine = runs[:4]
        # Who has the machine now comes last; those who never had a turn by their first run.
        want = [urgent, runs[4], runs[7], mine[0], runs[5], mine[1], runs[6], mine[2], mine[3]]
        self.assertEqual(self.order(), want)
        self.d.restart()
        self.assertEqual(self.order(), want)
        self.release()
        self.d.wait(first)
        # The urgent one was its owner's turn as well: that changes nothing, he was last before.
        self.assertEqual(self.starts([urgent, *runs]), want)


class Bump(Base):
    def wattq(self, *args, code=0):
        p = subprocess.run([os.path.join(BIN, "client", "wattq"), "--socket", self.d.socket, *args],
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertEqual(p.returncode, code, p.stdout)
        return p.stdout

    def told(self, run):
        """What its history says that somebody did to it while it waited."""
        return [(e["actor_uid"], e["reason"]) for e in self.d.show(run)["events"]
                if (e["from"], e["to"]) == ("queued", "queued")]

    def test_among_ones_own(self):
        first = self.blocker()
        r = [self.d.sh("true") for _ in range(6)]
        other = self.d.sh("true")
        self.give({4001: [other]})
        self.assertEqual(self.order(), [other, *r])
        self.assertIn(f"{r[4]}  is number 2 of", self.wattq("bump", str(r[4])))
        self.assertEqual(self.order(), [other, r[4], r[0], r[1], r[2], r[3], r[5]])
        self.wattq("bump", str(r[5]), str(r[2]), "--before", str(r[1]))
        want = [other, r[4], r[0], r[5], r[2], r[1], r[3]]
        self.assertEqual(self.order(), want)
        self.d.restart()
        self.assertEqual(self.order(), want)
        self.assertEqual(self.told(r[4]), [(os.getuid(), "moved to the front of its owner's")])
        self.assertEqual(self.told(r[2]), [(os.getuid(), f"moved before run {r[1]}")])
        self.assertEqual(self.told(r[1]), [])
        self.release()
        self.d.wait(first)
        self.assertEqual(self.starts([*r, other]), want)

    def test_before_everybody(self):
        self.blocker()
        r = [self.d.sh("true", priority=3 if i == 1 else 0) for i in range(4)]
        self.give({4001: r[:3]})
        self.wattq("bump", "--first", str(r[3]))
        self.assertEqual(self.order(), [r[3], r[1], r[0], r[2]])
        self.assertEqual(self.d.show(r[3])["priority"], 4)
        self.wattq("bump", "--first", str(r[2]))
        self.assertEqual(self.order(), [r[2], r[3], r[1], r[0]])
        self.assertEqual(self.told(r[2]), [(os.getuid(), "moved before everybody's")])

    def test_what_cannot_be_moved(self):
        first = self.blocker()
        r = [self.d.sh("true"), self.d.sh("true", hold=True), self.d.sh("true", priority=1), self.d.sh("true")]
        self.give({4001: r[3:]})

        def refused(code, *runs, **keys):
            with self.assertRaises(Refused) as x:
                self.d.call("bump", runs=list(runs), **keys)
            self.assertEqual(x.exception.code, code)

        refused("conflict", first)
        refused("conflict", r[1])
        refused("not_found", 4711)
        refused("usage", r[0], before=r[0])
        refused("conflict", r[0], before=r[2])
        refused("conflict", r[0], before=r[3])
        refused("not_found", r[0], before=r[1])
        refused("usage", r[0], before=r[2], first=True)
        refused("limit", *range(1, 1002))
        rows = self.d.call("bump", runs=[r[1], r[0]])["runs"]
        self.assertEqual([(x["run"], "error" in x) for x in rows], [(r[1], True), (r[0], False)])
        self.assertIn("say different things", self.wattq("bump", "--first", "--before", "1", str(r[0]), code=2))


class Time(Base):
    args = ("--default-time", "400ms", "--parallel", "0", "--cpus", "3")

    def test_a_limit_that_nobody_asked_for(self):
        reply = self.d.call("submit", run=self.d.spec(["sleep", "60"]))
        self.assertEqual(reply["time_limit_ns"], 400000000)
        own = self.d.call("submit", run=self.d.spec(["true"], time_limit_ns=5000000000))
        self.assertEqual(own["time_limit_ns"], 5000000000)
        self.assertEqual([r["state"] for r in self.d.wait(reply["run"], own["run"])], ["timeout", "done"])
        p = subprocess.run([os.path.join(BIN, "client", "wattq"), "--socket", self.d.socket, "submit", "--", "true"],
                           capture_output=True, text=True)
        self.assertIn("at most 400ms", p.stderr)

    def test_as_many_as_fit(self):
        runs = [self.d.sh("sleep 60", exclusive=False, time_limit_ns=60000000000) for _ in range(4)]
        for run in runs[:3]:
            self.d.until_state(run, "running")
        self.assertEqual(self.order(), runs[3:])


if __name__ == "__main__":
    unittest.main()
