#!/usr/bin/env python3
"""docs/examples/torch_control.py, the PyTorch control, beside the built-in trainer: the same encoding, network and
counts from two programs, and the same kind of loss. Needs a Python with torch and numpy: $WATTQ_TORCH_PYTHON, the
one that runs this, or /usr/bin/python3; skipped (77) where none of them has both."""
import json
import os
import random
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import BIN, Daemon  # noqa: E402

SRC = os.environ.get("WATTQ_SRC", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
CONTROL = os.path.abspath(os.path.join(SRC, "docs", "examples", "torch_control.py"))
TRAIN = os.path.abspath(os.path.join(BIN, "daemon", "wattq-train"))
POINTS = [("rectangle", 2, "2^8"), ("trapezoid", 5, "2^11"), ("exponential", 8, "4096"), ("wide_first_2x", 3, "1k"),
          ("wide_first_16x", 6, "16Ki"), ("rectangle_residual", 20, "2^14")]
# Said of a run: where and how it was computed, and Adam's form, differ on purpose.
OWN = {"backend", "isa", "adam", "version"}


def find_python():
    for python in (os.environ.get("WATTQ_TORCH_PYTHON"), sys.executable, "/usr/bin/python3"):
        if python and os.path.exists(python) and subprocess.run(
                [python, "-c", "import numpy, torch"], capture_output=True, timeout=250).returncode == 0:
            return python
    return None


PYTHON = find_python()


def write_table(path):
    """Every kind of column there is, and a target that can be learned."""
    r = random.Random(4)
    with open(path, "w") as f:
        f.write("same\ttwo\tfew\ttext\treal\ttarget\n")
        for i in range(2000):
            two, few, real = r.randrange(2), r.randrange(7), r.uniform(-3, 9)
            f.write(f"5\t{two + 3}\t{few}\t{'abc'[i % 3]}\t{real:.6f}\t{(few + 3 * two + (real > 3)) % 4}\n")


class Control(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.tmp = tempfile.TemporaryDirectory(prefix="wattq-torch-")
        cls.table = os.path.join(cls.tmp.name, "own.tsv")
        write_table(cls.table)
        cls.d = Daemon()
        cls.d.start()

    @classmethod
    def tearDownClass(cls):
        cls.d.__exit__(None, None, None)
        cls.tmp.cleanup()

    def facts(self, *program, point, dataset):
        shape, depth, size = point
        r = subprocess.run([*program, "--dataset", dataset, "--shape", shape, "--depth", str(depth), "--size", size,
                            "--describe"], capture_output=True, text=True, timeout=120)
        self.assertEqual(r.returncode, 0, r.stderr)
        return json.loads(r.stdout)

    def test_networks_are_the_same(self):
        data = os.path.join(os.environ.get("WATTQ_TEST_DATA", ""), "pmlb")
        files = [os.path.join(data, f"{n}.tsv.gz") for n in ("banana", "wine_quality_white", "529_pollen", "splice")]
        for dataset in [self.table] + [f for f in files if os.path.exists(f)]:
            for point in POINTS if dataset == self.table else POINTS[1:4:2]:
                with self.subTest(dataset=dataset, point=point):
                    theirs = self.facts(PYTHON, CONTROL, point=point, dataset=dataset)
                    ours = self.facts(TRAIN, point=point, dataset=dataset)
                    self.assertEqual(set(theirs) - set(ours), set())
                    for key in set(theirs) - OWN:
                        self.assertEqual(theirs[key], ours[key], key)

    def run_one(self, argv):
        run = self.d.submit(argv)
        ended = self.d.wait(run)
        self.assertEqual(ended["state"], "done", self.d.show(run))
        return self.d.show(run)

    def test_through_the_queue(self):
        args = ["--dataset", self.table, "--shape", "rectangle_residual", "--depth", "4", "--size", "2^11", "--epochs",
                "20", "--lr", "3e-3"]
        theirs = self.run_one([PYTHON, CONTROL, *args])
        ours = self.run_one([TRAIN, *args])
        self.assertEqual(theirs["info"]["backend"], "torch")
        for key in ("params", "rows_train", "rows_test", "inputs", "widths"):
            self.assertEqual(theirs["info"][key], ours["info"][key], key)
        self.assertEqual(set(ours["summary"]), set(theirs["summary"]))
        self.assertEqual(theirs["summary"]["rows_train_seen"], ours["summary"]["rows_train_seen"])
        names = [{p["name"] for p in r["phases"]} - {"test"} for r in (theirs, ours)]  # short epochs are not marked
        self.assertEqual(names[0], names[1])
        self.assertEqual(theirs["per_epoch"][-1]["epoch"], 20)
        self.assertIn("test_accuracy", str(theirs["per_epoch"][-1]))
        # Another split and other weights: the same order of magnitude, and both have learned.
        ratio = theirs["summary"]["test_loss"] / ours["summary"]["test_loss"]
        self.assertTrue(0.3 < ratio < 3, (theirs["summary"], ours["summary"]))
        self.assertGreater(min(r["summary"]["test_accuracy"] for r in (theirs, ours)), 0.5)

    def test_stops_at_the_time_limit_and_says_what_is_wrong(self):
        long = [PYTHON, CONTROL, "--dataset", self.table, "--size", "256", "--epochs", "1000000", "--max-seconds", "0.5"]
        self.assertEqual(self.run_one(long)["summary"]["end"], "max_seconds")
        r = subprocess.run([PYTHON, CONTROL, "--dataset", self.table, "--size", "5", "--describe"], capture_output=True,
                           text=True, timeout=120)
        self.assertEqual(r.returncode, 1)
        self.assertIn("the nearest network has", r.stderr)


if __name__ == "__main__":
    if not PYTHON:
        print("skipped: no Python with torch and numpy here; name one in WATTQ_TORCH_PYTHON")
        sys.exit(77)
    unittest.main(verbosity=2)
