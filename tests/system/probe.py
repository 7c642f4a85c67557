"""Inside the booted tree (tests/system/run): the package as a lab would have it. Root drives; ada and bob are
ordinary users. Each test is a function named test_*; prints one line each and a summary."""
import json
import os
import pathlib
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


def user(name, *argv, check=True, cwd=None, **more):
    """A command as that user, as if logged in: groups, home, a clean environment."""
    home = pathlib.Path("~" + name).expanduser()
    line = ["/usr/sbin/runuser", "-u", name, "--", "/usr/bin/env", "-i", f"HOME={home}", f"USER={name}",
            "PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", *argv]
    r = subprocess.run(line, capture_output=True, text=True, cwd=cwd or home, **more)
    if check and r.returncode:
        raise AssertionError(f"{name}: {' '.join(argv)}: exit {r.returncode}\n{r.stdout}{r.stderr}")
    return r.stdout.strip() if check else r


def wattq(name, *argv, check=True, **more):
    return user(name, "wattq", *argv, check=check, **more)


def show(name, run):
    return json.loads(wattq(name, "show", str(run), "--json"))


def submit(name, *argv, **more):
    return int(wattq(name, "submit", "--bare", *argv, **more))


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


def main():
    tests = {k: v for k, v in globals().items() if k.startswith("test_")}
    names = sys.argv[1:] or list(tests)
    failed = 0
    sh("systemctl is-system-running --wait", check=False)
    for name in names:
        start = time.monotonic()
        try:
            tests[name]()
            print(f"ok   {name} ({time.monotonic() - start:.1f} s)", flush=True)
        except Exception:
            failed += 1
            print(f"FAIL {name}\n{traceback.format_exc()}", flush=True)
    if failed:
        print(sh("journalctl -o cat -n 60 -u 'wattq*'"))
    print(f"{len(names) - failed} passed, {failed} failed")


main()
