#!/usr/bin/env python3
"""wattq submit --on-end: run once, after the run and outside its window, or not at all and that is said."""
import os
import signal
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import DaemonCase, Refused, check_energy, check_events, until  # noqa: E402

FOLLOWS = "on_end follows"


def remarks(shown):
    return [e["reason"] for e in shown["events"] if e["reason"].startswith("on_end")]


class Rig(DaemonCase):
    def over(self, run, d=None):
        """The show reply once its history says what became of the command."""
        d = d or self.d
        return until(lambda: len(remarks(d.show(run))) > 1 and d.show(run), f"the end of on_end of run {run}", 90)

    def said(self, run):
        shown = self.over(run)
        check_events(shown["events"])
        self.assertEqual(remarks(shown)[0], FOLLOWS)
        self.assertEqual(len(remarks(shown)), 2, shown["events"])
        return remarks(shown)[1]

    def lines(self, name="out"):
        path = self.d.path(name)
        if not os.path.exists(path):
            return []
        with open(path) as f:
            return f.read().splitlines()

    @staticmethod
    def is_sleep(pid):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                return b"sleep" in f.read()
        except OSError:
            return False


class OnEnd(Rig):
    def test_what_it_is_told_and_where_it_is(self):
        tell = "echo $WATTQ_RUN_ID $WATTQ_STATE $WATTQ_EXIT_CODE \"$WATTQ_LABEL\" $A $(umask) $PWD >> out; echo of it"
        run = self.d.sh("echo of the run; exit 3", env={"A": "b", "WATTQ_STATE": "mine"}, umask=0o027, label="a b",
                        on_end=tell)
        self.assertEqual(self.d.wait(run)["state"], "failed")
        self.assertEqual(self.said(run), "on_end ended with exit code 0")
        self.assertEqual(self.lines(), [f"{run} failed 3 a b b 0027 {self.d.dir}"])
        self.assertEqual(self.d.logs(run)[0], "of the run\nof it\n")
        self.assertEqual(self.d.show(run)["on_end"], tell)
        self.assertIn("on end", self.wattq("show", str(run)))

    def test_each_state_has_its_word(self):
        tell = "echo $WATTQ_STATE $WATTQ_EXIT_CODE >> out"
        self.said(self.d.sh("true", on_end=tell))
        self.said(self.d.sh("sleep 60", time_limit_ns=300 * 10**6, on_end=tell))
        run = self.d.sh("sleep 60", on_end=tell)
        self.d.until_state(run, "running")
        self.d.call("cancel", runs=[run])
        self.said(run)
        self.said(self.d.submit(["/nonexistent/program"], on_end=tell))
        self.assertEqual(self.lines(), ["done 0", "timeout 143", "cancelled 143", "failed 127"])

    def test_it_sees_the_figure_and_is_not_in_it(self):
        """By then wattq show has the run's energy; and its own time is behind the run's."""
        run = self.d.sh("sleep 0.5", on_end="date +%s%N >> out; awk '{print $1}' /proc/uptime >> out; sleep 1")
        done = self.d.wait(run)
        shown = self.d.show(run)
        check_energy(shown)
        before = shown["energy"]
        self.assertEqual(self.said(run), "on_end ended with exit code 0")
        self.assertEqual(self.d.show(run)["t1_ns"], done["t1_ns"])
        self.assertEqual(self.d.show(run)["cpu_us"], done["cpu_us"])
        self.assertGreaterEqual(float(self.lines()[1]) + 0.01, shown["t1_ns"] / 1e9)
        self.assertEqual(self.d.show(run)["energy"], before)

    def test_nothing_of_it_stays(self):
        run = self.d.sh("true", on_end="setsid sh -c 'sleep 77; echo late >> out' & exit 5")
        self.assertEqual(self.said(run), "on_end ended with exit code 5")
        self.assertEqual([p for p in self.d.processes() if self.is_sleep(p)], [])

    def test_an_exclusive_run_waits_for_it(self):
        first = self.d.sh("true", on_end="echo begun >> out; sleep 1; echo ended >> out")
        second = self.d.sh("cat out")
        self.d.wait(first, second)
        self.assertEqual(self.d.logs(second)[0], "begun\nended\n")

    def test_a_run_that_never_began_has_none(self):
        run = self.d.sh("true", on_end="echo ran >> out", hold=True)
        self.d.call("cancel", runs=[run])
        self.assertEqual(self.d.wait(run)["state"], "cancelled")
        self.d.wait(self.d.sh("true"))
        self.assertEqual((self.lines(), remarks(self.d.show(run))), ([], []))

    def test_bad_ones_are_refused(self):
        for bad in ("", 7, "x" * 5000):
            with self.assertRaises(Refused):
                self.d.sh("true", on_end=bad)

    def test_the_client(self):
        with open(self.d.path("job.sh"), "w") as f:
            f.write("#!/bin/sh\n#WATTQ --on-end 'echo script $WATTQ_LABEL >> out'\ntrue\n")
        os.chmod(self.d.path("job.sh"), 0o755)
        self.said(int(self.wattq("submit", "-q", "--on-end", "echo $WATTQ_STATE >> out", "--", "true")))
        self.said(int(self.wattq("script", "-q", "job.sh")))
        self.wattq("sweep", "-p", "x=1,2", "--on-end", "echo point $WATTQ_RUN_ID >> out", "--", "true", "{x}")
        ids = [r["run"] for r in self.d.call("runs")["runs"]][:2]
        for run in ids:
            self.said(run)
        self.assertEqual(self.lines()[:2], ["done", "script job.sh"])
        self.assertEqual(sorted(self.lines()[2:]), sorted(f"point {i}" for i in ids))
        self.assertIn("nothing to run", self.wattq("submit", "--on-end", "", "--", "true", code=2))

    # ---- when somebody is killed ------------------------------------------------------------------

    def test_without_a_daemon_it_is_run_all_the_same(self):
        run = self.d.sh("sleep 0.5; echo over >> out", on_end="echo ran $WATTQ_STATE >> out")
        self.d.until_state(run, "running")
        self.d.kill()
        until(lambda: self.lines() == ["over", "ran done"], "on_end without a daemon", 40)
        self.d.start()
        self.assertEqual(self.said(run), "on_end ended with exit code 0")
        self.assertEqual(self.lines(), ["over", "ran done"])

    def test_a_daemon_killed_meanwhile_asks_again(self):
        run = self.d.sh("true", on_end="echo begun >> out; sleep 2; echo ended >> out")
        until(lambda: self.lines() == ["begun"], "its begin")
        self.d.restart()
        self.assertEqual(self.said(run), "on_end ended with exit code 0")
        self.assertEqual(self.lines(), ["begun", "ended"])

    def shepherd(self, run):
        with open(self.d.path("state", "runs", str(run), "shepherd")) as f:
            return int(dict(line.rstrip("\n").split("=", 1) for line in f)["pid"])

    def test_a_shepherd_killed_before(self):
        run = self.d.sh("sleep 60", on_end="echo ran >> out")
        self.d.until_state(run, "running")
        os.kill(self.shepherd(run), signal.SIGKILL)
        time.sleep(0.2)
        self.d.call("cancel", runs=[run])
        self.d.wait(run)
        self.assertIn("on_end was not run", self.said(run))
        self.assertEqual(self.lines(), [])

    def test_a_shepherd_killed_meanwhile(self):
        run = self.d.sh("true", on_end="echo begun >> out; sleep 66; echo ended >> out")
        until(lambda: self.lines() == ["begun"], "its begin")
        os.kill(self.shepherd(run), signal.SIGKILL)
        self.assertIn("how it ended is not known", self.said(run))
        until(lambda: not [p for p in self.d.processes() if self.is_sleep(p)], "nothing left of it")
        self.d.restart()
        self.d.wait(self.d.sh("true"))
        self.assertEqual((self.lines(), len(remarks(self.d.show(run)))), (["begun"], 2))


class Limited(Rig):
    def test_its_time_is_limited(self):
        run = self.d.sh("true", on_end="setsid sleep 301 & sleep 300")
        self.assertEqual(self.said(run), "on_end was ended: it took longer than it may")
        self.assertEqual([p for p in self.d.processes() if self.is_sleep(p)], [])
        self.assertIn("took more than 60 s", self.d.logs(run)[0])


class WithoutCgroup(OnEnd):
    def setUp(self):
        old = os.environ.get("WATTQ_CGROUP")
        os.environ["WATTQ_CGROUP"] = "none"
        self.addCleanup(lambda: os.environ.pop("WATTQ_CGROUP") if old is None else
                        os.environ.__setitem__("WATTQ_CGROUP", old))
        super().setUp()


if __name__ == "__main__":
    unittest.main()
