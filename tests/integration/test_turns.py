#!/usr/bin/env python3
"""Whose turn it is. The real wattqd with one run at a time. A daemon of one user's own takes submissions of nobody else,
so the other users of these tests get their runs while wattqd is down: their rows are given another uid."""
import os
import sqlite3
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import Daemon  # noqa: E402


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


if __name__ == "__main__":
    unittest.main()
