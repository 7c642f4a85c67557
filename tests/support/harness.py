"""A private wattqd for integration tests: temporary state, the script meter, and nothing left behind.

    with Daemon() as d:
        run = d.submit(["sh", "-c", "exit 3"])
        assert d.wait(run)["exit_code"] == 3
"""
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from wattqproto import Client, Refused  # noqa: E402,F401

BIN = os.environ.get("WATTQ_BIN", "build")
SCRIPT = """channel pkg kind=counter scope=package period=1ms quantum=1 pmax=1000W
channel dram kind=counter scope=dram period=1ms quantum=1 pmax=200W
power pkg = constant 50W
power dram = constant 5W
"""
WATTS = 55
ENDED = ("done", "failed", "timeout", "energy_limit", "oom", "cancelled", "skipped", "lost")

# What the header of run states promises (daemon/store/runs_state.c), written again so that a test can disagree.
MOVES = {"held": ("queued", "cancelled", "skipped"), "queued": ("held", "starting", "cancelled", "skipped"),
         "starting": ("queued", "running", "failed", "cancelled", "lost"), "running": ("paused", "stopping", "lost"),
         "paused": ("running", "stopping", "lost"),
         "stopping": ("done", "failed", "timeout", "energy_limit", "oom", "cancelled", "lost")}


def boot_ns():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def until(check, what, seconds=20):
    """Polls until check() is true and gives its value."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = check()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"timed out: {what}")


def is_small(pid):
    """Is this shepherd of a running run within its target, 400 kB PSS? As that depends on who else has the same libraries
    mapped, all that it has mapped itself may be little more."""
    with open(f"/proc/{pid}/smaps_rollup") as f:
        kb = {line.split(":")[0]: int(line.split()[1]) for line in f if line.startswith(("Pss:", "Rss:"))}
    return kb["Pss"] <= 400 and kb["Rss"] <= 600


def is_sanitized():
    """Its own memory is not ours."""
    with open(os.path.join(BIN, "daemon", "wattq-shepherd"), "rb") as f:
        text = f.read()
    return b"libasan" in text or b"libtsan" in text


class Daemon:
    def __init__(self, *args, script=SCRIPT, env=None):
        self.env = env or {}
        self.dir = tempfile.mkdtemp(prefix="wattq-test-")
        self.state_dir = os.path.join(self.dir, "state")
        self.socket = os.path.join(self.dir, "run", "wattqd.sock")
        self.args = list(args)
        self.proc = None
        self.client = None
        self.log = open(os.path.join(self.dir, "wattqd.log"), "ab")
        with open(os.path.join(self.dir, "script"), "w") as f:
            f.write(script)

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind, *_):
        self.stop()
        self.end_shepherds()
        self.log.close()
        if kind and os.environ.get("WATTQ_KEEP"):
            print("kept:", self.dir)
            return
        if kind:
            sys.stderr.write(self.log_text()[-6000:])
        shutil.rmtree(self.dir, ignore_errors=True)

    # ---- life -------------------------------------------------------------------------------------

    def start(self):
        env = dict(os.environ, XDG_RUNTIME_DIR="", **self.env)
        self.proc = subprocess.Popen(
            [os.path.join(BIN, "daemon", "wattqd"), "--state-dir", self.state_dir, "--runtime-dir",
             os.path.join(self.dir, "run"), "--script", os.path.join(self.dir, "script"), "--disable",
             "perf,powercap,hwmon,battery,ipmi,nvml,estimate", "--config", "/dev/null",
             # Tests run beside each other: what else is at work is no finding.
             "--disturbed", "100", *self.args],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env=env)
        self.connect()

    def connect(self):
        """Waits until it answers."""
        end = time.monotonic() + 30
        while True:
            if self.proc.poll() is not None:
                raise AssertionError(f"wattqd exited with {self.proc.returncode}: {self.log_text()[-3000:]}")
            try:
                self.client = Client(self.socket)
                return
            except (OSError, EOFError):
                if time.monotonic() > end:
                    raise AssertionError("wattqd does not answer: " + self.log_text()[-3000:])
                time.sleep(0.01)

    def drop_client(self):
        if self.client:
            self.client.close()
        self.client = None

    def kill(self):
        self.drop_client()
        self.proc.kill()
        self.proc.wait()

    def restart(self):
        self.kill()
        self.start()

    def stop(self):
        """SIGTERM; its exit code must be 0 (a sanitizer's report is not)."""
        self.drop_client()
        if not self.proc or self.proc.poll() is not None:
            return
        self.proc.send_signal(signal.SIGTERM)
        try:
            code = self.proc.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait()
            raise AssertionError("wattqd did not stop: " + self.log_text()[-3000:])
        if code != 0:
            raise AssertionError(f"wattqd ended with {code}: {self.log_text()[-8000:]}")

    def processes(self):
        """Pids of everything that belongs to runs of this daemon: named by its private directory."""
        mine = self.dir.encode()
        for pid in filter(str.isdigit, os.listdir("/proc")):
            if int(pid) == os.getpid() or (self.proc and int(pid) == self.proc.pid):
                continue
            with contextlib.suppress(OSError):
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    found = mine in f.read()
                if not found:
                    with open(f"/proc/{pid}/environ", "rb") as f:
                        found = b"WATTQ_RUN_DIR=" + mine in f.read()
                if found:
                    yield int(pid)

    def end_shepherds(self):
        for _ in range(50):
            pids = list(self.processes())
            for pid in pids:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            if not pids:
                return
            time.sleep(0.05)

    def log_text(self):
        with open(os.path.join(self.dir, "wattqd.log"), errors="replace") as f:
            return f.read()

    # ---- asking -----------------------------------------------------------------------------------

    def call(self, op, **keys):
        return self.client.call(op, **keys)

    def spec(self, argv, env=None, **keys):
        full = {"PATH": os.environ["PATH"], **(env or {})}
        return {"argv": argv, "cwd": self.dir, "env": [f"{k}={v}" for k, v in full.items()], **keys}

    def submit(self, argv, **keys):
        return self.call("submit", run=self.spec(argv, **keys))["run"]

    def sh(self, command, **keys):
        return self.submit(["sh", "-c", command], **keys)

    def wait(self, *runs, until="ended"):
        """Summaries of all of them, in the order given; one of them alone as itself."""
        found = {}
        ident = self.client.send("wait", runs=list(runs), **{"for": until})
        while True:
            frame = self.client.recv(ident)
            if frame.get("run"):
                found[frame["run"]["run"]] = frame["run"]
            if not frame.get("more"):
                break
        rows = [found[r] for r in runs]
        return rows[0] if len(rows) == 1 else rows

    def show(self, run):
        return self.call("show", run=run)["run"]

    def state(self, run):
        return self.show(run)["state"]

    def until_state(self, run, *states):
        try:
            return until(lambda: self.state(run) in states and self.show(run), f"run {run} to be {states}")
        except AssertionError as e:
            shown = self.show(run)
            raise AssertionError(f"{e}, but it is {shown['state']}: {shown.get('events')}") from None

    def logs(self, run, **keys):
        ident = self.client.send("logs", run=run, **keys)
        text = b""
        while True:
            frame = self.client.recv(ident)
            text += frame["data"]
            if not frame.get("more"):
                return text.decode(), frame

    def path(self, *names):
        return os.path.join(self.dir, *names)


class DaemonCase(unittest.TestCase):
    """Tests that have a daemon of their own each, called with args."""
    args = ()

    def setUp(self):
        self.d = Daemon(*self.args)
        self.addCleanup(self.d.__exit__, None, None, None)
        self.d.start()

    def refused(self, code, op, **keys):
        with self.assertRaises(Refused) as r:
            self.d.call(op, **keys)
        self.assertEqual(r.exception.code, code)
        return r.exception

    def wattq(self, *args, code=0, **keys):
        """The client, in the directory of the daemon; its two outputs together."""
        p = subprocess.run([os.path.join(BIN, "client", "wattq"), "--socket", self.d.socket, *args], cwd=self.d.dir,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **keys)
        self.assertEqual(p.returncode, code, p.stdout)
        return p.stdout


def total(run, part="window", figure="machine"):
    """The total's figure of a show reply."""
    for f in run["energy"]:
        if f["channel"] is None and f["part"] == part and f["figure"] == figure:
            return f
    raise AssertionError(f"no {figure} total of {part} in {run['energy']}")


def check_energy(run, watts=WATTS, tolerance=0.02):
    """Known, bounded, and bounds that contain the truth of a constant power over the run's window."""
    f = total(run)
    assert f["energy_uj"] is not None, f
    truth = watts * (run["t1_ns"] - run["t0_ns"]) / 1e3
    assert f["lo_uj"] is not None, f
    assert f["lo_uj"] <= truth + 1 and truth - 1 <= f["hi_uj"], (f, truth)
    assert abs(f["energy_uj"] - truth) <= tolerance * truth + 1e5, (f, truth)
    return f


def check_events(events):
    """A chain of allowed moves, of which the last and no other ends the run; the state it ends in."""
    for before, after in zip(events, events[1:]):
        assert after["from"] == before["to"], events
    moves = [e for e in events if e["from"] != e["to"]]
    for e in moves[1:]:
        assert e["to"] in MOVES.get(e["from"], ()), (e, events)
    assert [e["to"] for e in moves if e["to"] in ENDED] == [events[-1]["to"]], events
    return events[-1]["to"]
