#!/usr/bin/env python3
"""A machine that many people share: runs are their users', nobody reaches another's, and each of wattqd, launcher and
shepherd can be killed. Needs root."""
import json
import os
import pwd
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import system  # noqa: E402
from harness import BIN, Refused, check_energy, is_sanitized, is_small, until  # noqa: E402
from system import SystemDaemon  # noqa: E402


class Shared(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d = SystemDaemon("--max-time", "168h", "--max-time@bob", "1h").__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.d.__exit__(None, None, None)

    def test_a_run_is_its_users(self):
        d = self.d
        for user, groups in (("ada", "ada lab wattq-meter"), ("bob", "bob")):
            run = d.wattq_submit(user, "sh", "-c", "id -un; id -Gn; umask; pwd; ulimit -Hc; echo $A; touch mine",
                                 umask=0o027, A="b c")
            self.assertEqual(d.wait(run)["state"], "done", d.log_text())
            home = pwd.getpwnam(user).pw_dir
            log = d.run_file(run, "log").splitlines()
            self.assertEqual(log[:4] + log[5:], [user, groups, "0027", home, "b c"])
            st = os.stat(f"{home}/mine")
            self.assertEqual((st.st_uid, st.st_mode & 0o777), (pwd.getpwnam(user).pw_uid, 0o640))
            st = os.stat(d.path("state", "runs", str(run), "log"))
            self.assertEqual((st.st_uid, st.st_gid, st.st_mode & 0o777),
                             (pwd.getpwnam(user).pw_uid, pwd.getpwnam("wattq").pw_gid, 0o640))
            shown = d.show(run)
            self.assertTrue(shown["mode"].startswith("system+"), shown["mode"])
            check_energy(shown)

    @unittest.skipIf(is_sanitized(), "a sanitizer needs more")
    def test_memory_of_a_shepherd(self):
        run = self.d.wattq_submit("ada", "sleep", "60")
        self.d.until_state(run, "running")
        until(lambda: is_small(self.d.shepherd(run)["pid"]), "what its start needed to be let go")
        self.d.wattq("ada", "cancel", str(run))
        self.assertEqual(self.d.wait(run)["state"], "cancelled")

    def test_on_end_is_its_users_too(self):
        d = self.d
        run = d.wattq_submit("ada", "sh", "-c", "exit 3", umask=0o027, A="b c", options=[
            "-J", "it", "--on-end", "id -un; id -Gn; umask; pwd; echo $A $WATTQ_LABEL $WATTQ_STATE $WATTQ_EXIT_CODE; "
            "wattq show --json $WATTQ_RUN_ID >shown"])
        self.assertEqual(d.wait(run)["state"], "failed", d.log_text())
        said = until(lambda: [e["reason"] for e in d.show(run)["events"] if e["reason"].startswith("on_end ")][1:],
                     "on_end", 80)
        self.assertEqual(said, ["on_end ended with exit code 0"])
        home = pwd.getpwnam("ada").pw_dir
        self.assertEqual(d.run_file(run, "log").splitlines(), ["ada", "ada lab wattq-meter", "0027", home,
                                                               "b c it failed 3"])
        with open(f"{home}/shown") as f:
            self.assertEqual(json.load(f)["run"]["state"], "failed")
        check_energy(d.show(run))
        shown = json.loads(d.wattq("bob", "show", str(run), "--json"))
        self.assertNotIn("id -un", json.dumps(shown))
        until(lambda: d.cgroup == "none" or not [n for n in os.listdir(d.cgroup) if n.startswith(f"wattq-{run}-")],
              "its cgroups to be removed")

    def test_whoever_starts_many_waits_for_no_meter(self):
        """Beyond his edge sweeps (sweep_budget.h) a user's runs start all the same, with the samples there are."""
        d = self.d
        d.wattq("bob", "sweep", "-p", "n=1..30", "--max-running", "2", "--", "true", "{n}")
        runs = [r["run"] for r in d.call("runs", filter="user=bob", limit=30)["runs"]]
        self.assertEqual({r["state"] for r in d.wait(*runs)}, {"done"})
        unswept = [r for r in runs if "its edges are not swept" in str(d.show(r)["events"])]
        self.assertGreater(len(unswept), 2)
        self.assertNotIn("did not answer in time", "".join(
            line for line in d.log_text().splitlines() if any(f"run {r}:" in line for r in unswept)))

    def test_limits_of_ones_own(self):
        d = self.d
        for user, most in (("ada", 7 * 86400), ("bob", 3600)):
            run = d.wattq_submit(user, "true")
            d.wait(run)
            self.assertEqual(d.show(run)["time_limit_ns"], most * 10**9, user)
        d.wait(d.wattq_submit("ada", "true", options=["--time", "2h"]))
        r = d.wattq("bob", "submit", "--time", "2h", "--", "true", check=False)
        self.assertEqual(r.returncode, 2)
        self.assertIn("may take 1h00m at most here, and 2h00m were asked for", r.stderr)

    def test_nobody_runs_what_was_not_signed(self):
        with self.d.peer("eve") as c:
            self.assertEqual((c.hello["mode"], c.hello["launcher"]), ("system", self.d.launcher_dir))
            with self.assertRaises(Refused) as r:
                c.call("submit", run=self.d.spec(["true"]))
        self.assertEqual(r.exception.code, "forbidden")

    def test_what_others_cannot(self):
        d = self.d
        run = d.wattq_submit("ada", "sh", "-c", "echo secret; sleep 60", SECRET="sesame")
        until(lambda: d.run_file(run, "log") if d.state(run) == "running" else "", "its log")
        for argv in (["logs", run], ["cancel", run], ["pause", run], ["env", run]):
            r = d.wattq("bob", *map(str, argv), check=False)
            self.assertNotEqual(r.returncode, 0, argv)
            self.assertNotIn("se", r.stdout.replace("else", ""), argv)
        shown = json.loads(d.wattq("bob", "show", str(run), "--json"))
        self.assertNotIn("sesame", json.dumps(shown))
        self.assertNotIn("secret", json.dumps(shown))
        for name in ("log", "metrics", "state", "shepherd", "../../env", "../../warrants", "../../wattq.db", "."):
            r = d.user("bob", "head", "-c", "1", d.path("state", "runs", str(run), name), check=False)
            self.assertNotEqual(r.returncode, 0, name)
        with d.peer("bob") as c:
            for op, keys in (("cancel", {"runs": [run]}), ("logs", {"run": run}), ("retry", {"run": run})):
                with self.assertRaises(Refused, msg=op):
                    c.call(op, **keys)
        self.assertEqual(d.user("ada", "cat", d.path("state", "runs", str(run), "log")), "secret")
        self.assertEqual(d.wattq("ada", "logs", str(run)), "secret")
        self.assertEqual(d.wattq("joe", "cancel", str(run), check=False).returncode, 0)
        self.assertEqual(d.wait(run)["state"], "cancelled")
        events = d.show(run)["events"]
        self.assertIn(pwd.getpwnam("joe").pw_uid, [e.get("actor_uid") for e in events], events)

    def test_a_uid_that_is_given_again(self):
        """Who has a uid next sees nothing of who had it before, neither by wattq nor by path."""
        d = self.d
        before = set(os.listdir(d.path("state", "warrants"))) if os.path.exists(d.path("state", "warrants")) else set()
        ran = d.wattq_submit("eve", "sh", "-c", "echo secret", SECRET="sesame")
        d.wait(ran)
        d.wattq("eve", "exec", "sh", "-c", "echo '{\"x\":1}' >> $WATTQ_METRICS")
        here = json.loads(d.wattq("eve", "runs", "--json"))["runs"][0]["run"]
        until(lambda: d.state(here) == "done", "its end")
        waits = d.wattq_submit("eve", "true", options=["--hold"])
        r = d.wattq("joe", "admin", "retire", "eve", check=False)
        self.assertIn(f"runs of eve are not over yet: {waits}", r.stderr)
        d.wattq("eve", "cancel", str(waits))
        self.assertIn("for the owner of this wattqd and its admins",
                      d.wattq("bob", "admin", "retire", "eve", check=False).stderr)
        warrants = set(os.listdir(d.path("state", "warrants"))) - before
        self.assertGreaterEqual(len(warrants), 3)
        self.assertIn("3 runs are of retired-1 from now on", d.wattq("joe", "admin", "retire", "eve"))
        self.assertFalse(set(os.listdir(d.path("state", "warrants"))) & warrants)
        for run, name in ((ran, "log"), (ran, "metrics"), (here, "metrics"), (here, "result"), (here, ".")):
            path = d.path("state", "runs", str(run), name)
            self.assertTrue(os.path.exists(path), path)
            r = d.user("eve", "head", "-c", "1", path, check=False)
            self.assertIn("Permission denied", r.stderr, path)
        with d.peer("eve") as c:
            for op, keys in (("logs", {"run": ran}), ("retry", {"runs": [ran]}), ("retry", {"run": ran})):
                with self.assertRaises(Refused, msg=op):
                    c.call(op, **keys)
            self.assertEqual(c.call("runs", mine=True)["runs"], [])
        shown = json.loads(d.wattq("eve", "show", str(ran), "--json"))["run"]
        self.assertEqual((shown["hidden"], shown["user"]), (True, "retired-1"))
        self.assertEqual(d.wattq("joe", "logs", str(ran)), "secret")
        self.assertIn("has left", d.wattq("root", "retry", str(ran), check=False).stderr)
        text = d.wattq("joe", "admin", "log")
        self.assertRegex(text, r"(?m) joe +retire +retired-1: 3 runs")
        self.assertRegex(text, r"(?m)^retired-1 +eve +64013 ")
        total = d.show(ran)["energy"][0]["energy_uj"]
        d.wattq("joe", "admin", "forget", "retired-1", "--yes")
        self.assertFalse(os.path.exists(d.path("state", "runs", str(ran))))
        self.assertFalse(os.path.exists(d.path("state", "runs", str(here))))
        self.assertNotIn("eve", d.wattq("joe", "admin", "log"))
        shown = d.show(ran)
        self.assertEqual((shown["command"], shown["energy"][0]["energy_uj"]), ("(forgotten)", total))

    def test_who_may_have_the_database(self):
        """All of it: root, and admins who see every reading. What others see of it is no more than what they see anyway."""
        d = self.d
        d.wait(d.wattq_submit("ada", "true"))
        for user, said in (("bob", "whole database"), ("ada", "whole database"), ("joe", "meter group")):
            r = d.wattq(user, "admin", "backup", "copy.db", check=False)
            self.assertEqual((r.returncode, os.listdir(pwd.getpwnam(user).pw_dir).count("copy.db")), (3, 0), r.stderr)
            self.assertIn(said, r.stderr)
        for op in ("check", "compact"):
            self.assertEqual(d.wattq("bob", "admin", op, check=False).returncode, 3)
            self.assertEqual(d.wattq("joe", "admin", op, check=False).returncode, 0)

    def test_start_errors_are_in_words(self):
        d = self.d
        gone = pwd.getpwnam("ada").pw_dir + "/gone"
        d.user("ada", "sh", "-c", f"mkdir {gone}; echo exit 0 > {gone}/x; chmod +x {gone}/x")
        here = d.wattq_submit("ada", "true", cwd=gone, options=["--hold"])
        that = d.wattq_submit("ada", f"{gone}/x", options=["--hold"])
        d.user("ada", "rm", "-r", gone)
        d.wattq("ada", "release", str(here), str(that))
        self.assertEqual([r["state"] for r in d.wait(here, that)], ["failed", "failed"])
        self.assertIn("gone", d.show(here)["reason"])
        self.assertEqual(d.show(that)["exit_code"], 127)

    def test_exec_retry_sweep_and_train(self):
        d = self.d
        out = d.wattq("ada", "exec", "sh", "-c", "id -un; exit 3", check=False)
        self.assertEqual((out.returncode, out.stdout.strip()), (3, "ada"), out.stderr)
        first = d.wattq_submit("ada", "sh", "-c", "exit 5")
        self.assertEqual(d.wait(first)["exit_code"], 5)
        again = int(d.wattq("ada", "retry", str(first), "--bare"))
        self.assertEqual(d.wait(again)["exit_code"], 5)
        d.wattq("bob", "sweep", "-p", "n=1..3", "--", "sh", "-c", "echo $0; exit {n}", "{n}")
        runs = sorted(r["run"] for r in d.call("runs", filter="user=bob", limit=3)["runs"])
        self.assertEqual(sorted(r["exit_code"] for r in d.wait(*runs)), [1, 2, 3])
        run = int(d.wattq("ada", "train", "--bare", "--dataset", "standin:adult", "--size", "1k", "--epochs", "1"))
        self.assertEqual(d.wait(run)["state"], "done", d.show(run)["reason"])


class Meters(unittest.TestCase):
    def test_what_only_root_may_open(self):
        """A tree of /sys of the test's own, with a counter as kernels have it since 2020: root's alone."""
        zone = "/sys/devices/virtual/powercap/intel-rapl/intel-rapl:0"
        for place in ("/sys/class", "/sys/devices/virtual"):
            subprocess.run(["mount", "-t", "tmpfs", "none", place], check=True)
        try:
            os.makedirs(zone)
            os.mkdir("/sys/class/powercap")
            os.symlink(zone, "/sys/class/powercap/intel-rapl:0")
            for name, text, mode in (("name", "package-0", 0o444), ("energy_uj", "1000000", 0o400),
                                     ("max_energy_range_uj", "262143328850", 0o444), ("enabled", "1", 0o644)):
                with open(f"{zone}/{name}", "w") as f:
                    f.write(text + "\n")
                os.chmod(f"{zone}/{name}", mode)
            with SystemDaemon("--disable", "perf,hwmon,battery,ipmi,nvml,estimate") as d:
                def value():
                    rows = [c for c in d.call("meters")["channels"] if c["uid"] == "powercap/intel-rapl:0/package-0"]
                    return [(c["state"], c["last_value"]) for c in rows]

                self.assertEqual(until(value, "the counter")[0][0], "ok")
                with open(f"{zone}/energy_uj", "w") as f:
                    f.write("3000000\n")
                until(lambda: value() == [("ok", 2000000)], "what it has counted since")
        finally:
            for place in ("/sys/devices/virtual", "/sys/class"):
                subprocess.run(["umount", place], check=True)


class Killed(unittest.TestCase):
    """Each with a machine of its own."""

    def test_the_launcher(self):
        with SystemDaemon() as d:
            d.call("info")
            self.assertIsNone(until(lambda: d.call("info"), "info")["blocked"])
            goes_on = d.wattq_submit("ada", "sh", "-c", "sleep 1; exit 6")
            d.until_state(goes_on, "running")
            d.kill_launcher()
            until(lambda: d.call("info")["blocked"], "wattqd to notice")
            self.assertIn("wattq-launcher does not answer", d.wattq("bob", "info"))
            r = d.wattq("bob", "submit", "true", check=False)
            self.assertEqual(r.returncode, 1)  # nobody signs
            self.assertIn("wattq-launcher.service", r.stderr)
            self.assertEqual(d.wait(goes_on)["exit_code"], 6)
            d.start_launcher()
            run = d.wattq_submit("bob", "sh", "-c", "exit 4")
            self.assertEqual(d.wait(run)["exit_code"], 4)

    def test_what_was_signed_waits_for_the_launcher(self):
        with SystemDaemon() as d:
            run = d.wattq_submit("ada", "sh", "-c", "echo x; exit 4", options=["--hold"])
            d.kill_launcher()
            until(lambda: d.call("info")["blocked"], "wattqd to notice")
            d.wattq("ada", "release", str(run))
            self.assertIn("wattq-launcher does not answer", d.wattq("ada", "queue"))
            time.sleep(0.3)
            self.assertEqual(d.state(run), "queued")
            d.start_launcher()
            self.assertEqual(d.wait(run)["exit_code"], 4)
            self.assertEqual(d.run_file(run, "log"), "x\n")

    def test_wattqd(self):
        with SystemDaemon() as d:
            run = d.wattq_submit("ada", "sh", "-c", "sleep 0.5; echo x; exit 6")
            d.until_state(run, "running")
            d.kill()
            d.start_wattqd()
            self.assertEqual(d.wait(run)["exit_code"], 6)
            self.assertEqual(d.run_file(run, "log"), "x\n")
            ended = d.wattq_submit("ada", "sh", "-c", "exit 7")
            self.assertEqual(d.wait(ended)["exit_code"], 7)

    def test_the_shepherd(self):
        with SystemDaemon() as d:
            for how in ("itself", "cancelled"):
                run = d.wattq_submit("ada", "sh", "-c", "touch up; sleep 1; exit 6")
                d.until_state(run, "running")
                os.kill(int(d.shepherd(run)["pid"]), signal.SIGKILL)
                if how == "cancelled":
                    d.wattq("ada", "cancel", str(run))
                ended = d.wait(run)
                if d.cgroup == "none":
                    self.assertEqual(ended["state"], "lost")
                elif how == "itself":
                    self.assertEqual((ended["state"], ended["exit_code"]), ("failed", 6))
                else:
                    self.assertEqual(ended["state"], "cancelled")
            both = d.wattq_submit("ada", "sh", "-c", "sleep 60")
            d.until_state(both, "running")
            pid = int(d.shepherd(both)["pid"])
            d.kill_launcher()
            os.kill(pid, signal.SIGKILL)
            time.sleep(0.2)
            d.start_launcher()
            self.assertEqual(d.wait(both)["state"], "lost")
            alive = d.user("ada", "ps", "-u", "ada", "-o", "stat=,args=", check=False).stdout
            self.assertFalse([p for p in alive.splitlines() if "sleep" in p and p[0] != "Z"], alive)

    def test_restore(self):
        """The commands that wattq admin restore prints, but for systemd: root reads the file, user wattq restores."""
        with SystemDaemon() as d:
            run = d.wattq_submit("ada", "true", options=["-J", "before"])
            d.wait(run)
            name = d.path("copy.db")
            subprocess.run([f"{BIN}/client/wattq", "--socket", d.socket, "admin", "backup", name], check=True,
                           stdout=subprocess.DEVNULL)
            said = subprocess.run([f"{BIN}/client/wattq", "--socket", d.socket, "admin", "restore", name], check=True,
                                  capture_output=True, text=True).stdout.splitlines()
            self.assertEqual(said[1], f"sudo -u wattq wattqd --mode system --restore - < '{name}'")
            later = d.wattq_submit("bob", "true", options=["-J", "after"])
            d.wait(later)
            d.stop()
            line = [os.path.join(BIN, "daemon", "wattqd"), "--mode", "system", "--visibility", "summary", "--state-dir",
                    d.state_dir, "--config", "/dev/null", "--restore"]
            r = subprocess.run([*line, name], capture_output=True, text=True)
            self.assertEqual(r.returncode, 3, r.stdout + r.stderr)
            self.assertIn("belongs to uid", r.stderr)
            with open(name, "rb") as f:
                done = subprocess.run(["setpriv", "--reuid=wattq", "--regid=wattq", "--init-groups", *line, "-"],
                                      stdin=f, capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            d.start()
            self.assertEqual(d.show(run)["label"], "before")
            with self.assertRaises(Refused):
                d.show(later)
            again = d.wattq_submit("ada", "true")  # the launcher takes no token twice: they rise with the time
            self.assertEqual(d.wait(again)["state"], "done")
            self.assertGreater(again, later)

    def test_two_shepherds_of_a_run(self):
        """The first is killed at the gate, the run is started again, the second is killed while it runs: it goes on."""
        with tempfile.TemporaryDirectory() as libexec:
            once = os.path.join(libexec, "once")
            open(once, "w").close()
            os.chmod(libexec, 0o755)
            for name in ("wattq-shepherd", "wattq-train", "wattq-script"):
                real = os.path.abspath(os.path.join(BIN, "daemon", name))
                first = ""
                if name == "wattq-shepherd":  # the first one that is told of a run; one that stands ready is told by a frame
                    first = f"[ -e {once} ] && [ \"$1\" = --ready ] && head -c 1 <&3 >/dev/null\n"
                    first += f"rm {once} 2>/dev/null && kill -9 $$\n"
                with open(os.path.join(libexec, name), "w") as f:
                    f.write(f"#!/bin/sh\n{first}exec {real} \"$@\"\n")
                os.chmod(f.name, 0o755)
            with SystemDaemon(launcher=("--libexec", libexec)) as d:
                if d.cgroup == "none":
                    self.skipTest("without a cgroup the launcher ends what has no shepherd")
                run = d.wattq_submit("ada", "sh", "-c", "sleep 1; echo x; exit 6")
                d.until_state(run, "running")
                self.assertIn("before the gate opened", str(d.show(run)["events"]))
                os.kill(int(d.shepherd(run)["pid"]), signal.SIGKILL)
                ended = d.wait(run)
                self.assertEqual((ended["state"], ended["exit_code"], d.run_file(run, "log")), ("failed", 6, "x\n"),
                                 ended["reason"])


if __name__ == "__main__":
    system.enter()
    unittest.main()
