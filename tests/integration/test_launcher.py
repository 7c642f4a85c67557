"""The launcher, asked in its own records: what it refuses, whom a run becomes, and who knows how it ended
when its shepherd or the launcher itself is killed. Needs root; users are those every Debian has."""
import contextlib
import fcntl
import grp
import os
import pwd
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from launchproto import (  # noqa: E402
    ALIVE, DRAINING, ENDED, EXEC_DIR, F_ADD_SEALS, FILED, FRAME, FRAME_MAGIC, GATE, GO, KILLED, METER, PAUSE, PAUSED, PHASE_ENDED,
    REFUSED, RESUME, RUNNING, SEALS, SECOND, START, STATUS, STOP, UNKNOWN, WITNESSED, Order, Refused, Warrant, ask, sign)

BIN = os.path.join(os.environ["WATTQ_BIN"], "daemon")
DAEMON, USER, OTHER = "backup", "games", "news"


def uid_of(name):
    return pwd.getpwnam(name).pw_uid


class Run:
    """What wattqd has of a run that was started."""

    def __init__(self, rig, number, token, conn, pid):
        self.rig, self.number, self.token, self.conn, self.pid = rig, number, token, conn, pid
        self.dir = os.path.join(rig.runs, str(number))

    def until(self, *phases):
        while True:
            data = self.conn.recv(64, socket.MSG_WAITALL)
            assert len(data) == 64, f"the connection ended before {phases}; {self.rig.log()}"
            frame = FRAME.unpack(data)
            if frame[2] in phases:
                return frame

    def send(self, kind, a=0, b=0):
        self.conn.sendall(FRAME.pack(FRAME_MAGIC, kind, 0, self.token, 0, 0, 0, a, b, 0, 0))

    def go(self):
        frame = self.until(GATE, PHASE_ENDED)
        self.send(GO)
        return frame

    def finish(self):
        self.go()
        self.until(PHASE_ENDED)
        return self.result()

    def result(self):
        with open(os.path.join(self.dir, "result")) as f:
            return dict(line.rstrip("\n").split("=", 1) for line in f)

    def log(self):
        with open(os.path.join(self.dir, "log")) as f:
            return f.read()


# ---- the launcher under test -----------------------------------------------------------------------


def cgroup2():
    with open("/proc/self/mountinfo") as f:
        points = [line.split()[4] for line in f if " - cgroup2 " in line]
    return points[0] if points else None


class Rig:
    def __init__(self, root):
        self.root = root
        self.runs, self.state, self.sockets, self.pam = (
            os.path.join(root, d) for d in ("runs", "state", "sockets", "pam"))
        os.chmod(root, 0o755)
        os.mkdir(self.runs, 0o711)
        os.chown(self.runs, uid_of(DAEMON), pwd.getpwnam(DAEMON).pw_gid)
        os.mkdir(self.pam)
        limits = os.path.join(root, "limits.conf")
        with open(limits, "w") as f:
            f.write(f"{USER} hard nofile 300\n{USER} soft nofile 200\n")
        with open(os.path.join(os.environ["WATTQ_SRC"], "systemd", "wattq.pam")) as f:
            shipped = f.read()
        assert "pam_limits.so set_all" in shipped
        # Limits of our own; set_all may need a right that containers do not have.
        self.service(shipped.replace("pam_limits.so set_all", f"pam_limits.so conf={limits}"))
        mount = cgroup2()
        self.cgroup = os.path.join(mount, f"wattq-test-{os.getpid()}") if mount else "none"
        if mount:
            os.mkdir(self.cgroup)
        self.token = self.number = 0
        self.errors = os.path.join(root, "stderr")
        self.process = None
        self.control = None
        self.start_launcher()

    def service(self, text):
        with open(os.path.join(self.pam, "wattq"), "w") as f:
            f.write(text)

    def start_launcher(self, **more):
        options = {"--runs": self.runs, "--state": self.state, "--run-dir": self.sockets,
                   "--daemon-user": DAEMON, "--min-uid": "5", "--libexec": BIN, "--cgroup": self.cgroup,
                   "--pam-dir": self.pam, **more}
        notify = os.path.join(self.root, "notify")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(notify)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as n, open(self.errors, "a") as err:
            n.bind(notify)
            n.settimeout(20)
            self.process = subprocess.Popen(
                [os.path.join(BIN, "wattq-launcher"), *[w for kv in options.items() for w in kv]],
                env=dict(os.environ, NOTIFY_SOCKET=notify), stderr=err)
            assert n.recv(200).startswith(b"READY=1"), self.log()
        self.control = self.connect("control", DAEMON)

    def stop_launcher(self, how=signal.SIGTERM):
        self.control.close()
        self.process.send_signal(how)
        return self.process.wait(20)

    def log(self):
        with open(self.errors) as f:
            return f.read()

    def connect(self, name, user):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.settimeout(20)
        pw = pwd.getpwnam(user)
        os.setegid(pw.pw_gid)
        os.seteuid(pw.pw_uid)
        try:
            s.connect(os.path.join(self.sockets, name))
        finally:
            os.seteuid(0)
            os.setegid(0)
        return s

    def reconnect(self):
        self.control.close()
        self.control = self.connect("control", DAEMON)

    def sign(self, orders, user=USER, starts=None):
        with self.connect("sign", user) as s:
            return sign(s, orders, starts)

    def prepare(self):
        """A run's directory, as wattqd makes it."""
        self.number += 1
        path = os.path.join(self.runs, str(self.number))
        os.mkdir(path, 0o711)
        os.chown(path, uid_of(DAEMON), pwd.getpwnam(DAEMON).pw_gid)
        return path

    def start(self, order, warrant, user=USER, prepare=True, token=None, seal=True, **block):
        if prepare:
            self.prepare()
        if token is None:
            self.token += 1
            token = self.token
        fd = os.memfd_create("block", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
        ours, theirs = socket.socketpair()
        ours.settimeout(20)
        try:
            os.write(fd, order.block(self.number, token, **block))
            if seal:
                fcntl.fcntl(fd, F_ADD_SEALS, SEALS)
            a = ask(self.control, START, self.number, token, uid_of(user), warrant=warrant.bytes(),
                         fds=[fd, theirs.fileno()])
        except Refused:
            ours.close()
            self.reconnect()
            raise
        finally:
            os.close(fd)
            theirs.close()
        return Run(self, self.number, token, ours, a["pid"])

    def run(self, *argv, user=USER, order=None, **block):
        order = order or Order(argv)
        return self.start(order, self.sign([order], user), user, **block)

    def status(self, token, *states):
        end = time.monotonic() + 20
        while True:
            a = ask(self.control, STATUS, token=token)
            if not states or a["state"] in states:
                return a
            assert time.monotonic() < end, f"state stays {a['state']}: {self.log()}"
            time.sleep(0.01)

    def close(self):
        if self.process.poll() is None:
            assert self.stop_launcher() == 0, self.log()
        if self.cgroup == "none":
            return
        end = time.monotonic() + 5
        for path, _, _ in list(os.walk(self.cgroup, topdown=False)):
            while True:
                try:
                    os.rmdir(path)
                    break
                except OSError:
                    assert time.monotonic() < end, f"{path} is not empty"
                    time.sleep(0.05)


def refused(what, call):
    try:
        call()
    except Refused as e:
        assert what in e.text, f"{what!r} expected: {e.text!r}"
        return
    raise AssertionError(f"was not refused: {what}")


def sh(text, **options):
    return Order(["/bin/sh", "-c", text], **options)


def ready(rig):
    """The shepherd that stands ready, by its command line; None."""
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if name.isdigit() and open(f"/proc/{name}/cmdline", "rb").read().split(b"\0")[1:3] == [b"--ready",
                                                                                             rig.runs.encode()]:
                return int(name)
    return None


def until_ready(rig):
    end = time.monotonic() + 20
    while not (pid := ready(rig)):
        assert time.monotonic() < end, rig.log()
        time.sleep(0.01)
    asleep = 0  # what it waits for then is to be told
    while asleep < 3:
        with open(f"/proc/{pid}/stat") as f:
            asleep = asleep + 1 if f.read().rpartition(")")[2].split()[0] == "S" else 0
        assert time.monotonic() < end, rig.log()
        time.sleep(0.01)
    return pid


def until_gone(pid):
    end = time.monotonic() + 20
    while os.path.exists(f"/proc/{pid}"):
        assert time.monotonic() < end
        time.sleep(0.01)


# ---- what is refused -------------------------------------------------------------------------------


def only_what_was_signed(rig):
    order = sh("true")
    w = rig.sign([order])
    assert w.uid == uid_of(USER) and w.until > time.time() + 86400
    for what in (sh("true "), sh("true", env=["PATH=/usr/bin:/bin", "A=c"]), sh("true", cwd="/tmp"),
                 sh("true", umask=0o022), sh("true", stdin="/etc/passwd"), Order(["-c", "true"], kind=1),
                 sh("true", on_end="id")):
        refused("not what its user", lambda what=what: rig.start(what, w))
    refused("not what its user", lambda: rig.start(order, w, user=OTHER))
    forged = Warrant(w.bytes())
    forged.starts = 100
    refused("has not signed", lambda: rig.start(order, forged))
    forged = Warrant(w.bytes())
    forged.uid = uid_of(OTHER)
    refused("has not signed", lambda: rig.start(order, forged, user=OTHER))
    forged = Warrant(w.bytes())
    forged.leaves = sh("id").leaf()
    refused("has not signed", lambda: rig.start(sh("id"), forged))
    refused("not sealed", lambda: rig.start(order, w, seal=False))
    refused("not wattqd's to set", lambda: rig.start(order, w, extra=["LD_PRELOAD=/tmp/x.so"]))
    assert rig.start(order, w).finish()["exit_code"] == "0"
    refused("used up", lambda: rig.start(order, w))


def on_end_is_signed_and_its_users(rig):
    order = sh("exit 3", on_end="echo $WATTQ_STATE $WATTQ_EXIT_CODE; id -un; id -Gn; umask; pwd; setpriv -d | head -3")
    w = rig.sign([order], starts=2)
    for what in (sh("exit 3"), sh("exit 3", on_end="id")):
        refused("not what its user", lambda what=what: rig.start(what, w))
    run = rig.start(order, w)
    run.go()
    run.until(PHASE_ENDED)
    assert run.result()["exit_code"] == "3" and run.log() == "", run.log()
    run.send(FILED)
    assert run.conn.recv(64) == b"", "its shepherd ends with it"
    me = pwd.getpwnam(USER)
    groups = " ".join(grp.getgrgid(g).gr_name for g in [me.pw_gid] +
                      [g for g in os.getgrouplist(USER, me.pw_gid) if g != me.pw_gid])
    lines = run.log().splitlines()
    assert lines[:2] == ["failed 3", USER] and sorted(lines[2].split()) == sorted(groups.split()), (lines, groups)
    assert lines[3:5] == ["0027", "/"], lines
    assert lines[5:7] == [f"uid: {me.pw_uid}", f"euid: {me.pw_uid}"], lines
    with open(os.path.join(run.dir, "state")) as f:
        assert "on_end 2 00000\n" in f.read()
    # Killed before: the process that waits for the word ends, and nothing of it has run.
    run = rig.start(sh("true", on_end="echo ran"), rig.sign([sh("true", on_end="echo ran")]))
    run.go()
    run.until(PHASE_ENDED)
    with open(os.path.join(run.dir, "shepherd")) as f:
        waits = int(dict(line.rstrip("\n").split("=", 1) for line in f)["on_end_pid"])
    assert os.stat(f"/proc/{waits}").st_uid in (me.pw_uid, 0)
    os.kill(run.pid, signal.SIGKILL)
    end = time.monotonic() + 10
    while os.path.exists(f"/proc/{waits}"):
        assert time.monotonic() < end, "it waits for ever"
        time.sleep(0.01)
    assert run.log() == ""


def tokens_rise(rig):
    order = sh("true")
    w = rig.sign([order], starts=3)
    rig.start(order, w).finish()
    refused("not above", lambda: rig.start(order, w, token=rig.token))
    refused("not above", lambda: rig.start(order, w, token=1))
    # Also for a launcher that has been killed meanwhile.
    rig.stop_launcher(signal.SIGKILL)
    rig.start_launcher()
    refused("not above", lambda: rig.start(order, w, token=rig.token))
    rig.start(order, w).finish()
    rig.start(order, w).finish()
    refused("used up", lambda: rig.start(order, w))


def some_are_never_run(rig):
    for user in ("root", "sys", DAEMON):  # root, below min_uid, the daemon itself
        refused("", lambda user=user: rig.sign([sh("true")], user))
    refused("starts", lambda: rig.sign([sh("true")], starts=4097))


def sockets_are_kept_apart(rig):
    with contextlib.ExitStack() as stack:
        s = stack.enter_context(rig.connect("sign", USER))
        refused("signed, and nothing else", lambda: ask(s, STATUS, token=1))
        try:
            rig.connect("control", USER).close()
            raise AssertionError("a user reached the control socket")
        except PermissionError:
            pass
        root = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
        root.connect(os.path.join(rig.sockets, "control"))
        assert root.recv(10) == b"", "only the daemon's user is listened to"
        s = stack.enter_context(rig.connect("sign", USER))
        s.send(b"\0" * 100)
        assert struct.unpack("=II", s.recv(4096)[:8])[1] == REFUSED and s.recv(10) == b""
        # More than one user may have: the rest is let go, and nobody else is kept out.
        many = [stack.enter_context(rig.connect("sign", USER)) for _ in range(20)]
        rig.sign([sh("true")], OTHER)
        for s in many[8:]:
            assert s.recv(10) == b""
        many[0].setblocking(False)
        try:
            raise AssertionError(f"the first was let go: {many[0].recv(10)}")
        except BlockingIOError:
            pass


def meters_from_a_list(rig):
    for name in ("/etc/shadow", "/sys/class/powercap/../../../etc/shadow", "/sys/kernel/uevent_seqnum",
                 "perf:cpu:cycles:0", "perf:power:../type:0", "/dev/mem"):
        refused("no meter", lambda name=name: ask(rig.control, METER, text=name))
        rig.reconnect()


# ---- whom a run becomes ----------------------------------------------------------------------------


def runs_as_its_user(rig):
    me = pwd.getpwnam(USER)
    script = ("id -u; id -g; id -G; umask; pwd; ulimit -Sn; ulimit -Hn; echo $A,$WATTQ_X,$CUDA_VISIBLE_DEVICES,"
              "$WATTQ_RUN; cat; nice; grep -E '^(Groups|CapPrm|CapEff|NoNewPrivs|SigBlk|SigIgn)' "
              "/proc/self/status; ls /proc/self/fd | wc -l; cat /proc/self/oom_score_adj; "
              "touch $WATTQ_RUN_DIR/x 2>/dev/null && echo mine; echo '{}' >> $WATTQ_METRICS")
    stdin = os.path.join(rig.root, "input")
    with open(stdin, "w") as f:
        f.write("from stdin\n")
    os.chown(stdin, me.pw_uid, 0)
    os.chmod(stdin, 0o400)
    order = sh(script, cwd="/usr", stdin=stdin, env=["PATH=/usr/bin:/bin", "A=b", "CUDA_VISIBLE_DEVICES=9"])
    run = rig.run(order=order, extra=["WATTQ_X=y", "CUDA_VISIBLE_DEVICES="], nice=3,
                  rlimits=[(resource.RLIMIT_NOFILE, 250), (resource.RLIMIT_CORE, -1)])
    r = run.finish()
    got = run.log().splitlines()
    groups = " ".join(map(str, sorted(os.getgrouplist(USER, me.pw_gid))))
    want = [str(me.pw_uid), str(me.pw_gid), groups, "0027", "/usr", "250", "300", f"b,y,,{run.number}",
            "from stdin", "3"]
    assert r["exit_code"] == "0" and got[:10] == want, f"{got}\n{want}\n{r}"
    status = dict(line.split(":", 1) for line in got[10:16])
    assert status["Groups"].split() == groups.split(), status
    for key in ("CapPrm", "CapEff", "NoNewPrivs", "SigBlk", "SigIgn"):
        assert int(status[key], 16) == 0, status
    assert got[16:] == ["4", "500"], got  # 0, 1, 2 and the directory ls reads
    for name, owner, mode in (("log", me.pw_uid, 0o640), ("metrics", me.pw_uid, 0o640),
                              ("result", uid_of(DAEMON), 0o640), ("state", uid_of(DAEMON), 0o640)):
        st = os.stat(os.path.join(run.dir, name))
        assert (st.st_uid, st.st_gid, st.st_mode & 0o7777) == (owner, pwd.getpwnam(DAEMON).pw_gid, mode), name
    grouped = rig.cgroup != "none"
    assert (r["mode"], r["cpu_from_cgroup"]) == (("cgroup", "1") if grouped else ("subreaper", "0")), r
    rig.status(run.token, ENDED)


def soft_limits_end_at_hard_ones(rig):
    run = rig.run(order=sh("ulimit -Sn; ulimit -Hn"), rlimits=[(resource.RLIMIT_NOFILE, 9999)])
    run.finish()
    assert run.log().split() == ["300", "300"]


BOMB = """
import os, signal, time
made = 0
try:
    while made < 3000:
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
        made += 1
except BlockingIOError:
    print(made, flush=True)
"""


def limits_of_the_cgroup(rig):
    """Where its controllers are; else by limits of each process and of its user, and the result says so."""
    controllers = ""
    if rig.cgroup != "none":
        with open(os.path.join(rig.cgroup, "cgroup.subtree_control")) as f:
            controllers = f.read().split()
    run = rig.run("python3", "-c", "x = b'x' * (200 << 20); print('had it')", mem=64 << 20)
    r = run.finish()
    if "memory" in controllers:
        assert r["cause"] == "oom" and int(r["oom_kills"]) > 0, r
        assert 0 < int(r["mem_peak_bytes"]) <= 65 << 20, r
    else:
        # A process with AddressSanitizer is beyond any such limit and may not even come to its exec.
        assert "each of its processes alone" in r["text"], r
        assert r["exit_code"] == "1" or "AddressSanitizer failed to allocate" in run.log(), (r, run.log())
        assert r["oom_kills"] == r["mem_peak_bytes"] == "none", r
    with open("/proc/loadavg") as f:
        tasks = int(f.read().split()[3].split("/")[1])
    run = rig.run("python3", "-c", BOMB, pids=20)
    r = run.finish()
    made = int(run.log())
    if "pids" in controllers:
        assert made == 19 and int(r["pids_refused"]) > 0, (made, r)
    else:
        assert made <= tasks + 20 + 50 and r["pids_refused"] == "none" and not r["text"], (made, tasks, r)
    print("  controllers:", controllers or "none")


def root_is_out_of_reach(rig):
    script = ("import os\nfor f in (lambda: os.setuid(0), lambda: os.seteuid(0), lambda: os.setgid(0),"
              " lambda: os.setgroups([0]), lambda: os.kill(os.getppid(), 0), lambda: open('/etc/shadow')):\n"
              "    try:\n        f()\n        print('did')\n    except OSError as e:\n        print(e.errno)\n")
    run = rig.run("python3", "-c", script)
    run.finish()
    assert run.log().split() == ["1", "1", "1", "1", "1", "13"], run.log()


def the_shepherd_is_the_daemons(rig):
    run = rig.run("sleep", "60")
    run.until(GATE)
    with open(f"/proc/{run.pid}/status") as f:
        s = dict(line.rstrip().split(":\t", 1) for line in f if ":\t" in line)
    me = pwd.getpwnam(DAEMON)
    assert s["Uid"].split() == [str(me.pw_uid)] * 4 and s["Gid"].split() == [str(me.pw_gid)] * 4, s
    assert s["CapPrm"] == s["CapEff"] == "%016x" % (1 << 5), s
    assert s["CapInh"] == s["CapAmb"] == "0" * 16 and s["NoNewPrivs"] == "1", s
    assert s["Groups"].split() == [str(me.pw_gid)], s
    run.send(GO)
    run.until(RUNNING)
    if rig.cgroup != "none":  # the daemon itself may end a run's tree by its cgroup, and do nothing else to it
        leaf = os.path.join(rig.cgroup, next(d for d in os.listdir(rig.cgroup) if d.startswith("wattq-")))
        may = [f for f in os.listdir(leaf) if os.stat(os.path.join(leaf, f)).st_uid == me.pw_uid]
        assert sorted(may) == ["cgroup.freeze", "cgroup.kill"], may
    run.send(PAUSE)
    run.until(PAUSED)
    run.send(RESUME)
    run.until(RUNNING)
    run.send(STOP, signal.SIGTERM, SECOND)
    run.until(PHASE_ENDED)
    r = run.result()
    assert r["cause"] == "stopped" and r["term_signal"] == "15", r


def everything_can_be_killed(rig):
    script = "trap '' TERM; (setsid sh -c 'trap \"\" TERM; sleep 60' &) ; setsid sleep 61 & echo up; sleep 62"
    run = rig.run(order=sh(script))
    run.go()
    deadline = time.monotonic() + 20
    while run.log() != "up\n":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    run.send(STOP, signal.SIGTERM, SECOND // 10)
    run.until(PHASE_ENDED)
    assert run.result()["term_signal"] == "9"
    nothing_is_left()


def the_trainer_is_the_launchers(rig):
    run = rig.run(order=Order(["--help"], kind=1))
    assert run.finish()["exit_code"] == "0" and "wattq-train" in run.log(), run.log()


def failures_have_a_step(rig):
    for order, step in ((sh("true", cwd="/root"), "cwd"), (sh("true", stdin="/etc/shadow"), "stdin"),
                        (Order(["/nowhere/x"]), "exec")):
        r = rig.run(order=order).finish()
        assert (r["cause"], r["step"]) == ("not_started", step), r
    with open(os.path.join(rig.pam, "wattq")) as f:
        service = f.read()
    for line, step in (("account required pam_deny.so\n", "account"),
                       ("account required pam_permit.so\nauth required pam_permit.so\n"
                        "session required pam_deny.so\n", "session")):
        rig.service(line)
        run = rig.run("true")
        run.until(PHASE_ENDED)
        r = run.result()
        assert (r["cause"], r["step"], r["exit_code"]) == ("not_started", step, "126"), r
    rig.service(service)


# ---- files that were planted -----------------------------------------------------------------------


def planted_names_are_not_followed(rig):
    target = os.path.join(rig.root, "precious")
    with open(target, "w") as f:
        f.write("precious\n")
    os.chmod(target, 0o644)
    for plant in (os.symlink, os.link):
        order = sh("echo over")
        w = rig.sign([order])
        path = rig.prepare()
        for name in ("log", "metrics"):
            plant(target, os.path.join(path, name))
        run = rig.start(order, w, prepare=False)
        assert run.finish()["exit_code"] == "0" and run.log() == "over\n"
        st = os.stat(target)
        assert (st.st_uid, st.st_mode & 0o777, st.st_size) == (0, 0o644, 9)
    order = sh("true")
    w = rig.sign([order], starts=5)
    path = rig.prepare()
    os.rename(path, path + ".x")
    os.symlink("/etc", path)
    refused("cannot open the directory", lambda: rig.start(order, w, prepare=False))
    os.unlink(path)
    os.mkdir(path)  # root's
    refused("not the daemon's", lambda: rig.start(order, w, prepare=False))


def a_run_is_not_started_twice(rig):
    order = sh("echo once")
    w = rig.sign([order], starts=2)
    rig.start(order, w).finish()
    refused("started before", lambda: rig.start(order, w, prepare=False))


def a_directory_for_a_client(rig):
    path = rig.prepare()
    with open(os.path.join(path, "log"), "w"):
        pass
    refused("", lambda: ask(rig.control, EXEC_DIR, run=rig.number, uid=0))
    rig.reconnect()
    ask(rig.control, EXEC_DIR, run=rig.number, uid=uid_of(USER))
    st = os.stat(path)
    assert (st.st_uid, st.st_gid, st.st_mode & 0o7777) == (uid_of(USER), pwd.getpwnam(DAEMON).pw_gid, 0o2770)
    assert os.listdir(path) == []
    refused("not the daemon's", lambda: ask(rig.control, EXEC_DIR, run=rig.number, uid=uid_of(OTHER)))
    rig.reconnect()


# ---- who is killed ---------------------------------------------------------------------------------


def nothing_is_left(of=USER):
    deadline = time.monotonic() + 10
    while subprocess.run(["pgrep", "-u", of], stdout=subprocess.PIPE).stdout:
        assert time.monotonic() < deadline, "something of the run is left"
        time.sleep(0.02)


def a_killed_shepherd_has_a_witness(rig):
    for how in ("itself", "the daemon"):
        run = rig.run(order=sh("trap 'exit 7' USR1; sleep 60 & (setsid sleep 61 &) ; echo $$; wait"))
        run.go()
        while not run.log():
            time.sleep(0.01)
        with open(os.path.join(run.dir, "shepherd")) as f:
            leaf = dict(line.rstrip("\n").split("=", 1) for line in f)["cgroup"]
        os.kill(run.pid, signal.SIGKILL)
        if rig.cgroup == "none":
            assert rig.status(run.token, WITNESSED, KILLED)["state"] == KILLED
        elif how == "itself":  # the run goes on, and ends as it would have
            time.sleep(0.05)
            assert rig.status(run.token)["state"] == ALIVE
            os.kill(int(run.log()), signal.SIGUSR1)
            a = rig.status(run.token, WITNESSED, KILLED)
            assert a["state"] == WITNESSED and os.WEXITSTATUS(a["status"]) == 7 and a["t_ns"] > 0, a
        else:
            os.seteuid(uid_of(DAEMON))
            try:
                with open(os.path.join(leaf, "cgroup.kill"), "w") as f:
                    f.write("1")
            finally:
                os.seteuid(0)
            a = rig.status(run.token, WITNESSED, KILLED)
            assert a["state"] == WITNESSED and os.WTERMSIG(a["status"]) == 9, a
        assert not os.path.exists(os.path.join(run.dir, "result"))
        nothing_is_left()


def an_end_before_the_kill_is_known(rig):
    # Its main process has ended, the shepherd waits for what it left: then it is killed.
    run = rig.run(order=sh("sleep 60 & exit 7"), linger=30 * SECOND)
    run.go()
    run.until(DRAINING)
    os.kill(run.pid, signal.SIGKILL)
    a = rig.status(run.token, WITNESSED, KILLED)
    assert a["state"] == WITNESSED and os.WEXITSTATUS(a["status"]) == 7 and a["t_ns"] > 0, a


def one_stands_ready(rig):
    """It is made when something was signed and when a run is over, takes the next start, and is never needed."""
    order = sh("id -un; sleep 0.1")
    w = rig.sign([order], starts=3)
    pid = until_ready(rig)
    refused("is not above", lambda: rig.start(order, w, token=1))
    assert ready(rig) == pid, "what is refused is told nobody"
    run = rig.start(order, w)
    assert run.pid == pid
    run.go()
    assert ready(rig) is None
    run.until(RUNNING)
    with open(f"/proc/{pid}/cmdline", "rb") as f:
        assert f.read().split(b"\0")[1] == run.dir.encode()
    run.until(PHASE_ENDED)
    assert run.result()["exit_code"] == "0" and run.log() == USER + "\n"
    pid = until_ready(rig)
    run = rig.start(order, w)
    assert run.pid == pid and run.finish()["exit_code"] == "0"
    pid = until_ready(rig)
    os.kill(pid, signal.SIGKILL)
    until_gone(pid)
    assert rig.start(order, w).finish()["exit_code"] == "0"


def a_ready_one_asks_pam_anew(rig):
    """What whoever looks after the machine has changed since it stands there holds for the next run."""
    with open(os.path.join(rig.pam, "wattq")) as f:
        service = f.read()
    order = sh("true")
    w = rig.sign([order])
    pid = until_ready(rig)
    try:
        rig.service("account required pam_deny.so\n" + service)
        run = rig.start(order, w)
        assert run.pid == pid
        result = run.finish()
    finally:
        rig.service(service)
    assert (result["cause"], result["step"]) == ("not_started", "account"), result


def a_ready_one_goes_with_its_launcher(rig):
    rig.sign([sh("true")])
    pid = until_ready(rig)
    rig.stop_launcher(signal.SIGKILL)
    until_gone(pid)
    rig.start_launcher()
    order = sh("true")
    assert rig.run(order=order).finish()["exit_code"] == "0"


def a_new_launcher_lets_runs_be(rig):
    run = rig.run(order=sh("read x < /proc/self/stat; sleep 0.6; echo done; exit 5"))
    run.go()
    run.until(RUNNING)
    rig.stop_launcher(signal.SIGKILL)
    rig.start_launcher()
    assert rig.status(run.token)["state"] == UNKNOWN
    run.until(PHASE_ENDED)
    assert run.result()["exit_code"] == "5" and run.log() == "done\n"


def without_a_journal_nothing_old_counts(rig):
    order = sh("true")
    w = rig.sign([order])
    rig.stop_launcher()
    os.unlink(os.path.join(rig.state, "starts"))
    rig.start_launcher()
    refused("has not signed", lambda: rig.start(order, w))
    rig.start(order, rig.sign([order])).finish()
    for name in ("key", "starts"):
        st = os.stat(os.path.join(rig.state, name))
        assert (st.st_uid, st.st_mode & 0o777) == (0, 0o600), name


def the_root_program_is_small(rig):
    out = subprocess.run(["ldd", os.path.join(BIN, "wattq-launcher")], stdout=subprocess.PIPE, text=True,
                         check=True).stdout
    for library in ("uv", "msgpack", "sqlite", "systemd", "pam", "jansson"):
        assert library not in out, out


def main():
    if os.geteuid() != 0:
        print("needs root: it starts runs as other users")
        return 77
    root = tempfile.mkdtemp(prefix="wattq-launcher-", dir="/tmp")
    rig = None
    try:
        rig = Rig(root)
        for test in (only_what_was_signed, on_end_is_signed_and_its_users, tokens_rise, some_are_never_run, sockets_are_kept_apart,
                     meters_from_a_list, runs_as_its_user, soft_limits_end_at_hard_ones, limits_of_the_cgroup,
                     root_is_out_of_reach, the_shepherd_is_the_daemons, everything_can_be_killed,
                     the_trainer_is_the_launchers, failures_have_a_step, planted_names_are_not_followed,
                     a_run_is_not_started_twice, a_directory_for_a_client, a_killed_shepherd_has_a_witness,
                     an_end_before_the_kill_is_known, one_stands_ready, a_ready_one_asks_pam_anew,
                     a_ready_one_goes_with_its_launcher, a_new_launcher_lets_runs_be,
                     without_a_journal_nothing_old_counts, the_root_program_is_small):
            began = time.monotonic()
            test(rig)
            print(f"ok {test.__name__} {time.monotonic() - began:.2f} s", flush=True)
        rig.close()
        rig = None
    finally:
        if rig:
            print(rig.log(), file=sys.stderr)
            rig.process.kill()
            if rig.cgroup != "none":
                with contextlib.suppress(OSError):
                    for path, _, _ in os.walk(rig.cgroup, topdown=False):
                        with open(os.path.join(path, "cgroup.kill"), "w") as f:
                            f.write("1")
                        time.sleep(0.1)
                        os.rmdir(path)
        shutil.rmtree(root, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
