#!/usr/bin/env python3
"""wattq model and the operations behind it, against the real daemon with a meter that only estimates and real
runs of the trainer: fits are kept with their runs, read back the same, and never made of what is not theirs."""
import json
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import BIN, SCRIPT, Daemon, Refused  # noqa: E402

WATTQ = os.path.abspath(os.path.join(BIN, "client", "wattq"))
SWEEP = ["sweep", "-r", "2", "train", "--dataset", "standin:banana,standin:nursery", "--size", "2^8..2^13", "--depth",
         "2,3", "--shape", "rectangle", "--epochs", "1", "--canary-every", "0", "--warmup", "0", "--pause", "0"]
POWER = {"model": 1, "machine": "lab", "backend": "openblas f32", "selection": "", "version": "0", "energy": "none",
         "caches": "{}", "report": "{}", "runs": [{"run": 1, "used": True}],
         "terms": [{"part": "time", "name": "step", "unit": "s/step", "meaning": "m", "value": 1.0}]}


class Model(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # Joules that are a guess: whatever they say, a model of time is all that may come of them.
        cls.d = Daemon(script=SCRIPT.replace("kind=counter", "kind=counter quality=estimated"))
        cls.d.start()
        cls.say(cls.wattq(cls, *SWEEP))
        cls.say(cls.wattq(cls, "wait", "sweep:1", timeout=200))

    @classmethod
    def tearDownClass(cls):
        cls.d.__exit__(None, None, None)

    @staticmethod
    def say(p):
        assert p.returncode == 0, p.stdout + p.stderr

    def wattq(self, *args, timeout=60):
        env = dict(os.environ, WATTQ_SOCKET=self.d.socket, LC_ALL="C.UTF-8",
                   PATH=os.path.dirname(WATTQ) + ":" + os.environ["PATH"])
        return subprocess.run([WATTQ, *args], capture_output=True, text=True, timeout=timeout, env=env, cwd=self.d.dir)

    def ok(self, *args):
        p = self.wattq(*args)
        self.assertEqual(p.returncode, 0, p.stderr)
        return p.stdout

    def refused(self, code, **change):
        with self.assertRaises(Refused) as c:
            self.d.call("model_put", **{**POWER, **change})
        self.assertEqual(c.exception.code, code)
        return str(c.exception)

    def test_fit_show_list(self):
        page = self.ok("model", "fit", "sweep:1")
        for words in ("Seconds of a training step", "left out by size", "Against simpler ways", "<- as they are",
                      "a cubic spline in log P", "What is left", "Runs that were left out", "from 48 runs of 24 networks",
                      "time only: the joules of these runs are estimates"):
            self.assertIn(words, page)
        doc = json.loads(self.ok("--json", "model", "show"))
        self.assertEqual(doc["schema"], "wattq.model/1")
        self.assertEqual((doc["energy"], doc["backend"], doc["selection"]), ("none", "openblas f32", "sweep:1"))
        self.assertEqual(len(doc["runs"]), 48)
        self.assertTrue(all(r["used"] for r in doc["runs"]))
        self.assertEqual({t["part"] for t in doc["terms"]}, {"time"})
        self.assertTrue(all(t["value"] >= 0 and t["lo"] <= t["hi"] for t in doc["terms"]))
        self.assertEqual(doc["report"]["left_out"]["size"]["folds"], 6)
        self.assertIsNone(doc["report"]["left_out"]["size"]["energy"]["mean_abs"])
        self.assertEqual(len(doc["report"]["placebo"]["factor"]), 13)
        again = self.ok("model", "show", str(doc["model"]))
        self.assertEqual(again, page)
        rows = json.loads(self.ok("--json", "model", "ls"))["models"]
        self.assertEqual(rows[0]["model"], doc["model"])
        self.assertEqual(rows[0]["runs_used"], 48)
        self.assertIn("openblas f32", self.ok("model"))
        newer = int(self.ok("-q", "model", "fit", "sweep:1", "--backend", "openblas"))
        self.assertEqual(newer, doc["model"] + 1)  # a fit is never changed, only followed
        self.assertEqual(json.loads(self.ok("--json", "model", "show", str(doc["model"]))), doc)

    def test_mistakes_say_what_to_type(self):
        for args, words in ((["frob"], "wattq model fit sweep:ID"), (["show", "x"], "wattq model lists them"),
                            (["show", "999"], "wattq model lists them"), (["fit", "1-5"], "different networks"),
                            (["fit", "sweep:1", "--backend", "cuda"], "trained here by 'cuda'")):
            p = self.wattq("model", *args)
            self.assertNotEqual(p.returncode, 0, args)
            self.assertIn(words, p.stderr)
            self.assertEqual(p.stdout, "")

    def test_put_is_bounded(self):
        self.refused("usage", energy="estimated")
        self.refused("usage", report="[1]")
        self.refused("usage", caches="{")
        self.refused("limit", report='{"a":"' + "x" * (256 << 10) + '"}')
        self.refused("limit", selection="x" * 5000)
        self.refused("limit", terms=POWER["terms"] * 65)
        self.refused("usage", terms=[])
        self.refused("usage", terms=[{**POWER["terms"][0], "value": float("nan")}])
        self.refused("usage", terms=[{**POWER["terms"][0], "part": "mass"}])
        self.refused("usage", runs=[])
        self.refused("usage", runs=[{"used": True}])
        self.assertIn("no run 4711", self.refused("not_found", runs=[{"run": 4711, "used": True}]))
        self.refused("conflict", runs=POWER["runs"] * 2)
        self.refused("conflict", terms=POWER["terms"] * 2)
        before = len(self.d.call("models")["models"])
        kept = self.d.call("model_put", **{k: v for k, v in POWER.items() if k != "model"})["model"]
        self.assertEqual(len(self.d.call("models")["models"]), before + 1)  # nothing of the refused ones is left
        # What another program wrote is shown with a sentence and not with a crash.
        p = self.wattq("model", "show", str(kept))
        self.assertEqual(p.returncode, 1)
        self.assertIn("damaged", p.stderr)

    def test_survives_a_kill(self):
        number = int(self.ok("-q", "model", "fit", "sweep:1"))
        page = self.ok("model", "show", str(number))
        self.d.restart()
        self.assertEqual(self.ok("model", "show", str(number)), page)


if __name__ == "__main__":
    unittest.main(verbosity=1)
