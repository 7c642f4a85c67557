#!/usr/bin/env python3
"""Script files: what runs is what the file held at its submission, by the options that stand in it."""
import hashlib
import json
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import BIN, Daemon  # noqa: E402

WATTQ = os.path.abspath(os.path.join(BIN, "client", "wattq"))


class Scripts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d = Daemon()
        cls.d.start()
        cls.addClassCleanup(cls.d.__exit__, None)

    def wattq(self, *args, code=0):
        p = subprocess.run([WATTQ, "--socket", self.d.socket, *args], cwd=self.d.dir, capture_output=True, text=True,
                           env=dict(os.environ, ONLY_HERE="1"), timeout=120)
        self.assertEqual(p.returncode, code, p.stderr)
        return p

    def write(self, name, text):
        path = os.path.join(self.d.dir, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def log(self, run):
        return self.wattq("logs", str(run)).stdout

    def show(self, run):
        return json.loads(self.wattq("show", "--json", str(run)).stdout)["run"]

    def test_the_file_as_it_was(self):
        text = '#!/bin/sh\n#WATTQ --hold --time 1m --label "as it was"\necho first "$1" {x} "$WATTQ_SCRIPT"\n'
        path = self.write("snap.sh", text)
        run = int(self.wattq("script", "snap.sh", "a b").stdout)
        self.write("snap.sh", "#!/bin/sh\necho second\n")
        self.wattq("release", str(run))
        self.assertEqual(self.d.wait(run)["state"], "done")
        self.assertEqual(self.log(run), f"first a b {{x}} {path}\n")
        shown = self.show(run)
        self.assertEqual(shown["label"], "as it was")
        self.assertEqual(shown["command"], "snap.sh 'a b'")
        self.assertEqual(shown["time_limit_ns"], "60000000000")
        self.assertEqual(shown["code"]["script_sha256"], hashlib.sha256(text.encode()).hexdigest())

    def test_any_interpreter_and_its_exit_code(self):
        self.write("code.py", "#!/usr/bin/env python3\n#WATTQ --wait\nimport sys\nprint(sys.argv[1:])\nsys.exit(5)\n")
        run = int(self.wattq("submit", "code.py", "x", code=5).stdout)
        self.assertEqual(self.log(run), "['x']\n")
        self.assertEqual(self.show(run)["label"], "code.py")

    def test_a_long_name_is_cut_between_characters(self):
        self.write("a" + "\u00e4" * 90, "#!/bin/sh\n")
        run = int(self.wattq("script", "a" + "\u00e4" * 90).stdout)
        self.assertEqual(self.show(run)["label"], "a" + "\u00e4" * 49)

    def test_an_array_is_a_sweep(self):
        self.write("array.sh", "#!/bin/bash\n#SBATCH -J arr -a 1-5:2%1 --oversubscribe\n#WATTQ --slurm-env\n"
                               'sleep 0.2; echo "{$WATTQ_ARRAY_TASK_ID $SLURM_ARRAY_TASK_ID $SLURM_ARRAY_TASK_COUNT}"\n')
        sweep = int(self.wattq("script", "array.sh").stdout)
        self.wattq("wait", f"sweep:{sweep}")
        runs = sorted(json.loads(self.wattq("runs", "--json", f"sweep:{sweep}").stdout)["runs"], key=lambda r: r["run"])
        self.assertEqual([self.log(r["run"]) for r in runs], [f"{{{i} {i} 3}}\n" for i in (1, 3, 5)])
        edges = sorted((r["started_utc_ns"], r["ended_utc_ns"]) for r in runs)
        for before, after in zip(edges, edges[1:]):
            self.assertLessEqual(int(before[1]), int(after[0]), "two at a time")

    def test_environment_and_place(self):
        os.makedirs(os.path.join(self.d.dir, "there"), exist_ok=True)
        self.write("env.sh", "#!/bin/sh\n#SBATCH --export=NONE,B=2 --chdir=there -p gpu\npwd; echo \"${ONLY_HERE-gone} $B\"\n")
        p = self.wattq("script", "-W", "env.sh")
        self.assertIn("env.sh:2: --partition is ignored: there is one machine here\n", p.stderr)
        self.assertEqual(self.log(int(p.stdout)), f"{os.path.realpath(self.d.dir)}/there\ngone 2\n")

    def test_what_is_refused(self):
        cases = {"#WATTQ --time 90": ":2: --time", "#SBATCH --dependency=afterok:3": ":2: #SBATCH --dependency",
                 "#WATTQ --array 0-3 --wait": "--wait is for one run"}
        for line, want in cases.items():
            self.write("bad.sh", f"#!/bin/sh\n{line}\n")
            self.assertIn(want, self.wattq("script", "bad.sh", code=2).stderr)
        self.write("bad.sh", "echo no first line\n")
        self.assertIn("does not say what runs it", self.wattq("script", "bad.sh", code=1).stderr)
        self.write("bad.sh", "#!/bin/sh\n" + "#" * (128 << 10))
        self.assertIn("128 KiB", self.wattq("script", "bad.sh", code=1).stderr)
        self.write("bad.sh", "#!/bin/sh\r\n")
        self.assertIn("carriage return", self.wattq("script", "bad.sh", code=1).stderr)
        self.wattq("script", "nothing.sh", code=1)


if __name__ == "__main__":
    unittest.main()
