#!/usr/bin/env python3
"""kill -9 of wattqd at random moments while runs go on: every run ends with its exit code, its whole log and
whole energy, none is lost and none runs twice; the queue keeps its order. After each kill the database is looked
at before anybody else does: it is whole, and what was sampled is in it but for the last second.

WATTQ_KILLS: how many kills (default 20); WATTQ_SEED: of the moments (printed)."""
import os
import random
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import Daemon, Refused, boot_ns, check_energy, total, until  # noqa: E402

KILLS = int(os.environ.get("WATTQ_KILLS", "20"))
SEED = int(os.environ.get("WATTQ_SEED", str(time.time_ns() % 10**6)))
LINES = 20


def script(i, seconds):
    """Says which run it is, in a file that every run appends to, and counts slowly; exits with i % 7."""
    pause = seconds / LINES
    return (f"echo {i} >> started; i=0; while [ $i -lt {LINES} ]; do i=$((i+1)); echo line $i;"
            f" echo '{{\"epoch\":'$i',\"v\":'$i'}}' >> $WATTQ_METRICS; sleep {pause:.3f}; done; exit {i % 7}")


STORED = "SELECT max(t) FROM (SELECT max(t1_ns) t FROM tail UNION ALL SELECT max(t1_ns) FROM chunk)"


class Losses:
    """What each kill cost. The database is looked at in a copy: who opens it mends it."""

    def __init__(self):
        self.lost_ns = []
        self.kept = []  # the newest sample that each kill left

    def look(self, d, ready_ns, killed_ns):
        with tempfile.TemporaryDirectory(prefix="wattq-kill-") as copy:
            for name in ("wattq.db", "wattq.db-wal"):
                if os.path.exists(os.path.join(d.state_dir, name)):
                    shutil.copy(os.path.join(d.state_dir, name), copy)
            db = sqlite3.connect(os.path.join(copy, "wattq.db"))
            found = [row[0] for row in db.execute("PRAGMA integrity_check")]
            assert found == ["ok"], found
            stored = db.execute(STORED).fetchone()[0]
            db.close()
        self.kept += [stored] if stored else []
        # A daemon that was killed within its first second has not stored anything yet.
        self.lost_ns.append(killed_ns - max(stored or 0, ready_ns))

    def check(self, d):
        """Committed is committed: each epoch ends with the very sample that its kill left."""
        db = sqlite3.connect(f"file:{os.path.join(d.state_dir, 'wattq.db')}?mode=ro", uri=True)
        ends = {row[0] for row in db.execute("SELECT t1_ns FROM epoch WHERE reason = 'killed'")}
        db.close()
        assert set(self.kept) <= ends, (sorted(set(self.kept) - ends), sorted(ends))
        worst, usual = max(self.lost_ns) / 1e6, statistics.median(self.lost_ns) / 1e6
        print(f"samples of at most {worst:.0f} ms lost, {usual:.0f} in the median, 0 of {len(self.lost_ns)} databases"
              " damaged", flush=True)
        # One second, the distance of two samples, and what a loaded machine adds.
        assert usual < 1100 and worst < 2500, self.lost_ns


class Kill(unittest.TestCase):
    def check(self, d, i, run):
        r = d.show(run)
        self.assertEqual((r["state"], r["exit_code"]), ("failed" if i % 7 else "done", i % 7), r["events"])
        text, _ = d.logs(run)
        self.assertEqual(text, "".join(f"line {k}\n" for k in range(1, LINES + 1)))
        self.assertEqual(r["metrics"]["count"], LINES, f"run {run}")
        self.assertEqual([e["values"]["v"] for e in r["per_epoch"]], list(range(1, LINES + 1)))
        f = check_energy(r)
        self.assertEqual(f["unknown_ns"], 0, f)

    def storm(self, d, rng, runs, losses):
        """Submits and kills in turn. A submission that was not acknowledged may be there or not."""
        for k in range(KILLS):
            ready_ns = boot_ns()
            if len(runs) < KILLS:
                i = len(runs)
                runs.append(d.submit(["sh", "-c", script(i, rng.uniform(0.05, 0.8))], exclusive=bool(i % 3)))
            time.sleep(rng.choice((0, rng.uniform(0, 0.02), rng.uniform(0, 0.6), rng.uniform(0, 1.5))))
            if k % 5 == 4:
                d.client.send("submit", run=d.spec(["sh", "-c", "echo extra >> extras"]))
            d.kill()
            losses.look(d, ready_ns, boot_ns())
            time.sleep(rng.choice((0, 0, rng.uniform(0, 0.5))))
            d.start()

    def test_storm(self):
        print(f"kills {KILLS} seed {SEED} (WATTQ_KILLS, WATTQ_SEED)", flush=True)
        rng = random.Random(SEED)
        with Daemon("--parallel", "3") as d:
            runs, losses = [], Losses()
            self.storm(d, rng, runs, losses)
            losses.check(d)
            until(lambda: all(r["state"] in ("done", "failed") for r in map(d.show, runs)), "all to end", 120)
            for i, run in enumerate(runs):
                with self.subTest(run=run, seed=SEED):
                    self.check(d, i, run)
            with open(d.path("started")) as f:
                began = [int(x) for x in f]
            self.assertEqual(sorted(began), list(range(len(runs))))  # none twice, none forgotten
            extras = [r for r in d.call("runs", limit=10000)["runs"] if r["run"] not in runs]
            d.wait(*[r["run"] for r in extras]) if extras else None
            ran = 0
            if os.path.exists(d.path("extras")):
                with open(d.path("extras")) as f:
                    ran = len(f.readlines())
            self.assertEqual(ran, len(extras))
            self.assertEqual(d.call("info")["storage"]["degraded"], False)

    def test_killed_while_a_run_ends(self):
        """The whole end of a run happens while wattqd is away."""
        with Daemon() as d:
            run = d.sh("sleep 0.5; echo bye; exit 5")
            d.until_state(run, "running")
            d.kill()
            time.sleep(1)
            d.start()
            r = d.wait(run)
            self.assertEqual((r["state"], r["exit_code"], d.logs(run)[0]), ("failed", 5, "bye\n"))
            f = total(d.show(run))
            self.assertIn("bridged", f["flags"])
            truth = 55 * (r["t1_ns"] - r["t0_ns"]) / 1e3
            self.assertTrue(f["lo_uj"] is None or f["lo_uj"] <= truth + 1 <= f["hi_uj"] + 2, f)

    def kill_shepherd(self, d, run):
        with open(os.path.join(d.state_dir, "runs", str(run), "shepherd")) as f:
            facts = dict(line.strip().split("=", 1) for line in f if "=" in line)
        os.kill(int(facts["pid"]), 9)
        return int(facts["main_pid"])

    def gone(self, pid):
        try:
            with open(f"/proc/{pid}/stat") as f:
                return f.read().rsplit(")", 1)[1].split()[0] == "Z"
        except OSError:
            return True

    def pause(self, d, run):
        """True once wattqd has heard of its shepherd's end: until then there is nobody to ask."""
        try:
            return d.call("pause", runs=[run])
        except Refused as refused:
            self.assertEqual(refused.code, "io")

    def test_shepherd_is_killed(self):
        """wattqd becomes the parent of the run and sees how it ends; what is left of it is ended."""
        with Daemon() as d:
            run = d.sh("(sleep 100; echo left) & sleep 0.5; echo bye; exit 7")
            d.until_state(run, "running")
            self.kill_shepherd(d, run)
            r = d.wait(run)
            self.assertEqual((r["state"], r["exit_code"], d.logs(run)[0]), ("failed", 7, "bye\n"))
            self.assertIn("shepherd was killed", r["reason"])
            check_energy(d.show(run))
            run = d.sh("trap 'exit 9' TERM; while :; do sleep 0.05; done")
            d.until_state(run, "running")
            self.kill_shepherd(d, run)
            until(lambda: self.pause(d, run), "wattqd to be its parent")
            d.until_state(run, "paused")
            d.call("cancel", runs=[run])
            r = d.wait(run)
            self.assertEqual((r["state"], r["exit_code"]), ("cancelled", 9))
            run = d.sh("trap '' TERM; while :; do sleep 0.05; done", time_limit_ns=10**9, grace_ns=10**8)
            d.until_state(run, "running")
            self.kill_shepherd(d, run)
            r = d.wait(run)
            self.assertEqual((r["state"], r["term_signal"]), ("timeout", 9))
            self.assertEqual(d.wait(d.sh("true"))["state"], "done")  # and the queue goes on

    def test_shepherd_and_witness_are_killed(self):
        with Daemon() as d:
            run = d.sh("sleep 60")
            d.until_state(run, "running")
            d.kill()
            main = self.kill_shepherd(d, run)
            d.start()
            r = d.wait(run)
            self.assertEqual(r["state"], "lost")
            self.assertIn("lost(status)", r["reason"])
            until(lambda: self.gone(main), "what is left to be ended")

    def test_machine_went_down(self):
        """Rows of another boot: a command is lost, one that wants to be requeued is tried again."""
        with Daemon("--parallel", "2") as d:
            run = d.sh("sleep 60", exclusive=False)
            again = d.submit(["sh", "-c", 'test -e "$0" || { touch "$0"; sleep 60; }', d.path("ran")], exclusive=False,
                             requeue=True)
            d.until_state(run, "running")
            d.until_state(again, "running")
            queued = d.sh("echo still here")
            time.sleep(1.5)
            d.kill()
            d.end_shepherds()
            db = sqlite3.connect(os.path.join(d.state_dir, "wattq.db"))
            db.execute("UPDATE boot SET boot_id = 'another' WHERE id = (SELECT max(id) FROM boot)")
            db.commit()
            db.close()
            d.start()
            r = d.wait(run)
            self.assertEqual(r["state"], "lost")
            self.assertIn("reboot", r["reason"])
            self.assertGreater(total(d.show(run))["energy_uj"] or 0, 20e6)  # up to the last sample
            self.assertEqual(d.wait(queued)["state"], "done")
            self.assertEqual(d.wait(again)["state"], "lost")
            retry = until(lambda: d.show(again)["retried_by"], "the run that wants to be requeued is")
            self.assertEqual(d.wait(retry)["state"], "done")
            self.assertIsNone(d.show(run)["retried_by"])


if __name__ == "__main__":
    unittest.main()
