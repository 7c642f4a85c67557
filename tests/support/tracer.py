"""killat (tests/support/killat) on a program that runs already: it is killed at its n-th system call.

    with Tracer(pid, 12, "/tmp/x/trace") as t:
        ...
        if t.killed(): ...
"""
import contextlib
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import BIN, until  # noqa: E402

KILLAT = os.path.abspath(os.path.join(BIN, "tests", "support", "killat"))


def read(path):
    with contextlib.suppress(OSError), open(path) as f:
        return f.read()
    return ""


class Tracer:
    """Follows pid from when it is made until close(); n = 0 only counts, and the count is known once pid has ended."""

    def __init__(self, pid, n, log):
        self.log = log
        with contextlib.suppress(OSError):
            os.unlink(log)
        self.proc = subprocess.Popen([KILLAT, "--at", str(n), "--log", log, "--pid", str(pid)])
        until(lambda: "ready" in self.text() or self.proc.poll() is not None, "the tracer")
        assert self.proc.poll() is None or self.killed(), self.text()  # it may have been at its n-th call already

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def text(self):
        return read(self.log)

    def killed(self):
        return "killed" in self.text()

    def calls(self):
        return int(until(lambda: "ended" in self.text() and self.text(), "the tracer's count").split("ended")[1])

    def close(self):
        self.proc.kill()
        self.proc.wait()


def skip_without_ptrace():
    """Ends this program with 77 where nobody may be traced."""
    probe = subprocess.Popen(["sleep", "60"])
    log = f"/tmp/killat-probe-{os.getpid()}"
    tracer = subprocess.Popen([KILLAT, "--at", "0", "--log", log, "--pid", str(probe.pid)], stderr=subprocess.PIPE)
    time.sleep(0.2)
    code = tracer.poll()
    probe.kill()
    probe.wait()
    tracer.communicate()
    with contextlib.suppress(OSError):
        os.unlink(log)
    if code == 77:
        print("ptrace is not allowed here")
        sys.exit(77)
