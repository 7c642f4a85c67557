#!/usr/bin/env python3
"""A run's life as a client sees it: every way to begin, stop and repeat one, and what it cost.
The real wattqd and wattq-shepherd, the script meter with constant 55 W."""
import os
import re
import struct
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import BIN, Client, Daemon, DaemonCase, Refused, check_energy, total, until  # noqa: E402


class Base(DaemonCase):
    def moves(self, run):
        return [e["to"] for e in self.d.show(run)["events"]]


class Life(Base):
    def test_done_and_failed(self):
        a, b = self.d.sh("echo out; echo err >&2; sleep 0.2"), self.d.sh("exit 7")
        ra, rb = self.d.wait(a, b)
        self.assertEqual((ra["state"], ra["exit_code"], ra["term_signal"]), ("done", 0, None))
        self.assertEqual((rb["state"], rb["exit_code"], rb["reason"]), ("failed", 7, "exit code 7"))
        self.assertEqual(self.moves(a), ["queued", "starting", "running", "stopping", "done"])
        self.assertEqual(self.d.logs(a)[0], "out\nerr\n")
        self.assertFalse(os.path.exists(os.path.join(self.d.state_dir, "runs", str(a), "marks")))  # it had no metrics
        check_energy(self.d.show(a))
        figure = ra["energy"]
        self.assertEqual(figure["quality"], "measured")
        self.assertTrue(ra["alone"])
        self.assertEqual(total(self.d.show(a), figure="attributed")["energy_uj"], figure["energy_uj"])

    def test_signal_and_missing_program(self):
        a, b = self.d.sh("kill -SEGV $$"), self.d.submit(["/no/such/program"])
        ra, rb = self.d.wait(a, b)
        self.assertEqual((ra["state"], ra["exit_code"], ra["term_signal"]), ("failed", None, 11))
        self.assertIn("signal 11", ra["reason"])
        self.assertEqual(rb["state"], "failed")
        self.assertIn("launch:", rb["reason"])
        self.assertIn(rb["exit_code"], (126, 127))

    def test_stop_while_the_ends_of_runs_are_stored(self):
        """A SIGTERM that finds the queue with jobs in flight waits for them, and then the daemon is gone."""
        for _ in range(5):
            self.d.wait(self.d.sh("kill -9 $$"), self.d.submit(["/no/such/program"]))
            self.d.stop()
            self.d.start()

    def test_environment_that_a_power_cut_took(self):
        """Of a run whose submission was not answered: it is not run without, and who submits again brings it along."""
        kept = os.path.join(self.d.state_dir, "env")
        for damage in os.unlink, lambda path: os.truncate(path, 0):
            before = set(os.listdir(kept))
            spec = dict(argv=["sh", "-c", "test $COLOUR = blue"], env={"COLOUR": "blue", "N": str(len(before))})
            run = self.d.submit(**spec, hold=True)
            (name,) = set(os.listdir(kept)) - before
            damage(os.path.join(kept, name))
            self.d.call("release", runs=[run])
            ended = self.d.wait(run)
            self.assertEqual(ended["state"], "failed")
            self.assertRegex(ended["reason"], "^launch: its environment .* (cannot be read|is damaged)")
            self.assertEqual(self.d.wait(self.d.submit(**spec))["state"], "done")

    def test_environment_cwd_and_umask(self):
        run = self.d.submit(["sh", "-c", "umask; pwd; echo $COLOUR; touch f; stat -c %a f"],
                            env={"COLOUR": "blue", "OMP_NUM_THREADS": "2", "MY_TOKEN": "canary-1",
                                 "WATTQ_SECRET_X": "canary-2"}, umask=0o027)
        self.assertEqual(self.d.wait(run)["state"], "done")
        lines = self.d.logs(run)[0].split()
        self.assertEqual(lines, ["0027", self.d.dir, "blue", "640"])
        env = self.d.show(run)["env"]
        self.assertEqual(env["OMP_NUM_THREADS"], "2")
        self.assertNotIn("COLOUR", env)
        self.assertEqual(env["WATTQ_SECRET_X"], "(hidden)")
        self.d.stop()
        for name in os.listdir(self.d.state_dir):
            if name.startswith("wattq.db"):
                with open(os.path.join(self.d.state_dir, name), "rb") as f:
                    self.assertNotIn(b"canary", f.read())
        self.assertEqual(os.listdir(os.path.join(self.d.state_dir, "env")), [])  # it ended well

    def test_time_limit(self):
        r = self.d.wait(self.d.sh("sleep 60", time_limit_ns=300_000_000, grace_ns=1_000_000_000))
        self.assertEqual((r["state"], r["reason"]), ("timeout", "time limit reached"))

    def test_order_and_exclusive(self):
        blocker = self.d.sh("sleep 0.6")
        low = [self.d.sh(f"echo {i} >> order") for i in range(3)]
        high = self.d.sh("echo high >> order", priority=5)
        queue = self.d.call("queue")["runs"]
        self.assertEqual([r["run"] for r in queue[:5]], [blocker, high, *low])
        self.assertEqual([r.get("position") for r in queue[:5]], [None, 1, 2, 3, 4])
        rows = self.d.wait(blocker, high, *low)
        with open(self.d.path("order")) as f:
            self.assertEqual(f.read().split(), ["high", "0", "1", "2"])
        for first, second in zip(rows, rows[1:]):
            self.assertLess(first["t1_ns"], second["t0_ns"])  # one at a time
            self.assertTrue(second["alone"])

    def test_hold_and_release(self):
        run = self.d.sh("true", hold=True)
        time.sleep(0.2)
        self.assertEqual(self.d.state(run), "held")
        e = self.refused("conflict", "hold", runs=[run])
        self.assertIn("held", e.text)
        self.d.call("release", runs=[run])
        self.assertEqual(self.d.wait(run)["state"], "done")
        self.assertEqual(self.moves(run)[:2], ["held", "queued"])
        self.refused("not_found", "release", runs=[run])

    def test_pause_and_resume(self):
        run = self.d.sh("for i in 1 2 3 4 5 6; do echo $i; sleep 0.1; done")
        self.d.until_state(run, "running")
        self.d.call("pause", runs=[run])
        self.assertEqual(self.d.state(run), "paused")
        time.sleep(0.3)
        before = self.d.logs(run)[0]
        time.sleep(0.4)
        self.assertEqual(self.d.logs(run)[0], before)
        self.d.call("resume", runs=[run])
        self.assertEqual(self.d.wait(run)["state"], "done")
        self.assertEqual(self.d.logs(run)[0].split(), list("123456"))

    def test_retry(self):
        run = self.d.sh('[ -e again ] || { touch again; exit 1; }; echo $A', env={"A": "kept"}, label="x")
        self.assertEqual(self.d.wait(run)["state"], "failed")
        made = self.d.call("retry", runs=[run])["runs"][0]
        self.assertEqual(made["retry_of"], run)
        self.assertEqual(self.d.wait(made["run"])["state"], "done")
        self.assertEqual(self.d.logs(made["run"])[0], "kept\n")
        self.assertEqual(self.d.show(run)["retried_by"], made["run"])
        self.assertEqual(self.d.show(made["run"])["label"], "x")
        well = self.d.sh("true", env={"A": "other"})
        self.d.wait(well)
        e = self.refused("conflict", "retry", runs=[well])  # nobody needs its environment any more
        self.assertIn("environment", e.text)

    def test_phases(self):
        run = self.d.sh("sleep 0.9")
        self.d.until_state(run, "running")
        for name in ("setup", "train", None):
            self.d.call("phase", run=run, name=name)
            time.sleep(0.25)
        self.d.wait(run)
        shown = self.d.show(run)
        self.assertEqual([p["name"] for p in shown["phases"]], ["setup", "train"])
        self.assertTrue(all(p["t1_ns"] > p["t0_ns"] for p in shown["phases"]))
        train = shown["phases"][1]
        joules = total(shown, part="phase:train")["energy_uj"] / 1e6
        self.assertAlmostEqual(joules, 55 * (train["t1_ns"] - train["t0_ns"]) / 1e9, delta=0.5)
        self.refused("not_found", "phase", run=run, name="late")

    def test_window_energy_adds_up(self):
        run = self.d.sh("sleep 0.5")
        self.d.wait(run)
        r = self.d.show(run)
        middle = (r["t0_ns"] + r["t1_ns"]) // 2
        parts = [self.d.call("energy", boot=r["boot"], t0_ns=a, t1_ns=b)["figures"][0]["energy_uj"]
                 for a, b in ((r["t0_ns"], middle), (middle, r["t1_ns"]), (r["t0_ns"], r["t1_ns"]))]
        self.assertEqual(parts[0] + parts[1], parts[2])
        self.assertEqual(parts[2], total(r)["energy_uj"])

    def test_idle_power(self):
        self.d.wait(self.d.sh("sleep 0.1"))
        idle = until(lambda: [c for c in self.d.call("idle", seconds=2)["channels"] if c["power_uw"]],
                     "an idle second")
        by = {c["label"]: c["power_uw"] / 1e6 for c in idle}
        self.assertAlmostEqual(by["pkg"], 50, delta=0.5)

    def test_idle_power_of_a_range(self):
        """Two runs with a gap of 3.2 s: the second that follows the first run does not count."""
        first = self.d.wait(self.d.sh("sleep 0.1"))
        time.sleep(3.2)
        second = self.d.wait(self.d.sh("sleep 0.1"))
        until = second["started_utc_ns"] + 50_000_000
        r = self.d.call("idle", since_utc_ns=first["started_utc_ns"], until_utc_ns=until)
        self.assertAlmostEqual(r["total"]["power_uw"] / 1e6, 55, delta=0.5)
        self.assertAlmostEqual(r["total"]["median_uw"] / 1e6, 55, delta=0.5)
        self.assertLess(r["total"]["spread_uw"], 500_000)
        self.assertEqual((r["total"]["n"], r["total"]["pieces"]), (2, 2))
        self.assertEqual(r["total"]["quality"], "measured")
        short = self.d.call("idle", since_utc_ns=first["started_utc_ns"],
                            until_utc_ns=first["started_utc_ns"] + 1_500_000_000)
        self.assertIsNone(short["total"]["power_uw"])
        self.assertIn("without a run", short["total"]["reason"])
        self.refused("usage", "idle", since_utc_ns=until, until_utc_ns=until - 1)


class Cancel(Base):
    def test_queued_held_and_running(self):
        running, queued = self.d.sh("sleep 60"), self.d.sh("true")
        held = self.d.sh("true", hold=True)
        self.d.until_state(running, "running")
        self.d.call("cancel", runs=[queued, held, running], reason="not needed")
        rows = self.d.wait(running, queued, held)
        self.assertEqual([r["state"] for r in rows], ["cancelled"] * 3)
        self.assertEqual(rows[0]["reason"], "not needed")
        self.assertEqual(rows[1]["started_utc_ns"], None)
        self.refused("not_found", "cancel", runs=[running])

    def test_whole_tree(self):
        run = self.d.sh("setsid sleep 61 & (trap '' TERM; sleep 62) & sleep 63", grace_ns=500_000_000)
        self.d.until_state(run, "running")
        time.sleep(0.3)
        self.d.call("cancel", runs=[run])
        self.assertEqual(self.d.wait(run)["state"], "cancelled")
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/environ", "rb") as f:
                    self.assertNotIn(b"WATTQ_RUN_DIR=" + self.d.dir.encode(), f.read())
            except OSError:
                pass

    def test_at_once_after_submit(self):
        for _ in range(10):
            run = self.d.sh("sleep 60")
            self.d.call("cancel", runs=[run])
            self.assertEqual(self.d.wait(run)["state"], "cancelled")
        self.assertEqual(self.d.wait(self.d.sh("true"))["state"], "done")


class Parallel(Base):
    args = ("--parallel", "2")

    def test_two_at_a_time_and_exclusive_alone(self):
        runs = [self.d.sh("sleep 0.5", exclusive=False) for _ in range(3)]
        alone = self.d.sh("sleep 0.2", exclusive=True)
        rows = self.d.wait(*runs, alone)
        a, b, c, x = rows
        self.assertLess(max(a["t0_ns"], b["t0_ns"]), min(a["t1_ns"], b["t1_ns"]))  # side by side
        self.assertGreater(c["t0_ns"], min(a["t1_ns"], b["t1_ns"]))
        self.assertGreater(x["t0_ns"], max(a["t1_ns"], b["t1_ns"], c["t1_ns"]))
        self.assertEqual((a["alone"], b["alone"], x["alone"]), (False, False, True))
        shown = self.d.show(runs[0])
        self.assertIn("overlap", total(shown)["flags"])
        share = total(shown, figure="attributed")
        self.assertTrue(share["energy_uj"] is not None or share["reason"])


class Sweeps(Base):
    def sweep(self, argv, axes, kind="command", **keys):
        run = dict(self.d.spec(argv), kind=kind)
        axes = [{"key": k, "values": v} for k, v in axes]
        return self.d.call("sweep", sweep={"run": run, "axes": axes, **keys})

    def test_grid(self):
        s = self.sweep(["sh", "-c", "echo {a}{b} >> out"], [("a", ["1", "2"]), ("b", ["x", "y", "z"])],
                       order="given", label="g{a}")
        self.assertEqual((s["runs"], s["last"] - s["first"], s["skipped"]), (6, 5, []))
        rows = self.d.wait(*range(s["first"], s["last"] + 1))
        self.assertTrue(all(r["state"] == "done" for r in rows))
        with open(self.d.path("out")) as f:
            self.assertEqual(f.read().split(), ["1x", "1y", "1z", "2x", "2y", "2z"])
        self.assertEqual([r["label"] for r in rows[2:4]], ["g1", "g2"])
        listed = self.d.call("runs", sweep=s["sweep"], params=True, energy=True)["runs"]
        self.assertEqual(listed[0]["params"], {"a": "2", "b": "z"})
        state = until(lambda: [x for x in self.d.call("sweeps")["sweeps"] if x["state"] == "ended"], "its end")
        self.assertEqual((state[0]["total"], state[0]["done"]), (6, 6))

    def test_unused_key(self):
        with self.assertRaises(Refused) as r:
            self.sweep(["echo"], [("lr", ["1"])])
        self.assertEqual(r.exception.code, "usage")
        self.assertIn("lr", r.exception.text)

    def test_study_grid_leaves_out(self):
        s = self.sweep(["--epochs", "1"], [("dataset", ["standin:mnist"]), ("shape", ["rectangle", "trapezoid"]),
                                           ("depth", ["2", "3"]), ("size", ["32", "4096"])], kind="train",
                       order="given")
        reasons = sorted(x["reason"] for x in s["skipped"])
        self.assertTrue(any("20 %" in r for r in reasons), reasons)
        self.assertTrue(any("same network as rectangle" in r for r in reasons), reasons)
        self.assertEqual(s["runs"] + len(s["skipped"]), 8)
        self.d.call("cancel", runs=list(range(s["first"], s["last"] + 1)))

    def test_draft(self):
        with Client(self.d.socket) as c:
            draft = c.call("sweep_begin", label="rows")["draft"]
            for i in range(3):
                c.call("sweep_rows", draft=draft, runs=[self.d.spec(["true"], label=str(i)) for _ in range(4)])
            s = c.call("sweep_commit", draft=draft)
        self.assertEqual(s["runs"], 12)
        with Client(self.d.socket) as c:  # dropped on disconnect
            draft = c.call("sweep_begin")["draft"]
            c.call("sweep_rows", draft=draft, runs=[self.d.spec(["true"])])
        self.d.wait(*range(s["first"], s["last"] + 1))
        self.assertEqual(self.d.call("runs", limit=1)["runs"][0]["run"], s["last"])

    def test_breaker(self):
        s = self.sweep(["sh", "-c", "exit {code}"], [("code", [str(i) for i in range(1, 12)])], order="given")
        runs = range(s["first"], s["last"] + 1)
        self.d.wait(*runs[:5])
        held = until(lambda: [x for x in self.d.call("sweeps")["sweeps"] if x["state"] == "held"], "the breaker")
        self.assertIn("5 runs in a row failed", held[0]["reason"])
        time.sleep(0.3)
        self.assertEqual([self.d.state(r) for r in runs[5:]], ["queued"] * 6)
        waiting = [r for r in self.d.call("queue")["runs"] if r["run"] == runs[5]][0]
        self.assertIn("in a row failed", waiting["waiting_for"])
        self.assertEqual(self.d.wait(self.d.sh("true"))["state"], "done")  # others are stepped past
        self.d.restart()
        time.sleep(0.3)
        self.assertEqual(self.d.state(runs[5]), "queued")  # a restart releases nothing
        self.assertEqual(self.d.call("sweep_release", sweep=s["sweep"])["released"], 6)
        self.d.wait(*runs[5:10])
        self.assertEqual(self.d.state(runs[10]), "queued")  # and it trips again


class Streams(Base):
    def test_watch_sees_every_move(self):
        with Client(self.d.socket) as c:
            ident = c.send("watch")
            time.sleep(0.1)
            run = self.d.sh("sleep 0.1")
            seen = []
            while "done" not in seen:
                frame = c.recv(ident)
                if frame.get("run") and frame["run"]["run"] == run:
                    seen.append(frame["run"]["state"])
        self.assertEqual(seen, ["starting", "running", "stopping", "done"])

    def test_wait_started_and_followed_log(self):
        run = self.d.sh("for i in 1 2 3; do echo $i; sleep 0.2; done; exit 4")
        self.assertIn(self.d.wait(run, until="started")["state"], ("running", "stopping"))
        text, last = self.d.logs(run, follow=True)
        self.assertEqual((text, last["state"], last["eof"]), ("1\n2\n3\n", "failed", True))
        self.assertEqual(self.d.logs(run, offset=-2)[0], "3\n")
        with self.assertRaises(Refused):
            self.d.logs(999)
        with self.assertRaises(Refused):
            self.d.wait(run, 999)

    def test_live_power(self):
        with Client(self.d.socket) as c:
            ident = c.send("power", live=True, interval_ns=100_000_000)
            frames = [c.recv(ident) for _ in range(6)]
        by = {x["label"]: x["power_uw"] for x in frames[-1]["channels"]}
        self.assertAlmostEqual(by["pkg"] / 1e6, 50, delta=5)


class Exec(Base):
    FRAME = struct.Struct("=IHHqqqqqqii")

    def test_client_goes_away(self):
        blocker = self.d.sh("sleep 0.5")
        c = Client(self.d.socket)
        ident = c.send("exec_begin", run=self.d.spec(["true"], kind="exec"))
        run = c.recv(ident)["run"]
        c.close()
        self.d.wait(blocker)
        r = self.d.wait(run)
        self.assertEqual(r["state"], "cancelled")
        self.assertIn("client", r["reason"])
        self.assertEqual(self.d.wait(self.d.sh("true"))["state"], "done")

    def test_turn_names_directory_and_token(self):
        with Client(self.d.socket) as c:
            ident = c.send("exec_begin", run=self.d.spec(["true"], kind="exec"))
            run = c.recv(ident)["run"]
            go = c.recv(ident)
            self.assertTrue(go["go"] and os.path.isdir(go["run_dir"]) and go["token"] > 0)
            with self.assertRaises(Refused) as r:
                c.call("exec_ready", run=run, token=go["token"] + 1)
            self.assertEqual(r.exception.code, "conflict")
            with self.assertRaises(Refused) as r:
                self.d.call("exec_ready", run=run, token=go["token"])  # another connection
            self.assertEqual(r.exception.code, "forbidden")
            c.call("exec_abort", run=run, reason="changed my mind")
            last = c.recv(ident)
        self.assertEqual((last["run"]["state"], last["run"]["reason"]), ("cancelled", "changed my mind"))


class FailingDisk(unittest.TestCase):
    def test_environment(self):
        """One that cannot be made durable: whoever submits hears of it, and nothing runs, however far it was."""
        preload = {"LD_PRELOAD": os.path.abspath(os.path.join(BIN, "tests", "support", "libfailsync.so")),
                   "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}
        d = Daemon(env=preload)
        when, ran = d.path("when"), d.path("ran")
        d.env["WATTQ_FAIL_FSYNC"] = when
        with d:
            for hold in (False, True):  # its start is on its way beside the fsync; it is written down after it
                with open(when, "w") as f:
                    f.write(os.path.join(d.state_dir, "env"))
                spec = dict(argv=["sh", "-c", f"echo {hold} >>{ran}"], env={"HOLD": str(hold)})
                with self.assertRaises(Refused) as refused:
                    d.submit(**spec, hold=hold)
                self.assertIn("the environment could not be kept", str(refused.exception))
                states = lambda: [r["state"] for r in d.call("runs")["runs"]]  # noqa: E731
                until(lambda: set(states()) <= {"cancelled", "done"}, "no run to be left")
                time.sleep(0.2)
                self.assertFalse(os.path.exists(ran))
                os.unlink(when)
                self.assertEqual(d.wait(d.submit(**spec))["state"], "done")
                os.unlink(ran)
            self.assertEqual(states().count("done"), 2)


class Documented(unittest.TestCase):
    """Every operation of the table in ops.c has its row in docs/protocol.md, and the other way round."""

    def test_operations(self):
        src = os.environ.get("WATTQ_SRC", ".")
        with open(os.path.join(src, "daemon/api/ops.c")) as f:
            who = dict(re.findall(r'^    \{"(\w+)", RIGHTS_(\w+), op_', f.read(), re.M))
        table = set(who)
        documented = set()
        may = {}
        with open(os.path.join(src, "docs/protocol.md")) as f:
            for line in f:
                if line.startswith("| `"):
                    documented |= set(re.findall(r"`(\w+)`", line.split("|")[1]))
                if re.match(r"\| [a-z]+ \|.*\|.*\|$", line):
                    cells = line.split("|")
                    may.update({op: cells[1].strip().upper() for op in re.findall(r"`(\w+)`", cells[3])})
        self.assertTrue(table)
        self.assertEqual(who, may)
        self.assertEqual(table - documented, set())
        self.assertEqual(table, table & documented)


if __name__ == "__main__":
    unittest.main()
