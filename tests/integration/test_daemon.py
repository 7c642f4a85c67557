#!/usr/bin/env python3
"""wattqd as a program: what it says and how it exits when it cannot start, its life under systemd's protocol,
what a client sees on the bare socket, and that nothing is left behind.

The real wattqd and wattq-shepherd of WATTQ_BIN, in a private state directory; the script meter where power
is needed."""
import contextlib
import os
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
import unittest

BIN = os.environ.get("WATTQ_BIN", "build")
WATTQD = os.path.join(BIN, "daemon", "wattqd")


def pack(v):
    """The part of msgpack that requests need."""
    if v is None:
        return b"\xc0"
    if isinstance(v, bool):
        return b"\xc3" if v else b"\xc2"
    if isinstance(v, int):
        return b"\xd3" + struct.pack(">q", v)
    if isinstance(v, str):
        return b"\xda" + struct.pack(">H", len(v.encode())) + v.encode()
    if isinstance(v, list):
        return b"\xdc" + struct.pack(">H", len(v)) + b"".join(map(pack, v))
    return b"\xde" + struct.pack(">H", len(v)) + b"".join(pack(k) + pack(x) for k, x in v.items())


def unpack(b, i=0):
    """One value at b[i] and where it ends."""
    t = b[i]
    i += 1

    def uint(n):
        return int.from_bytes(b[i : i + n], "big"), i + n

    def many(n, i):
        out = []
        for _ in range(n):
            v, i = unpack(b, i)
            out.append(v)
        return out, i

    if t < 0x80:
        return t, i
    if t >= 0xE0:
        return t - 256, i
    if t < 0xA0:
        v, i = many((t & 15) * (2 if t < 0x90 else 1), i)
        return (dict(zip(v[::2], v[1::2])) if t < 0x90 else v), i
    if t < 0xC0:
        return b[i : i + (t & 31)].decode(), i + (t & 31)
    if t in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[t], i
    if t in (0xCA, 0xCB):
        n = 4 if t == 0xCA else 8
        return struct.unpack(">f" if n == 4 else ">d", b[i : i + n])[0], i + n
    if 0xCC <= t <= 0xD3:
        n = 1 << ((t - 0xCC) % 4)
        return int.from_bytes(b[i : i + n], "big", signed=t >= 0xD0), i + n
    if t in (0xC4, 0xC5, 0xC6, 0xD9, 0xDA, 0xDB):
        n, i = uint(1 << (t - (0xC4 if t < 0xD0 else 0xD9)))
        raw = b[i : i + n]
        return (raw if t < 0xD0 else raw.decode()), i + n
    n, i = uint(2 if t in (0xDC, 0xDE) else 4)
    v, i = many(n * (2 if t >= 0xDE else 1), i)
    return (dict(zip(v[::2], v[1::2])) if t >= 0xDE else v), i


class Client:
    def __init__(self, path, hello=True):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(path)
        if hello:
            self.hello = self.ask(op="hello", version=1, client="test")

    def send(self, **request):
        body = pack(request)
        self.sock.sendall(struct.pack(">I", len(body)) + body)

    def take(self):
        """The next frame; None when the daemon has closed."""
        data = b""
        while len(data) < 4 or len(data) < 4 + int.from_bytes(data[:4], "big"):
            want = 4 - len(data) if len(data) < 4 else 4 + int.from_bytes(data[:4], "big") - len(data)
            more = self.sock.recv(want)
            if not more:
                return None
            data += more
        value, end = unpack(data[4:])
        assert end == len(data) - 4
        return value

    def ask(self, **request):
        self.send(**request)
        return self.take()


class Daemon:
    def __init__(self, state, *options, env=None):
        self.notify_path = os.path.join(state, "notify")
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.settimeout(60)
        self.notify.bind(self.notify_path)
        self.log_path = os.path.join(state, "log")
        self.path = os.path.join(state, "s", "run", "wattqd.sock")
        self.state = os.path.join(state, "s")
        env = dict(environment(), NOTIFY_SOCKET=self.notify_path, **(env or {}))
        with open(self.log_path, "ab") as log:
            self.proc = subprocess.Popen(
                [WATTQD, "--state-dir", self.state, "--log-level", "debug", *options],
                env=env, stderr=log, stdin=subprocess.DEVNULL)

    def told(self, word):
        """Wait for a message to systemd that has this line."""
        while True:
            message = self.notify.recv(4096).decode()
            if any(line.startswith(word) for line in message.split("\n")):
                return message

    def log(self):
        with open(self.log_path) as f:
            return f.read()

    def stop(self, sig=signal.SIGTERM):
        self.proc.send_signal(sig)
        code = self.proc.wait(60)
        self.notify.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.notify_path)
        return code


def environment():
    env = {k: v for k, v in os.environ.items() if not k.startswith("XDG_") and k != "NOTIFY_SOCKET"}
    env["XDG_CONFIG_HOME"] = "/nonexistent"
    return env


def run(*args, env=None):
    return subprocess.run([WATTQD, *args], env=env or environment(), capture_output=True, text=True, timeout=60)


class TestCase(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory(prefix="wattqd-")
        self.addCleanup(self.dir.cleanup)
        self.daemon = None

    def tearDown(self):
        if self.daemon and self.daemon.proc.poll() is None:
            self.daemon.proc.kill()
            self.daemon.proc.wait()

    def start(self, *options, env=None):
        self.daemon = Daemon(self.dir.name, *options, env=env)
        try:
            self.daemon.told("READY=1")
        except socket.timeout:
            self.fail("not ready: " + self.daemon.log())
        return self.daemon

    def refuse(self, code, text, *args, **kw):
        r = run(*args, **kw)
        self.assertEqual(r.returncode, code, r.stderr)
        self.assertIn(text, r.stderr)
        self.assertLessEqual(len(r.stderr.strip().split("\n")), 2, r.stderr)
        return r.stderr


class CannotStart(TestCase):
    def test_options(self):
        self.assertIn("--state-dir", run("--help").stdout)
        self.assertRegex(run("--version").stdout, r"^wattqd \d+\.\d+\.\d+\n$")
        self.refuse(2, "did you mean --period", "--perod", "1s")
        self.refuse(2, "100s (seconds) or 100m (minutes)", "--period", "100")

    def test_socket_path_too_long(self):
        self.refuse(2, "--socket", "--state-dir", os.path.join(self.dir.name, "s"), "--socket", "/tmp/" + 110 * "x")

    def test_state_directory_that_is_a_file(self):
        path = os.path.join(self.dir.name, "file")
        open(path, "w").close()
        self.refuse(1, "--state-dir", "--state-dir", path)

    def test_no_shepherd(self):
        self.refuse(1, "--libexec-dir", "--state-dir", os.path.join(self.dir.name, "s"), "--libexec-dir", "/tmp")

    def test_corrupt_database(self):
        state = os.path.join(self.dir.name, "s")
        os.mkdir(state, 0o700)
        with open(os.path.join(state, "wattq.db"), "wb") as f:
            f.write(b"this is no database" * 1000)
        self.refuse(1, os.path.join(state, "wattq.db"), "--state-dir", state)

    def test_database_of_a_newer_program(self):
        self.start().stop()
        db = sqlite3.connect(os.path.join(self.daemon.state, "wattq.db"))
        db.execute("PRAGMA user_version = 999")
        db.commit()
        db.close()
        self.refuse(1, "newer", "--state-dir", self.daemon.state)

    def test_second_instance(self):
        d = self.start()
        text = self.refuse(5, f"pid {d.proc.pid}", "--state-dir", d.state)
        self.assertIn("--state-dir", text)
        other = os.path.join(self.dir.name, "other")
        self.refuse(5, "another wattqd listens", "--state-dir", other, "--socket", d.path)
        self.assertIn("ok", Client(d.path).hello)


class Life(TestCase):
    def test_start_and_stop_leave_nothing(self):
        for sig in (signal.SIGTERM, signal.SIGINT):
            d = self.start()
            self.assertEqual(os.stat(d.path).st_mode & 0o777, 0o600)
            self.assertEqual(os.stat(d.state).st_mode & 0o777, 0o700)
            client = Client(d.path)
            self.assertEqual(d.stop(sig), 0, d.log())
            self.assertIsNone(client.take())
            self.assertFalse(os.path.exists(d.path))
            self.assertNotIn("open handles", d.log())
            self.assertNotIn("ERROR: ", d.log())  # a sanitizer's word
            self.assertFalse(os.path.exists(os.path.join(d.state, "wattq.db-wal")))

    def test_killed_and_started_again(self):
        d = self.start()
        d.stop(signal.SIGKILL)
        self.assertTrue(os.path.exists(d.path))  # a dead socket, in the way of nobody
        d = self.start()
        self.assertTrue(Client(d.path).hello["ok"])
        self.assertEqual(d.stop(), 0, d.log())

    def test_hangup_is_no_reason_to_stop(self):
        d = self.start()
        d.proc.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        self.assertTrue(Client(d.path).hello["ok"])
        self.assertIn("SIGHUP", d.log())

    def test_watchdog_and_status(self):
        d = self.start(env={"WATCHDOG_USEC": "600000"})
        first = d.told("WATCHDOG=1")
        self.assertIn("STATUS=", first)
        t0 = time.monotonic()
        for _ in range(3):
            d.told("WATCHDOG=1")
        self.assertLess(time.monotonic() - t0, 1.5)
        d.proc.terminate()
        d.told("STOPPING=1")

    def test_samples_of_the_last_second_are_kept(self):
        d = self.start("--period", "50ms")
        time.sleep(1.3)
        t = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        self.assertEqual(d.stop(), 0, d.log())
        db = sqlite3.connect(os.path.join(d.state, "wattq.db"))
        (t1,) = db.execute("SELECT max(t1_ns) FROM epoch").fetchone()
        (reason,) = db.execute("SELECT reason FROM epoch ORDER BY id DESC LIMIT 1").fetchone()
        self.assertGreaterEqual(t1, t - 200_000_000)
        self.assertEqual(reason, "stop")
        self.assertEqual(db.execute("PRAGMA integrity_check").fetchone(), ("ok",))

    def test_socket_activation(self):
        path = os.path.join(self.dir.name, "activated.sock")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(8)
        client = socket.socket(socket.AF_UNIX)
        client.connect(path)  # before the daemon is there
        pid = os.fork()
        if pid == 0:
            os.dup2(listener.fileno(), 3)
            os.set_inheritable(3, True)  # dup2 onto itself leaves it as it was
            env = dict(environment(), LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
            log = os.open(os.path.join(self.dir.name, "log"), os.O_CREAT | os.O_WRONLY)
            os.dup2(log, 2)
            os.execve(WATTQD, [WATTQD, "--state-dir", os.path.join(self.dir.name, "s")], env)
        listener.close()
        try:
            c = Client.__new__(Client)
            c.sock = client
            client.settimeout(60)
            self.assertTrue(c.ask(op="hello", version=1)["ok"])
        finally:
            os.kill(pid, signal.SIGTERM)
            _, status = os.waitpid(pid, 0)
        self.assertEqual(status, 0)
        self.assertTrue(os.path.exists(path))  # systemd's file, not ours


class Wire(TestCase):
    def test_hello_says_who_it_is(self):
        d = self.start()
        hello = Client(d.path).hello
        self.assertEqual(hello["version"], 1)
        self.assertEqual(hello["pid"], d.proc.pid)
        self.assertEqual(hello["uid"], os.geteuid())
        self.assertEqual(hello["state_dir"], d.state)

    def test_wrong_version(self):
        d = self.start()
        c = Client(d.path, hello=False)
        answer = c.ask(op="hello", version=2, id=9)
        self.assertEqual((answer["id"], answer["error"]["code"]), (9, "version"))
        self.assertIn("version 2", answer["error"]["text"])
        self.assertIsNone(c.take())

    def test_unknown_operation_keeps_the_connection(self):
        d = self.start()
        c = Client(d.path)
        answer = c.ask(op="make_coffee", id=3)
        self.assertEqual(answer["id"], 3)
        self.assertIn("make_coffee", answer["error"]["text"])
        self.assertTrue(c.ask(op="hello", version=1)["ok"])

    def test_five_bytes_that_ask_for_eight_gib(self):
        d = self.start()
        c = Client(d.path)
        c.sock.sendall(b"\0\0\0\x05\xdf\x10\0\0\0")
        self.assertEqual(c.take()["error"]["code"], "protocol")
        self.assertIsNone(c.take())
        with open(f"/proc/{d.proc.pid}/status") as f:
            peak = next(int(line.split()[1]) for line in f if line.startswith("VmHWM"))
        self.assertLess(peak, 1 << 20)  # KiB
        self.assertTrue(Client(d.path).hello["ok"])

    def test_live_power(self):
        d = self.start("--period", "50ms")
        c = Client(d.path)
        answer = c.ask(op="power", id=4, live=True, interval_ns=10_000_000)
        self.assertEqual(answer["error"]["code"], "usage")
        self.assertIn("100ms", answer["error"]["next"])
        c.send(op="power", id=5, live=True, interval_ns=100_000_000)
        frames = [c.take() for _ in range(10)]
        steps = [b["t_ns"] - a["t_ns"] for a, b in zip(frames[1:], frames[2:])]
        self.assertLess(max(steps), 500_000_000)
        for f in frames:
            self.assertEqual((f["id"], f["more"], f["lost"], f["runs"]), (5, True, 0, []))
            self.assertTrue(f["channels"])
            for ch in f["channels"]:
                if ch["power_uw"] is None and ch["unit"] in ("uJ", "uW"):
                    self.assertTrue(ch["reason"])
        last = frames[-1]["channels"]
        self.assertTrue(any(ch["in_total"] and ch["power_uw"] is not None for ch in last), last)

    def test_many_watchers_share_one_answer(self):
        d = self.start()
        clients = [Client(d.path) for _ in range(50)]
        for i, c in enumerate(clients):
            c.send(op="power", id=100 + i, live=True, interval_ns=200_000_000)
        for i, c in enumerate(clients):
            got = [c.take() for _ in range(4)]
            self.assertEqual({f["id"] for f in got}, {100 + i})
        # From the second frame on all of them show the same instant.
        again = [c.take()["t_ns"] for c in clients]
        self.assertLessEqual(len(set(again)), 2)


if __name__ == "__main__":
    if not os.access(WATTQD, os.X_OK):
        print(f"skipped: no program {WATTQD}; build it and set WATTQ_BIN")
        sys.exit(77)
    unittest.main(warnings="ignore")
