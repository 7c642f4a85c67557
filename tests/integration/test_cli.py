#!/usr/bin/env python3
"""wattq as a program, against the real daemon with a meter of known power: every command in words and as JSON,
exit codes, streams, and what each mistake is answered with.

The shape of every --json answer (keys and types) is a promise: tests/golden/cli/json_shapes.txt.
WATTQ_UPDATE=1 writes it anew."""
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import BIN, Daemon, until  # noqa: E402

SRC = os.environ.get("WATTQ_SRC", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
WATTQ = os.path.abspath(os.path.join(BIN, "client", "wattq"))
SHAPES = os.path.join(SRC, "tests", "golden", "cli", "json_shapes.txt")
NET = ["--shape", "rectangle", "--depth", "3", "--size", "2^7", "--epochs", "2"]
shapes = {}


def shape(value, path=""):
    """Every path in a document with its type; lists by their elements, the user's own maps closed."""
    if isinstance(value, dict):
        if path.split(".")[-1] in ("env", "params", "info", "summary", "last_metrics", "values", "j_per_datum",
                                   "backends", "machine_start", "machine_end"):
            return {path + ": {own words}"}
        return {path + ": object"}.union(*(shape(v, f"{path}.{k}") for k, v in value.items()))
    if isinstance(value, list):
        return {path + ": array"}.union(*(shape(v, path + "[]") for v in value))
    kind = {str: "string", bool: "boolean", int: "number", float: "number", type(None): "null"}[type(value)]
    return {f"{path}: {kind}"}


def reasons(value):
    """Every null energy says why."""
    if isinstance(value, dict):
        if "energy_j" in value and value["energy_j"] is None:
            assert value.get("reason"), value
        for v in value.values():
            reasons(v)
    elif isinstance(value, list):
        for v in value:
            reasons(v)


class Base(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d = Daemon()
        cls.d.start()

    @classmethod
    def tearDownClass(cls):
        cls.d.__exit__(None, None, None)

    def env(self, **more):
        env = {k: v for k, v in os.environ.items() if k not in ("WATTQ_RUN", "NO_COLOR", "WATTQ_DATA")}
        bin_dir = os.path.dirname(WATTQ)
        return {**env, "WATTQ_SOCKET": self.d.socket, "PATH": bin_dir + ":" + env["PATH"],
                "LC_ALL": "C.UTF-8", **more}

    def run_wattq(self, *args, code=0, timeout=60, cwd=None, stdin=None, **more):
        p = subprocess.run([WATTQ, *map(str, args)], capture_output=True, text=True, timeout=timeout,
                           env=self.env(**more), cwd=cwd or self.d.dir, input=stdin)
        if code is not None:
            self.assertEqual(p.returncode, code, f"wattq {' '.join(map(str, args))}\n{p.stdout}\n{p.stderr}")
        return p

    def out(self, *args, **more):
        return self.run_wattq(*args, **more).stdout

    def err(self, *args, code, **more):
        """The sentence of a failure, which must come with what to do next, and nothing on stdout."""
        p = self.run_wattq(*args, code=code, **more)
        self.assertEqual(p.stdout, "")
        self.assertGreaterEqual(len(p.stderr.strip().splitlines()), 2, p.stderr)
        self.assertTrue(p.stderr.startswith("wattq: "), p.stderr)
        return p.stderr

    def json(self, *args, **more):
        doc = json.loads(self.out("--json", *args, **more))
        return self.take(doc)

    def take(self, doc):
        reasons(doc)
        name = doc["schema"]
        self.assertRegex(name, r"^wattq\.[a-z_]+/\d+$")
        shapes.setdefault(name, set()).update(shape({k: v for k, v in doc.items() if k != "schema"}))
        return doc

    def submit(self, *args):
        return int(self.out("submit", "-q", *args))

    def sh(self, text, *options):
        return self.submit(*options, "--", "sh", "-c", text)


class Submit(Base):
    def test_id_on_stdout_talk_on_stderr(self):
        p = self.run_wattq("submit", "--", "true")
        self.assertRegex(p.stdout, r"^\d+\n$")
        self.assertIn("wattq logs -f " + p.stdout.strip(), p.stderr)
        self.assertEqual(self.run_wattq("submit", "-q", "--", "true").stderr, "")

    def test_what_is_captured(self):
        sub = os.path.join(self.d.dir, "sub")
        os.makedirs(sub, exist_ok=True)
        with open(os.path.join(sub, "in.txt"), "w") as f:
            f.write("from a file\n")
        run = int(self.out("submit", "-q", "-J", "cap", "-P", "proj", "--stdin", "in.txt", "--env", "X=a b", "-p",
                           "lr=0.1", "-t", "1m", "--", "sh", "-c", "pwd; umask; echo $X; cat", cwd=sub, Y="1"))
        self.run_wattq("wait", run)
        self.assertEqual(self.out("logs", run).splitlines()[0], os.path.realpath(sub))
        self.assertEqual(self.out("logs", run).splitlines()[2:], ["a b", "from a file"])
        show = self.json("show", run)["run"]
        self.assertEqual((show["label"], show["project"], show["time_limit_s"]), ("cap", "proj", 60))
        self.assertEqual(show["params"], {"lr": "0.1"})

    def test_provenance(self):
        repo = os.path.join(self.d.dir, "repo")
        git = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "-C", repo]
        os.makedirs(repo, exist_ok=True)
        script = os.path.join(repo, "train.py")
        with open(script, "w") as f:
            f.write("print('one')\n")
        for args in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
            subprocess.run([*git, *args], check=True, capture_output=True)
        with open(script, "a") as f:
            f.write("print('two')\n")
        run = int(self.out("submit", "-q", "--", "python3", "train.py", cwd=repo))
        self.run_wattq("wait", run)
        code = self.json("show", run)["run"]["code"]
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
        self.assertEqual((code["commit_id"], code["dirty"]), (head, True))
        self.assertIn("+print('two')", code["diff"])
        self.assertIn("with changes that were not committed", self.out("show", run))

    def test_wait_passes_the_code_on(self):
        for text, code in (("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -15 $$", 143)):
            p = self.run_wattq("submit", "--wait", "--", "sh", "-c", text, code=code)
            self.assertRegex(p.stderr, r"(done|failed) \d+  ")
        self.run_wattq("submit", "--wait", "-t", "200ms", "--grace", "1s", "--", "sleep", "20", code=143)

    def test_missing_programs(self):
        self.assertIn("no program 'nosuch-prog'", self.err("submit", "--", "nosuch-prog", code=1))
        self.assertIn("no program", self.run_wattq("submit", "--wait", "--", "nosuch-prog", code=127).stderr)
        self.run_wattq("submit", "--wait", "--", "/etc/passwd", code=126)
        self.assertEqual(self.json("queue")["queued"], 0)

    def test_hold_release(self):
        run = self.submit("--hold", "--", "true")
        self.assertIn("held", self.out("queue"))
        self.assertEqual(self.out("release", run), f"{run}  queued\n")
        self.run_wattq("wait", run)

    def test_one_run_is_refused_the_others_done(self):
        a = self.submit("--hold", "--", "true")
        p = self.run_wattq("cancel", a, 99999, code=1)
        self.assertIn(f"{a}  cancelled", p.stdout)
        self.assertIn("99999", p.stderr)
        self.assertIn("cannot be paused", self.err("pause", self.submit("--hold", "--", "true"), code=5))

    def test_cancel_kills_the_tree(self):
        run = self.sh("setsid sleep 300 & sleep 300")
        until(lambda: self.d.state(run) == "running", "running")
        self.run_wattq("cancel", run, "--signal", "INT", "--grace", "500ms", "--reason", "enough")
        self.run_wattq("wait", run, code=1)
        self.assertEqual(self.d.show(run)["state"], "cancelled")
        self.assertFalse([p for p in self.d.processes() if self.is_sleep(p)])

    def is_sleep(self, pid):
        with open(f"/proc/{pid}/comm") as f:
            return f.read() == "sleep\n"

    def test_pause_resume_retry(self):
        run = self.sh("sleep 0.5; exit 3")
        until(lambda: self.d.state(run) == "running", "running")
        self.assertEqual(self.out("pause", run), f"{run}  paused\n")
        self.assertEqual(self.out("resume", run), f"{run}  running\n")
        self.run_wattq("wait", run, code=1)
        again = int(self.out("retry", "-q", run))
        self.run_wattq("wait", again, code=1)
        self.assertEqual(self.json("show", again)["run"]["retry_of"], run)

    def test_json_of_actions(self):
        doc = self.json("submit", "--", "sleep", "30")
        until(lambda: self.d.state(doc["run"]) == "running", "running")
        for verb in ("pause", "resume", "cancel"):
            self.assertEqual(self.json(verb, doc["run"])["runs"][0]["run"], doc["run"])
        self.run_wattq("wait", doc["run"], code=1)
        held = self.json("submit", "--hold", "--", "true")["run"]
        self.json("release", held)
        self.run_wattq("wait", held)
        self.json("retry", held)
        self.take(json.loads(self.out("--json", "submit", "--wait", "--", "true")))


class Look(Base):
    def test_bare_wattq(self):
        run = self.sh("exit 3", "-J", "last-one")
        self.run_wattq("wait", run, code=1)
        until(lambda: self.json("queue")["power"]["power_w"], "the first power")
        text = self.out()
        self.assertIn("nothing is queued or running", text)
        self.assertRegex(text, rf"failed {run}  .*exit 3.*last-one")
        self.assertRegex(text, r"now 5\d\.\d W \(pkg \+ dram, ")

    def test_queue(self):
        a = self.submit("-J", "longer", "--", "sleep", "30")
        b = self.submit("--", "sleep", "30")
        until(lambda: self.d.state(a) == "running", "running")
        text = self.out("queue")
        self.assertRegex(text, rf"(?m)^ *{a}  running .* longer +sleep 30$")
        self.assertRegex(text, rf"(?m)^ *{b}  queued +1 .*sleep 30$")
        doc = self.json("queue")
        self.assertEqual([r["run"] for r in doc["runs"] if r["state"] in ("running", "queued")], [a, b])
        self.assertAlmostEqual(doc["power"]["power_w"], 55, delta=2)
        self.run_wattq("cancel", a, b)
        self.run_wattq("wait", a, b, code=1)

    def test_cost_line_and_truth(self):
        run = self.sh("sleep 1")
        line = self.out("wait", run)
        self.assertRegex(line, rf"^done {run}  1\.\ds?\S*  \S+ J \(\S+\.\.\S+ counter\)  CPU \S+ DRAM \S+  alone\n$")
        f = self.json("energy", run)["figures"][0]
        show = self.json("show", run)["run"]
        truth = 55 * (int(show["t1_ns"]) - int(show["t0_ns"])) / 1e9
        self.assertLessEqual(f["lo_j"], truth)
        self.assertLessEqual(truth, f["hi_j"])
        low, high = re.search(r"\((\S+)\.\.(\S+) counter", line).groups()
        self.assertLessEqual(float(low), f["lo_j"])
        self.assertLessEqual(f["hi_j"], float(high))

    def test_energy_of_any_window(self):
        time.sleep(2.2)
        text = self.out("energy", "--since", "-2s", "--until", "-1s")  # up to now the newest sample may be missing
        self.assertRegex(text, r"TOTAL +5\d\.\d J")
        self.json("energy", "--since", "-1s")
        self.assertIn("not both", self.err("energy", code=2))
        self.assertIn("--until", self.err("energy", "--since", "-1s", "--until", "-2s", code=2))

    def test_runs_and_selectors(self):
        ids = [self.submit("-J", f"sel{i % 2}", "--", "sh", "-c", f"exit {i}") for i in range(4)]
        self.run_wattq("wait", f"{ids[0]}-{ids[-1]}", code=1)
        rows = self.json("runs", "-n", 4)["runs"]
        self.assertEqual([r["run"] for r in rows], ids[::-1])
        self.assertEqual([int(x) for x in self.out("runs", "-q", "--label", "sel1").split()], [ids[3], ids[1]])
        self.assertEqual([int(x) for x in self.out("runs", "-q", "-n", 4, "--state", "done").split()][0], ids[0])
        self.assertEqual(int(self.out("runs", "-q", "last")), ids[-1])
        self.assertEqual(int(self.out("runs", "-q", "last-2")), ids[-3])
        self.assertEqual(int(self.out("runs", "-q", "@~1")), ids[-2])
        self.assertIn("no such runs", self.run_wattq("runs", "--label", "nope").stderr)
        self.assertIn("names no run", self.err("show", "what", code=2))
        f = f"id={ids[0]}..{ids[-1]} and energy > 0"
        self.assertEqual(self.out("runs", "-q", f), self.out("runs", "-q", "sweep=999 or " + f))
        self.assertEqual(self.out("runs", "-q", f"id={ids[1]}"), f"{ids[1]}\n")
        self.assertEqual(self.out("runs", "-q", "id", "le", ids[1], f"and id ge {ids[0]}").split(),
                         [str(i) for i in reversed(ids[:2])])
        self.assertIn("^enrgy", self.err("runs", "state=done and enrgy>2kJ", code=2))
        self.assertIn("which is meant", self.err("show", ids[0], "state=done", code=2))
        self.assertIn("no run fits", self.err("cancel", "label=nobody", code=1))
        self.assertEqual(self.json("show", f"id={ids[2]}")["run"]["run"], ids[2])
        self.assertIn("9999", self.err("show", "9999", code=1))
        self.assertIn("names 4 runs", self.err("logs", f"{ids[0]}-{ids[-1]}", code=2))

    def test_pin(self):
        run = self.submit("--", "true")
        self.out("wait", run)
        self.assertIn("1 run: their samples are kept", self.run_wattq("runs", "pin", run).stderr)
        self.assertEqual(["by hand" in r for r in self.d.call("export", table="pin")["rows"] if run in r], [True])
        self.assertIn("its samples are kept: by hand", self.out("show", run))
        self.assertEqual(self.json("runs", "pin", run, "--reason", "figure 2")["pinned"], 1)  # the first reason stays
        self.assertEqual(self.json("show", run)["run"]["pinned"], "by hand")
        self.assertEqual(self.json("runs", "unpin", run)["unpinned"], 1)
        self.assertFalse([r for r in self.d.call("export", table="pin")["rows"] if run in r])
        self.assertIn("wattq runs pin 17", self.err("runs", "pin", code=2))
        self.assertIn("9999", self.err("runs", "unpin", "9999", code=1))
        self.assertIn("--reason", self.err("runs", "--reason", "x", code=2))
        self.assertRegex(self.out("info"), r"database .* of 1.07 GB, ")

    def test_logs(self):
        run = self.sh("for i in 1 2 3 4 5; do echo line $i; sleep 0.1; done; printf tail")
        p = self.run_wattq("logs", "-f", run)
        self.assertEqual(p.stdout, "line 1\nline 2\nline 3\nline 4\nline 5\ntail")
        self.assertEqual(self.out("logs", run), p.stdout)
        self.assertEqual(self.out("logs", "-n", 2, run), "line 5\ntail")
        self.assertEqual(self.out("logs", "-n", 0, run), "")
        self.assertEqual(self.out("logs", "-n", 99, run), p.stdout)
        self.assertEqual(self.json("logs", run)["text"], p.stdout)

    def test_tail_of_a_long_log(self):
        run = self.sh("seq 1 200000; head -c 20000 /dev/zero | tr '\\0' x; echo; echo end")
        self.run_wattq("wait", run)
        lines = self.out("logs", "-n", 3, run).splitlines()
        self.assertEqual((lines[0], len(lines[1]), lines[2]), ("200000", 20000, "end"))
        self.assertEqual(self.out("logs", run).count("\n"), 200002)

    def test_logs_follow_from_the_tail(self):
        run = self.sh("echo a; echo b; sleep 0.5; echo c")
        time.sleep(0.3)
        self.assertEqual(self.out("logs", "-f", "-n", 1, run), "b\nc\n")

    def test_wait(self):
        run = self.submit("--", "sleep", "30")
        p = self.run_wattq("wait", "--timeout", "300ms", run, code=124)
        self.assertIn("go on", p.stderr)
        self.assertRegex(self.out("wait", "--for", "started", run), rf"^running {run}\n$")
        self.run_wattq("cancel", run)
        self.assertEqual(self.json("wait", run, code=1)["state"], "cancelled")
        self.assertIn("--for", self.err("wait", "--for", "lunch", run, code=2))

    def test_show_with_phases_and_epochs(self):
        run = self.sh("wattq phase one; sleep 0.3; wattq phase two; "
                      "for e in 1 2 3; do sleep 0.3; echo '{\"epoch\":'$e',\"train_loss\":0.'$e'}' >> $WATTQ_METRICS; done; "
                      "wattq phase end", "--env", "WATTQ_SOCKET=" + self.d.socket)
        self.run_wattq("wait", run)
        text = self.out("show", run)
        for word in ("covers: ", "Energy", "phase:one", "Phases", "Epochs", "TRAIN LOSS", "Events", "gate opened"):
            self.assertIn(word, text)
        doc = self.json("show", run)["run"]
        self.assertEqual([p["name"] for p in doc["phases"]], ["one", "two"])
        self.assertEqual([e["epoch"] for e in doc["per_epoch"]], [1, 2, 3])
        self.assertAlmostEqual(doc["per_epoch"][2]["energy_j"], 55 * 0.3, delta=4)

    @unittest.skipIf(len(os.sched_getaffinity(0)) < 2, "needs two CPUs")
    def test_show_tells_what_changed(self):
        pid, cpus = self.d.proc.pid, os.sched_getaffinity(self.d.proc.pid)
        run = self.submit("--", "sleep", "0.6")
        until(lambda: "running" in self.out("show", run), "the run starts")
        time.sleep(0.2)
        try:
            os.sched_setaffinity(pid, {min(cpus)})
            self.run_wattq("wait", run)
        finally:
            os.sched_setaffinity(pid, cpus)
        self.assertRegex(self.out("show", run), rf"machine +affinity went from \S+ to {min(cpus)} while it ran")
        doc = self.json("show", run)["run"]
        self.assertNotEqual(doc["machine_start"]["affinity"], doc["machine_end"]["affinity"])
        self.assertEqual(doc["machine_start"]["kernel"], doc["machine_end"]["kernel"])
        quiet = self.submit("--", "true")
        self.run_wattq("wait", quiet)
        self.assertNotIn("while it ran", self.out("show", quiet))

    def test_phase_of_another_run(self):
        run = self.submit("--", "sleep", "30")
        until(lambda: self.d.state(run) == "running", "running")
        self.json("phase", run, "mine")
        self.run_wattq("phase", run, "end")
        self.assertIn("WATTQ_RUN", self.err("phase", "x", code=2))
        self.run_wattq("cancel", run)
        self.run_wattq("wait", run, code=1)
        self.assertEqual(self.json("show", run)["run"]["phases"][0]["name"], "mine")

    def test_power(self):
        time.sleep(1.2)
        self.assertRegex(self.out("power"), r"pkg +(49|50)\.\d+ W")
        self.assertRegex(self.out("power", "--channel", "dram"), r"dram +(4\.9|5\.0)\d* W")
        self.json("power")
        lines = self.out("power", "--json", "-n", 3, "-d", "100ms").splitlines()
        self.assertEqual(len(lines), 3)
        text = self.out("power", "--since", "-1s", "--ascii")
        self.assertRegex(text, r"pkg +\|.*\|  mean \d+\.\d W, highest")
        self.json("power", "--since", "-1s")

    def test_meters(self):
        text = self.out("meters")
        self.assertRegex(text, r"(?m)^pkg +package +counter +\w+ +1\.\d*ms +working +yes")
        self.json("meters")
        text = self.out("meters", "pkg")
        self.assertRegex(text, r"(?m)^pkg: package, counter, .*, source script$")
        self.assertRegex(text, r"(?m)^doubt +none$")
        self.assertRegex(text, r"(?m)^update +1.*ms declared.*; polled every")
        self.assertRegex(text, r"(?m)^accuracy +\S")
        self.json("meters", "pkg")
        self.assertIn("does not know 'nosuch'", self.err("meters", "nosuch", code=2))

    def test_info_version_help(self):
        self.assertIn("wattqd", self.out("info"))
        self.assertRegex(self.out("info"), r"(?m)^trainer: openblas \(.+\), reference \(scalar\)")
        trainer = self.json("info")["trainer"]
        self.assertTrue(trainer["backends"]["openblas"]["usable"])
        cuda = trainer["backends"].get("cuda")  # built in where there was a CUDA compiler
        self.assertTrue(cuda is None or cuda["usable"] or cuda["reason"], cuda)
        self.json("version")
        self.assertEqual(self.out("version"), self.out("--version"))
        self.assertIn("Commands:", self.out("help"))
        self.assertEqual(self.out("help", "submit"), self.out("submit", "--help"))

    def test_top_without_a_terminal(self):
        lines = self.out("top", "-n", 2, "-d", "100ms").splitlines()
        self.assertEqual(len(lines), 2)
        doc = self.take(json.loads(lines[1]))
        self.assertAlmostEqual(sum(c["power_w"] for c in doc["channels"] if c["in_total"]), 55, delta=2)

    def test_top_gives_the_terminal_back(self):
        for how in (b"q", b"\x03", signal.SIGTERM, signal.SIGSEGV):
            pid, fd = pty.fork()
            if pid == 0:
                os.execve(WATTQ, ["wattq", "top", "-d", "100ms"], self.env(TERM="xterm"))
            text = self.read_until(fd, b"machine 5")
            if isinstance(how, bytes):
                os.write(fd, how)
            else:
                os.kill(pid, how)
            text += self.read_until(fd, None)
            os.waitpid(pid, 0)
            os.close(fd)
            self.assertIn(b"\x1b[?1049h", text)
            self.assertIn(b"\x1b[?1049l", text, how)

    def read_until(self, fd, what, seconds=20):
        text = b""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not (what and what in text):
            if not select.select([fd], [], [], 0.1)[0]:
                continue
            try:
                chunk = os.read(fd, 65536)
            except OSError:
                break
            if not chunk:
                break
            text += chunk
        return text

    def test_colour_only_where_asked(self):
        run = self.submit("--", "true")
        self.run_wattq("wait", run)
        self.assertNotIn("\x1b", self.out("wait", run))
        self.assertIn("\x1b[32m", self.out("wait", run, "--color", "always"))
        self.assertIn("--color never", self.err("queue", "--color", "pink", code=2))

    def test_a_closed_pipe_is_no_error(self):
        p = subprocess.run(f"{WATTQ} runs --json --all | head -c 1", shell=True, capture_output=True, text=True,
                           env=self.env())
        self.assertEqual((p.stdout, p.stderr), ("{", ""))


class Exec(Base):
    def test_code_streams_and_figure(self):
        p = self.run_wattq("exec", "--", "sh", "-c", "cat; echo err >&2; exit 4", code=4, stdin="in\n")
        self.assertEqual(p.stdout, "in\n")
        self.assertTrue(p.stderr.startswith("err\n"))
        self.assertRegex(p.stderr, r"failed \d+  .*exit 4  ")
        self.run_wattq("exec", "--", "sh", "-c", "kill -9 $$", code=137)
        self.run_wattq("run", "-q", "--", "true")

    def test_cannot_run(self):
        self.assertIn("no program", self.run_wattq("exec", "--", "nosuch-prog", code=127).stderr)
        self.run_wattq("exec", "--", "/etc/passwd", code=126)
        self.assertIn("needs", self.err("exec", code=2))

    def test_waits_its_turn(self):
        first = self.submit("--", "sleep", "3")
        until(lambda: self.d.state(first) == "running", "running")
        p = self.run_wattq("exec", "--", "true")
        self.assertIn("waits for its turn", p.stderr)

    def test_interrupted_before_its_turn(self):
        first = self.submit("--", "sleep", "30")
        until(lambda: self.d.state(first) == "running", "running")
        p = subprocess.Popen([WATTQ, "exec", "--", "true"], env=self.env(), cwd=self.d.dir)
        until(lambda: self.json("queue")["queued"] == 1, "queued")
        p.send_signal(signal.SIGINT)
        self.assertEqual(p.wait(), -signal.SIGINT)
        until(lambda: self.json("queue")["queued"] == 0, "withdrawn")
        self.run_wattq("cancel", first)

    def test_terminal_and_interrupt_are_the_runs(self):
        pid, fd = pty.fork()
        if pid == 0:
            os.execve(WATTQ, ["wattq", "exec", "--", "sh", "-c", "tty; trap 'echo GOT; exit 9' INT; echo up; "
                              "while :; do sleep 0.1; done"], self.env(TERM="xterm"))
        text = Look.read_until(self, fd, b"up")
        os.write(fd, b"\x03")
        text += Look.read_until(self, fd, None)
        status = os.waitpid(pid, 0)[1]
        os.close(fd)
        self.assertIn(b"/dev/pts/", text)
        self.assertIn(b"GOT", text)
        self.assertEqual(os.waitstatus_to_exitcode(status), 9, text)

    def test_daemon_killed_meanwhile(self):
        mark = os.path.join(self.d.dir, "up")
        p = subprocess.Popen([WATTQ, "exec", "--", "sh", "-c", f"touch {mark}; sleep 2; exit 6"], env=self.env(),
                             cwd=self.d.dir, stderr=subprocess.PIPE, text=True)
        until(lambda: os.path.exists(mark), "started")
        self.d.kill()
        text = p.communicate(timeout=30)[1]
        self.assertEqual(p.returncode, 6, text)
        self.assertIn("wattqd is away", text)
        self.d.start()
        run = int(self.out("runs", "-q", "-n", 1))
        self.assertIn("exit 6", self.run_wattq("wait", run, code=1).stdout)
        self.assertIsNotNone(self.json("show", run)["run"]["energy"][0]["energy_j"])

    def test_json_end(self):
        p = self.run_wattq("exec", "--json", "--", "echo", "data")
        self.assertEqual(p.stdout, "data\n")
        self.take(json.loads(p.stderr.splitlines()[-1]))


class Standalone(Base):
    def setUp(self):
        self.root = tempfile.mkdtemp(prefix="wattq-tree-", dir=self.d.dir)
        self.tree = subprocess.Popen([sys.executable, os.path.join(SRC, "tests", "support", "fixture_tree.py"),
                                      self.root, "--watts", "50", "--refresh", "1"],
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        zone = os.path.join(self.root, "sys", "class", "powercap", "intel-rapl:0", "energy_uj")
        until(lambda: os.path.exists(zone), "fixture tree")
        self.record = os.path.join(self.root, "record.jsonl")

    def tearDown(self):
        self.tree.terminate()
        self.tree.wait()

    def test_record(self):
        p = self.run_wattq("exec", "--standalone", "--out", self.record, "--sysfs-root", self.root, "--", "sh", "-c",
                           "sleep 0.5; exit 3", code=3, WATTQ_SOCKET="/nonexistent/socket")
        self.assertRegex(p.stderr, r"failed  \d+ms  exit 3  \S+ J \(\S+ ")
        with open(self.record) as f:
            lines = [json.loads(x) for x in f]
        kinds = [x["kind"] for x in lines]
        self.assertEqual((kinds[0], lines[0]["schema"]), ("run", "wattq.standalone/1"))
        edges = [x["edge"] for x in lines if x["kind"] == "sample"]
        self.assertEqual((edges[0], edges[1], edges[-2], edges[-1]), ("open", "settle", "close", "late"))
        result = next(x for x in lines if x["kind"] == "result")
        self.assertEqual(result["exit_code"], 3)
        total = next(x for x in lines if x["kind"] == "figure" and x["channel"] is None)
        truth = 55 * result["elapsed_s"]
        self.assertLess(abs(total["energy_j"] - truth), 3, (total, truth))
        reasons(lines)

    def test_never_overwrites(self):
        with open(self.record, "w") as f:
            f.write("keep me")
        text = self.err("exec", "--standalone", "--out", self.record, "--", "true", code=125)
        self.assertIn("exists", text)
        with open(self.record) as f:
            self.assertEqual(f.read(), "keep me")
        self.assertIn("belong together", self.err("exec", "--standalone", "--", "true", code=2))


class Sweep(Base):
    def test_grid(self):
        p = self.run_wattq("sweep", "-p", "a=1,2", "-p", "b=x,y", "--order", "given", "--", "echo", "{a}-{b}")
        sweep = int(p.stdout)
        self.assertIn("queued 4 runs", p.stderr)
        self.run_wattq("wait", f"sweep:{sweep}")
        rows = self.json("runs", f"sweep:{sweep}")["runs"][::-1]
        self.assertEqual([self.out("logs", r["run"]) for r in rows], ["1-x\n", "1-y\n", "2-x\n", "2-y\n"])

    def test_dry_run_is_what_comes(self):
        args = ["sweep", "-p", "a=1..6", "--seed", "5", "--repeat", "2", "--", "echo", "{a}"]
        before = self.json("queue")["queued"]
        dry = self.json(args[0], "--dry-run", *args[1:])
        self.assertEqual((dry["count"], self.json("queue")["queued"]), (12, before))
        self.assertIn("would queue 12 runs", self.run_wattq(args[0], "--dry-run", *args[1:]).stderr)
        doc = self.json(*args)
        rows = self.json("runs", f"sweep:{doc['sweep']}")["runs"][::-1]
        self.assertEqual([r["params"]["a"] for r in rows], [r["a"] for r in dry["runs"]])
        self.run_wattq("wait", f"sweep:{doc['sweep']}", timeout=120)

    def test_mistakes(self):
        for args, word in ((["-p", "a=1,2", "--", "echo", "x"], "appears nowhere"),
                           (["-p", "a=1", "--", "echo", "{b}"], "b"),
                           (["--", "echo", "x"], "list of values"),
                           (["-p", "a=1..2000", "--", "echo", "{a}"], "2000 runs"),
                           (["-p", "a=1", "--order", "odd", "--", "echo", "{a}"], "order"),
                           (["train", "--dataset", "nosuch", *NET], "no data set 'nosuch'"),
                           (["train", "--dataset", "standin:mnits", *NET], "stand-in")):
            self.assertIn(word, self.err("sweep", *args, code=1 if "train" in args else 2))
        text = self.run_wattq("sweep", "train", "--dataset", "standin:mnist", "--shape", "rectangle", "--depth", "3",
                              "--size", "32", code=1).stderr
        self.assertIn("20 %", text)
        self.assertEqual(self.json("queue")["queued"], 0)

    def test_breaker(self):
        sweep = int(self.out("sweep", "-q", "-p", "a=1..8", "--max-fails", "2", "--order", "given", "--", "sh", "-c",
                             "exit {a}"))
        until(lambda: "held" in self.out("queue"), "the breaker")
        self.assertIn(f"wattq release sweep:{sweep}", self.out("queue"))
        self.json("release", f"sweep:{sweep}")
        self.run_wattq("cancel", f"sweep:{sweep}", code=None)

    def test_train_and_finding(self):
        p = self.run_wattq("sweep", "train", "--dataset", "standin:banana,standin:mnist", "--shape",
                           "rectangle,exponential", "--depth", "2..3", "--size", "2^5..2^11", "--epochs", "1",
                           "--max-fails", "99", "--repeat", "1", "--canary-every", "0", "--warmup", "0", "--pause",
                           "0")
        sweep = int(p.stdout)
        self.assertIn("left out", p.stderr)
        self.assertIn("20 %", p.stderr)
        self.run_wattq("wait", f"sweep:{sweep}", timeout=240)
        text = self.out("finding")
        for word in ("LIVES IN", "Per datum against size", "banana (stand-in)", "2^11", "Leaving a cache level",
                     "idle", "load", "the meter covers", "Left out", "Try next"):
            self.assertIn(word, text)
        self.assertEqual(len(re.findall(r"(?m)^  wattq ", text)), 3)
        self.json("report", f"sweep:{sweep}")
        doc = self.json("finding", f"sweep:{sweep}")
        rows = doc["rows"]
        self.assertEqual(len(rows), int(re.search(r"queued (\d+) runs", p.stderr).group(1)))
        for r in rows:
            self.assertLessEqual(abs(r["params"] - r["size"]), 0.2 * r["size"])
            self.assertTrue(r["standin"])
            self.assertLessEqual(r["lo_j"], r["hi_j"])
            self.assertGreater(r["s_per_datum"], 0)
        for x in doc["crossings"]:
            self.assertTrue(x["supported"] or x["factor"] is None, x)
        run = rows[0]["run"]
        self.assertIn("j_per_datum_study", self.out("show", run))
        self.assertIn("rows", self.json("finding", run))
        self.assertIn("Seconds of a training step", self.out("model", "fit", f"sweep:{sweep}"))
        self.json("model", "show")
        self.json("model", "ls")

    def test_measured_sweep(self):
        """What `sweep train` does unless told otherwise, made short."""
        args = ["train", "--dataset", "standin:banana", "--shape", "rectangle", "--depth", "3", "--size",
                "2^7,2^8", "--min-seconds", "0.1", "--canary-every", "3", "--canary-net",
                "dataset=standin:banana,size=64", "--warmup", "100ms", "--pause", "300ms"]
        p = self.run_wattq("sweep", "--dry-run", *args)
        for word in ("2 networks x 3 repeats, 3 control runs in 2 blocks, a warm-up", "at least 0.1 s", "kWh"):
            self.assertIn(word, p.stderr)
        plan = self.json("sweep", "--dry-run", *args)["plan"]
        self.assertEqual((plan["networks"], plan["repeat"], plan["canaries"], plan["blocks"]), (2, 3, 3, 2))
        self.assertTrue(4 < plan["seconds"] < 60, plan)
        self.assertAlmostEqual(plan["energy_j"] / plan["seconds"], 55, delta=1)
        self.assertFalse(plan["estimated"])
        sweep = int(self.out("sweep", "-q", *args))
        self.run_wattq("wait", f"sweep:{sweep}", timeout=60)
        runs = sorted(self.json("runs", f"sweep:{sweep}")["runs"], key=lambda r: r["run"])
        self.assertEqual([r["params"].get("role", "") for r in runs],
                         ["warmup", "canary", "", "", "", "canary", "", "", "", "canary"])
        shown = self.json("show", runs[2]["run"])["run"]
        self.assertEqual((shown["params"]["epochs"], shown["summary"]["end"]), ("auto", "auto"))
        self.assertGreaterEqual(int(shown["summary"]["train_ns"]), 10**8)
        finding = self.json("finding", f"sweep:{sweep}")
        self.assertEqual((len(finding["rows"]), finding["control_runs"], finding["warmup_runs"]), (6, 3, 1))

    def test_how_long_a_run_is(self):
        net = ["--dataset", "standin:banana", "--shape", "rectangle", "--depth", "3", "--size", "2^7"]
        plan = self.json("sweep", "--dry-run", "train", *net)["plan"]
        self.assertIn("counter", plan["meter"])
        self.assertEqual(plan["train_s"], 5, plan)
        self.assertLessEqual(plan["rel_error"], 0.01)
        plan = self.json("sweep", "--dry-run", "train", *net, "--rel-error", "5%")["plan"]
        self.assertEqual(plan["train_s"], 1, plan)
        for args, word in ((["train", *net, "--rel-error", "1%", "--epochs", "3"], "contradict"),
                           (["train", *net, "--pause", "1s", "--shared"], "contradict"),
                           (["--warmup", "1s", "-p", "a=1,2", "--", "echo", "{a}"], "sweeps of networks")):
            self.assertIn(word, self.err("sweep", *args, code=2))

    def test_study_plan(self):
        text = self.out("study", "plan", "--size", "2^8,2^12", "--depth", "3")
        for word in ("caches", "Cache boundaries", "wattq sweep -J study train --dataset standin:", "--size 2^8,2^12",
                     "findings this can test", "control runs"):
            self.assertIn(word, text)
        doc = self.json("study", "plan", "--size", "2^8..2^12", "--depth", "3", "--shape", "rectangle", "--budget",
                        "1m")
        self.assertIn("dataset", doc["sweep"]["cut"])  # what was typed stays, what was chosen gives way
        self.assertEqual(doc["sweep"]["networks"], 5)
        claims = {(c["row"], c["hardware"]): c for c in doc["claims"]}
        self.assertEqual((claims[2, "CPU"]["testable"], claims[2, "CPU"]["by"]), (True, "energy"))
        self.assertFalse(claims[6, "CPU"]["testable"])
        self.assertFalse(claims[11, "both"]["testable"])
        self.assertIsNone(doc["queued"])
        full = self.json("study", "plan", "--grid", "study", "--dataset", "standin:banana")
        self.assertGreater(full["sweep"]["networks"], 1900)
        for args, word in ((["--grid", "odd"], "not a grid"), (["--dataset", "x.csv"], "of the study"),
                           (["--shape", "round"], "shape"), (["--depth", "1"], "depth")):
            self.assertIn(word, self.err("study", "plan", *args, code=2))
        self.assertIn("plan", self.err("study", "paln", code=2))

    def test_study_cache_and_canary(self):
        args = ["--size", "2^7..2^9", "--min-seconds", "0.02", "--repeat", "1", "--canary-every", "4", "--pause",
                "0", "--warmup", "0", "--canary-net", "dataset=standin:banana,size=64", "--dataset",
                "standin:banana"]
        sweep = self.json("study", "cache", *args)["sweep"]
        self.run_wattq("wait", f"sweep:{sweep}", timeout=60)
        doc = self.json("study", "cache", f"sweep:{sweep}")
        by = {v["variant"]: v for v in doc["variants"]}
        self.assertTrue({"base", "batch64", "plain32", "plain64"} <= set(by), by)
        variants = len(doc["variants"])  # a busy machine has runs that are kept out of fits
        self.assertEqual(sum(v["runs"] for v in doc["variants"]) + doc["excluded"], 3 * variants)
        self.assertEqual((by["base"]["seen"], by["base"]["params"]), (False, None))  # too few sizes to say
        self.assertEqual(by["plain64"]["against"], "plain32")
        self.assertIn("too few sizes", self.out("study", "cache", f"sweep:{sweep}"))
        charts = self.json("study", "canary", f"sweep:{sweep}")["charts"]
        self.assertEqual({c["quantity"] for c in charts}, {"time", "energy"})
        for c in charts:
            self.assertGreater(len(c["points"]), 4)
            self.assertLess(c["lo"], c["centre"])
            self.assertEqual(sum(p["failing"] for p in c["points"]), c["failing"])
        self.assertIn("centre", self.out("study", "canary", f"sweep:{sweep}"))
        runs = self.json("runs", f"sweep:{sweep}")["runs"]
        points = [r for r in runs if "role" not in r["params"]]
        self.assertTrue(all("--max-seconds 3" in r["command"] for r in points), points[0])
        point = points[0]["run"]
        self.assertIn("no finished control runs", self.err("study", "canary", point, code=1))

    def test_study_cache_in_a_part(self):
        """Runs in a resctrl group are a variant of their own, also where that group is not (any more)."""
        group = os.path.join(self.d.dir, "half")
        os.makedirs(group, exist_ok=True)
        with open(os.path.join(group, "tasks"), "w"):
            pass
        sweep = self.json("sweep", "-p", f"variant=base:,l3-50:--resctrl {group}", "--repeat", "1", "--warmup", "0",
                          "--pause", "0", "--canary-every", "0", "train", "--dataset", "standin:banana", "--size",
                          "2^7", "--depth", "4", "--epochs", "2")["sweep"]
        self.run_wattq("wait", f"sweep:{sweep}", timeout=60)
        with open(os.path.join(group, "tasks")) as f:
            self.assertRegex(f.read(), r"^\d+\n$")
        doc = self.json("study", "cache", f"sweep:{sweep}")
        by = {v["variant"]: v for v in doc["variants"]}
        self.assertEqual(set(by), {"base", "l3-50"})
        self.assertEqual(by["l3-50"]["against"], "base")
        self.assertEqual(doc["other"], 0)

    def test_train_is_checked_at_once(self):
        p = self.run_wattq("train", "--dataset", "standin:mnist", "--shape", "rectangle", "--depth", "3", "--size",
                           "10", code=1)
        self.assertIn("20 %", p.stderr)
        bad = os.path.join(self.d.dir, "ragged.csv")
        with open(bad, "w") as f:
            f.write("a,b,target\n1,2,0\n3,1\n")
        self.assertIn("row 2", self.run_wattq("train", "--dataset", "ragged.csv", *NET, code=1).stderr)
        self.assertIn("--dataset", self.err("train", "--shape", "rectangle", code=2))
        self.run_wattq("train", "--dataset", "standin:banana", *NET, "--wait")

    def test_nothing_to_find(self):
        run = self.submit("--", "true")
        self.run_wattq("wait", run)
        p = self.run_wattq("finding", run, code=1)
        self.assertIn("not a run of the built-in trainer", p.stdout)


class Mistakes(Base):
    def test_spelling(self):
        self.assertIn("did you mean wattq submit?", self.err("sumbit", "x", code=2))
        self.assertIn("did you mean --label?", self.err("submit", "--lable", "x", "--", "true", code=2))
        self.assertIn("wattq submit -- zzzzzz", self.err("zzzzzz", code=2))
        self.assertIn("90m", self.err("submit", "-t", "90", "--", "true", code=2))
        self.assertIn("usage", self.err("queue", "extra", code=2))

    def test_errors_as_json(self):
        p = self.run_wattq("--json", "show", "9999", code=1)
        doc = self.take(json.loads(p.stderr))
        self.assertEqual(doc["error"]["code"], "not_found")
        p = self.run_wattq("nosuch", "--json", code=2)
        self.assertEqual(json.loads(p.stderr)["error"]["code"], "usage")

    def test_no_daemon(self):
        text = self.err("queue", code=4, WATTQ_SOCKET="/nonexistent/wattqd.sock")
        self.assertIn("wattqd is not running", text)
        self.assertIn("--socket /nonexistent/wattqd.sock", text)
        self.err("exec", "--", "true", code=125, WATTQ_SOCKET="/nonexistent/wattqd.sock")

    def test_path_too_long(self):
        self.assertIn("107", self.err("queue", "--socket", "/tmp/" + "x" * 110, code=2))

    @unittest.skipUnless(os.geteuid() == 0, "needs root, to listen as another user")
    def test_somebody_else_listens(self):
        path = tempfile.mkdtemp(prefix="wattq-other-")
        os.chmod(path, 0o777)
        sock = os.path.join(path, "s")
        ready, tell = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.setuid(65534)
            with socket.socket(socket.AF_UNIX) as s:
                s.bind(sock)
                s.listen(1)
                os.write(tell, b"x")
                c = s.accept()[0]
                c.settimeout(5)
                os._exit(1 if c.recv(1) else 0)
        os.read(ready, 1)
        text = self.err("submit", "--socket", sock, "--", "true", code=3)
        self.assertIn("belongs to user 65534", text)
        self.assertEqual(os.waitpid(pid, 0)[1], 0, "bytes were sent to a stranger")
        os.unlink(sock)
        os.rmdir(path)


class Allow(Base):
    def tree(self):
        root = tempfile.mkdtemp(prefix="wattq-allow-", dir=self.d.dir)
        files = []
        for zone in ("intel-rapl:0", "intel-rapl:0:0"):
            os.makedirs(os.path.join(root, "sys", "class", "powercap", zone))
            files.append(os.path.join(root, "sys", "class", "powercap", zone, "energy_uj"))
            with open(files[-1], "w") as f:
                f.write("1\n")
            os.chmod(files[-1], 0o400)
        outside = os.path.join(root, "outside")
        with open(outside, "w") as f:
            f.write("secret")
        os.chmod(outside, 0o600)
        os.makedirs(os.path.join(root, "sys", "class", "powercap", "intel-rapl:9"))
        os.symlink(outside, os.path.join(root, "sys", "class", "powercap", "intel-rapl:9", "energy_uj"))
        return root, files, outside

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_allow_and_revoke(self):
        root, files, outside = self.tree()
        p = self.run_wattq("meters", "allow", "--sysfs-root", root, "--user", "nobody", code=5)
        self.assertIn("nothing was changed\n       to allow it: wattq meters allow --yes", p.stderr)
        self.assertEqual(os.stat(files[0]).st_uid, 0)
        p = self.run_wattq("meters", "allow", "--yes", "--sysfs-root", root, "--user", "nobody")
        self.assertIn("CVE-2020-8694", p.stderr)
        self.assertEqual(sorted(p.stdout.split()), sorted(files))
        for f in files:
            self.assertEqual((os.stat(f).st_uid, os.stat(f).st_mode & 0o777), (65534, 0o400))
        self.assertEqual((os.stat(outside).st_uid, os.stat(outside).st_mode & 0o777), (0, 0o600))
        self.assertEqual(self.json("meters", "revoke", "--sysfs-root", root)["action"], "revoke")
        for f in files:
            self.assertEqual((os.stat(f).st_uid, os.stat(f).st_mode & 0o777), (0, 0o400))

    @unittest.skipUnless(os.geteuid() == 0, "needs root, to become somebody else")
    def test_who_is_not_root(self):
        root = self.tree()[0]
        os.chmod(self.d.dir, 0o755)
        os.chmod(root, 0o755)
        try:
            p = subprocess.run([WATTQ, "meters", "allow", "--yes", "--sysfs-root", root], capture_output=True,
                               text=True, env=self.env(), user=65534, cwd="/", stdin=subprocess.DEVNULL)
        except PermissionError:
            self.skipTest("nobody may not run the program where it was built")
        self.assertEqual(p.returncode, 3, p.stderr)
        self.assertIn("sudo wattq meters allow", p.stderr)

    def test_root_needs_no_allowance(self):
        if os.geteuid() == 0:
            root = self.tree()[0]
            self.assertIn("--user NAME", self.err("meters", "allow", "--sysfs-root", root, code=2))

    def test_nothing_there(self):
        self.assertIn("no energy counter", self.err("meters", "allow", "--yes", "--sysfs-root", self.d.dir, code=1))
        self.assertIn("does not know", self.err("meters", "alow", code=2))


class Zz(unittest.TestCase):
    """Last by name: what all tests above have seen of the JSON answers. A new key, another type or a key that is
    gone breaks somebody's script; whether an unknown value (null) was met depends on timing."""

    def test_shapes(self):
        golden = {}
        if os.path.exists(SHAPES):
            with open(SHAPES) as f:
                for line in f.read().splitlines():
                    if not line.startswith(" "):
                        name = line
                    golden.setdefault(name, set()).update([line.strip()] if line.startswith(" ") else [])
        if os.environ.get("WATTQ_UPDATE"):
            for name in shapes:
                golden[name] = golden.get(name, set()) | shapes[name]
            with open(SHAPES, "w") as f:
                for name in sorted(golden):
                    f.write("".join(f"{x}\n" for x in [name, *("  " + y for y in sorted(golden[name]))]))
        for name, seen in shapes.items():
            self.assertIn(name, golden, "a new kind of answer: WATTQ_UPDATE=1")
            new = {x for x in seen - golden[name] if not x.endswith(": null")}
            gone = {x.split(": ")[0] for x in golden[name]} - {x.split(": ")[0] for x in seen}
            gone = {x for x in gone if not x.endswith(".reason")}  # stands beside a null only
            self.assertEqual((new, gone), (set(), set()), f"{name} has changed: WATTQ_UPDATE=1 if that is wanted")


if __name__ == "__main__":
    unittest.main(verbosity=2)
