#!/usr/bin/env python3
"""wattqd on a disk that becomes full, with runs on it: what goes on, what is said, what is written, and how it goes
on. Needs root, for a small file system of its own (tmpfs)."""
import contextlib
import os
import socket
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import Client, Daemon, DaemonCase, check_energy, until  # noqa: E402


class FullDisk(DaemonCase):
    def setUp(self):
        self.d = Daemon()
        self.addCleanup(self.d.__exit__, None, None, None)
        os.mkdir(self.d.state_dir, 0o700)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m,mode=700", "none", self.d.state_dir],
                                 stderr=subprocess.DEVNULL)
        if mounted.returncode != 0:
            print("skipped: a small file system of our own needs root")
            self.skipTest("needs root")
        self.addCleanup(subprocess.run, ["umount", "-l", self.d.state_dir])
        self.told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.told.bind(self.d.path("notify"))
        self.addCleanup(self.told.close)
        os.environ["NOTIFY_SOCKET"] = self.d.path("notify")
        self.addCleanup(os.environ.pop, "NOTIFY_SOCKET")

    def fill(self):
        """To the last byte."""
        with open(os.path.join(self.d.state_dir, "filler"), "ab", buffering=0) as f:
            size = 1 << 20
            while size:
                try:
                    f.write(b"x" * size)
                except OSError:
                    size //= 2

    def storage(self):
        return self.d.call("info")["storage"]

    def until_degraded(self):
        def look():
            self.fill()
            return self.storage()["degraded"]
        until(look, "the disk to be found full")

    def status(self):
        """What systemd was told last."""
        text = ""
        with contextlib.suppress(BlockingIOError):
            while True:
                for line in self.told.recv(4096).decode().split("\n"):
                    text = line if line.startswith("STATUS=") else text
        return text

    def recovers(self):
        self.assertTrue(self.storage()["degraded"])
        os.unlink(os.path.join(self.d.state_dir, "filler"))
        began = time.monotonic()
        until(lambda: not self.storage()["degraded"], "storage to work again", 10)
        took = time.monotonic() - began
        print(f"works again {took:.1f} s after there was room", flush=True)
        self.assertLess(took, 2.5)  # 2 s, and asking

    def live_frame(self):
        with contextlib.closing(Client(self.d.socket)) as c:
            return c.recv(c.send("power", live=True, interval_ns=10**8))

    def check_what_is_said(self):
        said = self.wattq("info")
        self.assertIn("STORAGE IS DEGRADED, no run is started: ", said)
        self.assertRegex(said, r"for .*; [0-9]+ samples wait in memory")
        self.assertTrue(self.live_frame()["degraded"])
        self.assertTrue(self.d.call("queue")["degraded"])
        until(lambda: "storage degraded: " in self.status(), "systemd to be told", 8)

    def test_full_disk(self):
        self.d.start()
        self.assertIsNone(self.live_frame()["degraded"])
        ends = self.d.sh("sleep 4; echo bye; exit 3")
        self.d.until_state(ends, "running")
        waits = self.d.sh("true")
        self.until_degraded()
        self.refused("storage", "submit", run=self.d.spec(["true"]))
        # The end of what was running is written all the same, into what is kept for that.
        r = self.d.wait(ends)
        self.assertEqual((r["state"], r["exit_code"]), ("failed", 3))
        check_energy(self.d.show(ends))
        self.fill()
        before = self.storage()["waiting"]
        until(lambda: self.storage()["waiting"] > before, "samples to wait", 5)
        self.check_what_is_said()
        self.assertEqual(self.d.state(waits), "queued")
        self.recovers()
        self.assertEqual(self.d.wait(waits)["state"], "done")
        self.assertEqual(self.storage()["dropped"], 0)
        run = self.d.sh("sleep 0.3")
        self.d.wait(run)
        check_energy(self.d.show(run))

    def test_start(self):
        """As after a power failure: the disk is full, the log is there, its index is not."""
        self.d.start()
        ended = self.d.sh("exit 4")
        self.d.wait(ended)
        waits = self.d.sh("true", hold=True)
        self.d.kill()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(self.d.state_dir, "wattq.db-shm"))
        for i in range(3):
            self.fill()
            self.d.start()
            self.assertTrue(self.storage()["degraded"], f"start {i}")
            self.assertEqual(self.d.show(ended)["exit_code"], 4)
            self.assertEqual(self.d.state(waits), "held")
            self.d.kill() if i else self.d.stop()
        self.fill()
        self.d.start()
        self.recovers()
        self.d.call("release", runs=[waits])
        self.assertEqual(self.d.wait(waits)["state"], "done")


if __name__ == "__main__":
    unittest.main()
