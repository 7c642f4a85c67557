#!/usr/bin/env python3
"""wattq runs as a question: filters, chosen columns, order, groups; CSV, JSON and JSON lines against
tests/golden/cli/table.* (WATTQ_UPDATE=1 writes them anew); and every command that takes runs takes a filter."""
import json
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import BIN, Daemon  # noqa: E402

SRC = os.environ.get("WATTQ_SRC", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
WATTQ = os.path.abspath(os.path.join(BIN, "client", "wattq"))
GOLDEN = os.path.join(SRC, "tests", "golden", "cli")


class Query(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d = Daemon()
        cls.d.start()
        cls.env = {**{k: v for k, v in os.environ.items() if k != "WATTQ_RUN"}, "WATTQ_SOCKET": cls.d.socket,
                   "LC_ALL": "C.UTF-8"}
        for i in range(6):
            cls.ask("submit", "-q", "-J", "odd" if i % 2 else "even", "-p", f"lr={0.5 ** i}", "-p", "opt=adam",
                    "--", "sh", "-c", f'echo "{{\\"epoch\\": 1, \\"loss\\": {i}.5}}" > "$WATTQ_METRICS"; exit {i // 4}')
        cls.ask("wait", "1-6", code=1)

    @classmethod
    def tearDownClass(cls):
        cls.d.__exit__(None, None, None)

    @classmethod
    def ask(cls, *args, code=0):
        p = subprocess.run([WATTQ, *map(str, args)], capture_output=True, text=True, timeout=60, env=cls.env,
                           cwd=cls.d.dir)
        assert p.returncode == code, f"wattq {' '.join(map(str, args))}: {p.returncode}\n{p.stdout}\n{p.stderr}"
        return p.stdout if code in (0, 1) else p.stderr

    def ids(self, *filter_words):
        return [int(i) for i in self.ask("runs", "-q", *filter_words).split()]

    def golden(self, name, text):
        path = os.path.join(GOLDEN, name)
        if os.environ.get("WATTQ_UPDATE"):
            with open(path, "w") as f:
                f.write(text)
        with open(path) as f:
            self.assertEqual(text, f.read(), name)

    def test_filters(self):
        self.assertEqual(self.ids("state=failed"), [6, 5])
        self.assertEqual(self.ids("label=odd and not exit=1"), [4, 2])
        self.assertEqual(self.ids("label=odd", "exit=1"), [6])
        self.assertEqual(self.ids("param.lr=0.2..0.6"), [3, 2])
        self.assertEqual(self.ids("param.lr", "lt", "0.1"), [6, 5])
        self.assertEqual(self.ids("param.opt ~ AD*"), [6, 5, 4, 3, 2, 1])
        self.assertEqual(self.ids("metric.loss >= 3 and metric.loss.n = 1"), [6, 5, 4])
        self.assertEqual(self.ids("energy > 1mJ and power > 1W and time < 5m and quality=measured"),
                         [6, 5, 4, 3, 2, 1])
        self.assertEqual(self.ids("energy.pkg > 0 and energy.lo <= 1kJ"), [6, 5, 4, 3, 2, 1])
        self.assertEqual(self.ids("start > -1h and user ~ ?*"), [6, 5, 4, 3, 2, 1])
        self.assertEqual(self.ids("command ~ 'exit 1'"), [6, 5])
        self.assertEqual(self.ids("param.nope is null and id <= 2"), [2, 1])
        self.assertEqual(self.ask("runs", "-q", "param.nope = 3"), "")
        self.assertEqual(self.ask("show", "id=3 and state=done").split()[:2], ["done", "3"])

    def test_mistakes(self):
        for words, text in [(["enrgy > 2kJ"], "did you mean energy?"), (["energy > 2"], "2J (joules) or 2kWh"),
                            (["energy.pgk > 0"], "did you mean energy.pkg?"), (["3", "state=done"], "which is meant"),
                            (["--columns", "id,labl"], "did you mean label?"), (["--top", "3"], "--sort"),
                            (["--agg", "mean:label"], "no arithmetic"), (["--agg", "mean"], "mean of what"[:4]),
                            (["--sort", "mean:energy"], "--group-by"), (["--columns", "-nope"], "not among"),
                            (["--columns", "id", "--agg", "n"], "groups have their own"),
                            (["--group-by", "label", "--sort", "energy"], "does not have it"),
                            (["state=done and (label=odd"], "bracket is open")]:
            self.assertIn(text, self.ask("runs", *words, code=2))

    def test_order(self):
        self.assertEqual(self.ids("--sort", "label,-param.lr"), [1, 3, 5, 2, 4, 6])
        self.assertEqual(self.ids("--sort", "-metric.loss", "--top", "2"), [6, 5])
        self.assertEqual(self.ids("--sort", "sweep,id", "-n", "3"), [1, 2, 3])

    def test_golden(self):
        columns = "id,state,label,exit,param.lr,metric.loss,tag.x,sweep"
        self.golden("table.csv", self.ask("runs", "--csv", "--columns", columns))
        self.golden("table.json", self.ask("runs", "--json", "--columns", columns, "--sort", "id", "state=failed"))
        self.golden("table.jsonl", self.ask("runs", "--jsonl", "--columns", columns, "1-2"))
        self.golden("groups.csv", self.ask("runs", "--csv", "--group-by", "label", "--agg",
                                           "n,mean:metric.loss,sd:metric.loss,ci:metric.loss,median:param.lr,"
                                           "min:param.lr,max:exit,sum:exit"))

    def test_units_and_quality(self):
        doc = json.loads(self.ask("runs", "--json", "--columns", "id,energy,lo,hi,power,time,start,mem,command", 1))
        self.assertEqual(doc["schema"], "wattq.table/1")
        row = doc["rows"][0]
        whole = json.loads(self.ask("show", "--json", 1))["run"]
        total = next(f for f in whole["energy"] if f["channel"] is None and f["part"] == "window"
                     and f["figure"] == "machine")
        self.assertAlmostEqual(row["energy_j"], total["energy_j"])
        self.assertEqual((row["energy_quality"], row["lo_j"]), (total["quality"], total["lo_j"]))
        self.assertAlmostEqual(row["time_s"], whole["elapsed_s"])
        self.assertAlmostEqual(row["power_w"], row["energy_j"] / row["time_s"])
        self.assertEqual(row["start_utc"], whole["started_utc"])
        self.assertEqual(row["mem_bytes"], whole["maxrss_bytes"])
        group = json.loads(self.ask("runs", "--json", "--agg", "n,sum:energy,mean:power,n:param.lr"))["rows"][0]
        each = json.loads(self.ask("runs", "--json", "--columns", "energy", "--all"))["rows"]
        self.assertAlmostEqual(group["sum:energy_j"], sum(r["energy_j"] for r in each))
        self.assertEqual((group["n"], group["n:param.lr"], group["sum:energy_quality"]), (6, 6, "measured"))

    def test_unknown_says_why(self):
        run = int(self.ask("submit", "-q", "-H", "--", "true"))
        row = json.loads(self.ask("runs", "--json", "--columns", "id,energy", run))["rows"][0]
        self.assertEqual((row["energy_j"], row["energy_quality"]), (None, "none"))
        self.assertTrue(row["energy_reason"])
        self.ask("cancel", f"state=held and id={run}")


if __name__ == "__main__":
    unittest.main()
