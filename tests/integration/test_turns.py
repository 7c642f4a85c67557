#!/usr/bin/env python3
"""Whose turn it is. The real wattqd with one run at a time. A daemon of one user's own takes submissions of nobody else,
so the other users of these tests get their runs while wattqd is down: their rows are given another uid."""
import os
import sqlite3
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import DaemonCase, Refused  # noqa: E402


class Base(DaemonCase):
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
        self.assertIn("at most 400ms", self.wattq("submit", "--", "true"))

    def test_as_many_as_fit(self):
        runs = [self.d.sh("sleep 60", exclusive=False, time_limit_ns=60000000000) for _ in range(4)]
        for run in runs[:3]:
            self.d.until_state(run, "running")
        self.assertEqual(self.order(), runs[3:])


class Why(Base):
    args = ("--parallel", "2", "--cpus", "4")

    def why(self, run):
        return self.d.call("why", run=run)

    def test_what_it_waits_for(self):
        a = self.d.sh("sleep 60", exclusive=False, cpus=3)
        self.d.until_state(a, "running")
        wide = self.d.sh("true", exclusive=False, cpus=2)
        alone = self.d.sh("true")
        held = self.d.sh("true", hold=True)
        w = self.why(wide)
        self.assertEqual((w["state"], w["position"], w["before"], w["before_count"]), ("queued", 1, [], 0))
        self.assertEqual(w["reasons"], ["2 CPUs: of 4 CPUs only 1 CPU left"])
        w = self.why(alone)
        self.assertEqual((w["position"], w["before"]), (2, [wide]))
        self.assertEqual(w["reasons"], [f"it is to have the machine to itself, and there is still run {a}",
                                        "1 run comes before it in turn"])
        self.assertIn(f"wattq release {held}", self.why(held)["reasons"][0])
        self.assertEqual(self.why(held)["expected"]["reason"], "it is held")
        self.assertEqual(self.why(a)["reasons"], [])
        self.d.call("cancel", runs=[wide])
        with self.assertRaises(Refused) as x:
            self.why(wide)
        self.assertEqual(x.exception.code, "not_found")
        self.assertIn(f"{alone}  queued, number 1 of those that wait\nwaits for: it is to have the machine",
                      self.wattq("why", str(alone)))

    def test_when_it_starts(self):
        usual = ["sh", "-c", "sleep 0.3"]
        past = self.d.wait(self.d.submit(usual))["elapsed_ns"]
        a = self.d.sh("sleep 60", time_limit_ns=60000000000)
        self.d.until_state(a, "running")
        b = self.d.submit(usual)
        c = self.d.submit(["true"], label="no end in sight")
        last = self.d.submit(["true"])
        now = self.why(b)["expected"]
        self.assertEqual((now["quality"], now["by_limit"], now["by_past"]), ("estimated", 1, 0))
        self.assertTrue(0 < now["wait_ns"] <= 60000000000, now)
        end = self.d.show(a)["started_utc_ns"] + 60000000000
        self.assertAlmostEqual(now["start_utc_ns"], end, delta=1e9)
        then = self.why(c)["expected"]
        self.assertEqual((then["starts_before"], then["by_limit"], then["by_past"]), (1, 1, 1))
        self.assertAlmostEqual(then["start_utc_ns"] - now["start_utc_ns"], past, delta=0.1e9)
        none = self.why(last)["expected"]
        self.assertIsNone(none["wait_ns"])
        self.assertIn(f"nobody can tell how long run {c} takes", none["reason"])
        self.assertIn(": an estimate, by 1 time limit and how long 1 run like these took", self.wattq("why", str(c)))
        self.assertIn("when it starts is not known: nobody can tell", self.wattq("why", str(last)))


if __name__ == "__main__":
    unittest.main()
