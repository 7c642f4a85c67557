"""The shepherd by itself, spoken to in its own frames: gate, tokens, garbage, full disk, fork bomb."""
import fcntl
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import is_sanitized, is_small, until  # noqa: E402

SHEPHERD = os.path.join(os.environ["WATTQ_BIN"], "daemon", "wattq-shepherd")
MAGIC = 0x71747477
BLOCK_MAGIC = 0x71746c32
FRAME = struct.Struct("=IHHqqqqqqii")
STATE, NACK, GO, STOP, PAUSE, RESUME, ABORT = 1, 2, 32, 33, 34, 35, 36
GATE, RUNNING, PAUSED, DRAINING, ENDED = range(5)
SECOND = 10**9
TOKEN = 5


def block(argv, cwd="/", grace=SECOND, linger=SECOND // 2, cap=0, env=("PATH=/usr/bin:/bin",)):
    parts = list(argv) + list(env) + [cwd, "", ""]
    text = b"".join(p.encode() + b"\0" for p in parts)
    return struct.pack("=IIqqqqqqqqiIIIIIII", BLOCK_MAGIC, 104 + len(text), 1, TOKEN, grace, linger,
                       cap, 0, 0, 0, 0, 0o22, 0, len(argv), len(env), 0, 0, 0) + text


class Shepherd:
    def __init__(self, run_dir, argv, cgroup="none", **options):
        self.dir = run_dir
        fd = os.memfd_create("block")
        os.write(fd, block(argv, **options))
        self.conn, theirs = socket.socketpair()
        self.conn.settimeout(20)

        def place():
            high = [fcntl.fcntl(f, fcntl.F_DUPFD, 20) for f in (fd, theirs.fileno())]
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)
            os.closerange(5, 64)

        env = dict(os.environ, WATTQ_CGROUP=cgroup)
        self.process = subprocess.Popen([SHEPHERD, run_dir, "4"], preexec_fn=place, close_fds=False,
                                        env=env, stderr=subprocess.PIPE, text=True)
        theirs.close()
        os.close(fd)

    def send(self, kind, a=0, b=0, token=TOKEN, conn=None):
        (conn or self.conn).sendall(FRAME.pack(MAGIC, kind, 0, token, 0, 0, 0, a, b, 0, 0))

    def receive(self, conn=None):
        data = (conn or self.conn).recv(64, socket.MSG_WAITALL)
        return FRAME.unpack(data) if len(data) == 64 else None

    def until(self, phase, conn=None):
        while True:
            frame = self.receive(conn)
            assert frame, f"the connection ended before phase {phase}"
            assert frame[1] == STATE, frame
            if frame[2] == phase:
                return frame

    def connect(self):
        conn = socket.socket(socket.AF_UNIX)
        conn.settimeout(20)
        dirfd = os.open(self.dir, os.O_RDONLY)
        while True:
            try:
                conn.connect(f"/proc/self/fd/{dirfd}/ctl")
                break
            except BlockingIOError:  # its queue is full for the moment
                time.sleep(0.005)
        os.close(dirfd)
        return conn

    def result(self):
        assert self.process.wait(30) == 0
        with open(os.path.join(self.dir, "result")) as f:
            return dict(line.rstrip("\n").split("=", 1) for line in f)


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as f:
        user, system = f.read().rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def marked(run_dir):
    """Processes that carry this run's directory in their environment."""
    want, found = f"WATTQ_RUN_DIR={run_dir}".encode(), []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/environ", "rb") as f:
                    if want in f.read().split(b"\0") and alive(int(name)):
                        found.append(int(name))
            except OSError:
                pass
    return found


def test_usage(run_dir):
    out = subprocess.run([SHEPHERD], capture_output=True, text=True)
    assert out.returncode == 2 and "wattq submit" in out.stderr, out
    out = subprocess.run([SHEPHERD, run_dir], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert out.returncode == 2 and out.stderr, out


def test_waits_without_a_peer(run_dir):
    """Nobody connected is no reason to start, nor to give up: the next daemon finds it."""
    s = Shepherd(run_dir, ["sh", "-c", "echo ran"])
    s.until(GATE)
    s.conn.close()
    begin = cpu_seconds(s.process.pid)
    time.sleep(0.5)
    assert cpu_seconds(s.process.pid) - begin <= 0.05, "it does not rest while it waits"
    assert s.process.poll() is None
    assert os.path.getsize(f"{run_dir}/log") == 0
    conn = s.connect()
    s.until(GATE, conn)
    s.send(GO, conn=conn)
    frame = s.until(ENDED, conn)
    assert 0 < frame[4] <= frame[5] <= frame[6], frame
    assert s.result()["exit_code"] == "0"
    assert open(f"{run_dir}/log").read() == "ran\n"
    assert not os.path.exists(f"{run_dir}/ctl")


def test_token(run_dir):
    s = Shepherd(run_dir, ["true"])
    s.until(GATE)
    for kind in (GO, STOP, ABORT, PAUSE):
        s.send(kind, token=TOKEN + 1)
        frame = s.receive()
        assert frame[1] == NACK and frame[7] == TOKEN, frame
    assert s.process.poll() is None
    s.send(GO)
    s.send(GO)
    s.until(ENDED)
    assert s.result()["cause"] == "exited"


def test_abort_leaves_nothing(run_dir):
    s = Shepherd(run_dir, ["sh", "-c", "echo ran"])
    s.until(GATE)
    s.send(ABORT)
    assert s.process.wait(10) == 0
    assert not os.path.exists(f"{run_dir}/result") and os.path.getsize(f"{run_dir}/log") == 0


def test_one_per_directory(run_dir):
    first = Shepherd(run_dir, ["sleep", "0.1"])
    first.until(GATE)
    second = Shepherd(run_dir, ["true"])
    assert second.process.wait(20) == 1
    assert "another shepherd" in second.process.stderr.read()
    first.send(GO)
    assert first.result()["exit_code"] == "0"


def test_garbage(run_dir):
    """Peers that talk nonsense are dropped; the run does not notice. More peers than places, too."""
    s = Shepherd(run_dir, ["sleep", "1"])
    s.until(GATE)
    s.send(GO)
    s.until(RUNNING)
    rng = random.Random(7)
    for _ in range(50):
        conn = s.connect()
        conn.sendall(rng.randbytes(64 + rng.randrange(64)))
        conn.close()
    idle = [s.connect() for _ in range(30)]
    conn = s.connect()
    s.until(ENDED, conn)
    assert s.result()["exit_code"] == "0"
    for c in idle:
        c.close()


def test_told_to_end(run_dir):
    """SIGTERM to the shepherd, as at a shutdown: the run gets its grace and the result is written."""
    s = Shepherd(run_dir, ["sh", "-c", "trap 'echo saved; exit 3' TERM; echo up; while :; do sleep 0.05; done"])
    s.until(GATE)
    s.send(GO)
    while "up" not in open(f"{run_dir}/log").read():
        time.sleep(0.01)
    s.process.send_signal(signal.SIGHUP)  # a logout
    time.sleep(0.1)
    assert s.process.poll() is None
    s.process.send_signal(signal.SIGTERM)
    r = s.result()
    assert r["cause"] == "told" and r["exit_code"] == "3" and "told to end" in r["text"], r
    assert "saved" in open(f"{run_dir}/log").read()


BOMB = """
import os, time
try:
    os.setsid()
except PermissionError:
    pass            # the main process leads a session already
end = time.time() + 60
n = 0
while time.time() < end:
    try:
        pid = os.fork()
    except OSError:
        time.sleep(0.01)
        continue
    if pid == 0:
        n += 1
        if n > 40:      # each line of descent ends, so that the machine survives a failure of this test
            time.sleep(60)
            os._exit(0)
        continue        # the child goes on as the bomb, its parent sleeps
    time.sleep(60)
    os._exit(0)
"""


def test_fork_bomb(run_dir):
    """Eight chains that fork as fast as they can, without a cgroup."""
    s = Shepherd(run_dir, [sys.executable, "-c", "import os\nfor i in range(8):\n  if os.fork() == 0:\n    break\n" + BOMB])
    s.until(GATE)
    s.send(GO)
    while len(marked(run_dir)) < 20:
        time.sleep(0.005)
    s.send(STOP, signal.SIGKILL, 0)
    begin = time.monotonic()
    s.until(ENDED)
    took = time.monotonic() - begin
    assert not marked(run_dir)
    assert took < 5, took
    assert s.result()["term_signal"] == "9"


def test_full_disk(run_dir):
    """The log fills its disk: the run goes on, its result is written, the loss is said."""
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=32", "none", run_dir],
                                           stderr=subprocess.DEVNULL).returncode != 0:
        return "needs root, to mount a small file system"
    try:
        s = Shepherd(run_dir, ["sh", "-c", "head -c 3000000 /dev/zero; sleep 0.3; exit 5"])
        s.until(GATE)
        s.send(GO)
        s.until(ENDED)
        r = s.result()
        assert r["exit_code"] == "5" and r["cause"] == "exited", r
        assert "disk was full" in r["text"], r
    finally:
        subprocess.run(["umount", "-l", run_dir])


def test_full_disk_waits(run_dir):
    """Not even the result fits: the shepherd keeps the exit status until there is room."""
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=11", "none", run_dir],
                                           stderr=subprocess.DEVNULL).returncode != 0:
        return "needs root, to mount a small file system"
    try:
        s = Shepherd(run_dir, ["sh", "-c", f"i=0; while touch {run_dir}/f$i; do i=$((i+1)); done; sleep 0.2; "
                               f"rm {run_dir}/reserve; touch {run_dir}/last; exit 6"])
        s.until(GATE)
        s.send(GO)
        time.sleep(1.5)
        assert s.process.poll() is None and not os.path.exists(f"{run_dir}/result")
        assert len(s.connect().recv(64)) == 64  # it still answers
        for name in os.listdir(run_dir):
            if name.startswith("f"):
                os.unlink(f"{run_dir}/{name}")
        r = s.result()
        assert r["exit_code"] == "6", r
    finally:
        subprocess.run(["umount", "-l", run_dir])


def test_memory(run_dir):
    """Beside a run that is on, once what only its start needed is let go."""
    if is_sanitized():
        return "a sanitizer needs more"
    s = Shepherd(run_dir, ["sh", "-c", "echo '{\"a\":1}' >>$WATTQ_METRICS; echo x; sleep 60"])
    s.until(GATE)
    s.send(GO)
    s.until(RUNNING)
    until(lambda: is_small(s.process.pid), "its memory to be let go")
    s.send(STOP, signal.SIGTERM, SECOND)
    s.until(ENDED)
    assert s.result()["cause"] == "stopped"


def main():
    tests = [(n, f) for n, f in globals().items() if n.startswith("test_")]
    for name, test in tests:
        run_dir = tempfile.mkdtemp(prefix="wattq-shepherd-")
        begin = time.monotonic()
        try:
            skipped = test(run_dir)
        finally:
            for pid in marked(run_dir):
                os.kill(pid, signal.SIGKILL)
            shutil.rmtree(run_dir, ignore_errors=True)
        print(f"{'skip' if skipped else 'ok':4} {name[5:]} {time.monotonic() - begin:.2f} s {skipped or ''}", flush=True)


main()
