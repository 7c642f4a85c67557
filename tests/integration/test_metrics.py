#!/usr/bin/env python3
"""$WATTQ_METRICS: numbers of any program, imported while it goes on and completely at its end; and what the
built-in trainer says becomes facts, phases and joules per datum."""
import json
import os
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import BIN, Daemon, boot_ns, total, until  # noqa: E402


class Metrics(unittest.TestCase):
    def setUp(self):
        self.d = Daemon()
        self.addCleanup(self.d.__exit__, None, None, None)
        self.d.start()

    def python(self, body, **keys):
        """A run of a Python program that has `out`, its metrics file, open."""
        code = "import os,sys,time,json\nout=open(os.environ['WATTQ_METRICS'],'a',buffering=1)\n" + body
        return self.d.submit([sys.executable, "-c", code], **keys)

    def ended(self, run):
        self.d.wait(run)
        return self.d.show(run)

    def test_while_it_goes_on(self):
        run = self.python("for k in range(100):\n out.write(json.dumps({'epoch':k,'loss':1/(k+1)})+'\\n')\n"
                          " time.sleep(0.05)")
        rows = until(lambda: self.d.show(run)["per_epoch"], "the first rows")
        self.assertEqual(self.d.state(run), "running")
        self.assertEqual((rows[0]["epoch"], rows[0]["values"]), (0, {"loss": 1.0}))
        self.d.call("cancel", runs=[run])
        self.d.wait(run)

    def test_energy_per_epoch(self):
        run = self.python("for k in range(4):\n time.sleep(0.4)\n"
                          " out.write(json.dumps({'epoch':k,'loss':k,'t_boot_ns':time.clock_gettime_ns(7)})+'\\n')")
        shown = self.ended(run)
        rows = shown["per_epoch"]
        self.assertEqual([r["epoch"] for r in rows], [0, 1, 2, 3])
        for before, row in zip(rows, rows[1:]):
            seconds = (row["t_ns"] - before["t_ns"]) / 1e9
            self.assertAlmostEqual(row["energy_uj"] / 1e6, 55 * seconds, delta=0.3)
        self.assertEqual(shown["last_metrics"], {"epoch": 3, "loss": 3.0})

    def test_quick_epochs_are_below_resolution(self):
        script = "channel slow kind=counter scope=package period=1s\npower slow = constant 30W\n"
        with Daemon(script=script) as d:
            self.d, keep = d, self.d
            run = self.python("time.sleep(1.2)\nfor k in range(3):\n"
                              " out.write(json.dumps({'epoch':k,'loss':k})+'\\n'); time.sleep(0.15)\ntime.sleep(1.2)")
            rows = self.ended(run)["per_epoch"]
            self.d = keep
        self.assertEqual([r["energy_uj"] for r in rows[1:]], [None, None])
        self.assertIn("below the meter's resolution", rows[1]["reason"])

    def test_bad_lines_are_counted_and_skipped(self):
        run = self.python("out.write('not json\\n[1]\\n{\"epoch\":1,\"v\":2}\\n{\"v\":NaN}\\n\\n')\n"
                          "out.write('{\"pad\":\"'+'x'*20000+'\"}\\n')\n"
                          "out.write(json.dumps({'epoch':2,'v':3,'s':'text','n':None,'bad key':4})+'\\n')\n"
                          "out.write('{\"epoch\":3,\"v\":5}')")  # no newline at the end: still whole
        shown = self.ended(run)
        self.assertEqual([r["values"] for r in shown["per_epoch"]], [{"v": 2.0}, {"v": 3.0}, {"v": 5.0}])
        self.assertEqual(shown["state"], "done")
        listed = self.d.call("runs", params=True)["runs"][0]
        self.assertEqual(listed["last_metrics"], {"epoch": 3, "v": 5.0})

    def test_stamps(self):
        """A writer's own time counts only where it can be true."""
        run = self.python("t=time.clock_gettime_ns(7)\ntime.sleep(0.3)\n"
                          "out.write(json.dumps({'epoch':1,'v':1,'t_boot_ns':time.clock_gettime_ns(7)})+'\\n')\n"
                          "time.sleep(0.4)\nout.write(json.dumps({'epoch':2,'v':t,'t_boot_ns':t})+'\\n')\n"
                          "time.sleep(0.4)\nout.write(json.dumps({'epoch':3,'v':1,'t_boot_ns':t+10**15})+'\\n')\n"
                          "time.sleep(0.3)")
        shown = self.ended(run)
        t0 = shown["t0_ns"]
        at = [(r["t_ns"] - t0) / 1e9 for r in shown["per_epoch"]]
        start = (shown["per_epoch"][1]["values"]["v"] - t0) / 1e9
        for got, want in zip(at, (0.3, 0.7, 1.1)):
            self.assertTrue(want + start - 0.05 <= got <= want + start + 0.35, (at, start))

    def test_many_lines(self):
        n = 30000
        run = self.python(f"for k in range({n}):\n out.write('{{\"step\":%d,\"a\":%d,\"b\":1}}\\n' % (k, k))")
        shown = self.ended(run)
        self.assertEqual(shown["metrics"]["count"], 2 * n)
        self.assertEqual(len(shown["per_epoch"]), 1000)
        self.assertEqual(shown["per_epoch"][-1]["epoch"], n - 1)

    def test_facts_and_phases(self):
        run = self.python(
            "def say(**k): out.write(json.dumps(k)+'\\n')\nnow=lambda: time.clock_gettime_ns(7)\n"
            "say(info={'rows_train':1000,'shape':'rectangle','widths':[3,1],'ok':True})\n"
            "say(phase='train',t_boot_ns=now()); time.sleep(0.5)\nsay(phase='test',t_boot_ns=now()); time.sleep(0.25)\n"
            "say(phase=None,t_boot_ns=now())\n"
            "say(summary={'epochs':2,'rows_train_seen':2000,'test_ns_inside_train':0,'test_loss':0.5})")
        shown = self.ended(run)
        self.assertEqual(shown["info"], {"rows_train": 1000, "shape": "rectangle", "widths": "[3,1]", "ok": True})
        self.assertEqual(shown["summary"]["test_loss"], 0.5)
        self.assertEqual([p["name"] for p in shown["phases"]], ["train", "test"])
        train = total(shown, part="phase:train")["energy_uj"] / 1e6
        test = total(shown, part="phase:test")["energy_uj"] / 1e6
        self.assertAlmostEqual(train, 27.5, delta=2)
        self.assertAlmostEqual(shown["j_per_datum"]["exact"], train / 2000, places=7)
        self.assertAlmostEqual(shown["j_per_datum"]["study"], (train + test) / (2 * 4 * 256), places=7)

    def test_trainer(self):
        run = self.d.call("submit", run=dict(
            self.d.spec(["--dataset", "standin:529_pollen", "--shape", "rectangle", "--depth", "3", "--size", "1024",
                         "--epochs", "5", "--seed", "1"]), kind="train"))["run"]
        r = self.d.wait(run)
        self.assertEqual(r["state"], "done", self.d.logs(run)[0])
        shown = self.d.show(run)
        self.assertEqual(shown["per_epoch"][-1]["epoch"], 5)  # quick epochs are thinned, the last is said
        self.assertIn("test_loss", shown["per_epoch"][0]["values"])
        self.assertEqual(shown["summary"]["epochs"], 5)
        self.assertIn("train", [p["name"] for p in shown["phases"]])
        j = shown["j_per_datum"]
        self.assertTrue("exact" in j or j["exact_reason"], j)
        self.assertTrue("study" in j or j["study_reason"], j)


if __name__ == "__main__":
    unittest.main()
