#!/usr/bin/env python3
"""live.py [--seconds N] [--seed N] [--memory MIB]: a real wattqd on a socket of its own is sent requests of which some
fields are wrong, and frames that are none, by several connections at once (as root also by another user's), while it
runs what it was asked to.

Wants a build with AddressSanitizer: WATTQ_BIN=build-asan. Fails when wattqd ends or a sanitizer reports, when a new
connection's `hello` is not answered within 2 s, when it grows beyond --memory, when a reply is not one that
docs/protocol.md knows, when connections or descriptors are left once all have gone, when its database is damaged, or when it
cannot be started again on what was stored. The last frames of each connection are then kept in build-fuzz/found/live-SEED.

The choices follow from the seed; what they meet also depends on how fast the daemon was."""
import argparse
import collections
import contextlib
import json
import os
import random
import re
import signal
import socket
import sqlite3
import struct
import sys
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import Client, Daemon, boot_ns, until  # noqa: E402
from live_requests import Requests  # noqa: E402
from wattqproto import unpack  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
CODES = ("usage invalid not_found forbidden conflict limit protocol version io storage corrupt unavailable internal").split()
GUEST = 65534
ANSWER_S = 2
WORKERS = 3
REPORT = re.compile(r"ERROR: \w+Sanitizer|runtime error:|SUMMARY: |Assertion .* failed")


class Wrong(Exception):
    """What wattqd must not do."""


class Talk:
    """One connection and what was sent on it."""

    def __init__(self, path, requests, count, sent):
        self.requests, self.count, self.sent = requests, count, sent
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(5)
        self.sock.connect(path)
        self.buf = b""
        self.asked = {}

    def send(self, data):
        self.sent.append(data)
        self.sock.sendall(data)

    def ask(self):
        r = self.requests
        op, body, whole = r.next()
        self.count["sent " + op] += 1
        if whole:
            self.asked[r.last_id] = op
        self.send(struct.pack(">I", len(body)) + body)

    def check(self, frame):
        """A reply as docs/protocol.md has it."""
        if not isinstance(frame, dict) or ("error" in frame) == (frame.get("ok") is True):
            raise Wrong(f"neither ok nor an error: {frame}")
        op = self.asked.get(frame.get("id"))
        error = frame.get("error")
        if error is None:
            self.requests.learn(frame)
            if op:
                self.count["ok " + op] += 1
        elif error["code"] not in CODES or not error["text"] or "\n" in error["text"]:
            raise Wrong(f"an error like no other: {error}")
        elif error["code"] in ("internal", "corrupt"):
            raise Wrong(f"its own fault, it says: {error}")

    def hear(self, seconds):
        """Takes replies for so long, or until nothing comes; False when the connection was closed."""
        end = time.monotonic() + seconds
        while True:
            while len(self.buf) >= 4 and len(self.buf) >= 4 + struct.unpack(">I", self.buf[:4])[0]:
                n = struct.unpack(">I", self.buf[:4])[0]
                if not 0 < n <= 1 << 20:
                    raise Wrong(f"a reply of {n} bytes")
                body, self.buf = self.buf[4:4 + n], self.buf[4 + n:]
                try:
                    frame, used = unpack(body)
                except (ValueError, IndexError, KeyError) as e:
                    raise Wrong(f"a reply that cannot be read: {e!r} {body[:400]}") from e
                if used != n:
                    raise Wrong(f"a reply of {n} bytes whose message ends at {used}")
                self.count["replies"] += 1
                self.check(frame)
            if time.monotonic() > end + 1:
                return True  # a log without end, read as fast as it comes
            self.sock.settimeout(max(0.001, end - time.monotonic()))
            try:
                data = self.sock.recv(1 << 18)
            except TimeoutError:
                return True
            if not data:
                return False
            self.buf += data


class Worker:
    """A process that talks until it is told to stop."""

    def __init__(self, path, place, seed, uid):
        self.path, self.uid = path, uid
        self.rng = random.Random(seed)
        self.requests = Requests(self.rng, place)
        self.count = collections.Counter()
        self.parked = []
        self.sent = collections.deque(maxlen=400)

    def orderly(self, talk):
        """Requests with their replies; at times many at once, or none heard."""
        rng = self.rng
        for _ in range(rng.choice((1, 5, 20, 60))):
            for _ in range(rng.choice((1, 1, 1, 4, 30))):
                talk.ask()
            if rng.random() < 0.9 and not talk.hear(rng.choice((0.002, 0.01, 0.03))):
                return

    def broken(self, talk):
        """A frame that ends early, says a wrong length, or comes in pieces."""
        rng = self.rng
        _, body, _ = self.requests.next()
        length = rng.choice((len(body), len(body) - 1, len(body) + 1, 0, 1, 2**20, 2**20 + 1, 2**31, 2**32 - 1))
        data = struct.pack(">I", length) + body
        if rng.random() < 0.5:
            data = data[:rng.randrange(len(data))]
        at = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randrange(6)))
        for a, b in zip([0, *at], [*at, len(data)]):
            talk.send(data[a:b])
        if rng.random() < 0.3:
            talk.sock.shutdown(rng.choice((socket.SHUT_WR, socket.SHUT_RDWR)))
        if rng.random() < 0.1:
            with contextlib.suppress(OSError):
                socket.send_fds(talk.sock, [b"\0"], [0, 1, 2])
        talk.hear(rng.choice((0, 0.01)))

    def once(self):
        rng = self.rng
        talk = Talk(self.path, self.requests, self.count, self.sent)
        self.count["connections"] += 1
        try:
            if rng.random() < 0.95:
                body = b"\x83\xa2op\xa5hello\xa7version\x01\xa2id\xcd\xff\xff"
                talk.send(struct.pack(">I", len(body)) + body)
            (self.broken if rng.random() < 0.25 else self.orderly)(talk)
        except OSError:
            pass
        # Some stay, deaf: what they are sent piles up.
        if rng.random() < 0.2:
            self.parked.append(talk)
        else:
            talk.sock.close()
        while len(self.parked) > 40:
            self.parked.pop(rng.randrange(40)).sock.close()

    def work(self, report):
        if self.uid is not None:
            os.setgroups([])
            os.setresgid(self.uid, self.uid, self.uid)
            os.setresuid(self.uid, self.uid, self.uid)
        stop = []
        signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
        wrong = ""
        try:
            while not stop:
                self.once()
        except Wrong as e:
            wrong = str(e)
        json.dump({"count": self.count, "wrong": wrong, "sent": [s.hex() for s in self.sent]}, report)
        report.flush()

    def start(self, where):
        self.report = open(where, "w+")
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                self.work(self.report)
                code = 0
            except Exception:
                traceback.print_exc()
            finally:
                os._exit(code)

    def done(self):
        """It said that something is wrong, or is gone."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def stop(self):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)
        _, status = os.waitpid(self.pid, 0)
        if status:
            raise AssertionError(f"a connection's process ended with {status}")
        self.report.seek(0)
        return json.load(self.report)


class Watch:
    """Looks at the daemon from outside while it is talked to."""

    def __init__(self, d, memory_mib):
        self.d, self.memory_mib = d, memory_mib
        self.slowest_s = self.most_mib = 0.0
        self.swept = time.monotonic()

    def rss_mib(self):
        with open(f"/proc/{self.d.proc.pid}/status") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmRSS")) / 1024

    def fds(self):
        """What each of its descriptors is."""
        place, found = f"/proc/{self.d.proc.pid}/fd", []
        for fd in os.listdir(place):
            with contextlib.suppress(OSError):
                found.append(os.readlink(f"{place}/{fd}"))
        return sorted(f for f in found if "wattq.db" not in f)  # SQLite keeps those of connections that it closed

    def look(self):
        if self.d.proc.poll() is not None:
            raise Wrong(f"wattqd ended with {self.d.proc.returncode}")
        start = time.monotonic()
        try:
            Client(self.d.socket, timeout=ANSWER_S).close()
        except (OSError, EOFError) as e:
            raise Wrong(f"`hello` is not answered within {ANSWER_S} s: {e!r}") from e
        self.slowest_s = max(self.slowest_s, time.monotonic() - start)
        self.most_mib = max(self.most_mib, self.rss_mib())
        if self.most_mib > self.memory_mib:
            raise Wrong(f"wattqd has {self.most_mib:.0f} MiB, more than {self.memory_mib}")
        if REPORT.search(self.d.log_text()):
            raise Wrong("a sanitizer's report")
        if time.monotonic() - self.swept > 3:
            self.sweep()

    def sweep(self):
        """What waits is cancelled now and then, so that there is room for more."""
        self.swept = time.monotonic()
        with Client(self.d.socket) as c:
            runs = [r["run"] for r in c.call("queue", limit=5000)["runs"] if "ended_utc_ns" not in r or not r["ended_utc_ns"]]
            if runs:
                c.send("cancel", runs=runs, signal=9)
                with contextlib.suppress(Exception):
                    c.recv(c.last_id)

    def quiet(self, fds):
        """Everybody has gone and nothing runs: nothing is left of them."""
        def empty():
            self.sweep()
            info = self.d.call("info")
            self.d.call("table", columns=["id"])  # slow ones wait for each other: nobody is at work any more
            return info["peers"] == 1 and not info["queue"]["running"] and not info["queue"]["queued"] and len(self.fds()) <= len(fds)
        try:
            until(empty, "the end of connections and runs", 60)
        except AssertionError as e:
            raise Wrong(f"left when all had gone: {self.d.call('info')}, descriptors {self.fds()} of {fds}") from e


def not_asked():
    """Operations of the daemon that no request here is for."""
    with open(os.path.join(ROOT, "daemon", "api", "ops.c")) as f:
        ops = re.findall(r'^    {"(\w+)", RIGHTS_', f.read(), re.M)
    return set(ops) - set(Requests(random.Random(0), "/").valid())


def afterwards(d):
    """What was stored is whole, and enough to start with."""
    d.stop()
    with contextlib.closing(sqlite3.connect(os.path.join(d.state_dir, "wattq.db"))) as db:
        said = db.execute("PRAGMA integrity_check").fetchall() + db.execute("PRAGMA foreign_key_check").fetchall()
        stored = db.execute("SELECT count(*) FROM run").fetchone()[0]
    if said != [("ok",)]:
        raise Wrong(f"the database: {said}")
    d.start()
    d.call("queue")
    d.call("runs", limit=1000, energy=True, params=True)
    return stored


def talk_for(d, args):
    """What was counted and the watch, once the time is over."""
    guests = os.geteuid() == 0
    watch = Watch(d, args.memory)
    d.call("info")
    fds = watch.fds()
    workers = [Worker(d.socket, d.dir, f"{args.seed} {i}", GUEST if guests and i == WORKERS - 1 else None) for i in range(WORKERS)]
    for i, w in enumerate(workers):
        w.start(d.path(f"talk{i}"))
    wrong, end = "", time.monotonic() + args.seconds
    try:
        while time.monotonic() < end and not any(w.done() for w in workers):
            watch.look()
            time.sleep(0.2)
    except Wrong as e:
        wrong = str(e)
    said = [w.stop() for w in workers]
    wrong = wrong or next((s["wrong"] for s in said if s["wrong"]), "")
    try:
        if not wrong:
            watch.look()
            watch.quiet(fds)
            stored = afterwards(d)
    except Wrong as e:
        wrong = str(e)
    except AssertionError as e:
        wrong = f"wattqd did not stop and start again: {e}"
    if wrong:
        keep(d, args.seed, said)
        raise Wrong(wrong)
    return sum((collections.Counter(s["count"]) for s in said), collections.Counter()), watch, stored


def keep(d, seed, said):
    place = os.path.join(ROOT, "build-fuzz", "found", f"live-{seed}")
    os.makedirs(place, exist_ok=True)
    for i, s in enumerate(said):
        with open(os.path.join(place, f"sent{i}"), "w") as f:
            f.write("\n".join(s["sent"]) + "\n")
    with open(os.path.join(place, "wattqd.log"), "w") as f:
        f.write(d.log_text())
    print(f"the last frames and wattqd's log are in {os.path.relpath(place)}")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--seconds", type=float, default=20, help="how long it is talked to (20)")
    p.add_argument("--seed", type=int, default=boot_ns() % 10**6, help="of all choices (from the clock)")
    p.add_argument("--memory", type=float, default=512, help="MiB that wattqd may have, with what its sanitizer takes (512)")
    args = p.parse_args()
    print(f"live: seed {args.seed}", flush=True)
    if not_asked():
        sys.exit(f"no request is made for {sorted(not_asked())}: add one to tests/support/live_requests.py")
    os.environ["ASAN_OPTIONS"] = "detect_stack_use_after_return=1:quarantine_size_mb=32"
    os.environ["UBSAN_OPTIONS"] = "print_stacktrace=1"
    d = Daemon("--visibility", "summary", "--max-queued", "300", "--log-level", "warn")
    os.chmod(d.dir, 0o711)
    os.mkfifo(d.path("fifo"))
    try:
        d.start()
        count, watch, stored = talk_for(d, args)
    except Wrong as e:
        print(f"{d.log_text()[-8000:]}\nlive: seed {args.seed}: {e}")
        if d.proc.poll() is None:
            d.kill()
        d.proc = None
        d.__exit__(None, None, None)
        sys.exit(1)
    d.__exit__(None, None, None)
    requests = {k: v for k, v in count.items() if k.startswith("sent ")}
    never = sorted({k[5:] for k in requests} - {k[3:] for k in count if k.startswith("ok ")})
    print(f"live: seed {args.seed}: {sum(requests.values())} requests of {len(requests)} operations, {count['replies']} replies, "
          f"{count['connections']} connections, {stored} runs in {args.seconds:.0f} s; hello within {watch.slowest_s * 1000:.0f} ms, "
          f"{watch.most_mib:.0f} MiB{'; never ok: ' + ' '.join(never) if never else ''}")


if __name__ == "__main__":
    main()
