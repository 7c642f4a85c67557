#!/usr/bin/env python3
"""What a user of a shared machine cannot do, tried: each test is a row of the table "A user cannot" of docs/security.md.
The real wattqd, wattq-launcher and shepherds, behind them users who mean ill: bob and eve. Needs root."""
import contextlib
import json
import os
import pwd
import random
import socket
import statistics
import struct
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import launchproto  # noqa: E402
import system  # noqa: E402
from harness import BIN, Refused, until  # noqa: E402
from launchproto import HEAD, METER, SIGN, START, STATUS, Order, Warrant, sign  # noqa: E402
from system import USERS, As, SystemDaemon  # noqa: E402
from wattqproto import pack  # noqa: E402

MIB = 1 << 20
SEED = int(os.environ.get("WATTQ_SEED", str(time.time_ns() % 10**6)))
MAX_PIDS = 100
with open(os.path.join(BIN, "daemon", "wattqd"), "rb") as program:
    SANITIZER_MIB = 300 if b"libasan" in program.read() else 0  # what it keeps of freed memory
# What an attacker's program begins with: tries() says for each thing tried either its errno or DID.
TRY = """
import ctypes, os, signal, socket, sys
def tried(what, f):
    try:
        f()
        print("DID", what)
    except OSError as e:
        print(e.errno, what)
def read(path):
    tried("read " + path, lambda: os.read(os.open(path, os.O_RDONLY | os.O_NONBLOCK), 1))
def write(path, data=b"1"):
    tried("write " + path, lambda: os.write(os.open(path, os.O_WRONLY | os.O_NONBLOCK), data))
"""


def pids_of(user):
    """Of its processes, zombies left out."""
    r = subprocess.run(["ps", "-u", str(USERS[user]), "-o", "pid=,stat="], capture_output=True, text=True)
    return [int(line.split()[0]) for line in r.stdout.splitlines() if line.split()[1][0] != "Z"]


def rss_mib(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS")) / 1024


class Case(unittest.TestCase):
    args = ()
    cgroup = True

    @classmethod
    def setUpClass(cls):
        cls.d = SystemDaemon("--max-pids", str(MAX_PIDS), *cls.args)
        if not cls.cgroup and cls.d.cgroup != "none":
            os.rmdir(cls.d.cgroup)
            cls.d.cgroup = "none"
        try:
            cls.d.start()
        except BaseException:
            cls.d.__exit__(None, None, None)
            raise

    @classmethod
    def tearDownClass(cls):
        cls.d.__exit__(None, None, None)

    def tearDown(self):
        """Whatever was tried, both go on and nothing of theirs broke."""
        self.assertIsNone(self.d.proc.poll(), self.d.log_text()[-3000:])
        self.assertIsNone(self.d.launcher.poll(), self.d.log_text()[-3000:])
        run = self.d.wattq_submit("joe", "sh", "-c", "exit 4")
        self.assertEqual(self.d.wait(run)["exit_code"], 4)

    def refused(self, client, op, **keys):
        with self.assertRaises(Refused, msg=op) as r:
            client.call(op, **keys)
        return r.exception.code

    def tries(self, user, code, but=()):
        """What of it could be done; the number of things tried is checked not to be 0."""
        out = self.d.user(user, "python3", "-c", TRY + code).splitlines()
        self.assertGreater(len(out), 0)
        self.assertEqual([line for line in out if line.startswith("DID") and not any(b in line for b in but)], [])
        return out

    def started(self, user, script, wait_for="", options=(), **env):
        run = self.d.wattq_submit(user, "sh", "-c", script, options=options, **env)
        self.d.until_state(run, "running")
        until(lambda: wait_for in self.d.run_file(run, "log"), f"{wait_for!r} in the log of run {run}", 30)
        return run

    def cancelled(self, user, *runs):
        self.d.wattq(user, "cancel", *map(str, runs))
        for run in runs:
            self.assertEqual(self.d.wait(run)["state"], "cancelled")

    def everybody(self, run):
        """Pids of all that belongs to a run of ada's and to the daemons: its processes, its shepherd, wattqd, launcher."""
        return [*pids_of("ada"), int(self.d.shepherd(run)["pid"]), self.d.proc.pid, self.d.launcher.pid]


class Reads(Case):
    """Another's log and environment."""

    def test_the_log_of_another(self):
        d = self.d
        run = self.started("ada", "echo secret-log; echo '{\"x\":1}' >>$WATTQ_METRICS; sleep 60", "secret-log")
        place = d.path("state", "runs", str(run))
        files = [f"{place}/{n}" for n in (*os.listdir(place), ".", "result", "ctl")] + [os.path.dirname(place)]
        files += [f"/proc/{pid}/fd/{fd}" for pid in self.everybody(run) for fd in os.listdir(f"/proc/{pid}/fd")]
        self.assertIn(f"{place}/log", files)
        self.tries("bob", f"for f in {files!r}: read(f)\n"
                          f"tried('link', lambda: os.read(os.open((os.link({place + '/log'!r}, 'stolen'), 'stolen')[1], 0), 1))\n")
        self.assertIn("DID", d.user("ada", "python3", "-c", f"{TRY}\nread({place + '/log'!r})"))  # so it can be done
        with d.peer("bob") as c:
            for keys in ({}, {"follow": True}, {"offset": -3}, {"offset": 1}):
                self.assertEqual(self.refused(c, "logs", run=run, **keys), "forbidden")
            self.assertEqual(self.refused(c, "curves", runs=[run], keys=["x"]), "forbidden")
        # As the input of a run of his own, by its name and by another.
        d.user("bob", "ln", "-s", f"{place}/log", "alias")
        for name in (f"{place}/log", pwd.getpwnam("bob").pw_dir + "/alias"):
            r = d.wattq("bob", "submit", "--bare", "--stdin", name, "--", "cat", check=False)
            if r.returncode == 0:
                mine = int(r.stdout)
                self.assertEqual(d.wait(mine)["state"], "failed")
                self.assertNotIn("secret", d.run_file(mine, "log"))
        self.cancelled("ada", run)

    def test_the_environment_of_another(self):
        d = self.d
        waits = d.wattq_submit("ada", "sh", "-c", "true", options=["--hold"], SECRET="sesame")
        run = self.started("ada", "echo up; sleep 60", "up", SECRET="sesame")
        place = d.path("state")
        files = [os.path.join(at, f) for at, _, names in os.walk(place) for f in names]
        files += [os.path.join(at, f) for at, _, names in os.walk(d.path("launcher-state")) for f in names]
        self.assertTrue(subprocess.run(["grep", "-l", "sesame", *files], capture_output=True, text=True).stdout)  # it is there
        files += [f"/proc/{pid}/{name}" for pid in self.everybody(run) for name in ("environ", "mem", "auxv")]
        self.tries("bob", f"for f in {files!r}: read(f)\n")
        with d.peer("bob") as c:
            answers = [c.call("show", run=run), c.call("show", run=waits), c.call("queue"), c.call("runs", params=True), c.call("info"),
                       c.call("table", columns=["id", "label", "command", "tag"]), c.call("who"), c.call("sweeps")]
            self.assertNotIn("sesame", repr(answers))
            self.assertIn(self.refused(c, "retry", runs=[run]), ("forbidden", "conflict"))
            for op in ("audit", "models", "export", "backup", "admin_log"):
                self.assertEqual(self.refused(c, op, table="run"), "forbidden", op)
            self.refused(c, "exec_ready", run=run, token=1)
        self.cancelled("ada", run, waits)


class Acts(Case):
    """On what is another's, or in another's name."""

    def test_cancel_a_run_of_another(self):
        d = self.d
        waits = d.wattq_submit("ada", "true", options=["--hold"])
        run = self.started("ada", "echo up; while [ ! -e end ]; do sleep 0.1; done; exit 7", "up")
        with d.peer("bob") as c:
            for op, keys in {"cancel": {"signal": 9}, "hold": {}, "release": {}, "pause": {}, "resume": {}, "bump": {},
                             "retry": {}, "tag": {"add": ["x"]}, "note": {"text": "x"}, "label": {"label": "x"},
                             "metric": {"values": {"x": 1.0}, "force": True}, "pin": {}, "settle": {}}.items():
                for one in (run, waits):
                    self.assertIn(self.refused(c, op, runs=[one], **keys), ("forbidden", "conflict"), op)
            self.assertEqual(self.refused(c, "phase", run=run, name="x"), "forbidden")
            self.refused(c, "exec_abort", run=run, reason="x")
            for op, keys in {"retire": {"uid": USERS["ada"]}, "forget": {"uid": USERS["ada"]}, "gpu": {"gpu": "0", "on": False},
                             "idle_measure": {}, "calibrate": {"meter": "pkg", "against": "dram"}}.items():
                self.assertEqual(self.refused(c, op, **keys), "forbidden", op)
        pids, place = self.everybody(run), d.path("state", "runs", str(run))
        leaf = d.shepherd(run).get("cgroup", "none")
        controls = [f"{leaf}/{f}" for f in os.listdir(leaf) if f.startswith("cgroup.")] if os.path.isdir(leaf) else []
        sockets = [f"{place}/ctl", f"{d.launcher_dir}/control"]
        self.assertTrue(all(os.path.exists(s) for s in sockets), sockets)
        self.tries("bob", f"""
for pid in {pids}:
    for sig in (signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP):
        tried(f"kill {{pid}} {{sig}}", lambda: os.kill(pid, sig))
    tried(f"pidfd {{pid}}", lambda: signal.pidfd_send_signal(os.pidfd_open(pid), signal.SIGKILL))
    write(f"/proc/{{pid}}/oom_score_adj", b"1000")
    write(f"/proc/{{pid}}/mem")
for path in {controls}:
    write(path)
for path in {sockets}:
    for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
        tried("connect " + path, lambda: socket.socket(socket.AF_UNIX, kind).connect(path))
for name in ("log", "metrics", "state", "shepherd", "new"):
    path = {place!r} + "/" + name
    tried("unlink " + path, lambda: os.unlink(path))
    tried("rename " + path, lambda: os.rename(path, path + "x"))
    tried("create " + path, lambda: os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC))
tried("rmdir", lambda: os.rename({place!r}, {place!r} + "x"))
""")
        self.assertEqual((d.state(run), d.state(waits)), ("running", "held"))
        d.user("ada", "touch", "end")
        self.assertEqual(d.wait(run)["exit_code"], 7)
        self.cancelled("ada", waits)

    def sign_as(self, user, orders, **keys):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.settimeout(20)
        with contextlib.closing(s), As(user):
            s.connect(os.path.join(self.d.launcher_dir, "sign"))
            return sign(s, orders, **keys)

    def submitted_with(self, by, warrant, order, **keys):
        """A run of that order, by that user, with a warrant that came from anywhere."""
        run = {"argv": order.argv, "cwd": order.cwd, "env": order.env, "umask": order.umask, **keys}
        with self.d.peer(by) as c:
            c.call("warrants", warrants=[warrant.bytes()])
            return c.call("submit", run=run)["run"]

    def test_run_as_another(self):
        d = self.d
        order = Order(["sh", "-c", "id -un; id -u"], cwd="/")
        # His own, whoever he says that he is.
        his = self.sign_as("bob", [order], uid=USERS["ada"])
        self.assertEqual(his.uid, USERS["bob"])
        run = self.submitted_with("bob", his, order, uid=USERS["ada"], user="ada", actor_uid=USERS["ada"])
        self.assertEqual(d.wait(run)["user"], "bob")
        self.assertEqual(d.run_file(run, "log").split(), ["bob", str(USERS["bob"])])
        # With what ada signed.
        hers = self.sign_as("ada", [order])
        with self.assertRaises(Refused) as r:
            self.submitted_with("bob", hers, order)
        self.assertEqual(r.exception.code, "forbidden")
        # With hers or his own, altered: wattqd cannot tell, the launcher can.
        for warrant, key, value in ((hers, "uid", USERS["bob"]), (his, "starts", 100), (his, "id", bytes(16)),
                                    (his, "leaves", Order(["id"]).leaf()), (his, "mac", bytes(32))):
            forged = Warrant(warrant.bytes())
            setattr(forged, key, value)
            what = Order(["id"], cwd="/") if key == "leaves" else order
            with contextlib.suppress(Refused):
                run = self.submitted_with("bob", forged, what)
                ended = d.wait(run)
                self.assertEqual((ended["state"], ended["exit_code"]), ("failed", None), key)
                self.assertFalse(os.path.exists(d.path("state", "runs", str(run), "log")), key)
                continue
            self.assertIn(key, ("leaves", "id", "mac", "starts"))

    def test_a_warrant_used_again(self):
        """As often as it says and no more, by whichever run."""
        order = Order(["sh", "-c", "echo x >>$HOME/used"], env=[f"HOME={pwd.getpwnam('eve').pw_dir}", "PATH=/usr/bin:/bin"])
        once = self.sign_as("eve", [order])
        states = [self.d.wait(self.submitted_with("eve", once, order))["state"] for _ in range(3)]
        self.assertEqual(states, ["done", "failed", "failed"])
        with open(pwd.getpwnam("eve").pw_dir + "/used") as f:
            self.assertEqual(f.read(), "x\n")

    def test_who_may_run_nothing(self):
        """root, the system's users, wattqd's own, and a uid that is nobody's: not by the client and not past it."""
        d = self.d
        numbers = {"root": 0, "games": pwd.getpwnam("games").pw_uid, "wattq": USERS["wattq"], "nobody's": 54999}
        self.assertRaises(KeyError, pwd.getpwuid, 54999)
        before = len(d.call("runs")["runs"])
        for name, uid in numbers.items():
            line = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "env", "-i", f"PATH={os.environ['PATH']}", "HOME=/",
                    f"WATTQ_SOCKET={d.socket}", f"{os.path.abspath(BIN)}/client/wattq", "submit", "--", "true"]
            r = subprocess.run(line, capture_output=True, text=True, cwd="/")
            self.assertNotEqual(r.returncode, 0, name)
            self.assertIn("wattq", r.stderr, name)
            with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)) as s:
                s.settimeout(20)
                os.setresuid(-1, uid, 0)
                try:
                    s.connect(os.path.join(d.launcher_dir, "sign"))
                finally:
                    os.setresuid(-1, 0, 0)
                with self.assertRaises(launchproto.Refused, msg=name):
                    sign(s, [Order(["true"])])
        self.assertEqual(len(d.call("runs")["runs"]), before)

    def damaged(self, rng, head, warrant):
        """A record with something wrong in it."""
        fields = list(HEAD.unpack(head))
        how = rng.randrange(6)
        if how == 0:
            fields[rng.choice((0, 1, 2, 3, 4, 5, 6))] = rng.choice((0, 1, -1, 2, 99, 2**31 - 1, -2**31))
            fields[0] &= 0xFFFFFFFF
            fields[1] &= 0xFFFFFFFF
        raw = bytearray(HEAD.pack(*fields) + warrant)
        if how == 1:
            raw = raw[:rng.randrange(len(raw))]
        elif how == 2:
            raw += rng.randbytes(rng.randrange(1, 9000))
        elif how == 3:
            at = rng.randrange(HEAD.size - 480, HEAD.size)
            raw[at:HEAD.size] = b"x" * (HEAD.size - at)  # texts that do not end
        elif how == 4 and warrant:
            struct.pack_into("=I", raw, HEAD.size + 4, rng.choice((0, 255, 257, 2**32 - 1)))  # leaves there are not
        elif how == 5:
            for _ in range(rng.randrange(1, 9)):
                raw[rng.randrange(len(raw))] = rng.randrange(256)
        return bytes(raw) or b"\0"

    def test_broken_records_to_the_launcher(self):
        """By a user to where users may sign, by wattqd's own user to where it commands; with descriptors, too."""
        d, rng = self.d, random.Random(SEED)
        print("seed", SEED, flush=True)
        fds = lambda: len(os.listdir(f"/proc/{d.launcher.pid}/fd"))  # noqa: E731
        before = fds()
        asked = launchproto.WARRANT.pack(1, 1, 0, 0, 0, 1, 0, bytes(16), bytes(32)) + Order(["true"]).leaf()
        said = 0
        for i in range(600):
            user, name = (("eve", "sign"), ("wattq", "control"))[i % 2]
            kind = SIGN if name == "sign" else rng.choice((START, STATUS, METER))
            head = HEAD.pack(launchproto.RECORD_MAGIC, kind, 0, 0, 0, 0, 0, 0, 0, 0, b"", b"")
            record = self.damaged(rng, head, asked if kind in (SIGN, START) else b"")
            with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)) as s, contextlib.suppress(ConnectionError):
                s.settimeout(20)
                with As(user):
                    s.connect(os.path.join(d.launcher_dir, name))
                socket.send_fds(s, [record], [0] * rng.choice((0, 0, 1, 4, 20)))
                answer = s.recv(1 << 16)
                said += bool(answer)
                if len(answer) >= 8 and struct.unpack("=I", answer[4:8])[0] == launchproto.OK:
                    self.assertIn(kind, (SIGN, STATUS))  # nothing was started, no file was opened
        self.assertGreater(said, 300)
        until(lambda: fds() <= before, "the launcher to let all descriptors go")
        self.assertEqual(self.sign_as("eve", [Order(["true"])]).uid, USERS["eve"])


FORGETFUL = """import os, signal, sys, time
def alone():
    os.chdir("/")
    for s in range(1, 65):
        try: signal.signal(s, signal.SIG_IGN)
        except (OSError, ValueError): pass
    os.closerange(0, 256)
    os.execve("/bin/sh", ["-bash", "-c", "trap '' TERM HUP INT; while :; do sleep 5; done"], {})
"""


class Escapes(Case):
    """The kill: whatever the run did before, nothing of it is left once it is over. In a cgroup of its own, where it can be."""

    def ends(self, script, least, grace="300ms"):
        """Runs it as mal until it has so many processes, cancels it: none is left."""
        home = pwd.getpwnam("mal").pw_dir
        with open(f"{home}/attack.py", "w") as f:
            f.write(script)
        self.assertEqual(pids_of("mal"), [])
        run = self.d.wattq_submit("mal", "python3", f"{home}/attack.py", options=["--grace", grace])
        self.d.until_state(run, "running")
        until(lambda: len(pids_of("mal")) >= least, f"{least} processes of mal's", 60)
        began = time.monotonic()
        self.cancelled("mal", run)
        self.assertLess(time.monotonic() - began, 20)
        self.assertEqual(pids_of("mal"), [])
        return run

    def test_a_session_of_its_own(self):
        self.ends("import subprocess, time\nfor _ in range(3): subprocess.Popen(['setsid', 'sleep', '600'], start_new_session=True)\n"
                  "time.sleep(600)", 4)

    def test_a_double_fork(self):
        """Daemons as the book has them: no terminal, parent, directory, descriptor, name or environment of the run's."""
        self.ends(FORGETFUL + "for _ in range(3):\n"
                  "    if os.fork() == 0:\n        os.setsid()\n        if os.fork(): os._exit(0)\n        alone()\ntime.sleep(600)", 4)

    def test_no_signal_is_heard(self):
        self.ends(FORGETFUL + "os.fork()\nalone()", 2)

    def test_a_chain_that_forks_on(self):
        """Never the same process for longer than it takes to fork: what is looked at has gone when it is signalled."""
        self.ends("import os, signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nfor _ in range(4):\n"
                  "    if os.fork() == 0:\n        end = time.time() + 60\n        while time.time() < end:\n"
                  "            if os.fork(): os._exit(0)\n            os.setsid() if os.getsid(0) != os.getpid() else None\n"
                  "        os._exit(0)\ntime.sleep(600)", 3)

    def test_a_fork_bomb(self):
        """It ends at max-pids, and all of it ends."""
        script = ("import os, signal, time\nfor s in (signal.SIGTERM, signal.SIGHUP): signal.signal(s, signal.SIG_IGN)\n"
                  "while True:\n    try:\n        if os.fork() == 0: os.setsid()\n    except OSError:\n        time.sleep(0.2)\n")
        most = []

        def count():
            most.append(len(pids_of("mal")))
            return most[-1]
        home = pwd.getpwnam("mal").pw_dir
        with open(f"{home}/attack.py", "w") as f:
            f.write(script)
        run = self.d.wattq_submit("mal", "python3", f"{home}/attack.py", options=["--grace", "300ms"])
        until(lambda: count() >= MAX_PIDS - 20, "many processes of mal's", 60)
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            count()
            time.sleep(0.1)
        # Without a controller it is RLIMIT_NPROC, counted from all that there were when it started.
        with open(f"/proc/{pids_of('mal')[0]}/limits") as f:
            limit = next(line.split()[2] for line in f if line.startswith("Max processes"))
        controllers = ""
        if self.d.cgroup != "none":
            with open(os.path.join(self.d.cgroup, "cgroup.subtree_control")) as f:
                controllers = f.read()
        self.assertLessEqual(max(most), MAX_PIDS if "pids" in controllers else int(limit))
        print("  most processes at a time:", max(most), flush=True)
        self.cancelled("mal", run)
        self.assertEqual(pids_of("mal"), [])

    def test_out_of_its_cgroup(self):
        if self.d.cgroup == "none":
            self.skipTest("there is no cgroup v2 here, or this is without one")
        tree = self.d.cgroup
        run = self.started("mal", f"""python3 -c '{TRY}
me = str(os.getpid()).encode()
tree = {json.dumps(tree)}
for d in (tree, os.path.dirname(tree), tree + "/" + [n for n in os.listdir(tree) if n.startswith("wattq-")][0]):
    write(d + "/cgroup.procs", me)
    write(d + "/cgroup.kill")
    write(d + "/cgroup.freeze", b"0")
    tried("mkdir", lambda: os.mkdir(d + "/mine"))
'; echo over; sleep 60""", "over")
        said = self.d.run_file(run, "log").splitlines()
        self.assertGreaterEqual(len(said), 12)
        self.assertEqual([line for line in said if line.startswith("DID")], [])
        self.cancelled("mal", run)


class EscapesWithout(Escapes):
    """The same where there are no cgroups: by a subreaper that looks until nothing is left."""
    cgroup = False


class Exhausts(Case):
    """The disk, the loop, the memory."""
    args = ("--max-log", "4M")

    def grows(self, run, name, seconds):
        """The most MiB that a file of the run took on the disk, and its size at last."""
        path, most, end = self.d.path("state", "runs", str(run), name), 0, time.monotonic() + seconds
        while time.monotonic() < end:
            most = max(most, os.stat(path).st_blocks * 512)
            time.sleep(0.02)
        return most / MIB, os.stat(path).st_size / MIB

    # 40 MiB/s: between two looks of the shepherd's 4 MiB; a busy machine may look later.
    WRITER = ("import os, sys, time\nat = time.monotonic()\nfor i in range(160):\n    os.write({fd}, b'x' * (1 << 20))\n"
              "    at += 0.025\n    time.sleep(max(0, at - time.monotonic()))\ntime.sleep(60)")

    def test_the_disk_by_its_log(self):
        run = self.d.wattq_submit("eve", "python3", "-c", self.WRITER.format(fd=1), options=["--log-cap", "4M"])
        self.d.until_state(run, "running")
        most, size = self.grows(run, "log", 5.5)
        self.assertGreater(size, 150)
        self.assertLess(most, 60)
        on_disk = lambda: os.stat(self.d.path("state", "runs", str(run), "log")).st_blocks * 512 / MIB  # noqa: E731
        until(lambda: on_disk() <= 4.1, "its log to be within its cap")
        self.cancelled("eve", run)
        for cap in ("5M", "0B", "1T"):
            r = self.d.wattq("eve", "submit", "--log-cap", cap, "--", "true", check=False)
            self.assertEqual(r.returncode, 2, r.stdout)
            self.assertIn("may keep 4 MiB at most here", r.stderr)

    # Its user may open the log as any file: what is written before is in the hole by now, or behind the end.
    TRICKS = {
        "cut short and written again": ("log", "for i in range(3):\n    os.ftruncate(fd, 0)\n    fill(40)\n"),
        "written into the hole": ("log", "fill(40)\nfor i in range(40): os.pwrite(plain, b'y' * MIB, i * MIB); time.sleep(0.02)\n"),
        "mapped into the hole": ("log", "fill(40)\nm = mmap.mmap(plain, 40 * MIB)\n"
                                        "for i in range(0, 40 * MIB, 4096): m[i] = 7\nm.flush()\n"),
        "room reserved behind the end": ("log", "libc.fallocate(fd, 1, ctypes.c_long(0), ctypes.c_long(100 * MIB))\n"),
        "room reserved behind the end of metrics": ("metrics", "libc.fallocate(fd, 1, ctypes.c_long(0), ctypes.c_long(700 * MIB))\n"),
        "metrics": ("metrics", "os.ftruncate(fd, 300 * MIB)\nfill(60)\n"),
    }

    def test_the_disk_by_tricks_with_its_files(self):
        head = ("import ctypes, mmap, os, time\nMIB = 1 << 20\nlibc = ctypes.CDLL(None)\npath = os.environ['WATTQ_RUN_DIR'] + '/{name}'\n"
                "fd = os.open(path, os.O_RDWR | os.O_APPEND)\nplain = os.open(path, os.O_RDWR)\ndef fill(n):\n"
                "    for i in range(n):\n        os.write(fd, b'x' * MIB)\n        time.sleep(0.02)\n")
        for what, (name, trick) in self.TRICKS.items():
            run = self.d.wattq_submit("eve", "python3", "-c", head.format(name=name) + trick + "print('over', flush=True)\ntime.sleep(60)",
                                      options=["--shared"])
            path = self.d.path("state", "runs", str(run), name)
            until(lambda run=run: os.path.exists(path) and b"over" in self.tail(run), f"the end of {what}", 60)
            allowed = 4.2 if name == "log" else 256.2
            until(lambda path=path, allowed=allowed: os.stat(path).st_blocks * 512 / MIB <= allowed, f"{what}: {name} within its cap", 20)
            self.cancelled("eve", run)

    def tail(self, run):
        with open(self.d.path("state", "runs", str(run), "log"), "rb") as f:
            f.seek(max(0, os.fstat(f.fileno()).st_size - 100))
            return f.read()

    def others_wait_s(self, n=60):
        """How long ada waits for each of n answers, those that ask the database too."""
        took = []
        with self.d.peer("ada", timeout=60) as c:
            for i in range(n):
                began = time.monotonic()
                c.call(("info", "queue", "runs")[i % 3])
                took.append(time.monotonic() - began)
        return statistics.median(took), max(took)

    def push(self, unsent):
        """Of each [socket, bytes] what can go without waiting; how many bytes went."""
        went = 0
        for pair in unsent:
            try:
                n = pair[0].send(pair[1])
            except BlockingIOError:
                continue
            except OSError:
                n = len(pair[1])  # wattqd has closed it
            went += n
            pair[1] = pair[1][n:]
        return went

    def deaf(self, user, requests, count):
        """Connections that ask and do not read: all of it, or what wattqd takes until for 0.5 s it takes no more."""
        bodies = [pack({"op": op, "id": i + 2, **keys}) for i, (op, keys) in enumerate(requests)]
        asked = b"".join(struct.pack(">I", len(b)) + b for b in bodies)
        peers, unsent = [], []
        for _ in range(count):
            peers.append(self.d.peer(user))
            peers[-1].sock.setblocking(False)
            unsent.append([peers[-1].sock, asked])
            self.push(unsent[-1:])
        last = time.monotonic()
        while time.monotonic() - last < 0.5 and (unsent := [pair for pair in unsent if pair[1]]):
            last = time.monotonic() if self.push(unsent) else last
            time.sleep(0.01)
        return peers

    def test_the_loop_by_slow_reads(self):
        """A hundred connections that ask for much and read nothing, or a byte at a time; ada is answered as before."""
        d = self.d
        big = d.wattq_submit("bob", "head", "-c", "30000000", "/dev/zero")
        d.wait(big)
        before = rss_mib(d.proc.pid)
        peers = self.deaf("bob", [("logs", {"run": big}), ("watch", {}), ("power", {"live": True, "interval_ns": 10**9}),
                                  ("logs", {"run": big, "follow": True}), ("queue", {}), ("runs", {"limit": 1000})], 100)
        began, halfway = time.monotonic(), []
        while time.monotonic() - began < 3:
            for c in peers[:40]:
                with contextlib.suppress(OSError):
                    c.sock.settimeout(0.001)
                    c.sock.recv(1)
            halfway.append(self.others_wait_s(6)[0])
        median, most = self.others_wait_s()
        grew = rss_mib(d.proc.pid) - before
        print(f"  {len(peers)} deaf connections: ada waits {median * 1000:.1f} ms in the median, {most * 1000:.0f} ms at most; "
              f"wattqd grew by {grew:.0f} MiB", flush=True)
        self.assertLess(statistics.median(halfway), 0.5)
        self.assertLess(most, 3)
        self.assertLess(grew, 200 + SANITIZER_MIB)  # 100 times 1 MiB that a log may have in flight, and what goes with it
        for c in peers:
            c.close()
        until(lambda: d.call("info")["peers"] == 1, "wattqd to let them go")

    def test_the_loop_by_questions(self):
        """A hundred thousand of them at once, to the database too: each user's are taken in turn, and so many at a time."""
        d = self.d
        before = rss_mib(d.proc.pid)
        self.d.wait(self.d.wattq_submit("bob", "true"))
        ask = [("table", {"columns": ["id", "label", "energy"], "limit": 1000}), ("show", {"run": 1}), ("runs", {"energy": True})] * 350
        peers = self.deaf("bob", ask, 100)
        median, most = self.others_wait_s()
        grew = rss_mib(d.proc.pid) - before
        print(f"  {len(peers)} times {len(ask)} questions: ada waits {median * 1000:.1f} ms in the median, {most * 1000:.0f} ms at most; "
              f"wattqd grew by {grew:.0f} MiB", flush=True)
        self.assertLess(median, 0.5)
        self.assertLess(most, 5)
        self.assertLess(grew, 120 + SANITIZER_MIB)
        for c in peers:
            c.close()
        until(lambda: d.call("info")["peers"] <= 2, "wattqd to let them go", 60)

    def test_the_memory_by_answers(self):
        """Megabytes of answers that nobody reads, on each of many connections: what waits for one user is bounded."""
        d = self.d
        d.wattq("bob", "sweep", "-H", "--yes", "-p", "n=1..1000", "--", "true", "{n}", "x" * 500)  # a MB of rows
        before = rss_mib(d.proc.pid)
        peers = self.deaf("bob", [("queue", {"limit": 5000})] * 8, 80)
        median, most = self.others_wait_s(30)
        grew = rss_mib(d.proc.pid) - before
        left = d.call("info")["peers"]
        print(f"  {len(peers)} connections, {left} left: ada waits {median * 1000:.1f} ms; wattqd grew by {grew:.0f} MiB", flush=True)
        self.assertLess(left, 40)  # the others were closed: what they asked for is more than may wait
        self.assertLess(grew, 200 + SANITIZER_MIB)
        self.assertLess(most, 3)
        for c in peers:
            c.close()

    def test_too_many_logs(self):
        """Each is an open file of wattqd's."""
        d = self.d
        run = self.started("bob", "echo up; sleep 60", "up")
        peers, refused = [], 0
        for _ in range(8):
            c = d.peer("bob")
            for _ in range(40):
                ident = c.send("logs", run=run, follow=True)
                with contextlib.suppress(Refused):
                    c.recv(ident)
                    continue
                refused += 1
            peers.append(c)
        self.assertEqual(refused, 8 * 40 - 128)
        self.assertLess(len(os.listdir(f"/proc/{d.proc.pid}/fd")), 250)
        for c in peers:
            c.close()
        self.cancelled("bob", run)
        self.assertEqual(d.wattq("bob", "logs", str(run)), "up")

    def test_the_memory_by_frames(self):
        """A thousand frames of a megabyte that never end: what all of them together may take is bounded."""
        d = self.d
        before = rss_mib(d.proc.pid)
        peers, accepted = [], 0
        for _ in range(900):
            c = d.peer("bob")
            c.sock.settimeout(0.2)
            with contextlib.suppress(OSError):
                accepted += c.sock.send(struct.pack(">I", MIB) + b"\xdf\x00\x00" + b"x" * 150000)
            peers.append(c)
        median, most = self.others_wait_s(30)
        grew = rss_mib(d.proc.pid) - before
        print(f"  900 half frames, {accepted / MIB:.0f} MiB sent: wattqd grew by {grew:.0f} MiB; ada waits {median * 1000:.1f} ms", flush=True)
        self.assertGreater(accepted, 64 * MIB)
        self.assertLess(grew, 64 + SANITIZER_MIB)
        self.assertLess(most, 3)
        until(lambda: d.call("info")["peers"] <= 2, "wattqd to close what is never finished", 30)
        for c in peers:
            c.close()

    def test_more_connections_than_there_are(self):
        """All that users may have together are taken by one: root and admins still come in, as do users once they have gone."""
        d, peers = self.d, []
        for _ in range(1200):
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(2)
            with As("bob"):
                s.connect(d.socket)
            peers.append(s)
        until(lambda: d.call("info")["peers"] > 900, "most of them to be taken")
        self.assertLess(d.call("info")["peers"], 1100)
        with d.peer("joe") as c:
            self.assertTrue(c.call("queue")["ok"])
        for s in peers:
            s.close()
        until(lambda: d.call("info")["peers"] == 1, "wattqd to let them go", 30)


class Opens(Case):
    """Paths: nothing that a user names is opened by wattqd or by root, but by the user's own process."""

    def test_a_path_as_wattq(self):
        d = self.d
        db = d.path("state", "wattq.db")
        secret = d.path("state", "secret")
        with open(secret, "w") as f:
            f.write("of-wattqd")
        os.chmod(secret, 0o600)
        os.chown(secret, USERS["wattq"], USERS["wattq"])
        # Where a run begins and what it reads.
        for keys in ({"stdin": secret}, {"stdin": db}, {"stdin": "/etc/shadow"}, {"cwd": d.path("state", "env")}, {"cwd": "/root"},
                     {"stdin": f"/proc/{d.proc.pid}/environ"}, {"argv": [secret]}):
            order = Order(keys.get("argv", ["cat"]), cwd=keys.get("cwd", "/"), stdin=keys.get("stdin", ""))
            with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)) as s, As("bob"):
                s.connect(os.path.join(d.launcher_dir, "sign"))
                warrant = sign(s, [order])
            with d.peer("bob") as c:
                c.call("warrants", warrants=[warrant.bytes()])
                run = c.call("submit", run={"argv": order.argv, "cwd": order.cwd, "env": order.env, "umask": order.umask,
                                            **({"stdin": order.stdin} if order.stdin else {})})["run"]
            self.assertEqual(d.wait(run)["state"], "failed", keys)
            self.assertNotIn("of-wattqd", d.run_file(run, "log"), keys)
        # Its files are where it cannot change names: neither the log nor what wattqd reads of metrics can become another file.
        run = self.started("bob", f"""python3 -c '{TRY}
for name in ("log", "metrics", "state", "marks"):
    path = os.environ["WATTQ_RUN_DIR"] + "/" + name
    tried("unlink", lambda: os.unlink(path))
    tried("symlink", lambda: os.symlink("{secret}", path))
    tried("rename", lambda: os.rename(path, path + "x"))
tried("directory", lambda: os.rename(os.environ["WATTQ_RUN_DIR"], os.environ["WATTQ_RUN_DIR"] + "x"))
'; echo over""", "")
        d.wait(run)
        said = d.run_file(run, "log").splitlines()
        self.assertEqual((said[-1], [s for s in said if s.startswith("DID")]), ("over", []))
        self.assertEqual(len(said), 14)

    def test_a_foreground_run_plants_files(self):
        """The directory of `wattq exec` is its user's: what lies there under wattqd's names is not followed, nor waited for."""
        d = self.d
        secret = d.path("state", "secret2")
        with open(secret, "w") as f:
            f.write('{"stolen": 1}\nof-wattqd\n')
        os.chmod(secret, 0o600)
        os.chown(secret, USERS["wattq"], USERS["wattq"])
        for how in ("ln -s {secret} $f", "mkfifo $f", "ln -s /dev/zero $f", "mkdir $f", "ln -s {dir} $f"):
            # A directory named `result` keeps the run's own shepherd from writing one: that is nobody's loss but bob's.
            names = "log metrics marks state shepherd" + (" result" if "mkdir" not in how else "")
            script = (f"cd $WATTQ_RUN_DIR && for f in {names}; do rm -rf $f 2>/dev/null; "
                      + how.format(secret=secret, dir=d.path("state")) + " 2>/dev/null; done; ls -l; true")
            r = d.wattq("bob", "exec", "--", "sh", "-c", script, check=False)
            run = max(r["run"] for r in d.call("runs", limit=3)["runs"])
            until(lambda run=run: d.state(run) not in ("running", "starting", "stopping", "queued"), "its end", 30)
            with d.peer("bob") as c:
                ident = c.send("logs", run=run)
                with contextlib.suppress(Refused):
                    while (frame := c.recv(ident)).get("more"):
                        self.assertNotIn(b"of-wattqd", frame["data"], how)
                shown = c.call("show", run=run)["run"]
            self.assertNotIn("stolen", repr(shown.get("metrics")) + repr(shown.get("per_epoch")), (how, r.stderr))
            d.wattq("joe", "admin", "check")  # nobody waits for a pipe
        with open(secret) as f:
            self.assertIn("of-wattqd", f.read())


if __name__ == "__main__":
    system.enter()
    unittest.main(verbosity=2)
