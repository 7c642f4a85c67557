"""import, and the study's files: what one daemon exported another one takes in."""
import csv
import io
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import BIN, Daemon  # noqa: E402

SRC = os.environ.get("WATTQ_SRC", ".")
WATTQ = os.path.join(BIN, "client", "wattq")


def wattq(d, *args, code=0):
    """stdout of a command that must exit with `code`; with another code also what it said."""
    r = subprocess.run([WATTQ, "--socket", d.socket, *args], capture_output=True, text=True,
                       env=dict(os.environ, NO_COLOR="1"), timeout=60)
    if r.returncode != code:
        raise AssertionError(f"{args} ended with {r.returncode}: {r.stdout}{r.stderr}")
    return r.stdout if code == 0 else r.stdout + r.stderr


def header_of(path):
    with open(path) as f:
        return f.readline().strip()


STUDY = """run_id,experiment_id,slurm_job_id,start_time,update_time,end_time,node,size,depth,shape,dataset,learning_rate,batch_size,optimizer,is_gpu,batch,energy,run_time,filter_1,filter_2,filter_3,filter_3_stdevs,filter,start_time_int,start_offset,power,num_reps,std_power,std_energy,energy_overhead,non_overhead_energy,runtime_overhead,non_overhead_runtime
0b9a1d0e-4a1b-4c0d-8e2f-000000000001,4711,99,2022-10-01 12:00:00.500000+00:00,2022-10-01 13:00:00+00:00,2022-10-01 13:00:00.500000+00:00,r1i0n0,1024,3,rectangle,529_pollen,0.0001,256,Adam,False,energy_2_cpu,1188000.0,3600.0,False,False,False,0.5,False,1664625600500000000,0,330.0,1,330.0,1188000.0,14028.67,1173971.33,52.88,3547.12
0b9a1d0e-4a1b-4c0d-8e2f-000000000002,4712,99,2022-10-01 14:00:00.500000+00:00,2022-10-01 15:00:00+00:00,2022-10-01 15:00:00.500000+00:00,r2i0n0,1048576,6,trapezoid,mnist,0.0001,256,Adam,True,energy_1,1548000.0,3600.0,False,False,False,0.5,False,1664632800500000000,7200000000000,430.0,1,430.0,1548000.0,271560.24,1276439.76,656.37,2943.63
"""


class Import(unittest.TestCase):
    """What one daemon exported another one takes in: once, whole, and never as something of its own."""

    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="wattq-import-")
        cls.addClassCleanup(shutil.rmtree, cls.dir)
        with Daemon() as d:
            cls.runs = [d.sh("sleep 0.2", label="x", params={"lr": "0.1", "n": "01"}), d.sh("exit 3")]
            wattq(d, "train", "--dataset", "standin:529_pollen", "--shape", "rectangle", "--depth", "3",
                  "--size", "256", "--epochs", "20", "-W")
            d.wait(*cls.runs)
            late = d.sh("sleep 60")
            cls.shown = {r: d.show(r) for r in (1, 2, 3)}
            wattq(d, "export", "--jsonl", cls.path("a.jsonl"), "--curves")
            wattq(d, "export", "--sqlite", cls.path("a.db"), "--curves")
            wattq(d, "export", "--butter", cls.path("butter"))
            d.call("cancel", runs=[late])
            d.wait(late)
            wattq(d, "export", "--bundle", cls.path("a.bundle"), "1-3")
        with open(cls.path("study.csv"), "w") as f:
            f.write(STUDY)

    @classmethod
    def path(cls, name):
        return os.path.join(cls.dir, name)

    def same(self, d, new, old):
        a, b = d.show(new), self.shown[old]
        for key in ("uuid", "state", "label", "exit_code", "started_utc_ns", "elapsed_ns", "params", "info", "argv",
                    "phases", "cpu_us"):
            self.assertEqual(a.get(key), b.get(key), key)
        strip = lambda f: {k: v for k, v in f.items() if k != "channel"}  # noqa: E731
        self.assertEqual([strip(f) for f in a["energy"]], [strip(f) for f in b["energy"]])
        self.assertEqual(a["metrics"], b["metrics"])

    def check_file(self, name):
        with Daemon() as d:
            own = d.sh("sleep 0.1")
            d.wait(own)
            meters = d.call("meters")["channels"]
            said = wattq(d, "import", self.path(name))
            self.assertIn("3 runs of", said)
            for old in (1, 2, 3):
                self.same(d, old + own, old)
            self.assertEqual(len(d.call("meters")["channels"]), len(meters))
            self.assertEqual(wattq(d, "sql", "SELECT count(*) FROM origins", "--csv"), "count(*)\n1\n")
            self.assertEqual(wattq(d, "sql", "SELECT count(DISTINCT origin) FROM runs", "--csv").split()[-1], "1")
            again = wattq(d, "import", self.path(name))
            self.assertIn("already here: 3", again)
            self.assertIn(": 0 runs", again)
            self.assertEqual(wattq(d, "sql", "SELECT count(*) AS n FROM runs", "--csv"), "n\n4\n")
            d.restart()
            late = d.sh("sleep 0.1")
            self.assertEqual(d.wait(late)["state"], "done")
            self.same(d, 1 + own, 1)
            self.assertEqual(len(d.call("meters")["channels"]), len(meters))
            labels = {f["label"] for f in d.show(late)["energy"]}
            self.assertEqual(labels, {"total", "pkg", "dram"})
            wattq(d, "export", "--jsonl", self.path(name + ".again"), f"{own + 1}-{own + 3}", "--curves")

    def test_jsonl(self):
        self.check_file("a.jsonl")
        with Daemon() as d:  # and what was imported can be handed on
            self.assertIn("3 runs of", wattq(d, "import", self.path("a.jsonl.again")))
            self.same(d, 1, 1)

    def test_sqlite_and_bundle(self):
        self.check_file("a.db")
        with Daemon() as d:
            self.assertIn("3 runs of", wattq(d, "import", self.path("a.bundle")))
            self.same(d, 3, 3)

    def test_imported_runs_are_beside_nothing(self):
        """Windows of the same boot that reach over everything that runs here."""
        path = self.path("wide.db")
        shutil.copy(self.path("a.db"), path)
        con = sqlite3.connect(path)
        con.execute("UPDATE run SET t1_ns = t1_ns + 3600000000000 WHERE t1_ns IS NOT NULL")
        con.commit()
        con.close()
        with Daemon() as d:
            self.assertIn("3 runs of", wattq(d, "import", path))
            run = d.sh("sleep 0.3")
            self.assertEqual(d.wait(run)["state"], "done")
            flags = [f["flags"] for f in d.show(run)["energy"] if f["channel"] is None]
            self.assertTrue(flags and not any("overlap" in f for f in flags), flags)
            self.assertEqual([r["run"] for r in d.call("queue")["runs"] if r["state"] == "queued"], [])

    def test_study(self):
        with Daemon() as d:
            said = json.loads(wattq(d, "import", self.path("study.csv"), "--json"))
            self.assertEqual((said["files"][0]["imported"], said["files"][0]["format"]), (2, "butter"))
            self.assertIn("already here: 2", wattq(d, "import", self.path("study.csv")))
            run = d.show(1)
            self.assertIn("study (imported, origin 1)", wattq(d, "show", "1"))
            self.assertEqual(run["elapsed_ns"], 3600 * 10**9)
            self.assertEqual(run["started_utc_ns"], 1664625600500000000)
            self.assertEqual(run["energy"][0]["energy_uj"], 1188000 * 10**6)
            self.assertEqual(run["energy"][0]["quality"], "measured")
            self.assertIsNone(run["energy"][0]["lo_uj"])
            self.assertEqual(run["info"]["widths"], "[29,29,1]")
            # The study's files again, from our database: every column that does not depend on who writes it.
            wattq(d, "export", "--butter", self.path("again"))
            with open(os.path.join(self.path("again"), "runs_with_standardized_energy.csv"), newline="") as f:
                found = list(csv.DictReader(f))
            wanted = list(csv.DictReader(io.StringIO(STUDY)))
            self.assertEqual(list(found[0]), list(wanted[0]))
            for a, b in zip(found, wanted):
                for key in ("run_id", "size", "depth", "shape", "dataset", "learning_rate", "batch_size", "optimizer",
                            "is_gpu", "filter_1", "filter_2", "filter_3", "filter", "start_time_int", "start_offset",
                            "num_reps", "start_time"):
                    self.assertEqual(a[key], b[key], key)
                for key in ("energy", "run_time", "power"):
                    self.assertEqual(float(a[key]), float(b[key]), key)

    def test_kwh(self):
        rows = list(csv.DictReader(io.StringIO(STUDY)))
        for r in rows:
            r["energy"] = repr(float(r["energy"]) / 3.6e6)
        with open(self.path("kwh.csv"), "w", newline="") as f:
            w = csv.DictWriter(f, list(rows[0]))
            w.writeheader()
            w.writerows(rows)
        with Daemon() as d:
            wattq(d, "import", self.path("kwh.csv"))
            self.assertAlmostEqual(d.show(1)["energy"][0]["energy_uj"], 1188000 * 10**6, delta=10)

    def test_butter_columns(self):
        found = []
        for name in ("runs_with_standardized_energy.csv", "butter_e_metadata.csv"):
            found.append(f"{name}: {header_of(os.path.join(self.path('butter'), name))}\n")
        golden = os.path.join(SRC, "tests/golden/butter_headers.txt")
        if os.environ.get("WATTQ_UPDATE"):
            with open(golden, "w") as f:
                f.writelines(found)
        with open(golden) as f:
            self.assertEqual(f.read(), "".join(found))
        self.assertEqual(found[0].split(": ")[1], header_of(self.path("study.csv")) + "\n")
        with open(os.path.join(self.path("butter"), "runs_with_standardized_energy.csv"), newline="") as f:
            row, = csv.DictReader(f)
        run = self.shown[3]
        self.assertEqual((row["run_id"], row["dataset"], row["is_gpu"]), (run["uuid"], "529_pollen", "False"))
        self.assertAlmostEqual(float(row["energy"]), run["energy"][0]["energy_uj"] / 1e6, places=6)
        self.assertAlmostEqual(float(row["run_time"]), run["elapsed_ns"] / 1e9, places=9)

    def test_bad_files(self):
        def refused(text, *words, name="bad.csv"):
            with open(self.path(name), "w") as f:
                f.write(text)
            said = wattq(d, "import", self.path(name), code=1)
            for word in words:
                self.assertIn(word, said)
            self.assertEqual(d.call("runs")["runs"], [])
            self.assertEqual(wattq(d, "sql", "SELECT (SELECT count(*) FROM origins) + (SELECT count(*) FROM params) +"
                                             " (SELECT count(*) FROM energies) AS n", "--csv"), "n\n0\n")
        with Daemon() as d:
            second = STUDY.rindex("1048576")
            refused(STUDY[:second] + "many" + STUDY[second + 7:], "bad.csv:3:", "size: 'many' is no number")
            refused(STUDY.replace("1548000.0,3600.0", "9.0,3600.0"), "bad.csv:3:", "power, in J nor in kWh")
            refused(STUDY.replace("trapezoid", "blob"), "bad.csv:3:", "no shape of the study")
            refused(STUDY.replace("True", '"True'), "bad.csv:3:", "never closed")
            refused(STUDY.replace("000000000002", "000000000001"), "UNIQUE", "bad.csv:3:")
            refused("a,b\n1,2\n", "no column run_id")
            refused("", "is empty")
            with open(self.path("a.jsonl")) as f:
                lines = f.read()
            refused(lines.replace('"done"', '"undone"', 1), "bad.jsonl:1:", name="bad.jsonl")
            refused(lines + '{"table": "runs"', ":", "column", name="bad.jsonl")
            refused('{"table": "nope"}\n', "bad.jsonl:1: 'nope' is no table", name="bad.jsonl")
            emptied = re.sub(r'\\"argv\\":\[[^]]*\]', '\\\\"argv\\\\":[]', lines, count=1)
            self.assertNotEqual(emptied, lines)
            refused(emptied, "bad.jsonl: row 1 of table run", "(argv)", name="bad.jsonl")
            db = self.path("bad.db")
            shutil.copy(self.path("a.db"), db)
            con = sqlite3.connect(db)
            con.execute("UPDATE energy SET method = 'guess' WHERE id = (SELECT max(id) FROM energy)")
            con.commit()
            con.close()
            said = wattq(d, "import", db, code=1)
            self.assertIn("of table energy: there is no method 'guess'", said)
            self.assertEqual(d.call("runs")["runs"], [])

    def test_standalone(self):
        record = self.path("record.jsonl")
        subprocess.run([WATTQ, "exec", "--standalone", "--out", record, "-q", "--", "sh", "-c", "sleep 0.2; exit 4"],
                       timeout=60, check=False, capture_output=True)
        with Daemon() as d:
            self.assertIn("1 runs of standalone", wattq(d, "import", record))
            run = d.show(1)
            self.assertEqual((run["state"], run["exit_code"], run["argv"][0]), ("failed", 4, "sh"))
            self.assertGreater(run["elapsed_ns"], 190_000_000)
            with open(record) as f:
                total = [r for r in map(json.loads, f) if r["kind"] == "figure" and r["channel"] is None]
            self.assertEqual(len(total), 1)
            got = run["energy"][-1]["energy_uj"] if run["energy"] else None
            if total[0]["energy_j"] is None:
                self.assertIsNone(got)
            else:
                self.assertAlmostEqual(got, total[0]["energy_j"] * 1e6, delta=2)
            self.assertIn("already here: 1", wattq(d, "import", record))


if __name__ == "__main__":
    unittest.main()
