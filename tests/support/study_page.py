"""A small sweep of the built-in trainer with a real daemon and the script meter, and its report."""
import json
import os
import subprocess

from harness import BIN, ENDED, until

WATTQ = os.path.abspath(os.path.join(BIN, "client", "wattq"))
SWEEP = ["--dataset", "standin:banana,standin:wine_quality_white", "--shape", "rectangle", "--depth", "2,3",
         "--size", "2^6,2^8,2^10,2^12", "--epochs", "20"]
PLAIN = ["--warmup", "0", "--pause", "0", "--canary-every", "0"]


def wattq(d, *args, code=0):
    env = {k: v for k, v in os.environ.items() if k not in ("WATTQ_RUN", "WATTQ_DATA")}
    p = subprocess.run([WATTQ, *args], capture_output=True, text=True, timeout=120, cwd=d.dir,
                       env={**env, "WATTQ_SOCKET": d.socket, "LC_ALL": "C.UTF-8"})
    assert p.returncode == code, (args, p.returncode, p.stdout[-2000:], p.stderr)
    return p


def sweep(d, *more):
    """Queues it and waits; how many runs there are."""
    wattq(d, "sweep", *PLAIN, *more, "train", *SWEEP)
    runs = lambda: json.loads(wattq(d, "--json", "runs", "-n", "1000").stdout)["runs"]  # noqa: E731
    return len(until(lambda: all(r["state"] in ENDED for r in runs()) and runs(), "the sweep to end", 120))
