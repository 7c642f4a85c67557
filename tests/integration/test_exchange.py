"""export, sql, bundle, verify: real daemon, real client, the script meter."""
import csv
import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import BIN, SCRIPT, Daemon, until  # noqa: E402

SRC = os.environ.get("WATTQ_SRC", ".")
WATTQ = os.path.join(BIN, "client", "wattq")
GOLDEN = os.path.join(SRC, "tests/golden/exchange_headers.txt")


def wattq(d, *args, code=0):
    """stdout of a command that must exit with `code`; with another code also what it said."""
    args = [WATTQ, *args] if d is None else [WATTQ, "--socket", d.socket, *args]
    r = subprocess.run(args, capture_output=True, text=True, env=dict(os.environ, NO_COLOR="1"), timeout=60)
    if r.returncode != code:
        raise AssertionError(f"{args} ended with {r.returncode}: {r.stdout}{r.stderr}")
    return r.stdout if code == 0 else r.stdout + r.stderr


def header_of(path):
    with open(path) as f:
        return f.readline().strip()


def shape(value, path=""):
    """Every path through a document with the type at its end."""
    if isinstance(value, dict):
        for k, v in value.items():
            yield from shape(v, f"{path}.{k}")
    elif isinstance(value, list):
        for v in value:
            yield from shape(v, path + "[]")
    else:
        yield f"{path}={type(value).__name__}"


class Exchange(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d = Daemon()
        cls.d.__enter__()
        cls.addClassCleanup(cls.d.__exit__, None, None, None)
        cls.runs = [cls.d.sh("sleep 0.2", label=f"a, \"{i}\"", params={"lr": "0.1", "n": "01"}) for i in range(2)]
        wattq(cls.d, "train", "--dataset", "standin:529_pollen", "--shape", "rectangle", "--depth", "3",
              "--size", "256", "--epochs", "3", "-W")
        cls.d.wait(*cls.runs)

    def test_csv_has_the_documented_columns(self):
        where = self.d.path("csv")
        wattq(self.d, "export", "--csv", where, "--curves")
        found = "".join(f"{name}: {header_of(os.path.join(where, name))}\n"
                        for name in sorted(os.listdir(where)))
        if os.environ.get("WATTQ_UPDATE"):
            with open(GOLDEN, "w") as f:
                f.write(found)
        with open(GOLDEN) as f:
            self.assertEqual(found, f.read())
        with open(os.path.join(where, "runs.csv"), newline="") as f:
            rows = list(csv.DictReader(f))
        self.assertEqual([r["label"] for r in rows], ['a, "0"', 'a, "1"', ""])
        for r in rows:
            self.assertEqual(r["state"], "done")
            self.assertLessEqual(float(r["lo_j"]), float(r["energy_j"]))
            self.assertLessEqual(float(r["energy_j"]), float(r["hi_j"]))
        with open(os.path.join(where, "params.csv"), newline="") as f:
            params = {(r["run"], r["key"]): (r["type"], r["value"]) for r in csv.DictReader(f)}
        self.assertEqual(params["1", "n"], ("text", "01"))
        again = wattq(self.d, "export", "--csv", where, code=5)
        self.assertIn("cannot make", again)

    def test_columns_are_documented(self):
        with open(os.path.join(SRC, "docs/exchange.md")) as f:
            text = f.read()
        with open(GOLDEN) as f:
            for line in f:
                name, columns = line.strip().split(".csv: ")
                self.assertIn(f"### {name}\n", text)
                part = text.split(f"### {name}\n")[1].split("\n### ")[0]
                for column in columns.split(","):
                    self.assertIn(f"`{column}`", part, f"{name}.{column}")

    def test_jsonl_and_sqlite_agree_with_show(self):
        lines = [json.loads(line) for line in wattq(self.d, "export", "--jsonl", "-", "1-2").splitlines()]
        runs = [r for r in lines if r["table"] == "runs"]
        self.assertEqual([r["run"] for r in runs], [1, 2])
        shown = self.d.show(1)
        self.assertEqual(runs[0]["t0_ns"], str(shown["t0_ns"]))
        self.assertAlmostEqual(runs[0]["energy_j"] * 1e6, shown["energy"][0]["energy_uj"], delta=0.01)
        path = self.d.path("x.db")
        wattq(self.d, "export", "--sqlite", path, "2")
        db = sqlite3.connect(path)
        self.assertEqual(db.execute("SELECT run, state FROM runs").fetchall(), [(2, "done")])
        stored = db.execute("SELECT energy_uj, lo_uj, hi_uj FROM energy WHERE channel IS NULL AND figure ="
                            " 'machine' AND part = 'window'").fetchone()
        self.assertEqual(stored, tuple(self.d.show(2)["energy"][0][k] for k in ("energy_uj", "lo_uj", "hi_uj")))
        db.close()
        self.assertEqual(wattq(self.d, "export", "--csv", "-", "--table", "tags"), "run,tag\n")
        self.assertIn("one format", wattq(self.d, "export", "--csv", "--jsonl", "x", code=2))
        self.assertIn("there is no table", wattq(self.d, "export", "--csv", "-", "--table", "nope", code=2))

    def test_json_keeps_its_shape(self):
        ask = lambda *a: json.loads(wattq(self.d, *a, "--json"))  # noqa: E731
        docs = {"sql": ask("sql", "SELECT run FROM runs"),
                "export": ask("export", "--csv", self.d.path("json-csv"), "kind=command"),
                "export --butter": ask("export", "--butter", self.d.path("json-butter"), "1-3"),
                "export --bundle": ask("export", "--bundle", self.d.path("json.bundle"), "1-3"),
                "verify": ask("verify", self.d.path("json.bundle")),
                "import": ask("import", self.d.path("json.bundle"))}
        self.assertEqual(docs["export"]["runs"], 2)
        self.assertEqual(docs["export --bundle"]["ok"], 3)
        self.assertEqual(docs["export --butter"]["no_networks"], 2)
        self.assertEqual(docs["import"]["files"][0]["already_here"], 3)
        found = "".join(f"{name}: {' '.join(sorted(set(shape(doc))))}\n" for name, doc in docs.items())
        golden = os.path.join(SRC, "tests/golden/exchange_json.txt")
        if os.environ.get("WATTQ_UPDATE"):
            with open(golden, "w") as f:
                f.write(found)
        with open(golden) as f:
            self.assertEqual(found, f.read())

    def test_no_networks(self):
        wattq(self.d, "export", "--butter", self.d.path("none"), "1-2")
        with open(self.d.path("none", "butter_e_metadata.csv")) as f:
            self.assertEqual(len(f.readlines()), 1)

    def test_sql(self):
        ask = lambda *a, **k: wattq(self.d, "sql", *a, **k)  # noqa: E731
        rows = list(csv.DictReader(io.StringIO(ask("SELECT run, quality, energy_j FROM runs", "--csv"))))
        self.assertEqual([r["quality"] for r in rows], ["measured"] * 3)
        doc = json.loads(ask("SELECT run, t0_ns FROM runs WHERE run = 1", "--json"))
        self.assertEqual(doc["rows"], [{"run": 1, "t0_ns": str(self.d.show(1)["t0_ns"])}])
        self.assertEqual(json.loads(ask("SELECT count(*) AS n FROM runs", "2-3", "--jsonl")), {"n": 2})
        self.assertEqual(ask("SELECT count(*) FROM epochs WHERE train_loss > 0", "--csv"), "count(*)\n2\n")
        for statement, code, word in (
                ("SELECT 1; SELECT 2", 2, "one statement"), ("", 2, "no statement"), ("SELEC 1", 2, "syntax error"),
                ("SELECT * FROM nope", 2, "no such table: nope"), ("PRAGMA journal_mode=WAL", 3, "only reading"),
                ("ATTACH ':memory:' AS x", 3, "only reading"), ("DELETE FROM run", 3, "only reading"),
                ("CREATE TABLE x(a)", 3, "only reading"), ("WITH x AS (SELECT 1) DELETE FROM run", 3, "only reading"),
                ("SELECT load_extension('x')", 2, "not authorized"),
                ("SELECT length(zeroblob(1000000000))", 1, "memory")):
            self.assertIn(word, ask(statement, code=code), statement)
        self.assertIn("views: runs, params", ask("SELECT * FROM nope", code=2))
        endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT "
        self.assertIn("too long", ask(endless + "count(*) FROM c", "--timeout", "200ms", code=1))
        self.assertEqual(ask(endless + "x FROM c", "-n", "2", "--csv"), "x\n1\n2\n")

class Bundle(unittest.TestCase):
    """A bundle holds all that its figures rest on; a changed sample, figure or checksum is found."""

    @classmethod
    def setUpClass(cls):
        with Daemon(script=SCRIPT + "channel slow kind=counter scope=gpu period=50ms quantum=1000 pmax=500W\n"
                                    "power slow = sine 40W 10W 1s\n") as d:
            cls.dir = tempfile.mkdtemp(prefix="wattq-bundle-")
            cls.addClassCleanup(shutil.rmtree, cls.dir)
            cls.path = os.path.join(cls.dir, "b.db")
            d.wait(d.sh("sleep 0.3"))
            wattq(d, "train", "--dataset", "standin:529_pollen", "--shape", "rectangle", "--depth", "3", "--size",
                  "256", "--epochs", "200", "-W")
            d.restart()  # what was in tail rows is in chunks now
            d.wait(d.sh("sleep 0.4 & sleep 0.2; exit 3", wait_children=True))
            d.wait(d.sh("sleep 0.1"))
            over = d.sh("sleep 60")
            d.wait(over, until="started")
            said = wattq(d, "export", "--bundle", cls.path, f"1-{over}", code=5)
            assert f"run {over} has not ended" in said, said
            assert not os.path.exists(cls.path)
            d.call("cancel", runs=[over])
            d.wait(over)
            until(lambda: not any("provisional" in f["flags"] for f in d.show(over)["energy"]),
                  "what the slow meter shows of the end")
            wattq(d, "export", "--bundle", cls.path, f"1-{over}")
            wattq(d, "export", "--sqlite", os.path.join(cls.dir, "p.db"))
            cls.shown = {r: d.show(r) for r in range(1, over + 1)}
            cls.pins = d.call("export", table="pin")["rows"]

    def verify(self, path, code=0):
        r = subprocess.run([WATTQ, "verify", path, "--json"], capture_output=True, text=True, timeout=60)
        self.assertEqual(r.returncode, code, r.stdout + r.stderr)
        return json.loads(r.stdout)

    def changed(self, name, *statements):
        path = os.path.join(self.dir, name)
        shutil.copy(self.path, path)
        db = sqlite3.connect(path)
        for statement in statements:
            self.assertGreater(db.execute(statement).rowcount, 0, statement)
        db.commit()
        db.close()
        return self.verify(path, code=1)

    def test_every_figure_follows(self):
        doc = self.verify(self.path)
        self.assertEqual((doc["ok"], doc["differs"], doc["not_recomputable"]), (5, 0, 0))
        figures = sum(len(r["energy"]) for r in self.shown.values())
        self.assertEqual(doc["figures"], figures)
        db = sqlite3.connect(self.path)
        self.assertGreater(db.execute("SELECT count(*) FROM chunk").fetchone()[0], 0)
        self.assertGreater(db.execute("SELECT count(*) FROM tail").fetchone()[0], 0)
        self.assertEqual(self.pins[0], ["run", "uid", "utc_ns", "reason"])
        self.assertEqual([p[0] for p in self.pins[1:]], list(self.shown))
        self.assertEqual({p[3] for p in self.pins[1:]}, {"bundle b.db sha256:" + doc["manifest_sha256"]})
        reasons = dict(db.execute("SELECT name, count(*) FROM exclusion GROUP BY name"))
        self.assertEqual(reasons["no_network"], 4)
        db.close()

    def test_changes_are_found(self):
        doc = self.changed("figure", "UPDATE energy SET energy_uj = energy_uj + 1 WHERE id ="
                                     " (SELECT min(id) FROM energy WHERE run = 1)")
        self.assertEqual([r["run"] for r in doc["runs"] if r["status"] == "differs"], [1])
        self.assertIn("table energy", doc["damage"][0]["reason"])
        self.assertIn("stored ", next(r for r in doc["runs"] if r["run"] == 1)["reason"])
        doc = self.changed("bound", "UPDATE energy SET hi_uj = hi_uj - 1 WHERE id ="
                                    " (SELECT min(id) FROM energy WHERE run = 2)")
        self.assertEqual(doc["differs"], 1)
        doc = self.changed("sum", "UPDATE manifest SET sha256 = replace(sha256, substr(sha256, 1, 1), 'x')"
                                  " WHERE name = 'run'")
        self.assertEqual({d["reason"].split(":")[0] for d in doc["damage"]}, {"table manifest", "table run"})
        doc = self.changed("sample", "UPDATE tail SET b = CAST(substr(b, 1, length(b) - 20) || x'ff' ||"
                                     " substr(b, length(b) - 18) AS BLOB)")
        self.assertEqual(doc["damage"][0]["reason"].split(":")[0], "table tail")
        self.assertGreater(doc["differs"], 0)
        doc = self.changed("head", "UPDATE head SET e0_uj = e0_uj + 5 WHERE channel = 1")
        self.assertIn("table head", doc["damage"][0]["reason"])
        doc = self.changed("gone", "DELETE FROM phase")
        self.assertIn("rests on more than the samples", json.dumps(doc["runs"]))

    def test_other_files_are_refused(self):
        for content, code in ((b"", 1), (b"nonsense" * 100, 1)):
            path = os.path.join(self.dir, "other")
            with open(path, "wb") as f:
                f.write(content)
            said = wattq(None, "verify", path, code=code)
            self.assertIn("no file that wattq wrote", said)
        self.assertIn("no bundle", wattq(None, "verify", os.path.join(self.dir, "p.db"), code=1))
        self.assertIn("cannot read", wattq(None, "verify", "/nonexistent", code=1))


if __name__ == "__main__":
    unittest.main()
