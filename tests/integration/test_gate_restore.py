#!/usr/bin/env python3
"""wattqd --restore killed at each of its system calls in turn (tests/support/killat): the old database or the new one is
there, whole, and the next restore goes through.

WATTQ_GATE=all: at every call, and not at a few that are drawn; WATTQ_SEED: of the drawing (printed)."""
import collections
import contextlib
import os
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import BIN, Daemon, until  # noqa: E402
from tracer import KILLAT, read, skip_without_ptrace  # noqa: E402

ALL = os.environ.get("WATTQ_GATE") == "all"
SEED = int(os.environ.get("WATTQ_SEED", str(time.time_ns() % 10**6)))
LAST = 15  # calls in which one takes the place of the other
WATTQ, WATTQD = os.path.join(BIN, "client", "wattq"), os.path.join(BIN, "daemon", "wattqd")


class Restore(unittest.TestCase):
    def setUp(self):
        self.d = Daemon()
        self.d.__enter__()
        self.addCleanup(self.d.__exit__, None, None, None)
        self.name, self.template, self.log = self.d.path("copy.db"), self.d.path("template"), self.d.path("trace")
        self.d.wait(self.d.sh("true", label="kept"))
        subprocess.run([WATTQ, "--socket", self.d.socket, "admin", "backup", self.name], check=True,
                       stdout=subprocess.DEVNULL)
        self.d.wait(self.d.sh("true", label="later"))
        self.d.stop()
        shutil.copytree(self.d.state_dir, self.template)

    def restore(self, *tracer):
        line = [*tracer, os.path.abspath(WATTQD), "--state-dir", self.d.state_dir, "--config", "/dev/null", "--restore",
                self.name]
        asan = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
        return subprocess.run(line, capture_output=True, text=True, timeout=60,
                              env=dict(os.environ, XDG_RUNTIME_DIR="", ASAN_OPTIONS=asan))

    def killed(self, at):
        """What the tracer says in the end, of a restore on the state as it was."""
        shutil.rmtree(self.d.state_dir)
        shutil.copytree(self.template, self.d.state_dir)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.log)
        self.restore(KILLAT, "--at", str(at), "--log", self.log, "--")
        return until(lambda: re.search(r"(killed|ended) (\d+)", read(self.log)), "the tracer ends")

    def labels(self):
        db = sqlite3.connect(os.path.join(self.d.state_dir, "wattq.db"))
        self.assertEqual(db.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
        found = [row[0] for row in db.execute("SELECT label FROM run ORDER BY id")]
        db.close()
        return found

    def test_killed_anywhere(self):
        calls = int(self.killed(0).group(2))
        few = {*random.Random(SEED).sample(range(1, calls - LAST), 6), *range(calls - LAST, calls + 1)}
        seen = collections.Counter()
        for at in range(1, calls + 1) if ALL else sorted(few):
            self.assertEqual(self.killed(at).group(1), "killed", f"at {at} of {calls}")
            found = self.labels()
            self.assertIn(found, (["kept"], ["kept", "later"]), f"killed at {at}, WATTQ_SEED={SEED}")
            seen[len(found)] += 1
            again = self.restore()
            self.assertEqual(again.returncode, 0, again.stderr)
            self.assertEqual(self.labels(), ["kept"])
        self.assertEqual(sorted(seen), [1, 2])
        print(f"gate: restore killed at {sum(seen.values())} of {calls} calls, the old database was there {seen[2]} times, "
              f"the new one {seen[1]}")


if __name__ == "__main__":
    skip_without_ptrace()
    print("WATTQ_SEED=%d" % SEED)
    unittest.main()
