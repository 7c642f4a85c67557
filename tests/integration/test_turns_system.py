#!/usr/bin/env python3
"""Turns on a machine that many people share, with users as they are there. Needs root."""
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import system  # noqa: E402
from system import USERS, SystemDaemon  # noqa: E402


class Turns(unittest.TestCase):
    def setUp(self):
        self.d = SystemDaemon("--parallel", "1").__enter__()
        self.addCleanup(self.d.__exit__, None, None, None)

    def test_the_machine_is_shared_unless_somebody_says_so(self):
        kinds = [self.d.show(self.d.wattq_submit("ada", "true", options=o))["exclusive"]
                 for o in ((), ("--exclusive",), ("--hold", "--idle-bracket", "5s"))]
        self.assertEqual(kinds, [False, True, True])

    def refused(self, user, *argv):
        r = self.d.wattq(user, *argv, check=False)
        self.assertEqual(r.returncode, 3, r.stdout + r.stderr)
        return r.stderr

    def test_users(self):
        d = self.d
        gate = d.path("gate")
        os.mkfifo(gate)
        os.chmod(gate, 0o644)
        first = d.wattq_submit("ada", "sh", "-c", f"read x < {gate}")
        d.until_state(first, "running")
        a = [d.wattq_submit("ada", "true") for _ in range(4)]
        b = [d.wattq_submit("bob", "true") for _ in range(2)]
        e = [d.wattq_submit("eve", "true") for _ in range(2)]

        def order():
            return [r["run"] for r in d.call("queue")["runs"] if r.get("position")]

        self.assertEqual(order(), [b[0], e[0], a[0], b[1], e[1], a[1], a[2], a[3]])
        d.wattq("ada", "bump", str(a[3]))
        self.assertEqual(order(), [b[0], e[0], a[3], b[1], e[1], a[0], a[1], a[2]])
        # Another's run is not hers to move, nor is she anybody to go before all others.
        self.assertIn("somebody else's", self.refused("ada", "bump", str(b[1])))
        self.assertIn("only an admin", self.refused("ada", "bump", "--first", str(a[0])))
        self.assertIn("for its admins", self.refused("ada", "submit", "--priority", "1", "--", "true"))
        self.assertIn("for its admins", self.refused("ada", "sweep", "--priority", "1", "-p", "x=1,2", "--", "true", "{x}"))
        d.wattq("joe", "bump", str(e[1]))
        d.wattq("joe", "bump", "--first", str(a[2]))
        want = [a[2], b[0], e[1], a[3], b[1], e[0], a[0], a[1]]
        self.assertEqual(order(), want)
        for run, what in ((e[1], "moved to the front of its owner's"), (a[2], "moved before everybody's")):
            self.assertIn((USERS["joe"], what), [(x["actor_uid"], x["reason"]) for x in d.show(run)["events"]])
        with open(gate, "w") as f:
            f.write("go\n")
        rows = d.wait(*want)
        self.assertEqual([r["state"] for r in rows], ["done"] * len(want))
        starts = [r["started_utc_ns"] for r in rows]
        self.assertEqual(starts, sorted(starts))


if __name__ == "__main__":
    system.enter()
    unittest.main()
