"""A machine that many people share, for tests, without systemd: wattq-launcher as root, wattqd as user wattq behind a
socket that root has opened, clients as other users.

    system.enter()                      # first of all; may end the program with 77
    with SystemDaemon() as d:
        run = d.wattq_submit("ada", "sh", "-c", "id -un")
        assert d.wait(run)["state"] == "done"

The users exist in a mount namespace of the test's own only: ada (also in groups lab and wattq-meter), bob, eve,
root's right hand joe (in wattq-admin), and mal, whose processes test_cannot counts: nobody else is to run any. d.client and what Daemon has asks as root."""
import collections
import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import BIN, Client, Daemon, until  # noqa: E402,F401

USERS = {"wattq": 64001, "ada": 64011, "bob": 64012, "eve": 64013, "joe": 64014, "mal": 64015}
GROUPS = {"lab": (64021, "ada"), "wattq-meter": (64022, "ada"), "wattq-admin": (64023, "joe")}
HOMES = "WATTQ_TEST_HOMES"


def skip(why):
    print("skipped:", why)
    sys.exit(77)


def _append(path, lines, into):
    copy = os.path.join(into, os.path.basename(path))
    with open(path) as f:
        text = f.read()
    with open(copy, "w") as f:
        f.write(text + ("" if text.endswith("\n") else "\n") + "".join(lines))
    shutil.copymode(path, copy)
    subprocess.run(["mount", "--bind", copy, path], check=True)


def enter():
    """This program with users of its own. Ends it with 77 where that cannot be had."""
    if os.geteuid() != 0:
        skip("needs root: it starts runs as other users")
    if HOMES not in os.environ:
        if subprocess.run(["unshare", "--mount", "true"], stderr=subprocess.DEVNULL).returncode:
            skip("needs a mount namespace of its own, for users that are nobody else's")
        homes = tempfile.mkdtemp(prefix="wattq-homes-", dir="/tmp")
        try:
            code = subprocess.run(["unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv],
                                  env=dict(os.environ, **{HOMES: homes})).returncode
        finally:
            shutil.rmtree(homes, ignore_errors=True)
        sys.exit(code)
    homes = os.environ[HOMES]
    os.chmod(homes, 0o755)
    _append("/etc/passwd", [f"{n}:x:{u}:{u}::{homes}/{n}:/bin/sh\n" for n, u in USERS.items()], homes)
    _append("/etc/shadow", [f"{n}:*:19000::::::\n" for n in USERS], homes)
    _append("/etc/group", [f"{n}:x:{u}:\n" for n, u in USERS.items()] +
            [f"{n}:x:{g}:{members}\n" for n, (g, members) in GROUPS.items()], homes)
    for name, uid in USERS.items():
        os.mkdir(f"{homes}/{name}", 0o700)
        os.chown(f"{homes}/{name}", uid, uid)


class As:
    """This process as another user, as far as a socket's other end can tell."""

    def __init__(self, name):
        self.pw = pwd.getpwnam(name)

    def __enter__(self):
        self.old = os.getgroups()
        os.setgroups(os.getgrouplist(self.pw.pw_name, self.pw.pw_gid))
        os.setresgid(-1, self.pw.pw_gid, 0)
        os.setresuid(-1, self.pw.pw_uid, 0)
        return self

    def __exit__(self, *_):
        os.setresuid(-1, 0, 0)
        os.setresgid(-1, 0, 0)
        os.setgroups(self.old)


def cgroup2():
    with open("/proc/self/mountinfo") as f:
        points = [line.split()[4] for line in f if " - cgroup2 " in line]
    return points[0] if points and os.access(points[0], os.W_OK) else None


def began(users):
    """How often each run's program has begun, by the file `ran` in its user's home, to which it says its number."""
    count = collections.Counter()
    for user in users:
        with contextlib.suppress(FileNotFoundError), open(os.path.join(pwd.getpwnam(user).pw_dir, "ran")) as f:
            count.update(int(line) for line in f)
    return count


class SystemDaemon(Daemon):
    def __init__(self, *args, launcher=(), **keys):
        super().__init__("--mode", "system", "--visibility", "summary", "--meter-group", "wattq-meter",
                         "--admin-group", "wattq-admin", *args, **keys)
        self.launcher_args = list(launcher)
        self.launcher_dir, self.pam = self.path("launcher"), self.path("pam")
        self.launcher = None
        self.listener = None
        os.chmod(self.dir, 0o755)
        os.chmod(self.path("script"), 0o644)
        for name in ("state", "state/runs"):
            os.mkdir(self.path(name), 0o711)
            os.chown(self.path(name), USERS["wattq"], USERS["wattq"])
        for name in ("run", "pam"):
            os.mkdir(self.path(name), 0o755)
        with open(os.path.join(os.environ["WATTQ_SRC"], "systemd", "wattq.pam")) as f:
            service = f.read().replace("pam_limits.so set_all", "pam_limits.so")  # containers lack the right
        with open(os.path.join(self.pam, "wattq"), "w") as f:
            f.write(service)
        mount = cgroup2()
        self.cgroup = os.path.join(mount, os.path.basename(self.dir)) if mount else "none"
        if mount:
            os.mkdir(self.cgroup)

    def __exit__(self, kind, *rest):
        self.stop()
        self.stop_launcher()
        self.end_cgroup()
        if self.listener:
            self.listener.close()
        super().__exit__(kind, *rest)

    # ---- life -------------------------------------------------------------------------------------

    def start(self):
        if not self.launcher:
            self.start_launcher()
        self.start_wattqd()

    def start_wattqd(self):
        """Behind the same socket as before, as systemd does it: who connects meanwhile waits."""
        if not self.listener:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(self.socket)
            os.chmod(self.socket, 0o666)
            self.listener.listen(1024)
        line = [os.path.join(BIN, "daemon", "wattqd"), "--state-dir", self.state_dir, "--launcher",
                self.launcher_dir, "--script", self.path("script"), "--disable",
                "perf,powercap,hwmon,battery,ipmi,nvml,estimate", "--config", "/dev/null", "--disturbed", "100",
                *self.args]
        self.proc = subprocess.Popen(
            ["bash", "-c", 'exec 3<&"$1"; shift; export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@"', "bash",
             str(self.listener.fileno()), "setpriv", "--reuid=wattq", "--regid=wattq", "--init-groups",
             "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", *line],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, pass_fds=[self.listener.fileno()],
            env={k: v for k, v in os.environ.items() if not k.startswith("XDG_")})
        self.connect()

    def start_launcher(self):
        options = {"--runs": self.path("state", "runs"), "--state": self.path("launcher-state"),
                   "--run-dir": self.launcher_dir, "--daemon-user": "wattq", "--libexec":
                   os.path.join(BIN, "daemon"), "--cgroup": self.cgroup, "--pam-dir": self.pam}
        notify = self.path("notify")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(notify)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as n:
            n.bind(notify)
            n.settimeout(20)
            self.launcher = subprocess.Popen(
                [os.path.join(BIN, "daemon", "wattq-launcher"), *[w for kv in options.items() for w in kv],
                 *self.launcher_args], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                env=dict(os.environ, NOTIFY_SOCKET=notify))
            assert n.recv(200).startswith(b"READY=1"), self.log_text()

    def kill_launcher(self):
        self.launcher.kill()
        self.launcher.wait()
        self.launcher = None

    def stop_launcher(self):
        """SIGTERM; its exit code must be 0 (a sanitizer's report is not)."""
        if not self.launcher:
            return
        self.launcher.send_signal(signal.SIGTERM)
        code = self.launcher.wait(20)
        self.launcher = None
        assert code == 0, f"wattq-launcher ended with {code}: {self.log_text()[-8000:]}"

    def end_cgroup(self):
        if self.cgroup == "none":
            return
        for path, _, _ in os.walk(self.cgroup, topdown=False):
            with contextlib.suppress(OSError), open(os.path.join(path, "cgroup.kill"), "w") as f:
                f.write("1")
        end = time.monotonic() + 10
        for path, _, _ in list(os.walk(self.cgroup, topdown=False)):
            while os.path.exists(path):
                with contextlib.suppress(OSError):
                    os.rmdir(path)
                assert time.monotonic() < end, f"{path} is not empty"

    # ---- asking -----------------------------------------------------------------------------------

    def peer(self, user, **keys):
        """A connection of that user's, without the client."""
        with As(user):
            return Client(self.socket, **keys)

    def command(self, user, *argv, umask=None, cwd=None, **env):
        """argv and the rest of subprocess for a program as that user has logged in."""
        home = pwd.getpwnam(user).pw_dir
        line = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--inh-caps=-all", "env", "-i",
                f"HOME={home}", f"USER={user}", "LANG=C.UTF-8", f"PATH={BIN}/client:{os.environ['PATH']}",
                f"WATTQ_SOCKET={self.socket}", *[f"{k}={v}" for k, v in env.items()], *argv]
        return {"args": line, "cwd": cwd or home, "umask": 0o022 if umask is None else umask}

    def user(self, name, *argv, check=True, **keys):
        """A command as that user; its output, or with check=False what subprocess says of it."""
        r = subprocess.run(**self.command(name, *argv, **keys), capture_output=True, text=True, timeout=60)
        if check and r.returncode:
            raise AssertionError(f"{name}: {' '.join(argv)}: exit {r.returncode}\n{r.stdout}{r.stderr}")
        return r.stdout.strip() if check else r

    def wattq(self, name, *argv, **keys):
        return self.user(name, "wattq", *argv, **keys)

    def wattq_submit(self, name, *argv, options=(), **keys):
        return int(self.wattq(name, "submit", "--bare", *options, "--", *argv, **keys))

    def run_file(self, run, name):
        """What root reads of a run's directory."""
        with open(self.path("state", "runs", str(run), name)) as f:
            return f.read()

    def shepherd(self, run):
        """What its shepherd has said of itself; None before it has."""
        with contextlib.suppress(OSError):
            lines = self.run_file(run, "shepherd").splitlines()
            return dict(line.split("=", 1) for line in lines) or None
        return None
