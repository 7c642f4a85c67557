"""admin: the daemon's database is looked after, by the real client on the real daemon."""
import json
import os
import sqlite3
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import BIN, Daemon  # noqa: E402

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

    def test_unknown_part(self):
        self.assertIn("did you mean wattq admin check?", wattq(self.d, "admin", "chek", code=2))


if __name__ == "__main__":
    unittest.main()
