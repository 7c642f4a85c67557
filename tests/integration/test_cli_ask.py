#!/usr/bin/env python3
"""Asking of past runs, as a program against the real daemon: tags, notes, labels, numbers by hand, comparisons,
pictures, usage, the methods of a paper.

The shape of every --json answer: tests/golden/cli/ask_shapes.txt, written anew by WATTQ_UPDATE=1."""
import json
import os
import re
import subprocess
import time
import unittest
import xml.etree.ElementTree

import test_cli
from harness import SCRIPT, Daemon
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


class Leaving(Base):
    """In user mode there is one user, the owner: what it does to the rows is the same (test_system_mode)."""

    def test_retired_and_forgotten(self):
        me = str(os.geteuid())
        self.assertIn("no admin has done anything yet", self.out("admin", "log"))
        self.assertIn("no run here is of", self.err("admin", "retire", me, code=1))
        run = self.sh("echo said; exit 3", "-J", "mine")
        self.run_wattq("wait", run, code=1)
        self.assertEqual(self.json("admin", "retire", me)["user"], "retired-1")
        self.assertIn("retired-1", self.out("--json", "queue", "-a"))
        self.assertIn("has left", self.err("retry", run, code=5))
        self.assertEqual([r["run"] for r in self.json("runs", "user=retired-1")["runs"]], [run])
        self.assertIn("--yes", self.err("admin", "forget", "retired-1", code=2))
        self.assertEqual(self.out("logs", run), "said\n")
        self.assertEqual(self.json("admin", "forget", "retired-1", "-y")["left_count"], 0)
        doc = self.json("show", run)["run"]
        self.assertEqual((doc["label"], doc["argv"], doc["code"], doc["exit_code"]),
                         ("retired-1 label 1", ["(forgotten)"], doc["code"], 3))
        self.assertNotIn("mine", self.out("queue", "-a"))
        self.assertEqual(self.out("logs", run), "")
        log = self.json("admin", "log")
        self.assertEqual([e["act"] for e in log["events"]], ["forget", "retire"])
        self.assertEqual(log["retired"][0]["name"], None)
        self.assertIn("this system knows no user", self.err("admin", "retire", "no such", code=1))
        self.assertIn("nobody here is called retired-7", self.err("admin", "forget", "retired-7", "-y", code=1))
        self.assertIn("needs a user", self.err("admin", "retire", code=2))
        self.assertIn("wattq admin does not know", self.err("admin", "x", code=2))


class Compare(Base):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        me = cls("test_by_parameter")
        text = "sleep {t}; echo '{{\"epoch\":1,\"score\":1{repeat}}' >> $WATTQ_METRICS"
        me.run_wattq("sweep", "-q", "-r", 4, "-p", "t=0.05,1", "--", "sh", "-c", text)
        cls.ids = [r["run"] for r in me.json("runs", "sweep:1")["runs"]]
        me.run_wattq("wait", "sweep:1")

    def test_by_parameter(self):
        text = self.out("compare", "sweep:1", "--by", "param.t", "--metric", "score")
        self.assertIn("A  0.05: 4 runs (reference)", text)
        self.assertRegex(text, r"(?m)^t \* +0\.05 +1$")
        self.assertRegex(text, r"(?m)^B +4 +\S+ m?s +\S+ u?m?s +\+\S+ % +\+\S+\.\.\+\S+ %  paired t, 4 pairs by repeat +"
                               r"\S.* %  differs$")
        self.assertIn("after Holm over", text)
        changed = self.out("compare", "sweep:1", "--by", "param.t", "--changed-only")
        self.assertNotIn("\nrepeat ", changed)
        doc = self.json("compare", "sweep:1", "--by", "param.t", "--metric", "score", "--ref", "1")
        self.assertEqual([g["name"] for g in doc["groups"]], ["1", "0.05"])
        by = {q["name"]: q for q in doc["quantities"]}
        time = by["time"]["comparisons"][0]
        self.assertEqual((time["verdict"], time["test"], time["matched_by"], time["n"]),
                         ("differs", "paired t", "repeat", 4))
        self.assertLess(time["effect"], -0.5)
        self.assertLess(time["hi"], 0)
        if not doc["without_energy"]:  # a busy machine may have kept the meter from covering one
            self.assertEqual(by["energy"]["comparisons"][0]["verdict"], "differs")
        self.assertEqual(by["energy"]["comparisons"][0]["meter_gain"], 0)
        score = by["score"]["comparisons"][0]  # the same in every pair
        self.assertEqual((score["effect"], score["verdict"]), (0, "none"))
        self.assertIn("spread", score["reason"])

    def test_groups_by_name(self):
        a, b = self.ids[0], self.ids[1]
        text = self.out("compare", a, b)
        self.assertIn("no verdict: one run is no group", text)
        doc = self.json("compare", "--ref", b, a)
        self.assertEqual([g["runs"] for g in doc["groups"]], [[b], [a]])
        self.assertIsNone(doc["quantities"][0]["comparisons"][0]["p"])

    def test_what_is_left_out(self):
        failed = self.sh("exit 3")
        self.run_wattq("wait", failed, code=1)
        doc = self.json("compare", f"{self.ids[0]},{failed}", self.ids[1])
        self.assertEqual(doc["left_out"], [{"run": failed, "reason": "it did not end well"}])
        self.assertIn(f"left out: run {failed}", self.out("compare", f"{self.ids[0]},{failed}", self.ids[1]))

    def test_mistakes(self):
        a = self.ids[0]
        self.assertIn("named twice", self.err("compare", a, a, code=2))
        self.assertIn("one group only", self.err("compare", a, code=2))
        self.assertIn("nothing to split by", self.err("compare", a, "--by", "colour", code=2))
        self.assertIn("no group is called", self.err("compare", "sweep:1", "--by", "param.t", "--ref", "7", code=2))
        for bad in ("2", "0%", "x%", "200%"):
            self.assertIn("no percentage", self.err("compare", a, self.ids[1], "--within", bad, code=2))


class Diff(Base):
    def test_equal_and_not(self):
        a = self.submit("-p", "lr=0.1", "--", "sh", "-c", "exit 0")
        b = self.submit("-p", "lr=0.1", "--", "sh", "-c", "exit 0")
        c = self.submit("-p", "lr=0.2", "-p", "k=v", "-t", "1m", "--", "sh", "-c", "exit 3")
        self.run_wattq("wait", f"{a}-{c}", code=1)
        self.assertNotIn("\nparams\n", self.out("diff", a, b))
        self.assertFalse(self.json("diff", a, b)["differs"])
        text = self.out("diff", a, c, code=1)
        self.assertIn("\nparams\n lr\n  - 0.1\n  + 0.2\n k\n  + v\n", text)
        self.assertIn("\nlimits\n time_limit\n  + 1m00s\n", text)
        self.assertIn("\ncommand\n command\n  - sh -c 'exit 0'\n  + sh -c 'exit 3'\n", text)
        doc = json.loads(self.out("--json", "diff", a, c, code=1))
        self.take(doc)
        self.assertTrue(doc["differs"])
        self.assertIn({"section": "params", "key": "k", "a": None, "b": "v"}, doc["differences"])
        self.assertIn({"section": "outcome", "key": "state", "a": "done", "b": "failed"}, doc["differences"])
        self.assertEqual(self.out("diff", "-q", a, c, code=1), "")
        self.assertIn("takes one", self.err("diff", f"{a}-{b}", c, code=2))

    def test_code(self):
        repo = os.path.join(self.d.dir, "repo")
        git = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "-C", repo]
        os.makedirs(repo)
        script = os.path.join(repo, "a.py")
        with open(script, "w") as f:
            f.write("x = 1\ny = 2\n")
        for args in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
            subprocess.run([*git, *args], check=True, capture_output=True)
        a = int(self.out("submit", "-q", "--", "python3", "a.py", cwd=repo))
        with open(script, "w") as f:
            f.write("x = 1\ny = 3\nz = 4\n")
        b = int(self.out("submit", "-q", "--", "python3", "a.py", cwd=repo))
        self.run_wattq("wait", a, b)
        text = self.out("diff", a, b, code=1)
        self.assertIn(" uncommitted\n  - \n  + a.py +2 -1\n", text.replace("  -\n", "  - \n"))
        self.assertIn(" dirty\n  - false\n  + true\n", text)


class Picture(Base):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        me = cls("test_terminal")
        cls.a = me.sh("for e in 1 2 3; do sleep 0.3; echo '{\"epoch\":'$e',\"loss\":0.'$e'}' >> $WATTQ_METRICS; done",
                      "-J", "<one>")
        cls.b = me.sh("sleep 0.5")
        me.run_wattq("wait", cls.a, cls.b)
        time.sleep(1.1)  # until the newest samples are stored

    def test_terminal(self):
        text = self.out("plot", self.a, self.b)
        self.assertIn(f"run {self.a} <one>\n", text)
        self.assertRegex(text, r"(?m)^ +\d+(\.\d+)? W \|")
        rows = re.findall(r"\|(.*)", text.split("\nrun ")[1])  # the curve may lie on the border of two rows
        drawn = [i for i in range(max(map(len, rows))) if any(r[i:i + 1] > "\u2800" for r in rows)]
        self.assertGreater(len(drawn), 40, text)
        self.assertEqual(drawn, list(range(drawn[0], drawn[-1] + 1)), text)
        self.assertRegex(text, r"(?m)^ +0 W \|$")
        self.assertEqual(text.count("|"), 16)
        plain = self.out("plot", self.a, "--ascii", "--channel", "dram")
        self.assertTrue(plain.isascii())
        self.assertRegex(plain, r"\d+(\.\d+)? W \|")

    def test_metric(self):
        text = self.out("plot", self.a, "--metric", "loss")
        self.assertRegex(text, r"(?m)^ +0\.3 \|")
        self.assertRegex(text, r"(?m)^ +1 +3$")
        doc = self.json("plot", self.a, "--metric", "loss")
        self.assertEqual(doc["curves"][0]["points"], [[1, 0.1], [2, 0.2], [3, 0.3]])
        self.assertIn("reported a metric", self.err("plot", self.b, "--metric", "loss", code=1))

    def test_json_of_power(self):
        curve = self.json("plot", self.a)["curves"][0]
        known = [y for _, y in curve["points"] if y is not None]
        self.assertGreater(len(known), 0.9 * len(curve["points"]))
        self.assertAlmostEqual(sum(known) / len(known), 55, delta=2)

    def test_svg(self):
        path = os.path.join(self.d.dir, "out.svg")
        for extra in ([], ["--metric", "loss"]):
            p = self.run_wattq("plot", self.a, self.b, "-o", path, *extra)
            self.assertEqual(p.stdout, "")
            root = xml.etree.ElementTree.parse(path).getroot()
            self.assertEqual(root.tag, "{http://www.w3.org/2000/svg}svg")
            self.assertIn("run %d <one>" % self.a, "".join(root.itertext()))
        self.assertIn("cannot write", self.run_wattq("plot", self.a, "-o", "/nonexistent/x.svg", code=1).stderr)

    def test_nothing_to_draw(self):
        held = self.submit("--hold", "--", "true")
        self.assertIn("nothing is known of it", self.out("plot", held))
        self.assertIn("no channel 'x'", self.err("plot", self.a, "--channel", "x", code=1))


GPUS = SCRIPT + """channel gpu0 kind=counter scope=gpu period=1ms quantum=1 pmax=500W
power gpu0 = constant 100W
"""


class Usage(Base):
    @classmethod
    def setUpClass(cls):
        cls.d = Daemon("--parallel", "2", script=GPUS)
        cls.d.start()
        me = cls("test_by")
        cls.a = me.sh("sleep 1", "-P", "thesis")
        cls.b = me.sh("sleep 0.2; exit 1")
        me.run_wattq("wait", cls.a, cls.b, code=1)
        meet = "touch {}; until [ -e {} ]; do sleep 0.02; done; sleep 0.2"  # they overlap, however slow the machine
        a, b = (os.path.join(cls.d.dir, name) for name in "ab")
        cls.shared = [me.sh(meet.format(*pair), "--shared", "-P", "both") for pair in ((a, b), (b, a))]
        me.run_wattq("wait", *cls.shared)

    def test_by(self):
        doc = self.json("usage", "--by", "project", "--price", "0.30EUR/kWh", "--co2", "380g/kWh")
        self.assertEqual([g["name"] for g in doc["groups"]], ["(none)", "both", "thesis"])
        none, both, thesis = doc["groups"]
        self.assertEqual((none["runs"], both["runs"], thesis["runs"], doc["total"]["runs"]), (1, 2, 1, 4))
        m = thesis["measured"]
        self.assertAlmostEqual(m["energy_j"], 155 * thesis["run_s"], delta=0.1 * m["energy_j"])
        self.assertLessEqual(m["lo_j"], m["energy_j"])
        self.assertAlmostEqual(m["cost"], m["energy_j"] / 3.6e6 * 0.30)
        self.assertAlmostEqual(m["co2_g"], m["energy_j"] / 3.6e6 * 380)
        self.assertIsNone(thesis["estimated"])
        self.assertIsNone(both["measured"])
        self.assertEqual((both["apportioned"]["runs"], both["energy_unknown"]), (2, []))
        self.assertIsNone(both["gpu_s"])  # nobody held one
        self.assertEqual(doc["factors"], {"price_per_kwh": 0.3, "currency": "EUR", "co2_g_per_kwh": 380})

    def test_text(self):
        text = self.out("usage", "--price", "0.30EUR/kWh")
        self.assertRegex(text, r"(?m)^USER +RUNS +HOURS +CPU HOURS +kWh +BOUNDS +EUR +kWh APPORTIONED +EUR APPORTIONED$")
        self.assertIn("price: 0.3 EUR/kWh, as asked\n", text)
        self.assertNotIn("CO2", text)

    def test_gpu(self):
        doc = self.json("usage", "--by", "gpu", "project=thesis")
        self.assertEqual([g["name"] for g in doc["groups"]], ["gpu0"])
        self.assertAlmostEqual(doc["groups"][0]["measured"]["energy_j"], 100 * doc["groups"][0]["run_s"], delta=5)

    def test_when(self):
        self.assertEqual(self.json("usage", "--by", "day", "--since", "-1h")["total"]["runs"], 4)
        self.assertIn("no run of that time", self.run_wattq("usage", "--until", "-1h").stderr)
        self.assertEqual(self.json("usage", "state=failed")["total"]["runs"], 1)

    def test_mistakes(self):
        self.assertIn("nothing to add up by", self.err("usage", "--by", "moon", code=2))
        self.assertIn("no price", self.err("usage", "--price", "3", code=2))
        self.assertIn("no emission", self.err("usage", "--co2", "3", code=2))
        self.assertIn("no filter", self.err("usage", "17", code=2))


class Methods(Base):
    def test_text(self):
        self.run_wattq("sweep", "-q", "-r", 2, "-p", "x_y=a|b,c%d", "--", "sh", "-c", "sleep 1; : '{x_y}'")
        failed = self.sh("exit 3")
        self.run_wattq("wait", "sweep:1", failed, code=1)
        text = self.out("methods", f"1-{failed}")
        for part in ("4 runs of 2 configurations were evaluated", "Each configuration was run 2 times",
                     "1 run was excluded (1: it did not end well)", "pkg (scope package, source script) updates every",
                     "its maker states no accuracy", "hard bounds", "Idle power", "Covered: CPU package + DRAM; not GPU"):
            self.assertIn(part, text)
        self.assertRegex(text, r"(?m)^\| x\\_y=a\\\|b \| 2 \| \S+ s \u00b1 \S+ \S+ \| \S+ J \u00b1 \S+ \S+ \| 5\S+ W .*\|$")
        latex = self.out("methods", "--format", "latex", "sweep:1")
        self.assertIn("x\\_y=a\\textbar{}b & 2 &", latex)
        self.assertIn("x\\_y=c\\%d & 2 &", latex)
        body = latex.replace("\\{", "").replace("\\}", "")
        self.assertEqual(body.count("{"), body.count("}"))
        self.assertEqual(self.json("methods", "sweep:1")["runs"], 4)
        self.assertIn("no format", self.err("methods", "--format", "docx", 1, code=2))

    def test_citation(self):
        with open(os.path.join(SRC, "CITATION.cff"), encoding="utf-8") as f:
            text = f.read()
        for key in ("cff-version: 1.2.0", "title:", "abstract:", "name: wattq contributors", "license: MIT",
                    "arXiv:2403.08151"):
            self.assertIn(key, text)
        version = re.search(r"(?m)^version: (\S+)$", text).group(1)
        self.assertEqual(self.out("version"), f"wattq {version}\n")


class Zz(test_cli.Zz):
    def setUp(self):
        for name in ("wattq.show/1", "wattq.runs/1", "wattq.queue/1"):  # those are test_cli's
            test_cli.shapes.pop(name, None)
        seen = test_cli.shapes.get("wattq.compare/1", set())  # less what depends on how busy the machine is
        seen -= {x for x in seen if x.startswith(".without_energy[]") or x.endswith("more_repeats: number")}


if __name__ == "__main__":
    unittest.main(verbosity=2)
