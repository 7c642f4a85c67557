"""admin: the daemon's database is looked after, by the real client on the real daemon."""
import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import BIN, ENDED, Client, Daemon, Refused, until  # noqa: E402

SRC = os.environ.get("WATTQ_SRC", ".")
WATTQD = os.path.join(BIN, "daemon", "wattqd")
WATTQ = os.path.join(BIN, "client", "wattq")


def wattq(d, *args, code=0):
    """Standard output, and what it said when another code than 0 is wanted."""
    r = subprocess.run([WATTQ, "--socket", d.socket, *args], capture_output=True, text=True,
                       env=dict(os.environ, NO_COLOR="1"), timeout=60)
    if r.returncode != code:
        raise AssertionError(f"{args} ended with {r.returncode}: {r.stdout}{r.stderr}")
    return r.stdout if code == 0 else r.stdout + r.stderr


def sql(d, statement):
    db = sqlite3.connect(os.path.join(d.state_dir, "wattq.db"))
    rows = db.execute(statement).fetchall()
    db.commit()
    db.close()
    return rows


def ended(d, run):
    state = d.state(run)
    return state if state in ENDED else None


class Admin(unittest.TestCase):
    def setUp(self):
        self.d = Daemon("--period", "10ms")
        self.d.__enter__()
        self.addCleanup(self.d.__exit__, None, None, None)
        self.run_id = self.d.sh("sleep 0.3", label="kept")
        self.d.wait(self.run_id)

    def stop_and(self, *statements):
        self.d.stop()
        for s in statements:
            sql(self.d, s)
        self.d.start()

    def test_check(self):
        self.stop_and()  # what is open becomes chunks
        self.assertRegex(wattq(self.d, "admin", "check"), r"^sound: \d+ blocks of samples, \d+ values in .*, 0 damaged\n$")
        self.stop_and("UPDATE chunk SET b = CAST(substr(b, 1, 40) || x'ffff' || substr(b, 43) AS BLOB) WHERE id = 1")
        text = wattq(self.d, "admin", "check", code=1)
        self.assertRegex(text, r"DAMAGED  chunk 1 of group \d+, 20\S+Z to 20\S+Z: .*damaged \(checksum\)")
        doc = json.loads(wattq(self.d, "--json", "admin", "check", code=1))
        self.assertEqual((doc["schema"], doc["damaged"]), ("wattq.admin_check/1", 1))
        found = doc["found"][0]
        self.assertEqual((found["kind"], found["row"]), ("chunk", 1))
        self.assertLess(int(found["t0_utc_ns"]), int(found["t1_utc_ns"]))

    def test_backup(self):
        name = self.d.path("copy.db")
        text = wattq(self.d, "admin", "backup", name)
        self.assertRegex(text, rf"^{name}: .*, 1 runs, sound\nsha256:[0-9a-f]{{64}}\n$")
        with open(name, "rb") as f:
            self.assertIn(hashlib.sha256(f.read()).hexdigest(), text)
        self.assertEqual(os.stat(name).st_mode & 0o777, 0o600)
        self.assertEqual(sorted(os.listdir(os.path.dirname(name))), sorted(["copy.db", "run", "script", "state", "wattqd.log"]))
        self.assertNotIn("backup.tmp", os.listdir(self.d.state_dir))
        os.chmod(name, 0o400)  # it opens where nothing beside it can be made
        db = sqlite3.connect(f"file:{name}?mode=ro", uri=True)
        self.assertEqual(db.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
        self.assertEqual(db.execute("SELECT label, state FROM run").fetchall(), [("kept", "done")])
        ticks = "SELECT (SELECT coalesce(sum(n), 0) FROM chunk) + (SELECT sum(n) FROM tail)"
        self.assertGreater(db.execute(ticks).fetchone()[0], 20)
        db.close()
        self.assertIn("there is a file", wattq(self.d, "admin", "backup", name, code=5))
        doc = json.loads(wattq(self.d, "--json", "admin", "backup", self.d.path("second.db")))
        self.assertEqual((doc["schema"], doc["runs"], doc["damage"]), ("wattq.admin_backup/1", 1, None))
        self.assertIn("backup", wattq(self.d, "admin", "log"))
        self.assertIn("cannot make", wattq(self.d, "admin", "backup", self.d.path("no/such"), code=1))

    def test_a_backup_nobody_waits_for(self):
        sql(self.d, "CREATE TABLE filler(b)")
        sql(self.d, "INSERT INTO filler SELECT randomblob(1000000) FROM (WITH RECURSIVE n(i) AS"
                    " (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12) SELECT i FROM n)")
        other = Client(self.d.socket)
        other.recv(other.send("backup"))
        other.close()
        until(lambda: subprocess.run([WATTQ, "--socket", self.d.socket, "admin", "backup", self.d.path("again.db")],
                                     capture_output=True, check=False).returncode == 0, "the next one is made")
        self.d.kill()
        left = os.path.join(self.d.state_dir, "backup.tmp")
        with open(left, "w") as f:
            f.write("what a kill leaves")
        self.d.start()
        self.assertFalse(os.path.exists(left))

    def test_compact(self):
        self.stop_and("CREATE TABLE filler(b)", "INSERT INTO filler SELECT randomblob(1000000) FROM"
                      " (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12) SELECT i FROM n)",
                      "DROP TABLE filler")
        doc = json.loads(wattq(self.d, "--json", "admin", "compact"))
        self.assertGreater(int(doc["free_before_bytes"]), 11_000_000)
        self.assertEqual(int(doc["free_bytes"]), 0)
        self.assertLess(int(doc["after_bytes"]), int(doc["before_bytes"]) - 11_000_000)
        self.assertLess(os.stat(os.path.join(self.d.state_dir, "wattq.db")).st_size, 2_000_000)
        self.assertEqual(sql(self.d, "PRAGMA integrity_check"), [("ok",)])
        self.assertRegex(wattq(self.d, "admin", "compact"), r"^\S+ \S+ before, \S+ \S+ now\n$")
        self.assertEqual(self.d.show(self.run_id)["state"], "done")

    # ---- restore --------------------------------------------------------------------------------------

    def restore(self, name, code=0, stdin=None):
        args = [WATTQD, "--state-dir", self.d.state_dir, "--config", "/dev/null", "--restore", name]
        r = subprocess.run(args, capture_output=True, text=True, timeout=60, stdin=stdin,
                           env=dict(os.environ, XDG_RUNTIME_DIR=""))
        self.assertEqual(r.returncode, code, r.stdout + r.stderr)
        return r.stdout + r.stderr

    def state_files(self, prefix="wattq.db"):
        return sorted(n for n in os.listdir(self.d.state_dir) if n.startswith(prefix) and not n.endswith("-reserve"))

    def test_restore(self):
        name = self.d.path("copy.db")
        going = self.d.sh("sleep 60", label="going")
        begins, waits = self.d.sh("true", label="begins later"), self.d.sh("true", label="waits")
        until(lambda: self.d.state(going) == "running", "it runs")
        wattq(self.d, "admin", "backup", name)
        energy = self.d.show(self.run_id)["energy"]
        self.d.call("hold", runs=[waits])
        self.d.call("cancel", runs=[going])
        later = self.d.sh("true", label="made later")
        self.assertEqual([r["state"] for r in self.d.wait(begins, later)], ["done", "done"])
        self.assertIn("wattqd runs already", self.restore(name, code=5))
        self.d.stop()
        with open(name, encoding=None, mode="rb") as f:
            text = self.restore("-", stdin=f)
        self.assertRegex(text, r"wattq\.db: 4 runs, the newest of 20\S+Z\n1 runs that waited are held now; .*\n1 runs .* cancelled\n")
        aside = re.search(r"before: (\S+)\n", text).group(1)
        db = sqlite3.connect(aside)
        self.assertEqual(db.execute("SELECT count(*) FROM run").fetchall(), [(5,)])
        db.close()
        self.d.start()
        self.assertEqual(self.d.show(self.run_id)["energy"], energy)
        self.assertEqual(until(lambda: ended(self.d, going), "what its directory says is taken in"), "cancelled")
        self.assertEqual([self.d.state(r) for r in (begins, waits)], ["cancelled", "held"])
        self.assertIn("restored", self.d.show(waits)["reason"])
        with self.assertRaises(Refused):
            self.d.show(later)
        self.assertGreater(self.d.sh("true"), later)
        self.assertIn("restore", wattq(self.d, "admin", "log"))
        self.d.call("release", runs=[waits])
        self.assertEqual(self.d.wait(waits)["state"], "done")
        self.assertEqual(len(self.state_files()), 4)  # the database with its log, and the one from before

    def test_restore_of_the_first_schema(self):
        name = self.d.path("old.db")
        db = sqlite3.connect(name)
        with open(os.path.join(SRC, "tests", "golden", "db", "schema_1.sql")) as f:
            db.executescript(f.read())
        stored = db.execute("SELECT energy_uj FROM energy WHERE run = 1 AND channel IS NULL AND figure = 'machine'"
                            " AND part = 'window'").fetchone()[0]
        db.close()
        self.d.stop()
        self.assertIn("wattq.db: 3 runs", self.restore(name))
        with open(name, "rb") as f:
            self.assertEqual(f.read()[60:64], b"\0\0\0\x01")  # what was given is as it was: user_version
        self.d.start()
        run = self.d.show(1)
        self.assertEqual((run["label"], run["state"], run["energy"][0]["energy_uj"]), ("golden", "done", stored))
        self.assertEqual(self.d.call("energy", run=1)["figures"][0]["energy_uj"], stored)
        self.assertRegex(wattq(self.d, "admin", "check"), "^sound")

    def test_restore_refuses(self):
        name = self.d.path("copy.db")
        wattq(self.d, "admin", "backup", name)
        self.stop_and()
        damaged = self.d.path("damaged.db")
        wattq(self.d, "admin", "backup", damaged)
        self.d.stop()
        with open(os.path.join(self.d.state_dir, "wattq.db"), "rb") as f:
            before = f.read()
        files = self.state_files()
        db = sqlite3.connect(damaged)
        db.execute("UPDATE chunk SET b = x'00' WHERE id = 1")
        db.commit()
        db.close()
        newer = self.d.path("newer.db")
        shutil.copy(name, newer)
        db = sqlite3.connect(newer)
        db.execute("PRAGMA user_version = 999")
        db.commit()
        db.close()
        other = self.d.path("other.db")
        sqlite3.connect(other).execute("CREATE TABLE song(name)").connection.close()
        text = self.d.path("text")
        with open(text, "w") as f:
            f.write("no database")
        for bad, code, why in ((damaged, 1, "1 things in it are damaged"), (newer, 1, "a newer wattq .schema 999"),
                               (other, 1, "another program"), (text, 1, "does not begin as a database"),
                               (self.d.path("none"), 1, "cannot read")):
            said = self.restore(bad, code=code)
            self.assertRegex(said, why)
            self.assertNotIn("restoring", said)
            with open(os.path.join(self.d.state_dir, "wattq.db"), "rb") as f:
                self.assertEqual(f.read(), before)
            self.assertEqual(self.state_files(), files)
        self.d.start()

    def test_what_to_type(self):
        name = self.d.path("it's a copy.db")
        wattq(self.d, "admin", "backup", name)
        run = self.d.sh("true", label="made later")
        self.d.wait(run)
        commands = wattq(self.d, "admin", "restore", name)
        self.assertEqual(len(commands.splitlines()), 2)
        self.assertEqual(json.loads(wattq(self.d, "--json", "admin", "restore", name))["commands"], commands.splitlines())
        self.d.drop_client()
        path = os.pathsep.join([os.path.join(os.path.abspath(BIN), "daemon"), os.environ["PATH"]])
        reaper = threading.Thread(target=self.d.proc.wait)  # it is our child
        reaper.start()
        subprocess.run(["sh", "-ec", commands], check=True, timeout=60, stdout=subprocess.DEVNULL,
                       env=dict(os.environ, XDG_RUNTIME_DIR="", XDG_CONFIG_HOME=self.d.dir, PATH=path))
        reaper.join()
        self.d.start()
        with self.assertRaises(Refused):
            self.d.show(run)
        self.assertIn("no file that wattq wrote", wattq(self.d, "admin", "restore", self.d.path("script"), code=1))

    def test_unknown_part(self):
        self.assertIn("did you mean wattq admin check?", wattq(self.d, "admin", "chek", code=2))


if __name__ == "__main__":
    unittest.main()
