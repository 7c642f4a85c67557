#!/usr/bin/env python3
"""What a client can get wrong, or do on purpose: each is answered by one clear sentence with a stable code, and
the daemon goes on as before."""
import contextlib
import os
import random
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import BIN, Client, Daemon, Refused  # noqa: E402
from wattqproto import pack, unpack  # noqa: E402

SEED = int(os.environ.get("WATTQ_SEED", str(time.time_ns() % 10**6)))


class Bad(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d = Daemon()
        cls.d.start()

    @classmethod
    def tearDownClass(cls):
        cls.d.__exit__(None, None, None)

    def tearDown(self):
        """Whatever the test did, the daemon still works and has started nothing."""
        self.assertEqual(self.d.proc.poll(), None, self.d.log_text()[-3000:])
        with Client(self.d.socket) as c:
            self.assertEqual(c.call("queue")["queued"], 0)

    def refused(self, code, op, **keys):
        with self.assertRaises(Refused) as r:
            self.d.call(op, **keys)
        self.assertEqual(r.exception.code, code, r.exception)
        text = r.exception.text
        self.assertTrue(text and "\n" not in text and len(text) < 320, text)
        return text

    # ---- frames -----------------------------------------------------------------------------------

    def raw(self, data, hello=True):
        """What the daemon says to raw bytes, until it closes."""
        c = Client(self.d.socket, timeout=20, hello=hello)
        said = c.buf
        with contextlib.suppress(OSError):
            c.sock.sendall(data)
        with contextlib.suppress(OSError):
            while piece := c.sock.recv(65536):
                said += piece
        c.close()
        return unpack(said[4:])[0] if len(said) > 4 else None

    def test_malformed_frames(self):
        for body in (b"\xdf\xff\xff\xff\xff", b"\xc1", b"\x93\x01\x02\x03", b"\x81\xa2op", b"\x81\x01\x02",
                     b"\xdb\xff\xff\xff\xff", b"\x81\xa1a" + b"\x91" * 50 + b"\xc0", b"\x80\x80", b""):
            reply = self.raw(struct.pack(">I", len(body)) + body)
            self.assertIn(reply["error"]["code"], ("protocol", "limit"), body)

    def test_oversized_frames(self):
        self.assertEqual(self.raw(struct.pack(">I", 1 << 30))["error"]["code"], "limit")
        self.assertEqual(self.raw(struct.pack(">I", 5000) + b"x", hello=False)["error"]["code"], "limit")

    def test_random_bytes(self):
        rng = random.Random(SEED)
        print("seed", SEED, flush=True)
        for _ in range(100):
            body = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 200)))
            self.raw(struct.pack(">I", len(body)) + body)

    def test_hello_comes_first_and_in_our_version(self):
        for request, code in (({"op": "info"}, "protocol"), ({"op": "hello", "version": 99}, "version")):
            body = pack({"id": 4, **request})
            reply = self.raw(struct.pack(">I", len(body)) + body, hello=False)
            self.assertEqual(reply["error"]["code"], code)

    def wattq_against(self, hello):
        """The client at a socket that answers its hello with these keys: exit code and words."""
        with tempfile.TemporaryDirectory(prefix="wattq-other-") as place, socket.socket(socket.AF_UNIX) as other:
            other.bind(os.path.join(place, "wattqd.sock"))
            other.listen(1)
            p = subprocess.Popen([os.path.join(BIN, "client", "wattq"), "info"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 text=True, env=dict(os.environ, WATTQ_SOCKET=os.path.join(place, "wattqd.sock")))
            peer, _ = other.accept()
            with peer:
                size, = struct.unpack(">I", peer.recv(4, socket.MSG_WAITALL))
                asked = unpack(peer.recv(size, socket.MSG_WAITALL))[0]
                body = pack({"id": asked["id"], **hello})
                peer.sendall(struct.pack(">I", len(body)) + body)
                out, err = p.communicate(timeout=20)
                peer.settimeout(5)
                return p.returncode, out, err, peer.recv(1)

    def test_client_of_another_version(self):
        """It says so in words and asks for nothing."""
        code, out, err, more = self.wattq_against({"ok": True, "version": 2})
        self.assertEqual((code, out, more), (1, "", b""))
        self.assertIn("version 2, this wattq speaks 1", err)
        self.assertIn("installed with this wattqd", err)
        refusal = {"code": "version", "text": "the client speaks version 1 of the protocol, wattqd 9 speaks version 2",
                   "next": "use the wattq that came with this wattqd"}
        code, out, err, more = self.wattq_against({"error": refusal})
        self.assertEqual((code, out, more), (1, "", b""))
        self.assertIn(refusal["text"], err)
        self.assertIn(refusal["next"], err)

    def test_what_a_newer_client_adds(self):
        """Keys that are not known are ignored; an operation that is not known is refused and the connection goes on."""
        with Client(self.d.socket) as c:
            self.assertEqual(c.call("queue", colour="green", depth=[{"a": 1}])["queued"], 0)
            with self.assertRaises(Refused) as r:
                c.call("teleport", run=1)
            self.assertEqual(r.exception.code, "protocol")
            self.assertEqual(c.call("queue")["queued"], 0)

    def test_half_open_clients(self):
        peers = []
        for i in range(1000):
            s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            s.connect(self.d.socket)
            s.send(b"\0\0" if i % 2 else b"\0\0\0\x10\x82")
            peers.append(s)
        start = time.monotonic()
        self.assertIn("daemon", self.d.call("info"))
        self.assertLess(time.monotonic() - start, 2)
        for s in peers:
            s.close()

    # ---- requests ---------------------------------------------------------------------------------

    def test_operations(self):
        self.assertIn("frobnicate", self.refused("protocol", "frobnicate"))
        self.assertIn("'a?b?[2J'", self.refused("protocol", "a\nb\x1b[2J"))
        self.refused("protocol", "x" * 39 + "\u00e4")  # a letter that is cut in two
        for op in ("show", "logs", "phase", "exec_ready", "exec_abort", "sweep_release"):
            self.refused("usage", op)
            self.refused("usage", op, run="17")
        for op in ("cancel", "hold", "release", "pause", "resume", "retry"):
            self.refused("usage", op)
            self.refused("usage", op, runs=[])
            self.refused("usage", op, runs=["x"])
            self.refused("limit", op, runs=[1] * 10001)
            self.refused("not_found", op, runs=[4711])
        self.refused("not_found", "show", run=4711)
        self.refused("not_found", "logs", run=4711)
        self.refused("not_found", "sweep_release", sweep=4711)
        self.refused("not_found", "sweeps", sweep=4711)
        self.refused("usage", "wait")
        self.refused("usage", "wait", runs=[1], **{"for": "ever"})
        self.refused("usage", "runs", state="finished")
        self.refused("limit", "runs", limit=0)
        self.refused("usage", "energy")
        self.refused("usage", "energy", boot=1, t0_ns=5, t1_ns=5)
        self.refused("not_found", "energy", run=4711)
        self.refused("usage", "power", live=True, interval_ns=1)
        self.refused("limit", "power", since_utc_ns=1, pixels=10**9)
        self.refused("usage", "idle", seconds=0)
        self.refused("usage", "cancel", runs=[1], signal=1000)
        self.refused("not_found", "sweep_rows", draft=1, runs=[])
        self.refused("usage", "warrants")
        self.refused("usage", "warrants", warrants=b"")
        for what in (None, "text", b"", b"x" * 88, 1, []):
            self.refused("invalid", "warrants", warrants=[what])

    def test_run_specs(self):
        good = self.d.spec(["true"])
        for change in ({"argv": []}, {"argv": "true"}, {"argv": [""]}, {"argv": [1]}, {"cwd": "relative"},
                       {"cwd": None}, {"env": ["no equals"]}, {"env": None}, {"kind": "daemon"},
                       {"priority": 5000}, {"umask": 0o7777}, {"time_limit_ns": -1}, {"params": {"a b": "x"}},
                       {"params": {"k": 1}}, {"stdin": "relative"}, {"label": "a\nb"}):
            with self.assertRaises(Refused) as r:
                self.d.call("submit", run={**good, **change})
            self.assertIn(r.exception.code, ("usage", "limit"), change)
        for change in ({"argv": ["x"] * 5000}, {"argv": ["true", "x" * 300000]}, {"label": "x" * 101},
                       {"env": ["A=" + "x" * 600000]}):
            with self.assertRaises(Refused) as r:
                self.d.call("submit", run={**good, **change})
            self.assertEqual(r.exception.code, "limit", list(change))
        self.refused("usage", "submit", run="true")
        self.refused("usage", "submit", run={**good, "kind": "exec"})

    def test_sweeps(self):
        run = self.d.spec(["echo", "{a}"])
        axis = {"key": "a", "values": ["1"]}
        for sweep in (None, {}, {"run": run, "axes": [{"key": "a", "values": []}]}, {"run": run, "axes": [{}]},
                      {"run": run, "axes": [axis, axis]}, {"run": run, "axes": []},
                      {"run": run, "axes": [{"key": "b", "values": ["1"]}]},
                      {"run": run, "axes": [axis], "order": "sideways"}):
            with self.assertRaises(Refused) as r:
                self.d.call("sweep", sweep=sweep)
            self.assertEqual(r.exception.code, "usage", sweep)
        many = [str(i) for i in range(1000)]
        axes = [{"key": "a", "values": many}, {"key": "b", "values": many}]
        self.refused("limit", "sweep", sweep={"run": run, "axes": axes})
        self.refused("limit", "sweep", sweep={"run": run, "axes": [axis], "repeat": 10**12})
        self.refused("limit", "sweep", sweep={"run": run, "axes": [axis], "repeat": 0})
        tiny = {"run": dict(self.d.spec(["--dataset", "standin:mnist", "--shape", "rectangle", "--depth", "3"]),
                            kind="train"), "axes": [{"key": "size", "values": ["32"]}]}
        self.assertIn("20 %", self.refused("invalid", "sweep", sweep=tiny))

    def test_control_bytes_and_odd_text_in_a_label(self):
        run = self.d.submit(["printf", "\u00e4\U0001f600"], label="\u00fcber \U0001f600")
        self.assertEqual(self.d.wait(run)["label"], "\u00fcber \U0001f600")
        self.assertEqual(self.d.logs(run)[0], "\u00e4\U0001f600")

    def test_shapes_of_random_requests(self):
        """Well-formed messages of random content to every operation."""
        rng = random.Random(SEED)
        names = ("info queue show logs wait cancel hold release pause resume retry runs energy meters phase "
                 "sweep sweeps sweep_begin sweep_rows sweep_commit sweep_release exec_ready exec_abort idle "
                 "submit exec_begin warrants").split()
        keys = ("run runs sweep for limit before state label since_utc_ns until_utc_ns boot t0_ns t1_ns name draft "
                "token seconds signal grace_ns offset energy params reason mine all").split()

        def value(depth):
            pick = rng.randrange(9 if depth < 4 else 7)
            if pick == 7:
                return [value(depth + 1) for _ in range(rng.randrange(4))]
            if pick == 8:
                return {rng.choice(keys): value(depth + 1) for _ in range(rng.randrange(4))}
            return (None, True, 1, -(2**63), 2**63 - 1, 1.5, rng.choice(("", "x", "{a}", "done")))[pick]

        for _ in range(500):
            with Client(self.d.socket) as c:
                c.send(rng.choice(names), **{rng.choice(keys): value(0) for _ in range(rng.randrange(5))})
                with contextlib.suppress(Refused, EOFError):
                    c.recv(c.last_id)
                    if not c.buf:
                        continue


if __name__ == "__main__":
    unittest.main()
