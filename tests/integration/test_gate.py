#!/usr/bin/env python3
"""The protocol of start and end with one of its sides killed, or stopped for a while, at each of its system
calls in turn (tests/support/killat): every run ends once, with its exit code, and none runs twice.

WATTQ_GATE=all: at every call, and not at a few that are drawn; WATTQ_SEED: of the drawing (printed)."""
import contextlib
import os
import random
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import BIN, Daemon, check_events, until  # noqa: E402
from tracer import KILLAT, Tracer, read, skip_without_ptrace  # noqa: E402

ALL = os.environ.get("WATTQ_GATE") == "all"
SEED = int(os.environ.get("WATTQ_SEED", str(time.time_ns() % 10**6)))
FEW = 8  # steps of each kind that are drawn
# The leftover outlives the main process, so that there is something to be done between the two ends.
COMMAND = "echo $WATTQ_RUN >> ran; (setsid sleep 0.02 &); exit 7"


def wrapper(real, plan):
    """A shepherd that is traced once for each plan there is."""
    return f"""#!/bin/sh
export ASAN_OPTIONS="$ASAN_OPTIONS:detect_leaks=0"
if mv '{plan}' '{plan}.taken' 2>/dev/null; then
    read -r options <'{plan}.taken'
    exec '{KILLAT}' $options -- '{real}' "$@"
fi
exec '{real}' "$@"
"""


class Gate(unittest.TestCase):
    def setUp(self):
        self.rng = random.Random(SEED)
        self.d = Daemon("--linger", "1s")
        libexec = self.d.path("libexec")
        os.mkdir(libexec)
        self.plan = self.d.path("plan")
        for name in ("wattq-shepherd", "wattq-train"):
            real = os.path.abspath(os.path.join(BIN, "daemon", name))
            if name == "wattq-train":
                os.symlink(real, os.path.join(libexec, name))
                continue
            with open(os.path.join(libexec, name), "w") as f:
                f.write(wrapper(real, self.plan))
            os.chmod(os.path.join(libexec, name), 0o755)
        self.d.args += ["--libexec-dir", libexec]
        self.d.__enter__()

    def tearDown(self):
        self.d.__exit__(*(("failed", None, None) if self.bad() else (None, None, None)))

    def bad(self):
        result = getattr(self._outcome, "result", None)
        return bool(result and (result.failures or result.errors))

    # ---- one run ----------------------------------------------------------------------------------

    def log(self):
        return read(self.d.path("trace"))

    def trace_next(self, options):
        with contextlib.suppress(OSError):
            os.unlink(self.d.path("trace"))
        with open(self.plan + ".new", "w") as f:
            f.write(f"{options} --log {self.d.path('trace')}\n")
        os.rename(self.plan + ".new", self.plan)

    def check(self, run, what, may_be_lost=False):
        r = self.d.wait(run)
        with open(self.d.path("ran")) as f:
            began = f.read().split().count(str(run))
        if may_be_lost and r["state"] == "lost":
            self.assertIn("lost(status)", r["reason"], what)
            self.assertLessEqual(began, 1, what)
            return "lost"
        self.assertEqual((r["state"], r["exit_code"], began), ("failed", 7, 1), (what, r["reason"], began))
        self.assertEqual(check_events(self.d.show(run)["events"]), "failed", what)
        return "right"

    def count(self, options=""):
        """The calls of a whole run."""
        self.trace_next(f"--at 0 {options}")
        self.check(self.d.sh(COMMAND), "counting")
        text = until(lambda: "ended" in self.log() and self.log(), "the tracer's count")
        n = int(text.split("ended")[1])
        self.assertGreater(n, 20)
        return n

    def steps(self, options):
        """Those of them that are to be the last one."""
        return self.draw(self.count(options))

    def draw(self, n):
        return range(1, n + 1) if ALL else sorted(self.rng.sample(range(1, n + 1), min(n, FEW)))

    # ---- the tests --------------------------------------------------------------------------------

    def test_shepherd_is_killed(self):
        """wattqd, which lives, is the witness: nothing may be lost."""
        options = "--all" if ALL else ""
        steps = self.steps(options) if ALL else range(1, 10**6)
        for n in steps:
            self.trace_next(f"--at {n} {options}")
            run = self.d.sh(COMMAND)
            self.check(run, f"shepherd at call {n}")
            text = until(lambda: "ended" in self.log() and self.log(), "the tracer's end")
            if "killed" not in text:
                break
        print(f"gate: the shepherd killed at each of {n} calls")

    def test_wattqd_is_killed_while_the_shepherd_stands(self):
        """The shepherd is held at a call, a new wattqd finds it there, then it goes on."""
        steps = self.steps("")
        for n in steps:
            with contextlib.suppress(OSError):
                os.unlink(self.d.path("go"))
            self.trace_next(f"--at {n} --hold {self.d.path('go')}")
            run = self.d.sh(COMMAND)
            until(lambda: "held" in self.log() or "ended" in self.log(), f"the shepherd at call {n}")
            self.d.kill()
            if self.rng.random() < 0.5:
                self.d.start()
            open(self.d.path("go"), "w").close()
            if self.d.proc.poll() is not None:
                self.d.start()
            self.check(run, f"shepherd held at call {n}")
        print(f"gate: wattqd killed with the shepherd at each of {len(steps)} calls")

    def test_first_act_of_a_program(self):
        """A phase begun while the shepherd is held between the open gate and its word of it to wattqd."""
        go, phase = self.d.path("go"), self.d.path("phase")
        command = f"'{os.path.abspath(os.path.join(BIN, 'client', 'wattq'))}' phase one; echo $? >'{phase}'"
        early = 0
        for n in range(self.count() // 2, 200):  # the gate opens later than that
            for path in (go, phase):
                with contextlib.suppress(OSError):
                    os.unlink(path)
            self.trace_next(f"--at {n} --hold {go}")
            run = self.d.sh(command, env={"WATTQ_SOCKET": self.d.socket, "PATH": os.environ["PATH"]})
            until(lambda: "held" in self.log() or "ended" in self.log(), f"the shepherd at call {n}")
            state = self.d.state(run)
            if state == "starting":
                with contextlib.suppress(AssertionError):
                    until(lambda: os.path.exists(phase) and os.path.getsize(phase), "the program", 0.25)
            began = os.path.exists(phase)
            open(go, "w").close()
            self.assertEqual(self.d.wait(run)["state"], "done", f"shepherd held at call {n}")
            with open(phase) as f:
                self.assertEqual(f.read().strip(), "0", f"shepherd held at call {n}")
            early += began and state == "starting"
            if state != "starting":
                break
        self.assertGreater(early, 0)
        print(f"gate: a phase begun before wattqd knew, with the shepherd at {early} calls")

    def test_both_are_killed(self):
        """Without a witness the status may be lost, but nothing is run twice and nothing else is wrong."""
        found = {"right": 0, "lost": 0}
        steps = self.steps("")
        for n in steps:
            self.trace_next(f"--at {n}")
            run = self.d.sh(COMMAND)
            until(lambda: "killed" in self.log() or "ended" in self.log(), f"the shepherd at call {n}")
            self.d.kill()
            self.d.start()
            found[self.check(run, f"both at call {n}", may_be_lost=True)] += 1
        print(f"gate: both killed at each of {len(steps)} calls: {found['right']} right, {found['lost']} lost(status)")

    def submit_and_end(self):
        """A run under a traced wattqd: its id, or None where the submission was not answered."""
        run = None
        with contextlib.suppress(OSError, EOFError):
            run = self.d.sh(COMMAND)
            self.d.wait(run)
        return run

    def known_runs(self):
        return {r["run"] for r in self.d.call("runs", limit=10000)["runs"]}

    def test_wattqd_is_killed(self):
        """At each of its calls from the submission to the run's end."""
        done = set()
        steps = range(1, 10**6) if ALL else self.rng.sample(range(1, 250), 2 * FEW)
        killed = 0
        for n in steps:
            tracer = Tracer(self.d.proc.pid, n, self.d.path("trace"))
            run = self.submit_and_end()
            until(lambda: self.d.proc.poll() is not None or run is not None, "an answer or an end")
            time.sleep(0.01)
            died = self.d.proc.poll() is not None or tracer.killed()
            tracer.close()
            if not died:
                self.check(run, f"wattqd at call {n}")
                done.add(run)
                if ALL:
                    break
                continue
            killed += 1
            self.d.kill()
            self.d.start()
            fresh = self.known_runs() - done
            self.assertLessEqual(len(fresh), 1, n)
            if run is not None:
                self.assertEqual(fresh, {run}, f"wattqd at call {n}: what was acknowledged is there")
            for r in fresh:
                self.check(r, f"wattqd at call {n}")
            done |= fresh
        self.assertGreater(killed, 0)
        print(f"gate: wattqd killed at {killed} of its calls")


def main():
    skip_without_ptrace()
    print("seed", SEED, "(WATTQ_SEED)", flush=True)
    unittest.main()


if __name__ == "__main__":
    main()
