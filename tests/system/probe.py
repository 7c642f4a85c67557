"""Inside the booted tree (tests/system/run): the package as a lab would have it. Root drives; ada and bob are
ordinary users. Each test is a function named test_*; prints one line each and a summary."""
import json
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import sys
import time
import traceback

sys.dont_write_bytecode = True


def sh(command, check=True, **more):
    """Of root; its output."""
    r = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, **more)
    if check and r.returncode:
        raise AssertionError(f"{command}: exit {r.returncode}\n{r.stdout}{r.stderr}")
    return r.stdout.strip() if check else r


def forget_starts():
    """Units may start 5 times in 10 s, and these tests are quick."""
    sh("systemctl reset-failed 'wattq*'", check=False)


def user(name, *argv, check=True, cwd=None, env=None, **more):
    """A command as that user, as if logged in: groups, home, a clean environment."""
    home = pathlib.Path("~" + name).expanduser()
    line = ["/usr/sbin/runuser", "-u", name, "--", "/usr/bin/env", "-i", f"HOME={home}", f"USER={name}",
            "PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", *[f"{k}={v}" for k, v in (env or {}).items()],
            *argv]
    r = subprocess.run(line, capture_output=True, text=True, cwd=cwd or home, **more)
    if check and r.returncode:
        raise AssertionError(f"{name}: {' '.join(argv)}: exit {r.returncode}\n{r.stdout}{r.stderr}")
    return r.stdout.strip() if check else r


def wattq(name, *argv, check=True, **more):
    return user(name, "wattq", *argv, check=check, **more)


def show(name, run):
    return json.loads(wattq(name, "show", str(run), "--json"))["run"]


def submit(name, *argv, **more):
    return int(wattq(name, "submit", "--bare", "--", *argv, **more))


def until(what, seconds=20, every=0.05):
    """The first true value of what(), or a failure that names it."""
    end = time.monotonic() + seconds
    while True:
        value = what()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what.__name__}")
        time.sleep(every)


def unit(name, field):
    return sh(f"systemctl show -p {field} --value {name}")


# ---- the package --------------------------------------------------------------------------------

def test_units_are_up():
    for name in ("wattq-jobs.service", "wattqd.socket", "wattq-launcher.service", "wattqd.service"):
        state = unit(name, "ActiveState")
        assert state == "active", f"{name} is {state}\n" + sh(f"journalctl -u {name} -o cat -n 20")


def test_wattqd_has_nothing():
    pid = unit("wattqd.service", "MainPID")
    status = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
                  if ":\t" in line)
    assert set(status["CapPrm"]) == {"0"} and set(status["CapBnd"]) == {"0"}, status["CapPrm"]
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    assert sh(f"ps -o user= -p {pid}") == "wattq"


def test_exposure():
    sh("systemd-analyze security --offline=yes --threshold=20 /usr/lib/systemd/system/wattqd.service")


# ---- runs ---------------------------------------------------------------------------------------

def ended(run, name="root"):
    wattq(name, "wait", str(run), check=False)
    return show("root", run)


def log(run):
    return pathlib.Path(f"/var/lib/wattq/runs/{run}/log").read_text()


def test_runs_are_their_users():
    shutil.copy("/usr/bin/id", "/usr/local/bin/rootid")
    os.chmod("/usr/local/bin/rootid", 0o4755)
    script = ("id -un; id -Gn; umask; pwd; grep -E '^(CapPrm|CapEff|CapBnd|NoNewPrivs|Seccomp|SigIgn):' "
              "/proc/self/status; rootid -un; cat /proc/self/oom_score_adj; ulimit -Hn; touch /tmp/by-$(id -un); "
              "cat /proc/self/cgroup; echo $A")
    for name, groups in (("ada", "ada lab"), ("bob", "bob")):
        run = submit(name, "sh", "-c", script, env={"A": "b c"}, umask=0o027)
        r = ended(run)
        out = log(run).splitlines()
        assert r["state"] == "done" and r["mode"] == "system+cgroup", (r, out)
        assert out[:4] == [name, groups, "0027", f"/home/{name}"], out
        status = dict(line.split(":\t") for line in out[4:10])
        bound = pathlib.Path("/proc/1/status").read_text().split("CapBnd:\t")[1].split()[0]
        assert status == {"CapPrm": "0" * 16, "CapEff": "0" * 16, "CapBnd": bound, "NoNewPrivs": "0",
                          "Seccomp": status["Seccomp"], "SigIgn": "0" * 16}, status
        mine = pathlib.Path("/proc/self/status").read_text().split("Seccomp:\t")[1].split()[0]
        assert status["Seccomp"] == mine, "a filter of the launcher's unit"
        assert out[10] == "root" and out[11] in ("0", "500"), out
        assert pathlib.Path(f"/tmp/by-{name}").owner() == name
        assert any("/wattq-jobs.service/" in line for line in out[13:-1]) and out[-1] == "b c", out
        st = os.stat(f"/var/lib/wattq/runs/{run}/log")
        assert (st.st_uid, st.st_mode & 0o777) == (pwd.getpwnam(name).pw_uid, 0o640)
        assert pathlib.Path(f"/var/lib/wattq/runs/{run}/log").group() == "wattq"


def test_others_are_kept_out():
    run = submit("ada", "sh", "-c", "echo secret; sleep 60")
    until(lambda: show("root", run)["state"] == "running" and log(run))
    for argv in (["logs", run], ["cancel", run], ["env", run]):
        r = wattq("bob", *map(str, argv), check=False)
        assert r.returncode and "secret" not in r.stdout, argv
    assert user("bob", "cat", f"/var/lib/wattq/runs/{run}/log", check=False).returncode
    assert user("bob", "ls", "/var/lib/wattq/runs", check=False).returncode
    assert user("ada", "cat", f"/var/lib/wattq/runs/{run}/log") == "secret"
    wattq("ada", "cancel", str(run))
    assert ended(run)["state"] == "cancelled"


def test_exec_and_train():
    r = wattq("ada", "exec", "sh", "-c", "id -un; exit 3", check=False)
    assert (r.returncode, r.stdout.strip()) == (3, "ada"), r.stderr
    run = int(wattq("bob", "train", "--bare", "--dataset", "standin:adult", "--size", "1k", "--epochs", "1"))
    r = ended(run)
    assert r["state"] == "done", r["reason"]


def test_limits():
    """The hard ones are PAM's, the soft ones those of the shell that submitted, each in its bounds."""
    pathlib.Path("/etc/security/limits.d/ada.conf").write_text("ada hard nofile 300\nada hard core 0\n")
    try:
        script = "ulimit -Hn; ulimit -Sn; ulimit -Hc; nice"
        run = int(user("ada", "sh", "-c", f"ulimit -Sn 77; exec wattq submit --bare --nice 5 -- bash -c '{script}'"))
        assert ended(run)["state"] == "done" and log(run).split() == ["300", "77", "0", "5"], log(run)
        run = submit("bob", "bash", "-c", "ulimit -Hn")
        assert ended(run)["state"] == "done" and log(run).split() != ["300"], log(run)
    finally:
        os.unlink("/etc/security/limits.d/ada.conf")


def test_visibility_is_chosen():
    """What was answered at the installation is in the configuration; without it wattqd does not start but says so."""
    conf = pathlib.Path("/etc/wattq/wattqd.conf")
    before = conf.read_text()
    chosen = [line for line in before.splitlines() if line.startswith("visibility =")]
    assert chosen == ["visibility = summary"], before  # the question's default is private
    conf.write_text("".join(line for line in before.splitlines(True) if not line.startswith("visibility")))
    r = sh("runuser -u wattq -- wattqd --mode system", check=False)
    conf.write_text(before)
    assert r.returncode and "visibility" in r.stderr, r


# ---- with runs going ----------------------------------------------------------------------------

def test_restarts():
    """Each unit restarted and killed; the run sees nothing of it."""
    for command in ("systemctl restart wattqd.service", "systemctl kill -s KILL wattqd.service",
                    "systemctl restart wattq-launcher.service", "systemctl kill -s KILL wattq-launcher.service",
                    "systemctl restart wattqd.service wattq-launcher.service", "systemctl restart wattqd.socket",
                    "systemctl stop wattqd.socket wattqd.service; systemctl start wattqd.service"):
        run = submit("ada", "sh", "-c", "sleep 1.5; echo end; exit 6")
        until(lambda run=run: show("root", run)["state"] == "running")
        jobs = unit("wattq-jobs.service", "MainPID")
        forget_starts()
        sh(command)
        until(lambda: wattq("root", "info", check=False).returncode == 0)
        r = ended(run)
        assert (r["state"], r["exit_code"]) == ("failed", 6) and log(run) == "end\n", (command, r)
        assert unit("wattq-jobs.service", "MainPID") == jobs
        until(lambda: "NO RUN IS STARTED" not in wattq("root", "info"))
    assert ended(submit("bob", "true"))["state"] == "done"


def going(name="ada", *options):
    """A run of six seconds that says when it ends."""
    run = int(wattq(name, "submit", "--bare", *options, "--", "sh", "-c", "echo begin; sleep 6; echo end; exit 6"))
    until(lambda: show("root", run)["state"] == "running")
    return run


def goes_on(run):
    """It ended as it would have, once."""
    r = ended(run)
    assert (r["state"], r["exit_code"]) == ("failed", 6) and log(run) == "begin\nend\n", (r, log(run))


def test_restart_of_the_tree():
    """wattq-jobs, which nobody should restart: the run goes on, and the next one has a tree again."""
    run = going()
    r = sh("systemctl restart wattq-jobs.service", check=False)
    goes_on(run)
    print(f"     restart of wattq-jobs: exit {r.returncode} {r.stderr.strip()}", flush=True)
    sh("systemctl reset-failed wattq-jobs.service; systemctl start wattq-jobs.service")
    r = ended(submit("bob", "true"))
    assert (r["state"], r["mode"]) == ("done", "system+cgroup"), r


def test_upgrade():
    """dpkg -i of a newer package while runs go on: they do not notice, what was configured stays, the daemons are new."""
    conf = pathlib.Path("/etc/wattq/wattqd.conf")
    before = conf.read_text()
    conf.write_text(before.replace("visibility = summary", "visibility = full"))
    sh("systemctl restart wattqd")
    old = sh("dpkg-query -W -f '${Version}' wattq")
    waits = int(wattq("bob", "submit", "--bare", "-H", "--", "sh", "-c", "exit 3"))
    runs = [going("ada"), going("bob", "--shared")]
    pids = {u: unit(u, "MainPID") for u in ("wattqd.service", "wattq-launcher.service", "wattq-jobs.service")}
    sh("dpkg -i /root/next.deb </dev/null")
    assert sh("dpkg-query -W -f '${Version}' wattq") != old
    until(lambda: wattq("root", "info", check=False).returncode == 0)
    for name, pid in pids.items():
        assert (unit(name, "MainPID") == pid) == (name == "wattq-jobs.service"), name
        assert unit(name, "ActiveState") == "active", name
    for run in runs:
        goes_on(run)
    wattq("bob", "release", str(waits))  # signed before, started after
    assert ended(waits)["exit_code"] == 3
    assert "visibility = full" in conf.read_text()
    conf.write_text(before)
    sh("systemctl restart wattqd")


def test_watchdog():
    """A wattqd that hangs is killed and started again, and its runs go on."""
    drop = pathlib.Path("/run/systemd/system/wattqd.service.d")
    drop.mkdir(parents=True)
    (drop / "quick.conf").write_text("[Service]\nWatchdogSec=1\n")
    sh("systemctl daemon-reload; systemctl restart wattqd.service")
    run = submit("ada", "sh", "-c", "sleep 3; exit 6")
    until(lambda: show("root", run)["state"] == "running")
    pid = unit("wattqd.service", "MainPID")
    os.kill(int(pid), signal.SIGSTOP)
    until(lambda: unit("wattqd.service", "MainPID") not in (pid, "0"))
    assert ended(run)["exit_code"] == 6
    (drop / "quick.conf").unlink()
    sh("systemctl daemon-reload; systemctl restart wattqd.service")


def test_killed_shepherd():
    for how in ("itself", "cancelled"):
        run = submit("ada", "sh", "-c", "sleep 1; exit 6")
        until(lambda run=run: show("root", run)["state"] == "running")
        lines = pathlib.Path(f"/var/lib/wattq/runs/{run}/shepherd").read_text().splitlines()
        os.kill(int(dict(line.split("=", 1) for line in lines)["pid"]), signal.SIGKILL)
        if how == "cancelled":
            wattq("ada", "cancel", str(run))
        r = ended(run)
        assert (r["state"], r["exit_code"]) == (("failed", 6) if how == "itself" else ("cancelled", None)), r


def controllers():
    """Of the cgroups that runs are in."""
    tree = pathlib.Path("/run/wattq-jobs/cgroup").read_text().strip()
    names = pathlib.Path(tree, "cgroup.subtree_control").read_text().split()
    print(f"     controllers of runs: {' '.join(names) or 'none'}", flush=True)
    return names


def test_memory_limit():
    """All processes of a run together, where there is a controller; else each, and the run says so."""
    script = ("import subprocess, sys\nif len(sys.argv) == 1:\n"
              "    ps = [subprocess.Popen([sys.executable, __file__, 'x']) for _ in range(4)]\n"
              "    sys.exit(max(abs(p.wait()) for p in ps))\n"
              "import time; x = b'x' * (40 << 20); time.sleep(2)\n")
    path = pathlib.Path("/home/ada/hungry.py")
    path.write_text(script)
    path.chmod(0o644)
    run = int(wattq("ada", "submit", "--bare", "--mem", "100M", "--", "python3", str(path)))
    r = ended(run)
    if "memory" in controllers():
        assert r["state"] == "oom" and "out of memory: it reached its limit of 100 MiB" in r["reason"], r
        assert 90 << 20 < r["mem_peak_bytes"] <= 101 << 20, r
        assert "all its processes together" in wattq("ada", "show", str(run)), r
    else:
        assert r["state"] == "done" and "each of its processes alone: no memory controller" in r["reason"], r


def test_energy_limit():
    """By the figure that is named; this machine has an estimate at the least, which has no lower bound."""
    script = "trap '' TERM; while :; do :; done"
    r = wattq("ada", "submit", "--energy-limit", "5J", "--", "true", check=False)
    assert r.returncode == 2 and "must name its figure" in r.stderr, r
    run = int(wattq("ada", "submit", "--bare", "--energy-limit", "5J,machine", "--grace", "1s", "--", "sh", "-c",
                    script))
    r = ended(run)
    assert r["state"] == "energy_limit" and r["term_signal"] == 9, r
    assert "energy limit of 5.00 J reached: the machine had used" in r["reason"], r


def test_fork_bomb():
    """Ends at max-pids (512 for this test), whatever it does, and is gone after a cancel."""
    conf = pathlib.Path("/etc/wattq/wattqd.conf")
    before = conf.read_text()
    conf.write_text(before + "max-pids = 512\n")
    sh("systemctl restart wattqd")
    try:
        # Without a controller RLIMIT_NPROC is all that there is: counted from every task of the kernel at the start.
        there = int(pathlib.Path("/proc/loadavg").read_text().split()[3].split("/")[1])
        script = pathlib.Path("/home/bob/bomb.py")
        script.write_text("import os, signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
                          "while True:\n    try:\n        os.fork()\n    except OSError:\n"
                          "        time.sleep(0.2)\n")
        script.chmod(0o644)
        run = int(wattq("bob", "submit", "--bare", "--grace", "1s", "--", "python3", str(script)))
        tasks = lambda: len(sh("ps -o pid= -u bob", check=False).stdout.split())  # noqa: E731
        tasks.__name__ = "bob has many processes"
        until(lambda: tasks() > 300, seconds=60)
        before_s, most = time.monotonic(), 0
        while tasks() > most and time.monotonic() < before_s + 60:  # as long as it still grows
            most = tasks()
            time.sleep(3)
        assert tasks() <= 512 + 64 + (0 if "pids" in controllers() else there), (tasks(), there)
        wattq("bob", "cancel", str(run))
        r = ended(run)
        assert r["state"] == "cancelled", r
        if "pids" in controllers():
            assert "forks refused above its limit of 512 tasks" in r["reason"], r
        assert tasks() == 0, tasks()
    finally:
        conf.write_text(before)
        sh("systemctl restart wattqd")


# ---- another boot; these come last ------------------------------------------------------------------

NOTES = pathlib.Path("/root/reboot.json")


class Again(Exception):
    """The machine is to go down, and this test to go on after its next boot."""


def test_reboot():
    """The machine goes down hard, then as it should, under runs: lost(reboot), and with --requeue they run again."""
    if os.environ.get("WATTQ_MACHINE") != "uml":
        return "a container has the boot of its host: tests/system/run --uml test_reboot"
    notes = json.loads(NOTES.read_text()) if NOTES.exists() else []
    for how, plain, again in notes[-1:]:
        r, q = show("root", plain), show("root", again)
        print(f"     after {how}: {r['state']} {r['reason']!r}; --requeue: {q['state']} {q['reason']!r}", flush=True)
        assert r["state"] == "lost" and r["reason"].startswith("lost(reboot)"), r
        assert q["state"] == "lost" and q["reason"].startswith("lost(reboot)") and q["retried_by"], q
        until(lambda: show("root", q["retried_by"])["state"] == "done", 60)
        assert not r.get("retried_by"), r
        assert log(q["retried_by"]) == "begin\nend\n" and log(plain) == "begin\n", (log(q["retried_by"]), log(plain))
    if len(notes) == 2:
        return None
    if not notes:  # it has one CPU, and two runs are to go on at once
        with open("/etc/wattq/wattqd.conf", "a") as f:
            f.write("cpus = 4\n")
        sh("systemctl restart wattqd")
    # The second time it goes on to its end at once.
    script = "echo begin; [ -e ~/rebooted ] || sleep 600; echo end"
    there = pathlib.Path("/home/ada/rebooted")
    there.unlink(missing_ok=True)
    plain = int(wattq("ada", "submit", "--bare", "--shared", "--", "sh", "-c", script))
    again = int(wattq("ada", "submit", "--bare", "--shared", "--requeue", "--", "sh", "-c", script))
    until(lambda: show("root", plain)["state"] == show("root", again)["state"] == "running", 40)
    until(lambda: log(plain) and log(again))
    there.touch()
    notes.append([("a crash", "systemctl poweroff")[len(notes)], plain, again])
    NOTES.write_text(json.dumps(notes))
    raise Again


def test_purge():
    """Removal with a run under way: it goes on, what was measured stays and is said where; installed again it is there."""
    run = going("ada", "--shared")
    before = wattq("root", "runs", "--json")
    said = sh("dpkg --purge wattq 2>&1 </dev/null")
    assert "/var/lib/wattq" in said and "stay" in said, said
    assert "these runs go on" in said and f"{run}" in said.split("these runs go on")[1], said
    assert not pathlib.Path("/usr/bin/wattqd").exists()
    assert pathlib.Path("/var/lib/wattq/wattq.db").exists() and log(run).startswith("begin")
    until(lambda: log(run) == "begin\nend\n")  # not killed
    sh("dpkg -i /root/next.deb </dev/null")
    until(lambda: wattq("root", "info", check=False).returncode == 0)
    assert "\nvisibility = private\n" in pathlib.Path("/etc/wattq/wattqd.conf").read_text()  # nobody was there to ask
    r = ended(run)
    assert (r["state"], r["exit_code"]) == ("failed", 6), r
    assert len(json.loads(wattq("root", "runs", "--json"))["runs"]) == len(json.loads(before)["runs"])


def go_down(how):
    """As the test asked: with all that is written, without a word to anybody, or in order."""
    pathlib.Path("/root/again").touch()
    os.sync()
    sh("systemctl poweroff" + (" -ff" if how == "a crash" else ""), check=False)
    time.sleep(60)


def main():
    tests = {k: v for k, v in globals().items() if k.startswith("test_")}
    names = sys.argv[1:] or list(tests)
    failed = skipped = 0
    if NOTES.exists():  # booted again: what comes before it was done
        names = names[names.index("test_reboot"):]
    sh("systemctl is-system-running --wait", check=False)
    for name in names:
        start = time.monotonic()
        forget_starts()
        try:
            skip = tests[name]()
            skipped += bool(skip)
            print(f"{'skip' if skip else 'ok  '} {name} {skip or f'({time.monotonic() - start:.1f} s)'}", flush=True)
        except Again:
            return go_down(json.loads(NOTES.read_text())[-1][0])
        except Exception:
            failed += 1
            print(f"FAIL {name}\n{traceback.format_exc()}", flush=True)
    if failed:
        print(sh("journalctl -o cat -n 60 -u 'wattq*'"))
    print(f"{len(names) - failed - skipped} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return None


main()
