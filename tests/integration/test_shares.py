#!/usr/bin/env python3
"""Two runs at once under a meter of constant power: whose energy it was, and that nothing is lost or counted
twice. The real wattqd, shepherds and client."""
import glob
import os
import sqlite3
import struct
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import BIN, Daemon, total, until  # noqa: E402

BUSY = "while :; do :; done"


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def varint(data, at):
    """The number at `at` (docs/storage.md) and where the next byte lies."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7f) << shift
        shift += 7
        at += 1
        if byte < 0x80:
            return value, at


def as_varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7f | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def one_more(blob):
    """The blob with every value of its first column 1 more, lengths and checksum mended."""
    channels, = struct.unpack_from("<H", blob, 4)
    timeline, column = struct.unpack_from("<II", blob, 12)
    at = 16 + 4 * channels + timeline
    first = blob[at]
    at += 1
    assert not first & 0x80, "no state but 0"
    _, at = varint(blob, at)  # raw
    value, end = varint(blob, at)
    new = bytearray(blob[:at] + as_varint(value + 2) + blob[end:-4])
    struct.pack_into("<I", new, 16, column + len(new) + 4 - len(blob))
    return bytes(new) + struct.pack("<I", crc32c(new))


def forge(path, kind):
    """One uJ more from the newest chunk on, in an account of the first meter."""
    db = sqlite3.connect(path)
    where, blob = db.execute(
        "SELECT c.id, c.b FROM chunk c JOIN grp_slot s ON s.grp = c.grp JOIN account a ON a.channel = s.channel"
        " WHERE a.kind = ? ORDER BY a.meter, c.id DESC LIMIT 1", (kind,)).fetchone()
    db.execute("UPDATE chunk SET b = ? WHERE id = ?", (one_more(blob), where))
    db.commit()
    db.close()


class Shares(unittest.TestCase):
    def setUp(self):
        self.d = Daemon("--parallel", "2")
        self.addCleanup(self.d.__exit__, None, None, None)
        self.d.start()

    def wattq(self, *args):
        return subprocess.run([os.path.join(BIN, "client", "wattq"), "--socket", self.d.socket, *args],
                              capture_output=True, text=True, check=False)

    def audit(self):
        r = self.d.call("audit")
        self.assertEqual(r["failures"], 0, r["failed"])
        self.assertGreater(r["checks"], 20)
        return r

    def shares(self, run, policy):
        return self.d.call("energy", run=run, policy=policy)

    def test_two_at_once(self):
        busy = self.d.sh(BUSY, exclusive=False, time_limit_ns=3 * 10**9)
        lazy = self.d.sh("sleep 3", exclusive=False)
        self.d.wait(busy, lazy)
        whole = {}
        for policy in ("none", "equal", "reserved", "usage"):
            a = self.shares(busy, policy)
            machine, s = a["figures"][0]["energy_uj"], a["shares"]
            share = s["attributed"]["energy_uj"]
            self.assertEqual(share + s["others_uj"] + s["system_uj"] + s["foreign_uj"] + s["idle_uj"],
                             machine)
            self.assertEqual(s["moved_uj"], 0)
            self.assertLessEqual(s["range_lo_uj"], share)
            self.assertGreaterEqual(s["range_hi_uj"], share)
            self.assertEqual(s["policy"], policy)
            whole[policy] = (share, machine, s)
        # The whole machine's CPU time decides; what is not theirs is of other programs on this machine.
        share, machine, s = whole["none"]
        self.assertGreater(share, 20 * max(1, s["others_uj"]))
        self.assertGreaterEqual(s["others_uj"], 0)
        stored = total(self.d.show(busy), figure="attributed")
        self.assertEqual(stored["method"], "share")
        db = sqlite3.connect(glob.glob(os.path.join(self.d.state_dir, "*.db"))[0])
        policy, uj, lo, hi = db.execute(
            "SELECT policy, energy_uj, range_lo_uj, range_hi_uj FROM energy WHERE run = ? AND channel IS NULL"
            " AND figure = 'attributed' ORDER BY id DESC LIMIT 1", (busy,)).fetchone()
        db.close()
        self.assertEqual(policy, "equal")
        self.assertTrue(lo <= uj <= hi)
        self.assertTrue(total(self.d.show(lazy), figure="attributed")["energy_uj"] is not None)
        self.assertEqual(self.audit()["cut"], False)
        text = self.wattq("show", str(busy))
        self.assertEqual(text.returncode, 0, text.stderr)
        for word in ("apportioned", "over all policies", "system", "foreign", "idle", "others"):
            self.assertIn(word, text.stdout)
        self.assertIn("policy usage", self.wattq("energy", str(busy), "--policy", "usage").stdout)
        self.assertIn("no policy", self.wattq("energy", str(busy), "--policy", "fair").stderr)
        r = self.wattq("audit", "--since", "-10m")
        self.assertEqual((r.returncode, "adds up" in r.stdout), (0, True), r.stdout + r.stderr)

    def test_a_meter_that_lags(self):
        """Accounts are kept on the curve as it stands, the machine's figure is read later by the lag: what lies
        between is stated, and all of it adds up to the uJ."""
        d = Daemon("--parallel", "2", script="channel wall kind=gauge scope=node period=100ms lag=600ms\n"
                   "power wall = piecewise 0s:50W 1s:90W 1700ms:20W repeat 2300ms\n")
        self.addCleanup(d.__exit__, None, None, None)
        d.start()
        a, b = d.sh("sleep 1", exclusive=False), d.sh("sleep 1.3", exclusive=False)
        d.wait(a, b)
        for run in (a, b):
            r = until(lambda: (lambda x: x if x["figures"][1]["lag_ns"] else None)(d.call("energy", run=run)),
                      "what the meter shows of the end")
            s = r["shares"]
            self.assertEqual((r["figures"][1]["lag_ns"], r["figures"][1]["lag_basis"]), (600000000, "declared"))
            self.assertEqual(s["attributed"]["lag_ns"], None)
            self.assertNotEqual(s["moved_uj"], 0)
            self.assertEqual(s["attributed"]["energy_uj"] + s["others_uj"] + s["system_uj"] + s["foreign_uj"]
                             + s["idle_uj"] + s["moved_uj"], r["figures"][0]["energy_uj"])

    def test_two_that_work_alike(self):
        """By CPU time: two busy loops, one of which has twice the time of the other."""
        twice = self.d.sh(f"({BUSY}) & {BUSY}", exclusive=False, time_limit_ns=3 * 10**9)
        once = self.d.sh(BUSY, exclusive=False, time_limit_ns=3 * 10**9)
        rows = {r["run"]: r for r in self.d.wait(twice, once)}
        part = {run: self.shares(run, "none")["shares"]["attributed"]["energy_uj"] for run in rows}
        cpu = {run: rows[run]["cpu_us"] for run in rows}
        want = cpu[twice] / (cpu[twice] + cpu[once])
        have = part[twice] / (part[twice] + part[once])
        self.assertAlmostEqual(have, want, delta=0.05)

    def owners(self):
        db = sqlite3.connect(glob.glob(os.path.join(self.d.state_dir, "*.db"))[0])
        rows = db.execute("SELECT o.run, c.uid, o.t0_ns, o.t1_ns, r.t0_ns, r.t1_ns FROM slot_owner o"
                          " JOIN channel c ON c.id = o.channel JOIN run r ON r.id = o.run ORDER BY o.run").fetchall()
        db.close()
        return rows

    def test_who_sat_where(self):
        """From before the gate until after the end, in the lowest free slot; foreground runs too."""
        self.d.wait(self.d.sh("sleep 0.2"))
        r = self.wattq("exec", "--", "sleep", "0.2")
        self.assertEqual(r.returncode, 0, r.stderr)
        rows = until(lambda: len(self.owners()) == 2 and all(o[3] for o in self.owners()) and self.owners(),
                     "both have left")
        self.assertEqual([o[1] for o in rows], ["slots/0", "slots/0"])
        for _, _, t0, t1, run0, run1 in rows:
            self.assertLess(t0, run0)
            self.assertGreater(t1, run1)

    def test_a_forged_account(self):
        """One uJ too much in one account, and wattq audit names it."""
        self.d.wait(self.d.sh("sleep 0.5"))
        self.audit()
        self.d.stop()
        forge(glob.glob(os.path.join(self.d.state_dir, "*.db"))[0], "system")
        self.d.start()
        r = self.wattq("audit", "--since", "-1h")
        self.assertEqual(r.returncode, 1, r.stdout + r.stderr)
        self.assertIn("DOES NOT ADD UP", r.stdout)
        self.assertRegex(r.stdout, r"pkg at .*: the accounts add up to \d+ uJ, the meter to \d+ uJ")
        self.assertEqual(self.wattq("audit", "--since", "-1h", "--json").returncode, 1)

    def test_more_runs_than_slots(self):
        """Three runs, found again by a daemon with two slots: the share of one of them is not known, and why;
        that of the others is, and nothing is lost."""
        self.d.stop()
        self.d.args = ["--parallel", "3", "--cpus", "3"]
        self.d.start()
        runs = [self.d.sh("sleep 60", exclusive=False) for _ in range(3)]
        for run in runs:
            self.d.until_state(run, "running")
        self.d.kill()
        self.d.args = ["--parallel", "1", "--cpus", "3"]
        self.d.start()
        until(lambda: self.d.log_text().count("found again") == 3, "runs found again")
        until(lambda: "no CPU time slot is left" in self.d.log_text(), "the run without a slot is named")
        time.sleep(1.2)
        self.assertEqual(self.d.log_text().count("no CPU time slot is left"), 1)
        for run in runs:
            self.d.call("cancel", runs=[run])
        self.d.wait(*runs)
        shares = [total(self.d.show(run), figure="attributed") for run in runs]
        self.assertEqual(sum(f["energy_uj"] is None for f in shares), 1, shares)
        self.assertTrue(all(f["reason"] for f in shares if f["energy_uj"] is None), shares)
        self.audit()

    def test_restart_under_a_shared_run(self):
        a, b = (self.d.sh("sleep 60", exclusive=False) for _ in range(2))
        self.d.until_state(a, "running")
        self.d.until_state(b, "running")
        time.sleep(1)
        self.d.kill()
        self.d.start()
        until(lambda: "found again" in self.d.log_text(), "runs found again")
        time.sleep(1.5)
        for run in (a, b):
            self.d.call("cancel", runs=[run])
        self.d.wait(a, b)
        s = self.shares(a, "equal")
        self.assertIn("usage_gap", s["shares"]["attributed"]["flags"])
        self.audit()


if __name__ == "__main__":
    unittest.main()
