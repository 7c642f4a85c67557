#!/usr/bin/env python3
"""Guests: another user of the machine looks at a wattqd that is not theirs. What they see, what they do not, and
that readings come to them by whole seconds. Needs root, to be somebody else."""
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import BIN, WATTS, Client, Daemon, Refused, until  # noqa: E402

GUEST = 65534
METERS = 54321  # groups: numbers need no name
ADMINS = 54322
NS = 10**9
SECRET = "sesame-argv"
# 50 W, and for 50 ms of each second far more: what a guest sees at any time is the mean.
SPIKES = """channel pkg kind=counter scope=package period=1ms quantum=1 pmax=5000W
power pkg = square 0W 1000W 1s 5%
"""


class Open(Daemon):
    """A daemon whose socket others reach."""

    def __init__(self, *args, **keys):
        super().__init__(*args, **keys)
        os.chmod(self.dir, 0o711)


class As:
    """This process as another user, as far as a socket's other end can tell."""

    def __init__(self, uid=GUEST, groups=()):
        self.uid, self.groups = uid, groups

    def __enter__(self):
        self.old = os.getgroups()
        os.setgroups(list(self.groups))
        os.setresgid(-1, GUEST, 0)
        os.setresuid(-1, self.uid, 0)

    def __exit__(self, *_):
        os.setresuid(-1, 0, 0)
        os.setresgid(-1, 0, 0)
        os.setgroups(self.old)


def guest(d, uid=GUEST, groups=()):
    with As(uid, groups):
        return Client(d.socket)


def refusal(client, op, **keys):
    try:
        client.call(op, **keys)
    except Refused as e:
        return e.code
    return None


@unittest.skipUnless(os.geteuid() == 0, "needs root, to be another user")
class Guests(unittest.TestCase):
    visibility = "summary"

    @classmethod
    def setUpClass(cls):
        cls.d = Open("--visibility", cls.visibility, "--meter-group", str(METERS), "--admin-group", str(ADMINS))
        cls.d.__enter__()
        cls.done = cls.d.sh(f"echo {SECRET}; sleep 1.3", label="shown", params={"k": "secret-param"})
        cls.d.wait(cls.done)
        cls.brief = cls.d.sh("sleep 0.2", label="brief")
        cls.d.wait(cls.brief)
        cls.d.call("tag", runs=[cls.done], add=["secret-tag"])
        cls.d.call("note", runs=[cls.done], text="secret-note")
        cls.live = cls.d.sh(f"sleep 600; echo {SECRET}", label="live")
        cls.d.wait(cls.live, until="started")
        cls.g = guest(cls.d)

    @classmethod
    def tearDownClass(cls):
        cls.g.close()
        cls.d.__exit__(None, None, None)


class Summary(Guests):
    def test_places(self):
        self.assertEqual(os.stat(self.d.socket).st_mode & 0o777, 0o666)
        self.assertEqual(os.stat(os.path.dirname(self.d.socket)).st_mode & 0o777, 0o711)
        for name in ("", "runs", "env"):
            self.assertEqual(os.stat(os.path.join(self.d.state_dir, name)).st_mode & 0o777, 0o700)

    def test_hello(self):
        self.assertEqual(self.g.hello["rights"],
                         {"admin": False, "details": False, "raw": False, "submit": False})
        self.assertIsNone(self.g.hello["state_dir"])
        self.assertIsNone(self.g.call("info")["storage"]["path"])

    def test_no_secret_in_any_answer(self):
        """Everything a guest may ask of runs, searched for what only the owner may see."""
        g = self.g
        answers = [g.call("queue"), g.call("show", run=self.done), g.call("show", run=self.live),
                   g.call("runs", energy=True, params=True), g.call("runs", runs=[self.done], params=True),
                   g.call("wait", runs=[self.done]), g.call("who"),
                   g.call("table", columns=["id", "label", "command", "tag", "note", "param.k", "energy"])]
        for a in answers:
            text = repr(a)
            for word in (SECRET, "secret-", self.d.state_dir):
                self.assertNotIn(word, text)
            self.assertIn("shown", repr(answers[:4]))
        shown = g.call("show", run=self.done)["run"]
        self.assertTrue(shown["hidden"])
        self.assertIsNone(shown["command"])
        self.assertEqual((shown["label"], shown["state"], shown["user"]), ("shown", "done", "root"))
        for key in ("argv", "cwd", "env", "events", "notes", "params", "phases", "metrics", "tags"):
            self.assertNotIn(key, shown)
        mine = self.d.show(self.done)
        self.assertEqual(mine["params"], {"k": "secret-param"})
        self.assertNotIn("hidden", mine)

    def test_filters_do_not_find_what_is_hidden(self):
        for where in ("param.k=secret-param", "tag=secret-tag", f"command~'*{SECRET}*'"):
            self.assertEqual(self.g.call("runs", where=where)["runs"], [])
            self.assertEqual(len(self.d.call("runs", where=where)["runs"] or []) > 0, True, where)

    def test_what_is_refused(self):
        g = self.g
        spec = self.d.spec(["true"])
        before = len(self.d.call("runs")["runs"])
        acts = [("logs", {"run": self.done}), ("curves", {"runs": [self.done], "keys": ["x"]}),
                ("cancel", {"runs": [self.live]}), ("hold", {"runs": [self.live]}),
                ("pause", {"runs": [self.live]}), ("tag", {"runs": [self.done], "add": ["x"]}),
                ("note", {"runs": [self.done], "text": "x"}), ("label", {"runs": [self.done], "label": "x"}),
                ("metric", {"runs": [self.done], "values": {"x": 1.0}}),
                ("phase", {"run": self.live, "name": "x"}), ("pin", {"runs": [self.done]}), ("unpin", {"runs": [self.done]}),
                ("settle", {"runs": [self.done]}), ("retry", {"runs": [self.done]}),
                ("submit", {"run": spec}), ("sweep_begin", {}), ("exec_begin", {"run": {**spec, "kind": "exec"}}),
                ("export", {"table": "run"}), ("export", {"table": "tail"}), ("models", {}), ("audit", {}),
                ("idle_measure", {}), ("calibrate", {"meter": "pkg", "against": "dram"}),
                ("import_begin", {"machine": "m", "format": "wattq", "sha256": "0" * 64})]
        for op, keys in acts:
            self.assertEqual(refusal(g, op, **keys), "forbidden", op)
        self.assertEqual(self.d.state(self.live), "running")
        self.assertEqual(len(self.d.call("runs")["runs"]), before)

    def test_windows_are_whole_seconds(self):
        now = time.time_ns()
        ends = set()
        for ms in range(0, 900, 300):
            w = self.g.call("energy", since_utc_ns=now - 4 * NS + ms * 10**6, until_utc_ns=now)["window"]
            self.assertEqual(w["t0_ns"] % NS, 0)
            self.assertEqual(w["t1_ns"] % NS, 0)
            ends.add(w["t1_ns"])
        self.assertLessEqual(max(ends), time.clock_gettime_ns(time.CLOCK_BOOTTIME) - NS)
        exact = self.d.call("energy", since_utc_ns=now - 2 * NS, until_utc_ns=now - NS // 2)
        self.assertNotEqual(exact["window"]["t0_ns"] % NS, 0)
        self.assertNotIn("snapped", exact)
        # A run that goes on is no clock of its own: its end is that of a second.
        live = self.g.call("energy", run=self.live)
        self.assertTrue(live["snapped"])
        self.assertEqual(live["window"]["t1_ns"] % NS, 0)
        series = self.g.call("power", since_utc_ns=now - 3 * NS, until_utc_ns=now, pixels=1000)["series"][0]["pixels"]
        for p in filter(None, series):
            self.assertEqual((p[1] - p[0]) % NS, 0)
            self.assertEqual(p[2], p[4])

    def test_short_figures(self):
        def total(client, run):
            return next(f for f in client.call("show", run=run)["run"]["energy"]
                        if f["channel"] is None and f["figure"] == "machine" and f["part"] == "window")
        mine, theirs = total(self.d.client, self.brief), total(self.g, self.brief)
        self.assertNotEqual(mine["energy_uj"] % 10**7, 0)
        self.assertNotIn("quantised", mine["flags"])
        self.assertIn("quantised", theirs["flags"])
        self.assertEqual(theirs["lo_uj"] % 10**7, 0)
        self.assertLessEqual(theirs["lo_uj"], mine["lo_uj"])
        self.assertGreaterEqual(theirs["hi_uj"], mine["hi_uj"])
        self.assertIsNone(theirs["energy_uj"])
        self.assertIn("10 J", theirs["reason"])
        self.assertEqual(total(self.g, self.done)["energy_uj"], total(self.d.client, self.done)["energy_uj"])
        rows = self.g.call("table", columns=["id", "energy", "energy.lo"], sort=["id"])["rows"]
        cells = {r[0]: r for r in rows}
        self.assertEqual(cells[self.brief][1][0], None)
        self.assertIn("second", cells[self.brief][1][2])
        self.assertAlmostEqual(cells[self.done][1][0], total(self.g, self.done)["energy_uj"], delta=1)
        self.assertEqual(cells[self.done][2][0], None)
        self.assertEqual(self.g.call("runs", where="energy>0J and id=%d" % self.brief)["runs"], [])

    def test_live_power(self):
        """Two streams and many questions: no more than one value per second among all of them."""
        a, b = guest(self.d), guest(self.d)
        idents = [(c, c.send("power", live=True, interval_ns=NS // 10)) for c in (a, b)]
        seen, frames = set(), []
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            for m in self.g.call("meters")["channels"]:
                self.assertIsNone(m["last_value"])
                self.assertIsNone(m["last_ns"])
            seen.add(self.g.call("queue")["power"].get("power_uw"))
            time.sleep(0.02)
        for c, ident in idents:
            c.sock.settimeout(0.2)
            try:
                while True:
                    frames.append(c.recv(ident))
            except OSError:
                pass
            c.close()
        self.assertLessEqual(len(seen - {None}), 4)
        self.assertLessEqual(len(frames), 2 * 4)
        for f in frames:
            for ch in f["channels"]:
                self.assertIsNone(ch["value"])
            for r in f["runs"]:
                self.assertIsNone(r["command"])
        powers = [v / 1e6 for v in seen if v is not None]
        self.assertTrue(powers)
        for w in powers:  # a sweep that was interrupted is stamped with its middle
            self.assertAlmostEqual(w, WATTS, delta=WATTS / 5)
        self.assertAlmostEqual(min(powers, key=lambda w: abs(w - WATTS)), WATTS, delta=3)

    def test_meter_group(self):
        with guest(self.d, groups=[METERS]) as m:
            self.assertEqual(m.hello["rights"], {"admin": False, "details": False, "raw": True, "submit": False})
            self.assertTrue(any(c["last_value"] for c in m.call("meters")["channels"]))
            now = time.time_ns()
            self.assertNotIn("snapped", m.call("energy", since_utc_ns=now - 2 * NS, until_utc_ns=now))
            self.assertEqual(refusal(m, "export", table="tail"), "forbidden")
            self.assertEqual(refusal(m, "logs", run=self.done), "forbidden")

    def test_admin_group(self):
        run = self.d.sh("sleep 600", label="held", hold=True)
        with guest(self.d, groups=[7, ADMINS]) as a:
            self.assertTrue(a.hello["rights"]["admin"])
            self.assertIn(SECRET, " ".join(a.call("show", run=self.done)["run"]["argv"]))
            self.assertEqual(refusal(a, "submit", run=self.d.spec(["true"])), "forbidden")
            a.call("pin", runs=[self.done])
            a.call("cancel", runs=[run])
        self.assertEqual(self.d.state(run), "cancelled")
        for r, word in ((run, None), (self.done, "pinned")):
            self.assertTrue([e for e in self.d.show(r)["events"] if e["actor_uid"] == GUEST
                             and (word is None or e["reason"] == word)], r)

    def wattq(self, *args, **keys):
        env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "TOKEN": SECRET}
        return subprocess.run(
            ["setpriv", f"--reuid={GUEST}", f"--regid={GUEST}", "--clear-groups", self.program, *args],
            capture_output=True, text=True, timeout=30, env=env, cwd="/", **keys)

    @unittest.skipUnless(shutil.which("setpriv"), "needs setpriv")
    def test_client(self):
        # The build may lie where a guest cannot read.
        where = tempfile.mkdtemp(prefix="wattq-guest-")
        self.addCleanup(shutil.rmtree, where)
        os.chmod(where, 0o755)
        self.program = shutil.copy(os.path.join(BIN, "client", "wattq"), where)
        at = ["--socket", self.d.socket]
        r = self.wattq("queue", "--all", *at)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertIn("shown", r.stdout)
        self.assertNotIn(SECRET, r.stdout)
        for run in (self.done, self.brief, self.live):
            for more in ((), ("--energy",), ("--json",)):
                r = self.wattq("show", str(run), *more, *at)
                self.assertEqual(r.returncode, 0, r.stderr)
                self.assertNotIn(SECRET, r.stdout)
        for command in (["meters"], ["who"], ["runs"], ["power", "--since", "-1m"], ["info"]):
            r = self.wattq(*command, *at)
            self.assertEqual(r.returncode, 0, f"{command} {r.stderr}")
        r = self.wattq("cancel", str(self.live), *at)
        self.assertEqual(r.returncode, 3, r.stderr)
        r = self.wattq("submit", *at, "--", "true")
        self.assertEqual(r.returncode, 3, r.stderr)

    def test_stranger_gets_no_environment(self):
        """The server is neither root nor the client's own: reads only, and where the socket's place is his."""
        where = tempfile.mkdtemp(prefix="wattq-other-")
        os.chmod(where, 0o711)
        os.chown(where, GUEST, GUEST)
        self.addCleanup(shutil.rmtree, where)
        program = os.path.join(where, "bin")
        os.mkdir(program)
        for name in ("wattqd", "wattq-shepherd"):
            shutil.copy(os.path.join(BIN, "daemon", name), program)
        script = os.path.join(where, "script")
        shutil.copy(self.d.path("script"), script)
        os.chmod(script, 0o644)
        run = os.path.join(where, "run")
        proc = subprocess.Popen(
            ["setpriv", f"--reuid={GUEST}", f"--regid={GUEST}", "--clear-groups", os.path.join(program, "wattqd"),
             "--state-dir", os.path.join(where, "state"), "--runtime-dir", run, "--script", script,
             "--disable", "perf,powercap,hwmon,battery,ipmi,nvml,estimate", "--config", "/dev/null",
             "--visibility", "summary"], stderr=self.d.log, env={"PATH": os.environ["PATH"]})
        self.addCleanup(proc.wait)
        self.addCleanup(proc.terminate)
        socket = os.path.join(run, "wattqd.sock")
        until(lambda: os.path.exists(socket) or proc.poll() is not None, "the other wattqd")
        wattq = [os.path.join(BIN, "client", "wattq")]
        r = subprocess.run([*wattq, "queue", "--socket", socket], capture_output=True, text=True, timeout=30)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertIn("shows what it lets others see", r.stderr)
        r = subprocess.run([*wattq, "submit", "--socket", socket, "--", "true"], capture_output=True, text=True,
                           timeout=30)
        self.assertEqual(r.returncode, 3, r.stderr)
        self.assertIn("environment is not sent", r.stderr)


class Full(Guests):
    visibility = "full"

    def test_everything_is_read_and_nothing_changed(self):
        g = self.g
        self.assertIn(SECRET, " ".join(g.call("show", run=self.done)["run"]["argv"]))
        ident = g.send("logs", run=self.done)
        self.assertIn(SECRET, g.recv(ident)["data"].decode())
        self.assertFalse(g.recv(ident).get("more"))
        self.assertEqual(refusal(g, "cancel", runs=[self.live]), "forbidden")
        self.assertEqual(refusal(g, "submit", run=self.d.spec(["true"])), "forbidden")
        self.assertEqual(refusal(g, "export", table="run"), "forbidden")
        self.assertIn("quantised", g.call("runs", runs=[self.brief], energy=True)["runs"][0]["energy"]["flags"])
        with guest(self.d, groups=[METERS]) as m:
            self.assertTrue(m.call("export", table="run")["rows"])


@unittest.skipUnless(os.geteuid() == 0, "needs root, to be another user")
class Private(unittest.TestCase):
    def test_nobody_else(self):
        with Open() as d:
            self.assertEqual(os.stat(d.socket).st_mode & 0o777, 0o600)
            self.assertEqual(os.stat(os.path.dirname(d.socket)).st_mode & 0o777, 0o700)
            os.chmod(os.path.dirname(d.socket), 0o711)  # the modes are one wall, the policy another
            os.chmod(d.socket, 0o666)
            with self.assertRaises(Refused) as r:
                guest(d)
            self.assertEqual(r.exception.code, "forbidden")

    def test_admins_come_in(self):
        with Open("--admin-group", str(ADMINS)) as d:
            with guest(d, groups=[ADMINS]) as a:
                self.assertTrue(a.hello["rights"]["details"])
            with self.assertRaises(Refused):
                guest(d)

    def test_out_of_reach(self):
        d = Daemon("--visibility", "summary")  # its directory is 0700
        with self.assertRaisesRegex(AssertionError, "other users cannot reach the socket"):
            d.start()
        d.__exit__(None, None, None)


if __name__ == "__main__":
    unittest.main()
