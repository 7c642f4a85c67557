#!/usr/bin/env python3
"""advise and predict: from a small sweep on a meter of known power to a choice and a price.

The shape of their --json is a promise: tests/golden/study/json_shapes.txt. WATTQ_UPDATE=1 writes it anew."""
import gzip
import json
import math
import os
import random
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import BIN, Daemon, Refused  # noqa: E402
from test_cli import reasons, shape  # noqa: E402

SRC = os.environ.get("WATTQ_SRC", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
WATTQ = os.path.abspath(os.path.join(BIN, "client", "wattq"))
GOLDEN = os.path.join(SRC, "tests", "golden", "study", "json_shapes.txt")
WATTS = 50
SCRIPT = f"""channel pkg kind=counter scope=package period=1ms quantum=1 pmax=51W
power pkg = constant {WATTS}W
"""
SECONDS = "0.8"
DEPTHS, SIZES = (2, 3, 4), (64, 128, 256, 512, 1024)
shapes = {}


def write_rings(path):
    """Two rings around each other: what a small network can learn, and a tiny one cannot."""
    rng = random.Random(1)
    with gzip.open(path, "wt") as f:
        f.write("x\ty\ttarget\n")
        for i in range(800):
            radius, angle = 1 + i % 2 + rng.gauss(0, 0.1), rng.uniform(0, 2 * math.pi)
            f.write(f"{radius * math.cos(angle):.5f}\t{radius * math.sin(angle):.5f}\t{i % 2}\n")


class Base(unittest.TestCase):
    def wattq(self, *args, code=0):
        env = {k: v for k, v in os.environ.items() if k not in ("WATTQ_RUN", "WATTQ_DATA")}
        p = subprocess.run([WATTQ, *map(str, args)], capture_output=True, text=True, timeout=120,
                           env={**env, "WATTQ_SOCKET": self.d.socket, "LC_ALL": "C.UTF-8"}, cwd=self.d.dir)
        self.assertEqual(p.returncode, code, f"wattq {' '.join(map(str, args))}\n{p.stdout}\n{p.stderr}")
        return p

    def document(self, *args, code=0):
        doc = json.loads(self.wattq(*args, "--json", code=code).stdout)
        reasons(doc)
        copy = self.fold(doc)
        shapes.setdefault(doc["schema"], set()).update(shape({k: v for k, v in copy.items() if k != "schema"}))
        return doc

    def fold(self, doc):
        """What is there or not by chance: a choice is a network, and reasons to leave runs out are words."""
        copy = json.loads(json.dumps(doc))
        for g in copy.get("machines", []):
            g["excluded"] = {}
            for key in ("choice", "next_smaller", "next_larger"):
                if g[key]:
                    self.assertEqual(set(g[key]) - {"reason"}, set(g["networks"][0]) - {"reason"})
                g[key] = None
        return copy

    def sweep(self, dataset, seconds):
        for depth in DEPTHS:
            for size in SIZES:
                self.wattq("train", "--dataset", dataset, "--shape", "rectangle", "--depth", depth, "--size", size,
                           "--epochs", "auto", "--min-seconds", seconds, "--lr", "0.01")
        self.wattq("wait", f"1-{len(DEPTHS) * len(SIZES)}")


class Measured(Base):
    @classmethod
    def setUpClass(cls):
        cls.d = Daemon(script=SCRIPT)
        cls.d.start()
        cls.addClassCleanup(cls.d.__exit__, None, None, None)
        path = os.path.join(cls.d.dir, "rings.tsv.gz")
        write_rings(path)
        cls.sweep(cls("run_nothing"), path, SECONDS)
        time.sleep(3)  # idle power counts from a second after a run

    def run_nothing(self):
        pass

    def one(self, *args, code=0):
        doc = self.document("advise", "--dataset", "rings", *args, code=code)
        self.assertEqual(len(doc["machines"]), 1)
        return doc["machines"][0]

    def test_advice(self):
        g = self.one()
        self.assertEqual((g["by"], g["runs"]), ("energy", 15), g["excluded"])
        self.assertEqual(len(g["networks"]), g["runs_compared"])
        self.assertGreaterEqual(len(g["networks"]), 12, g["excluded"])  # a busy machine blurs the edges of some
        self.assertFalse(g["apportioned"])
        reached = [n for n in g["networks"] if n["reaches"]]
        self.assertGreaterEqual(len(reached), 6)  # half of them do
        for n in reached:
            self.assertLessEqual(n["best_loss"], g["loss"] * 1.000001)
            # The first milliseconds are below what the meter shows.
            self.assertAlmostEqual(n["energy_j"] / n["time_s"] / WATTS, 1, delta=0.05 + 0.003 / n["time_s"], msg=n)
        self.assertEqual(g["choice"]["energy_j"], min(n["energy_j"] for n in reached))
        self.assertEqual(g["choice"]["times_the_least"], 1)
        self.assertEqual(g["enough"], g["command"] is None)

    def test_frontier(self):
        f = self.one()["frontier"]
        self.assertGreaterEqual(len(f), 1)
        for s in f:
            self.assertGreaterEqual(s["from_loss"], s["to_loss"])
            self.assertLessEqual(s["from_energy_j"], s["to_energy_j"])
        for a, b in zip(f, f[1:]):
            self.assertLess(b["from_loss"], a["to_loss"])
            self.assertGreaterEqual(b["from_energy_j"], a["to_energy_j"] * 0.999)

    def test_a_loss_nobody_reached(self):
        g = self.one("--loss", "1e-30", code=1)
        self.assertIsNone(g["choice"])
        self.assertFalse(g["enough"])
        self.assertIn("wattq sweep train --dataset rings", g["command"])
        self.assertIn("Not enough yet", self.wattq("advise", "--dataset", "rings", "--loss", "1e-30", code=1).stdout)

    def test_words(self):
        text = self.wattq("advise", "--dataset", "rings", "--ascii").stdout
        for word in ("by energy", "Frontier of energy and loss", "Choose rectangle depth", "#"):
            self.assertIn(word, text)

    def test_mistakes(self):
        self.assertIn("did you mean --dataset rings?", self.wattq("advise", "--dataset", "ring", code=1).stderr)
        self.assertIn("no loss", self.wattq("advise", "--dataset", "rings", "--loss", "nan", code=2).stderr)
        self.assertIn("needs a data set", self.wattq("advise", code=2).stderr)

    def test_standin(self):
        run = self.wattq("train", "--dataset", "standin:adult", "--shape", "rectangle", "--depth", "2", "--size", "84",
                         "--epochs", "1").stdout.strip()
        self.wattq("wait", run)
        self.assertIn("stand-in", self.wattq("advise", "--dataset", "adult", code=1).stderr)
    # ---- the operations below ---------------------------------------------------------------------

    def curves(self, **keys):
        got = []
        ident = self.d.client.send("curves", **keys)
        while True:
            frame = self.d.client.recv(ident)
            got += frame["curves"]
            if not frame.get("more"):
                return got, frame["next"]

    def test_curves(self):
        every, after = self.curves(runs=[3, 1], keys=["test_loss", "no_such"], energy=True)
        self.assertEqual(([c["run"] for c in every], after), ([3, 1], None))
        for c in every:
            epochs, values, times, joules = zip(*c["points"])
            self.assertEqual(c["n"], len(c["points"]))
            self.assertEqual(sorted(set(epochs)), list(epochs))
            self.assertEqual(sorted(times), list(times))
            self.assertEqual(sorted(joules), list(joules))
            best, _ = self.curves(runs=[c["run"]], keys=["test_loss"], records=True)
            values = [v for i, v in enumerate(values) if v < min(values[:i], default=math.inf)]
            self.assertEqual([p[1] for p in best[0]["points"]], values)
            self.assertEqual(len(best[0]["points"][0]), 3)  # no joules were asked for
            two, _ = self.curves(runs=[c["run"]], keys=["test_loss"], points=2)
            self.assertEqual([p[0] for p in two[0]["points"]], [epochs[0], epochs[-1]])

    def test_curves_refused(self):
        for keys, code in ((dict(runs=[1]), "usage"), (dict(runs=[1], keys=[]), "usage"),
                           (dict(runs=[1], keys=["x" * 500]), "usage"), (dict(keys=["test_loss"]), "usage"),
                           (dict(runs=[1], keys=["test_loss"], points=1), "limit"),
                           (dict(runs=[10**6], keys=["test_loss"]), "not_found")):
            with self.assertRaises(Refused) as caught:
                self.d.call("curves", **keys)
            self.assertIn(code, str(caught.exception))

    def test_runs_by_id(self):
        got = self.d.call("runs", runs=[5, 2], energy=True, params=True)
        self.assertEqual(([r["run"] for r in got["runs"]], got["next"]), ([5, 2], None))
        run = got["runs"][0]
        self.assertTrue(run["machine"])
        self.assertIsNone(run["origin"])
        self.assertTrue(run["t0_ns"] < run["first_batch_ns"] < run["t1_ns"])
        parts = {p["name"]: p["energy_uj"] for p in run["phase_energy"]}
        self.assertLess(sum(parts.values()), run["energy"]["energy_uj"])
        self.assertGreater(parts["train"], 0.5 * run["energy"]["energy_uj"])
        with self.assertRaises(Refused):
            self.d.call("runs", runs=[10**6])

    # ---- predict: named so that it comes before a model is made ------------------------------------

    def predict(self, *args, code=0, depth=3, size=256, epochs=50):
        return ["predict", "--dataset", os.path.join(self.d.dir, "rings.tsv.gz"), "--shape", "rectangle", "--depth",
                depth, "--size", size, "--epochs", epochs, "--lr", "0.01", *args]

    def test_price(self):
        self.assertIn("wattq model fit", self.wattq(*self.predict(), code=1).stderr)
        self.wattq("model", "fit", "1-15")
        doc = self.document(*self.predict(epochs="auto"), "--min-seconds", SECONDS)
        # One of the networks it was fitted on, as long as that was trained.
        run = next(r for r in self.d.call("runs", runs=list(range(1, 16)), energy=True, params=True)["runs"]
                   if (r["info"]["depth"], r["info"]["size"]) == (3, 256))
        self.assertAlmostEqual(doc["train_time_s"]["value"], float(SECONDS), delta=0.02)
        self.assertLess(abs(math.log(doc["network"]["epochs"] / run["summary"]["epochs"])), math.log(2))
        self.assertLess(abs(math.log(doc["energy_j"]["value"] / run["energy"]["energy_uj"] * 1e6)), math.log(1.5))
        for key in ("time_s", "train_time_s", "energy_j", "power_w"):
            self.assertTrue(doc[key]["lo"] <= doc[key]["value"] <= doc[key]["hi"], doc[key])
        self.assertAlmostEqual(doc["power_w"]["value"] / WATTS, 1, delta=0.05)
        self.assertFalse(doc["outside"], doc["outside_reason"])
        self.beyond()
        self.words()
        self.grid()

    def beyond(self):
        doc = self.document(*self.predict(size="2^20"))
        self.assertTrue(doc["outside"])
        self.assertTrue(doc["outside_reason"])
        twice = self.document(*self.predict(epochs=100))
        once = self.document(*self.predict(epochs=50))
        self.assertAlmostEqual(twice["train_energy_j"]["value"] / once["train_energy_j"]["value"], 2, delta=1e-6)

    def words(self):
        text = self.wattq(*self.predict(size="2^20")).stdout
        for word in ("time", "energy", "95 %", "beyond the model", "by model 1", "lives in"):
            self.assertIn(word, text)
        self.assertIn("no model 99", self.wattq(*self.predict("--model", "99"), code=1).stderr)
        self.assertIn("--dataset is missing", self.wattq("predict", "--size", "64", code=2).stderr)
        # A data set of the study need not be here.
        self.assertIn("adult rectangle", self.wattq("predict", "--dataset", "adult", "--shape", "rectangle", "--depth",
                                                    3, "--size", "2^8", "--epochs", 2).stdout)

    def grid(self):
        args = ["--dataset", "standin:banana", "--shape", "rectangle", "--depth", "3", "--size", "2^7,2^8,2^9",
                "--epochs", "40"]
        plan = json.loads(self.wattq("sweep", "--dry-run", "--json", "train", *args).stdout)["plan"]
        self.assertEqual(plan["model"], 1)
        self.assertLess(plan["seconds_lo"], plan["seconds_hi"])
        self.assertIn("foretold by model 1", self.wattq("sweep", "--dry-run", "train", *args).stderr)
        one = self.document("predict", "--dataset", "banana", "--shape", "rectangle", "--depth", "3", "--size", "2^8",
                            "--epochs", "40")
        self.assertGreater(plan["seconds"], 3 * one["time_s"]["value"])


class Estimated(Base):
    """Joules guessed from CPU time: advice and prices are of time, and say so."""

    def test_time_only(self):
        self.d = Daemon("--disable", "perf,perf_core,powercap,hwmon,iio,cray,battery,ipmi,nvml,drm,script")
        self.d.start()
        self.addCleanup(self.d.__exit__, None, None, None)
        path = os.path.join(self.d.dir, "rings.tsv.gz")
        write_rings(path)
        self.sweep(path, "0.05")
        g = self.document("advise", "--dataset", "rings")["machines"][0]
        self.assertEqual(g["by"], "time")
        self.assertIn("estimate", g["by_reason"])
        self.assertIsNone(g["choice"]["energy_j"])
        self.assertIn("by time, not by energy", self.wattq("advise", "--dataset", "rings").stdout)
        self.wattq("model", "fit", "1-15")
        args = ["predict", "--dataset", path, "--shape", "rectangle", "--depth", 3, "--size", 256, "--epochs", 50]
        doc = self.document(*args)
        self.assertGreater(doc["time_s"]["value"], 0)
        self.assertIsNone(doc["energy_j"]["value"])
        self.assertIn("time only", doc["energy_j"]["reason"])
        self.assertIn("time only", self.wattq(*args).stdout)


class Zz(unittest.TestCase):
    def test_shapes(self):
        """Last, because it looks at what the others have seen."""
        if os.environ.get("WATTQ_UPDATE"):
            with open(GOLDEN, "w") as f:
                for name in sorted(shapes):
                    f.write("".join([name + "\n"] + [f"  {line}\n" for line in sorted(shapes[name])]))
        golden, name = {}, None
        with open(GOLDEN) as f:
            for line in f.read().splitlines():
                if line.startswith("  "):
                    golden[name].add(line.strip())
                else:
                    name = line
                    golden[name] = set()
        for name, seen in shapes.items():
            known = golden.get(name, set())
            paths = {line.split(": ")[0] for line in known}
            new = {line for line in seen - known if not (line.endswith(": null") and line[:-6] in paths)}
            self.assertEqual(new, set(), f"{name} has new keys or types")


if __name__ == "__main__":
    unittest.main()
