#!/usr/bin/env python3
"""Who else uses the machine: the real daemon looks at a /proc that the test writes, so that what others use is
known exactly and no other work on this machine matters."""
import json
import os
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import BIN, Daemon, until  # noqa: E402

HZ = os.sysconf("SC_CLK_TCK")
CPUS = os.sysconf("SC_NPROCESSORS_ONLN")


class Proc:
    """A /proc with processes that use a given part of one CPU, kept up to date by a thread."""

    def __init__(self, root):
        self.root = os.path.join(root, "proc")
        os.makedirs(self.root)
        self.procs = {}
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def add(self, pid, uid, cgroup, load, ppid=1, name="work", flags=0):
        os.makedirs(os.path.join(self.root, str(pid)))
        self.put(pid, "status", f"Name:\t{name}\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\n")
        self.put(pid, "cgroup", f"1:name=systemd:/\n0::{cgroup}\n")
        p = [load, 0.0, ppid, name, flags]
        self.write(pid, p)
        self.procs[pid] = p  # from now on the thread writes it

    def put(self, pid, file, text):
        path = os.path.join(self.root, str(pid), file)
        with open(path + ".new", "w") as f:
            f.write(text)
        os.rename(path + ".new", path)

    def write(self, pid, p):
        _, ticks, ppid, name, flags = p
        self.put(pid, "stat", f"{pid} ({name}) R {ppid} 1 1 0 -1 {flags} 0 0 0 0 {int(ticks)} 3 0 0 20 0 1 0 77 0 0")

    def run(self):
        last = time.monotonic()
        while not self.stop.wait(0.02):
            now = time.monotonic()
            for pid, p in list(self.procs.items()):
                p[1] += p[0] * HZ * (now - last)
                self.write(pid, p)
            last = now


class Who(unittest.TestCase):
    def setUp(self):
        self.d = Daemon("--others-period", "200ms", "--disturbed", "2")
        self.root = os.path.join(self.d.dir, "root")
        self.proc = Proc(self.root)
        self.d.args += ["--sysfs-root", self.root]
        self.d.__enter__()

    def tearDown(self):
        self.proc.stop.set()
        self.proc.thread.join()
        self.d.__exit__(*sys.exc_info())

    def wattq(self, *args):
        p = subprocess.run([os.path.join(BIN, "client", "wattq"), "--socket", self.d.socket, *args],
                           capture_output=True, text=True, timeout=60)
        self.assertEqual(p.returncode, 0, p.stdout + p.stderr)
        return p.stdout

    def others(self):
        return {(o["kind"], o["owner"]): o for o in json.loads(self.wattq("who", "--json"))["devices"][0]["others"]}

    def test_owners_are_kept_apart(self):
        self.proc.add(100, 0, "/user.slice/user-0.slice/session-1.scope", 0.5)
        self.proc.add(101, 0, "/system.slice/cron.service", 0.4)
        self.proc.add(102, 0, "/system.slice/docker-0123456789abcdef.scope", 0.6)
        self.proc.add(103, 54321, "/user.slice/user-54321.slice/user@54321.service/app.slice/x.service", 0.3)
        self.proc.add(104, 0, "/", 0.9, name="kworker/0:1", flags=0x00200000)
        self.proc.add(105, 54321, "/system.slice/x.service", 0.0, name="wattq-shepherd")
        self.proc.add(106, 54321, "/system.slice/x.service", 0.9, ppid=105)
        self.proc.add(107, 54321, "/system.slice/x.service", 0.0, name="odd) R 9 (name")
        want = {("login", "root"), ("service", "cron"), ("container", "docker-0123456789abcdef"),
                ("login", "54321")}
        try:
            until(lambda: set(self.others()) == want, "four owners: no kernel thread, no run")
        except AssertionError:
            self.fail(f"no kernel thread and no run, but these: {self.others()}")
        text = self.wattq("who")
        for word in ("cron", "docker-0123456789abcdef", "54321", "others use"):
            self.assertIn(word, text)

    def test_a_run_waits_for_calm_and_says_so(self):
        self.proc.add(100, 54321, "/", 0.5 * CPUS)
        until(self.others, "somebody is at work")
        run = int(self.wattq("submit", "-q", "--quiet", "5%,600ms", "--", "sleep", "0.3").split()[0])
        until(lambda: "of the CPUs for" in self.wattq("queue"), "queue says what it waits for")
        self.assertEqual(self.d.show(run)["state"], "queued")
        self.proc.procs[100][0] = 0.0
        self.assertEqual(self.d.wait(run)["state"], "done")
        self.assertNotIn("disturbed", self.wattq("show", str(run)))

    def test_a_disturbed_run_is_flagged_and_names_who(self):
        self.proc.add(100, 54321, "/", 0.25 * CPUS)
        until(self.others, "somebody is at work")
        run = self.d.submit(["sleep", "1.5"])
        self.d.wait(run)
        shown = self.d.show(run)
        total = [f for f in shown["energy"] if f["channel"] is None and f["figure"] == "machine" and
                 f["part"] == "window"][0]
        self.assertIn("disturbed", total["flags"].split())
        other = shown["others"][0]
        self.assertEqual((other["kind"], other["owner"], other["device"]), ("login", "54321", ""))
        window_s = (shown["t1_ns"] - shown["t0_ns"]) / 1e9
        self.assertAlmostEqual(other["busy_us"] / 1e6 / window_s / CPUS, 0.25, delta=0.1)
        self.assertIn("54321 used", self.wattq("show", str(run)))

    def test_mistakes(self):
        for text in ("5%", "5%,", ",5m", "5%,2h", "x,5m", "5%,0"):
            p = subprocess.run([os.path.join(BIN, "client", "wattq"), "--socket", self.d.socket, "submit", "--quiet",
                                text, "--", "true"], capture_output=True, text=True, timeout=60)
            self.assertEqual(p.returncode, 2, text)
            self.assertIn("--quiet 1%,5m", p.stderr)


class Gpus(unittest.TestCase):
    """Processes on two GPUs of the tests' own library: whose they are, and that a held GPU does nothing."""

    def test_allocated_and_idle(self):
        library = os.path.join(BIN, "tests/support/fake/libnvidia-ml.so.1")
        if not os.path.exists(library):
            self.skipTest(f"{library} is not built")
        d = Daemon("--disable", "perf,powercap,hwmon,battery,ipmi,estimate", "--nvml", os.path.abspath(library))
        control = os.path.join(d.dir, "nvml_control")
        with open(control, "w") as f:
            f.write(f"gpus 2\nbusy 0\nproc_{os.getpid()} 1048576\n")
        os.environ["FAKE_NVML_CONTROL"] = control
        try:
            with d:
                def gpus():
                    found = [x for x in d.call("who")["devices"] if x["device"].startswith("GPU-")]
                    return found if len(found) == 2 and all(x["known"] for x in found) else None
                for gpu in until(gpus, "both GPUs tell who is on them"):
                    (p,) = gpu["processes"]
                    self.assertEqual((p["pid"], p["memory_bytes"]), (os.getpid(), 1048576))
                    self.assertEqual(p["busy_ppm"], 0)
                    self.assertGreaterEqual(gpu["idle_ns"], 0)
                text = subprocess.run([os.path.join(BIN, "client", "wattq"), "--socket", d.socket, "who"],
                                      capture_output=True, text=True, check=True).stdout
                self.assertIn("is allocated (1 process), 0 % for", text)
        finally:
            del os.environ["FAKE_NVML_CONTROL"]


if __name__ == "__main__":
    unittest.main()
