#!/usr/bin/env python3
"""The study end to end: real networks trained by the real trainer through the real daemon, on a meter whose joules
obey a known law of network and time (support/law_meter.py). The fitted power model must find that law again, and say
how well it predicts networks it did not see.

Small by default. WATTQ_STUDY_FULL=1: more than 200 networks of six real PMLB sets (WATTQ_TEST_DATA), each twice,
about twelve minutes; prints the whole page."""
import json
import os
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import law_meter  # noqa: E402
from harness import BIN, Daemon  # noqa: E402

WATTQ = os.path.abspath(os.path.join(BIN, "client", "wattq"))
FULL = os.environ.get("WATTQ_STUDY_FULL") == "1"
DATA = os.path.join(os.environ.get("WATTQ_TEST_DATA", "../shared/data"), "pmlb")
SMALL = {"dataset": "standin:banana,standin:nursery", "size": "2^8,2^11,2^13,2^15", "depth": "2,4",
         "shape": "rectangle"}
LARGE = {"dataset": "201_pol,529_pollen,banana,nursery,splice,wine_quality_white",
         "size": "2^8,2^10,2^12,2^14,2^15,2^16,2^17,2^18", "depth": "2,4,8", "shape": "rectangle,trapezoid"}


class LawDaemon(Daemon):
    """A daemon that sees nothing but the law's meter."""

    def __init__(self):
        super().__init__()
        self.root = os.path.join(self.dir, "tree")
        self.meter = law_meter.Meter(self.root, os.path.join(self.state_dir, "runs"))

    def start(self):
        if not self.meter.is_alive():
            self.meter.start()
        self.proc = subprocess.Popen(
            [os.path.join(BIN, "daemon", "wattqd"), "--state-dir", self.state_dir, "--runtime-dir",
             os.path.join(self.dir, "run"), "--sysfs-root", self.root, "--disable", "hwmon,nvml,estimate,script",
             "--config", "/dev/null", "--disturbed", "100", *self.args],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env=dict(os.environ, XDG_RUNTIME_DIR=""))
        self.connect()

    def stop(self):
        super().stop()
        self.meter.stop()


class Study(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d = LawDaemon()
        cls.d.start()

    @classmethod
    def tearDownClass(cls):
        cls.d.__exit__(None, None, None)

    def wattq(self, *args, timeout=1800):
        env = dict(os.environ, WATTQ_SOCKET=self.d.socket, LC_ALL="C.UTF-8",
                   PATH=os.path.dirname(WATTQ) + ":" + os.environ["PATH"])
        p = subprocess.run([WATTQ, *args], capture_output=True, text=True, timeout=timeout, env=env, cwd=self.d.dir)
        self.assertEqual(p.returncode, 0, f"wattq {args}\n{p.stdout}\n{p.stderr}")
        return p.stdout

    def sweep(self, axes, seconds):
        options = [x for k, v in axes.items() for x in (f"--{k}", v)]
        data = ["--data-dir", DATA] if FULL else []
        out = self.wattq("sweep", "-y", "-r", "2" if FULL else "1", "train", *data, *options, "--epochs", "100000", "--max-seconds", seconds,
                         "--canary-every", "0", "--warmup", "0", "--pause", "0")
        self.wattq("wait", f"sweep:{out.strip()}")
        return out.strip()

    def test_the_law_comes_back(self):
        if FULL and not os.path.isdir(DATA):
            self.skipTest("no PMLB files at " + DATA)
        time.sleep(2.5)  # idle power is what the meter shows with no run on
        sweep = self.sweep(LARGE if FULL else SMALL, "1.2" if FULL else "0.7")
        time.sleep(2.5)
        page = self.wattq("model", "fit", f"sweep:{sweep}")
        if FULL:
            print(page)
        doc = json.loads(self.wattq("--json", "model", "show"))
        report = doc["report"]
        self.assertEqual((doc["energy"], report["quality"]), ("measured", "modelled"), page)
        self.assertGreaterEqual(report["runs"]["energy_points"], 200 if FULL else 12)
        self.assertAlmostEqual(report["idle_w"], law_meter.IDLE_W, delta=0.02 * law_meter.IDLE_W)
        terms = {t["name"]: t for t in doc["terms"] if t["part"] == "power"}
        slack = 0.1 if FULL else 0.25  # sixteen networks leave wide intervals
        for name, truth in (("active", law_meter.ACTIVE_W), ("op", law_meter.OP_J)):
            self.assertGreater(terms[name]["hi"], (1 - slack) * truth, page)
            self.assertLess(terms[name]["lo"], (1 + slack) * truth, page)
            if FULL:
                self.assertAlmostEqual(terms[name]["value"], truth, delta=0.15 * truth, msg=page)
        # Power of networks of a size that was left out, at their own time: the law alone, without the clock.
        left_out = report["left_out"]["size"]
        self.assertLess(left_out["power"]["median_abs"], 0.05, page)
        if FULL:
            self.assertLess(left_out["power"]["mean_abs"], 0.03, page)
        self.assertIsNotNone(left_out["energy"]["mean_abs"])
        noise = report["noise"]["energy"]
        print(f"study: {report['runs']['time_points']} networks, left out by size: power "
              f"{100 * left_out['power']['mean_abs']:.1f} %, energy {100 * left_out['energy']['mean_abs']:.1f} %; "
              f"repeats {'not known' if noise is None else f'{100 * noise:.1f} %'}")


if __name__ == "__main__":
    unittest.main(verbosity=1)
