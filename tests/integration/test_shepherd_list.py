#!/usr/bin/env python3
"""wattq-shepherd --list and --stop: runs that go on without wattqd are seen and stopped, and the next wattqd
takes their results in."""
import os
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import BIN, Daemon  # noqa: E402

SHEPHERD = os.path.join(BIN, "daemon", "wattq-shepherd")


class ByHand(unittest.TestCase):
    def setUp(self):
        self.d = Daemon("--parallel", "3", "--cpus", "8")
        self.d.__enter__()
        self.addCleanup(self.d.__exit__, None, None, None)

    def shepherd(self, *args):
        p = subprocess.run([SHEPHERD, *args, "--state-dir", self.d.state_dir], capture_output=True, text=True, timeout=100,
                           check=False)
        return p.returncode, p.stdout, p.stderr

    def test_list_and_stop(self):
        one, two, three = (self.d.sh(f"echo begun; exec sleep {n}", exclusive=False) for n in (301, 302, 303))
        for run in (one, two, three):
            self.d.until_state(run, "running")
        code, out, _ = self.shepherd("--list")
        self.assertEqual((code, len(out.splitlines())), (0, 4), out)
        self.assertIn("running", out)
        self.assertIn("sleep 302", out)

        code, out, err = self.shepherd("--stop", str(one))
        self.assertEqual((code, out), (1, ""))
        self.assertIn("wattq cancel", err)

        self.d.kill()
        code, out, err = self.shepherd("--stop", str(two))
        self.assertEqual((code, err), (0, ""))
        self.assertIn(f"run {two} is stopped", out)
        code, out, _ = self.shepherd("--list")
        self.assertEqual(sorted(int(line.split()[0]) for line in out.splitlines()[1:]), [one, three])
        code, out, err = self.shepherd("--stop", str(two), str(one))
        self.assertEqual(code, 1)
        self.assertIn(f"run {one} is stopped", out)
        self.assertIn("1 of the runs", err)
        self.assertEqual(self.shepherd("--stop", "--all")[0], 0)
        self.assertEqual(len(self.shepherd("--list")[1].splitlines()), 1)

        self.d.start()
        for run in (one, two, three):
            r = self.d.wait(run)
            self.assertEqual((r["state"], r["term_signal"]), ("cancelled", 15), r)
            reason = f"cancelled; stopped by hand (wattq-shepherd --stop, uid {os.getuid()})"
            self.assertEqual((r["reason"], self.d.show(run)["events"][-1]["reason"]), (reason, reason))
        asked = self.d.sh("sleep 60")
        self.d.until_state(asked, "running")
        self.d.call("cancel", runs=[asked])
        self.assertNotIn("by hand", self.d.wait(asked)["reason"])

    def test_one_that_does_not_answer_spares_no_other(self):
        runs = [self.d.sh("exec sleep 300", exclusive=False) for _ in range(3)]
        for run in runs:
            self.d.until_state(run, "running")
        pids = {int(line.split()[0]): int(line.split()[4]) for line in self.shepherd("--list")[1].splitlines()[1:]}
        self.d.kill()
        silent = runs[1]
        os.kill(pids[silent], signal.SIGSTOP)
        try:
            code, out, err = self.shepherd("--stop", "--all")
        finally:
            os.kill(pids[silent], signal.SIGCONT)
        self.assertEqual((code, len(out.splitlines())), (1, 2), out)
        self.assertIn(f"run {silent}: ", err)
        self.assertIn("1 of the runs could not be stopped", err)
        self.assertEqual(self.shepherd("--stop", str(silent))[0], 0)

    def test_usage(self):
        for args in (("--stop",), ("--stop", "x"), ("--stop", "--all", "3"), ("--list", "3")):
            code, out, err = self.shepherd(*args)
            self.assertEqual((code, out), (2, ""), args)
            self.assertIn("--stop RUN", err)


if __name__ == "__main__":
    unittest.main()
