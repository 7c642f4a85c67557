"""admin: the daemon's database is looked after, by the real client on the real daemon."""
import hashlib
import json
import os
import sqlite3
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import BIN, Client, Daemon, until  # noqa: E402

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

    def test_unknown_part(self):
        self.assertIn("did you mean wattq admin check?", wattq(self.d, "admin", "chek", code=2))


if __name__ == "__main__":
    unittest.main()
