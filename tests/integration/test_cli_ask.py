#!/usr/bin/env python3
"""Asking of past runs, as a program against the real daemon: tags, notes, labels, numbers by hand.

The shape of every --json answer: tests/golden/cli/ask_shapes.txt, written anew by WATTQ_UPDATE=1."""
import os
import unittest

import test_cli
from test_cli import SRC, Base

test_cli.SHAPES = os.path.join(SRC, "tests", "golden", "cli", "ask_shapes.txt")


class Marks(Base):
    def test_tags(self):
        run = self.sh("true")
        self.run_wattq("tag", run, "+keep", "draft")
        self.assertEqual(self.json("show", run)["run"]["tags"], ["draft", "keep"])
        self.assertIn("1 run tagged", self.run_wattq("tag", run, "-draft", "v1.2").stderr)
        self.run_wattq("wait", run)
        self.assertIn("tags       keep v1.2\n", self.out("show", run))
        self.assertEqual(self.json("runs", "-n", 1)["runs"][0]["tags"], ["keep", "v1.2"])
        events = [e for e in self.json("show", run)["run"]["events"] if "tags:" in e["reason"]]
        self.assertEqual([e["reason"] for e in events], ["tags: +keep +draft", "tags: -draft +v1.2"])
        self.assertEqual({e["actor_uid"] for e in events}, {os.geteuid()})
        before = len(self.json("show", run)["run"]["events"])
        self.run_wattq("tag", run, "keep")  # nothing to do is no event
        self.assertEqual(len(self.json("show", run)["run"]["events"]), before)
        self.assertIn("is no tag", self.err("tag", run, "+two words", code=2))
        self.assertIn("there is no run", self.err("tag", 99999, "+x", code=1))
        self.assertEqual(self.json("tag", run, "+x")["runs"], [{"run": run}])

    def test_label_of_live_and_ended(self):
        run = self.submit("--hold", "-J", "old", "--", "true")
        self.run_wattq("label", run, "a", "new", "name")
        self.assertIn("a new name", self.out("queue"))
        self.run_wattq("release", run)
        self.run_wattq("wait", run)
        self.assertIn("a new name", self.out())  # among the last five
        self.json("label", run, "third")
        doc = self.json("show", run)["run"]
        self.assertEqual(doc["label"], "third")
        self.assertIn("label: 'third', was 'a new name'", [e["reason"] for e in doc["events"]])
        self.assertIn("100 bytes", self.run_wattq("label", run, "x" * 101, code=2).stderr)

    def test_notes(self):
        run = self.sh("true")
        self.run_wattq("note", run, "the fan", "was loud -really")
        doc = self.json("note", run, "second")
        self.assertEqual(doc["runs"], [{"run": run}])
        notes = self.json("show", run)["run"]["notes"]
        self.assertEqual([n["text"] for n in notes], ["the fan was loud -really", "second"])
        self.assertIn("the fan was loud", self.out("show", run))

    def test_metrics_by_hand(self):
        run = self.sh("for e in 1 2; do echo '{\"epoch\":'$e',\"loss\":0.'$e'}' >> $WATTQ_METRICS; done")
        self.run_wattq("wait", run)
        self.json("metric", run, "accuracy=0.93", "k=-1e3")
        self.assertIn("itself reported 'loss'", self.err("metric", run, "loss=0", code=5))
        heads = {h["key"]: h for h in self.json("show", run)["run"]["metric_heads"]}
        self.assertEqual((heads["loss"]["first"], heads["loss"]["last"], heads["loss"]["by_uid"]), (0.1, 0.2, None))
        self.assertEqual((heads["accuracy"]["last"], heads["accuracy"]["by_uid"]), (0.93, os.geteuid()))
        self.run_wattq("metric", "--force", run, "loss=0.5")
        doc = self.json("show", run)["run"]
        self.assertEqual([h["last"] for h in doc["metric_heads"] if h["key"] == "loss"], [0.5])
        self.assertEqual([e["values"]["loss"] for e in doc["per_epoch"]], [0.1, 0.2])  # its curve stays
        self.assertIn("accuracy = 0.93", self.out("show", run))
        for word in ("accuracy", "accuracy=", "=1", "accuracy=x", "accuracy=nan"):
            self.assertIn("is no metric", self.err("metric", run, word, code=2))

    def test_several_runs_one_refused(self):
        a = self.sh("true")
        p = self.run_wattq("tag", f"{a},99999", "+x", code=1)
        self.assertIn("99999", p.stderr)
        self.assertEqual(self.json("show", a)["run"]["tags"], ["x"])


class Zz(test_cli.Zz):
    def setUp(self):
        for name in ("wattq.show/1", "wattq.runs/1", "wattq.queue/1"):  # those are test_cli's
            test_cli.shapes.pop(name, None)


if __name__ == "__main__":
    unittest.main(verbosity=2)
