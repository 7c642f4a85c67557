#!/usr/bin/env python3
"""The shepherd that wattqd makes ready while a start is written down (daemon/launch/ready.h), in user mode: a run gets it,
needs none, and is started anew when it dies with the run in its hands. What the launcher does: test_launcher."""
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import BIN, Daemon, check_events  # noqa: E402


ONCE = "[ -e \"$0.once\" ] || { : >\"$0.once\"; %s; }"


class Ready(unittest.TestCase):
    def run_one(self, when_ready):
        """What programs were started as shepherds, and what became of a run; when_ready: what one that is to stand ready
        does first, in shell."""
        d = Daemon()
        libexec, began = d.path("libexec"), d.path("began")
        os.mkdir(libexec)
        for name in ("wattq-shepherd", "wattq-train"):
            real = os.path.abspath(os.path.join(BIN, "daemon", name))
            with open(os.path.join(libexec, name), "w") as f:
                f.write(f"#!/bin/sh\nprintf '%s\\n' \"$1\" >>'{began}'\n[ \"$1\" = --ready ] && {{ {when_ready}; }}\n"
                        f"exec '{real}' \"$@\"\n")
            os.chmod(f.name, 0o755)
        d.args += ["--libexec-dir", libexec]
        with d:
            run = d.sh("echo ran >> ran; exit 3")
            ended = d.wait(run)
            with open(began) as f, open(d.path("ran")) as ran:
                self.assertEqual(ran.read(), "ran\n")
                started = f.read().split()
            events = d.show(run)["events"]
            self.assertEqual((ended["state"], ended["exit_code"], check_events(events)), ("failed", 3, "failed"))
            return started, events, d.path("state", "runs", str(run))

    def test_a_run_gets_it(self):
        started, _, _ = self.run_one("true")
        self.assertEqual(started, ["--ready"])

    def test_it_has_gone_before(self):
        # Told in the instant of its end it leaves a start that is made anew; else another is started at once.
        started, _, directory = self.run_one(ONCE % "exit 0")
        self.assertEqual(len(started), 2)
        self.assertIn(started[1], ("--ready", directory))

    def test_it_dies_with_a_run_in_its_hands(self):
        started, events, _ = self.run_one(ONCE % "sleep 0.5; kill -9 $$")
        self.assertEqual(started, ["--ready", "--ready"])
        self.assertIn("went away before the gate opened", str(events))


if __name__ == "__main__":
    unittest.main()
