#!/usr/bin/env python3
"""Limits of runs in user mode: what was asked for arrives in the run, what cannot be had is said, and what is
over is ended. The real wattqd and wattq-shepherd, the script meter with known power."""
import os
import resource
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import Daemon, DaemonCase  # noqa: E402

MIB = 1 << 20



class Carried(DaemonCase):
    def test_soft_limits_and_niceness_arrive(self):
        base = os.nice(0)
        script = "nice; ulimit -Sn; ulimit -Sc; ulimit -Ss"
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        few = 77 if hard == resource.RLIM_INFINITY else min(77, hard)
        run = self.d.submit(["bash", "-c", script], nice=min(19, base + 4),
                            rlimits={"nofile": few, "core": 0, "stack": 4 * MIB, "rtprio": -1})
        row = self.d.wait(run)
        self.assertEqual(row["state"], "done", row)
        self.assertEqual(self.d.logs(run)[0].split(), [str(min(19, base + 4)), str(few), "0", "4096"])
        shown = self.d.show(run)
        self.assertEqual((shown["nice"], shown["rlimits"]["nofile"]), (min(19, base + 4), few))

    def test_a_limit_above_the_hard_one_is_the_hard_one(self):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        if hard == resource.RLIM_INFINITY:
            self.skipTest("open files have no hard limit here")
        run = self.d.submit(["bash", "-c", "ulimit -Sn"], rlimits={"nofile": hard + 1})
        self.d.wait(run)
        self.assertEqual(self.d.logs(run)[0].split(), [str(hard)])

    def test_what_the_client_was_called_with(self):
        """The shell's own soft limits; --nice and --mem of each command that starts runs; shown again."""
        def fewer():
            resource.setrlimit(resource.RLIMIT_NOFILE, (88, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        self.wattq("submit", "--wait", "--nice", "7", "--mem", "64M", "--", "bash", "-c", "nice; ulimit -Sn",
                   preexec_fn=fewer)
        self.assertEqual(self.wattq("logs", "last").split(), ["7", "88"])
        self.assertIn("64 MiB of memory", self.wattq("show", "last"))
        self.assertIn("7", self.wattq("exec", "--nice", "7", "--", "nice").split())
        self.wattq("sweep", "--nice", "5", "--mem", "2M", "-p", "a=1", "--", "echo", "{a}")
        row = self.d.wait(3)
        self.assertEqual((row["mem_limit_bytes"], self.d.show(row["run"])["nice"]), (2 * MIB, 5))

    def test_bare_numbers_show_both_readings(self):
        self.assertIn("90s (seconds) or 90m (minutes)",
                      self.wattq("submit", "--time", "90", "--", "true", code=2))
        self.assertIn("32M (MiB) or 32B (bytes)", self.wattq("submit", "--mem", "32", "--", "true", code=2))
        self.assertIn("1 MiB", self.wattq("submit", "--mem", "5k", "--", "true", code=2))
        self.assertIn("0 to 19", self.wattq("submit", "--nice", "-3", "--", "true", code=2))


class Memory(DaemonCase):
    def test_beyond_it(self):
        """By the controller where there is one, which is an `oom`; else each process alone, and it says so."""
        hungry = self.d.submit(["python3", "-c", "x = b'x' * (300 << 20); print('had it')"], mem_bytes=64 * MIB)
        fine = self.d.submit(["python3", "-c", "x = b'x' * (8 << 20); print('had it')"], mem_bytes=64 * MIB)
        bad, good = self.d.wait(hungry, fine)
        self.assertEqual(good["state"], "done", good)
        self.assertNotIn("had it", self.d.logs(hungry)[0])
        if bad["mem_peak_bytes"] is None:
            self.assertEqual((bad["state"], bad["exit_code"]), ("failed", 1), bad)
            self.assertIn("MemoryError", self.d.logs(hungry)[0])
            self.assertIn("each of its processes alone: no memory controller", bad["reason"])
        else:
            self.assertEqual(bad["state"], "oom", bad)
            self.assertIn("reached its limit of 64 MiB", bad["reason"])
            self.assertLessEqual(bad["mem_peak_bytes"], 65 * MIB)

    def test_more_than_the_machine_has(self):
        e = self.refused("usage", "submit", run=self.d.spec(["true"], mem_bytes=1 << 50))
        self.assertIn("of memory were asked for, but this machine has", str(e))


class MemoryForRuns(DaemonCase):
    args = ("--mem", "100M", "--parallel", "4")

    def test_it_is_reserved(self):
        a = self.d.sh("sleep 30", mem_bytes=60 * MIB, exclusive=False)
        b = self.d.sh("true", mem_bytes=60 * MIB, exclusive=False)
        c = self.d.sh("true", mem_bytes=30 * MIB, exclusive=False)
        self.d.until_state(a, "running")
        self.assertEqual(self.d.state(b), "queued")
        waits = {r["run"]: r.get("waiting_for") for r in self.d.call("queue")["runs"]}[b]
        self.assertIn("60 MiB of memory: of 100 MiB of memory only 40 MiB of memory left", waits)
        self.d.call("cancel", runs=[a], grace_ns=0)
        self.assertEqual([r["state"] for r in self.d.wait(a, b, c)], ["cancelled", "done", "done"])


class EachUser(DaemonCase):
    """What each user may have."""
    args = ("--parallel", "4", "--max-time", "1h", "--default-mem", "3M", "--max-mem", "32M", "--max-queued", "3",
            "--max-running", "2")

    def test_one_run(self):
        e = self.refused("usage", "submit", run=self.d.spec(["true"], time_limit_ns=2 * 3600 * 10**9))
        self.assertIn("a run may take 1h00m at most here, and 2h00m were asked for", str(e))
        e = self.refused("usage", "submit", run=self.d.spec(["true"], mem_bytes=64 * MIB))
        self.assertIn("a run may have 32 MiB of memory at most here, and 64 MiB were asked for", str(e))
        shared = self.d.sh("true", exclusive=False)
        alone = self.d.sh("true")
        said = self.d.sh("true", exclusive=False, mem_bytes=5 * MIB, time_limit_ns=60 * 10**9)
        rows = self.d.wait(shared, alone, said)
        self.assertEqual([(r["mem_limit_bytes"] // MIB, r["time_limit_ns"] // 10**9) for r in rows],
                         [(3, 3600), (32, 3600), (5, 60)])
        self.assertIn("1m00s of time", self.wattq("show", "last"))

    def test_a_foreground_run_holds_itself_to_them(self):
        with Daemon("--max-time", "1s") as self.d:
            self.assertIn("time limit reached", self.wattq("exec", "--", "sleep", "60", code=143))

    def test_numbers(self):
        """Two go on, three wait; a sixth is refused, and so is a sweep; one that ends makes room."""
        runs = [self.d.sh("sleep 60", exclusive=False) for _ in range(2)]
        for run in runs:
            self.d.until_state(run, "running")
        runs += [self.d.sh("sleep 60", exclusive=False) for _ in range(3)]
        waits = {r["run"]: r.get("waiting_for") for r in self.d.call("queue")["runs"]}
        self.assertIn("another run of its user to end: 2 may go on at once", waits[runs[2]])
        e = self.refused("limit", "submit", run=self.d.spec(["true"]))
        self.assertIn("you may have 3 runs waiting here: there are 3 and would be 4", str(e))
        self.assertIn("and would be 5", self.wattq("sweep", "-p", "a=1,2", "--", "true", "{a}", code=1))
        self.d.call("cancel", runs=[runs[0]], grace_ns=0)
        self.d.wait(runs[0])
        self.d.until_state(runs[2], "running")
        self.assertEqual(self.d.state(runs[3]), "queued")
        self.wattq("retry", str(runs[0]))
        self.assertIn("and would be 4", self.wattq("retry", str(runs[0]), code=1))


class OfOnesOwn(DaemonCase):
    args = ("--max-queued", "1", f"--max-queued@{os.getuid()}", "2", f"--max-time@{os.getuid()}", "2h")

    def test_they_stand_for_what_each_has(self):
        waits = [self.d.sh("true", hold=True) for _ in range(2)]
        e = self.refused("limit", "submit", run=self.d.spec(["true"], hold=True))
        self.assertIn("you may have 2 runs waiting here", str(e))
        self.assertEqual(self.d.show(waits[0])["time_limit_ns"], 7200 * 10**9)


if __name__ == "__main__":
    unittest.main(verbosity=2)
