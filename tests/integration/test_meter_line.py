#!/usr/bin/env python3
"""Programs as meters: the real wattqd starts the real wattq-meters, which starts the programs that
docs/line-protocol.md shows - taken out of the page - and programs that misbehave."""
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import BIN, Daemon, until  # noqa: E402

SRC = os.environ.get("WATTQ_SRC", ".")
METERS = os.path.join(BIN, "daemon", "wattq-meters")
NOTHING = "channel pkg kind=counter scope=package period=1ms\npower pkg = constant 5W\n"


def example(language):
    with open(os.path.join(SRC, "docs", "line-protocol.md"), encoding="utf-8") as f:
        return re.search(rf"```{language}\n(.*?)```", f.read(), re.S).group(1)


class Line(unittest.TestCase):
    def begin(self, conf, programs, *args):
        self.d = Daemon(script=NOTHING)
        for name, text in programs.items():
            path = self.path(name)
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
            os.chmod(path, 0o755)
        with open(self.path("meters.conf"), "w", encoding="utf-8") as f:
            f.write(conf.replace("DIR", self.d.dir))
        self.d.args += ["--meters", self.path("meters.conf"), *args]
        self.d.__enter__()
        self.addCleanup(self.d.__exit__, None, None, None)

    def path(self, name):
        return os.path.join(self.d.dir, name)

    def meters(self):
        p = subprocess.run([os.path.join(BIN, "client", "wattq"), "--socket", self.d.socket, "meters", "--json"],
                           capture_output=True, text=True, timeout=60, check=True)
        return {c["uid"]: c for c in json.loads(p.stdout)["channels"]}

    def state(self, uid):
        return self.meters()[uid]["state"]

    def write(self, name, text):
        with open(self.path(name) + ".new", "w", encoding="utf-8") as f:
            f.write(text)
        os.rename(self.path(name) + ".new", self.path(name))

    def test_the_examples_of_the_page_meter_a_run(self):
        conf = ("run wall exec DIR/wall.sh DIR/watts\n"
                "channel wall kind=gauge scope=node period=200ms declared=no accuracy=10000\n"
                "run rig exec DIR/rig.py 120\n"
                "channel rig/power kind=gauge scope=other\n"
                "channel rig/energy kind=counter scope=other mirror=rig/power\n")
        self.begin(conf, {"wall.sh": example("sh"), "rig.py": example("python"), "watts": "80\n"})
        until(lambda: self.state("line/wall") == self.state("line/rig/energy") == "ok", "both meters speak")
        time.sleep(1)
        run = self.d.submit(["sleep", "2"])
        self.d.wait(run)
        time.sleep(1)
        # Again, from the samples that came after its end too.
        now = self.d.client.call("energy", run=run)
        figures = {f["label"]: f for f in now["figures"]}
        watts = {k: f["energy_uj"] * 1e3 / max(f["covered_ns"], 1) for k, f in figures.items()}
        self.assertAlmostEqual(watts["wall"], 80, delta=1)
        self.assertAlmostEqual(watts["rig/energy"], 120, delta=25)
        self.assertEqual(figures["wall"]["gain_ppm"], 10000)
        # The meter of the whole machine contains the package: the total is its figure alone.
        self.assertEqual(figures["total"]["energy_uj"], figures["wall"]["energy_uj"])
        self.assertFalse(figures["pkg"]["in_total"])
        # What the wall sees beyond the meters inside; the rig, of which nobody said where it is, is none of them.
        self.assertEqual(now["uncovered_uj"], figures["wall"]["energy_uj"] - figures["pkg"]["energy_uj"])
        p = subprocess.run([os.path.join(BIN, "client", "wattq"), "--socket", self.d.socket, "show", str(run), "--energy"],
                           capture_output=True, text=True, timeout=60, check=True)
        self.assertIn("beyond pkg\n", p.stdout)

    def test_no_reading_is_a_gap_and_never_zero(self):
        self.begin("run wall exec DIR/wall.sh DIR/watts\nchannel wall kind=gauge scope=node\n",
                   {"wall.sh": example("sh"), "watts": "80\n"})
        until(lambda: self.state("line/wall") == "ok", "it speaks")
        os.remove(self.path("watts"))
        until(lambda: self.state("line/wall") == "io", "the reason arrives")
        self.assertIsNone(self.meters()["line/wall"]["power_w"])
        self.write("watts", "eighty\n")
        until(lambda: self.state("line/wall") == "io" or self.state("line/wall") == "garbled" or
              self.state("line/wall") == "stale", "a word is no number")
        self.write("watts", "81\n")
        until(lambda: self.state("line/wall") == "ok", "it is back")

    def test_a_slow_gauge_is_stored_as_it_changes(self):
        # 0 W and 100 W in turn, each printed once: looked at ten times a second it is still one sample each.
        self.begin("run slow exec DIR/slow.sh\nchannel slow kind=gauge scope=node period=1s\n",
                   {"slow.sh": "#!/bin/sh\nwhile :; do echo 0 W; sleep 1; echo 100 W; sleep 1; done\n"})
        until(lambda: self.state("line/slow") == "ok", "it speaks")
        before, began = self.meters()["line/slow"], time.monotonic()
        time.sleep(3)
        after, seconds = self.meters()["line/slow"], time.monotonic() - began
        self.assertEqual((before["state"], after["state"]), ("ok", "ok"))
        self.assertEqual(after["failures"], before["failures"])
        self.assertGreaterEqual(after["reads"] - before["reads"], 2)
        self.assertLessEqual(after["reads"] - before["reads"], seconds + 2)

    def test_what_ends_is_started_again(self):
        self.begin("run short exec DIR/short.sh\nchannel short kind=gauge scope=other\n"
                   "run wall exec DIR/wall.sh DIR/watts\nchannel wall kind=gauge scope=node\n",
                   {"short.sh": "#!/bin/sh\necho 7 W\necho $$ >>" + "$0.pids\nsleep 0.5\nexit 3\n",
                    "wall.sh": example("sh"), "watts": "80\n"})
        until(lambda: self.state("line/short") == "gone", "its end is seen")

        def starts():
            with open(self.path("short.sh.pids"), encoding="utf-8") as f:
                return len(f.read().split())
        until(lambda: starts() >= 2, "it is started again")
        self.assertEqual(self.state("line/wall"), "ok")

    def test_a_killed_supervisor_comes_back_and_takes_nobody_along(self):
        self.begin("run wall exec DIR/wall.sh DIR/watts\nchannel wall kind=gauge scope=node\n",
                   {"wall.sh": example("sh"), "watts": "80\n"})
        until(lambda: self.state("line/wall") == "ok", "it speaks")

        def children(name):
            p = subprocess.run(["pgrep", "-f", name + ".*" + os.path.basename(self.d.dir)], capture_output=True, text=True)
            return [int(x) for x in p.stdout.split()]
        before = children("wattq-meters")
        self.assertEqual(len(before), 1)
        os.kill(before[0], signal.SIGKILL)
        until(lambda: children("wattq-meters") not in ([], before), "another one is started")
        until(lambda: self.state("line/wall") == "ok", "and the meter speaks again")
        self.d.stop()
        until(lambda: not children("wall.sh"), "no program is left")


class Supervisor(unittest.TestCase):
    """wattq-meters alone, as a unit would run it."""

    def setUp(self):
        self.d = Daemon(script=NOTHING)  # for its directory only
        self.addCleanup(self.d.__exit__, None, None, None)

    def begin(self, conf, *args):
        path = os.path.join(self.d.dir, "meters.conf")
        with open(path, "w", encoding="utf-8") as f:
            f.write(conf)
        p = subprocess.Popen([METERS, "--file", path, *args], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                             text=True)
        self.addCleanup(p.stdout.close)
        self.addCleanup(p.wait)
        self.addCleanup(p.kill)
        return p

    def test_a_flood_is_ended(self):
        p = self.begin("run f while :; do echo 1 W; done\n")
        for line in p.stdout:
            if "gone its program printed more than 1000 lines" in line:
                break
        else:
            self.fail("it went on")

    def test_a_flood_without_lines_is_ended(self):
        p = self.begin("run f tr '\\0' x </dev/zero\n")
        self.assertTrue(select.select([p.stdout], [], [], 20)[0], "it goes on")
        self.assertIn("gone its program printed more than 256 KiB", p.stdout.readline())

    def test_a_reader_that_rests_holds_nothing_up(self):
        # More than a pipe holds, less than a flood. The reader takes none of it, then asks for the end.
        p = self.begin("run f i=0; while [ $i -lt 800 ]; do echo - io " + "x" * 150 + "; i=$((i+1)); done; "
                       "touch " + os.path.join(self.d.dir, "said") + "; sleep 100\n")
        until(lambda: os.path.exists(os.path.join(self.d.dir, "said")), "the program is not held up")
        p.terminate()
        self.assertEqual(p.wait(timeout=20), 0)

    @unittest.skipUnless(os.environ.get("WATTQ_SILENCE"), "takes 40 s: WATTQ_SILENCE=1")
    def test_silence_is_ended(self):
        # 30 s at the least, ten periods of a slow one; the other one speaks and is left alone.
        p = self.begin("run dumb echo 1 W; sleep 1000\nrun slow echo 2 W; sleep 1000\n"
                       "channel slow kind=gauge period=10s\nrun wall while sleep 1; do echo 3 W; done\n")
        began = time.monotonic()
        lines = []
        while not any("gone" in x for x in lines):
            lines.append(p.stdout.readline().rstrip().split(" ", 2))
            lines[-1] = " ".join((lines[-1][0], lines[-1][2]))
        took = time.monotonic() - began
        self.assertEqual(lines[-1], "dumb - gone its program said nothing for too long")
        self.assertGreater(took, 29)
        self.assertEqual(lines.count("slow 2 W"), 1)
        while p.stdout.readline().split(" ", 2)[::2] != ["dumb", "1 W\n"]:
            self.assertLess(time.monotonic() - began, 60)
        self.assertGreater(time.monotonic() - began, took + 0.9)
        print(f"silence ended after {took:.1f} s, again after {time.monotonic() - began - took:.1f} s")

    def test_long_lines_and_zero_bytes_are_garbled(self):
        p = self.begin("run f head -c 5000 /dev/zero | tr '\\0' x; echo; printf '1\\0 W\\n'; echo 2 W; sleep 100\n")
        lines = [p.stdout.readline().split(" ", 2)[2] for _ in range(3)]
        self.assertTrue(lines[0].startswith("- garbled"), lines)
        self.assertEqual(lines[2], "2 W\n")

    def test_stamps_are_of_the_arrival(self):
        p = self.begin("run f echo 1 W; sleep 0.3; echo 2 W; sleep 100\n")
        t = [int(p.stdout.readline().split()[1]) for _ in range(2)]
        self.assertGreater(t[1] - t[0], 250e6)
        self.assertLess(abs(time.clock_gettime_ns(time.CLOCK_BOOTTIME) - t[1]), 5e9)

    def test_socket_hangup_and_end(self):
        path = os.path.join(self.d.dir, "m.sock")
        p = self.begin("run a echo 1 W; sleep 100\n", "--listen", path)
        until(lambda: os.path.exists(path), "it listens")
        c = socket.socket(socket.AF_UNIX)
        self.addCleanup(c.close)
        c.connect(path)
        with open(os.path.join(self.d.dir, "meters.conf"), "w", encoding="utf-8") as f:
            f.write("run b while sleep 0.1; do echo 2 W; done\n")
        p.send_signal(signal.SIGHUP)
        c.settimeout(20)
        text = b""
        while b" 2 W\n" not in text:
            text += c.recv(4096)
        p.terminate()
        self.assertEqual(p.wait(timeout=20), 0)
        self.assertFalse(os.path.exists(path))

    def test_check(self):
        p = self.begin("run a x\nchannel a kind=gauge\n", "--check")
        self.assertEqual(p.communicate()[0], "1 meters, 1 channels\n")
        p = self.begin("walk a x\n", "--check")
        p.communicate()
        self.assertEqual(p.returncode, 1)


if __name__ == "__main__":
    unittest.main()
