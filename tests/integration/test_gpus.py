#!/usr/bin/env python3
"""GPUs are a resource of the queue: who is given which, what a run sees of them, whose energy it is and who
computes on somebody else's. The real daemon on the tests' own NVIDIA library with two GPUs."""
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import BIN, Daemon, Refused, total, until  # noqa: E402

LIBRARY = os.path.abspath(os.path.join(BIN, "tests/support/fake/libnvidia-ml.so.1"))
GPU = [f"GPU-fa4e0000-0000-0000-0000-{i:012}" for i in range(2)]
INTRUDER = 4242
SHOW = 'echo "$CUDA_VISIBLE_DEVICES $CUDA_DEVICE_ORDER $WATTQ_GPUS"'


@unittest.skipUnless(os.path.exists(LIBRARY), "the fake NVML is not built")
class Gpus(unittest.TestCase):
    def setUp(self):
        # Who else is at work is read from a /proc of the test's own: one process, which uses a GPU and no CPU.
        root = tempfile.mkdtemp(prefix="wattq-test-")
        self.addCleanup(shutil.rmtree, root)
        os.makedirs(os.path.join(root, "proc", str(INTRUDER)))
        for name, text in (("stat", f"{INTRUDER} (python) S 1 1 1 0 -1 0 0 0 0 0 5 3 0 0 20 0 1 0 77 0 0"),
                           ("status", "Name:\tpython\nUid:\t54321\t54321\t54321\t54321\n")):
            with open(os.path.join(root, "proc", str(INTRUDER), name), "w") as f:
                f.write(text)
        self.d = Daemon("--sysfs-root", root, "--disable", "perf,powercap,hwmon,battery,ipmi,estimate", "--nvml", LIBRARY, "--parallel", "3", "--cpus", "8",
                        "--others-period", "200ms", "--disturbed", "20", "--idle-busy", "100")
        self.control = os.path.join(self.d.dir, "nvml_control")
        self.set()
        os.environ["FAKE_NVML_CONTROL"] = self.control
        self.d.__enter__()

    def tearDown(self):
        self.d.__exit__(*sys.exc_info())
        del os.environ["FAKE_NVML_CONTROL"]

    def set(self, **keys):
        """Keys of the control file; '_at_' stands for '@'."""
        with open(self.control + ".new", "w") as f:
            f.write("gpus 2\npower_mw@0 300000\npower_mw@1 100000\n" +
                    "".join(f"{k.replace('_at_', '@')} {v}\n" for k, v in keys.items()))
        os.rename(self.control + ".new", self.control)

    def wattq(self, *args, code=0):
        p = subprocess.run([os.path.join(BIN, "client", "wattq"), "--socket", self.d.socket, *args],
                           capture_output=True, text=True, timeout=60)
        self.assertEqual(p.returncode, code, p.stdout + p.stderr)
        return p.stdout + p.stderr

    def shared(self, command, **keys):
        return self.d.sh(command, exclusive=False, **keys)

    def log(self, run):
        return self.d.logs(run)[0]

    def given(self, run):
        return self.d.show(run).get("gpu_ids")

    def test_what_a_run_is_given(self):
        a = self.shared(SHOW + "; sleep 60")
        b = self.shared(SHOW + "; sleep 60", gpus=1)
        for i, run in enumerate((a, b)):
            self.d.until_state(run, "running")
            until(lambda: self.log(run), "it has written what it sees")
            self.assertEqual(self.log(run).split(), [GPU[i], "PCI_BUS_ID", GPU[i]])
            self.assertEqual(self.given(run), [GPU[i]])
        # Both are taken: one that wants a GPU waits and says for what; one that wants none passes it.
        wants = self.shared("true", gpus=1)
        none = self.shared(SHOW, gpus=0)
        self.d.wait(none)
        self.assertEqual(self.log(none), " PCI_BUS_ID \n")
        self.assertEqual(self.given(none), [])
        self.assertEqual(self.d.state(wants), "queued")
        self.assertIn(f"1 GPU: held by run {a}, run {b}", self.wattq("queue", "-a"))
        # What a run holds it still holds when wattqd was killed under it.
        self.d.kill()
        self.d.start()
        until(lambda: self.d.state(a) == "running" and self.d.state(b) == "running", "both are found again")
        self.assertEqual(self.d.state(wants), "queued")
        row = next(r for r in self.d.call("queue")["runs"] if r["run"] == b)
        self.assertEqual(row["gpu_ids"], [GPU[1]])
        self.d.call("cancel", runs=[b], signal="KILL")
        self.d.wait(wants)
        self.assertEqual(self.given(wants), [GPU[1]])
        named = self.shared("true", gpu_ids=["gpu0"])
        self.assertEqual(self.d.state(named), "queued")
        self.assertIn(f"gpu0: held by run {a}", self.wattq("queue", "-a"))
        self.d.call("cancel", runs=[a], signal="KILL")
        self.d.wait(named)
        self.assertEqual(self.given(named), [GPU[0]])

    def energy(self, run, label, figure="attributed"):
        """(energy_uj) of one meter in a run's window."""
        return next(f["energy_uj"] for f in self.d.show(run)["energy"]
                    if f["label"] == label and f["figure"] == figure and f["part"] == "window")

    def audit(self):
        r = self.d.call("audit")
        self.assertEqual(r["failures"], 0, r["failed"])

    def test_whose_energy_it_is(self):
        """300 W and 100 W: each run gets its own GPU's, also over a kill of wattqd; an intruder's part is not its own."""
        a = self.shared("sleep 10")
        b = self.shared("sleep 10")
        for run in (a, b):
            self.d.until_state(run, "running")
        time.sleep(4)  # of b's own: what is not split when the intruder is seen, two seconds or three, is nobody's
        self.set(busy_at_1=60, **{f"proc_{INTRUDER}_at_1": 4096, f"use_{INTRUDER}_at_1": 60})

        def looked():
            gpus = [g for g in self.d.call("who")["devices"] if g["device"] in GPU and g["known"]]
            return [g for g in gpus if g["processes"]] if len(gpus) == 2 else None
        who = until(looked, "who is on both")
        self.assertEqual([(g["device"], g["holder"]["run"]) for g in who], [(GPU[1], b)])
        (process,) = who[0]["processes"]
        self.assertEqual((process["pid"], process["run"], process["intruder"]), (INTRUDER, None, True))
        text = self.wattq("who")
        self.assertIn(f"run {a} holds it", text)
        self.assertIn(f"INTRUDER, process {INTRUDER}", text)
        self.assertIn(f"allocated to run {a}, 0 % for", text)
        self.d.wait(a, b)
        self.audit()
        shown = self.d.show(b)
        self.assertIn("disturbed", total(shown)["flags"].split())
        self.assertNotIn("disturbed", total(self.d.show(a))["flags"].split())
        (other,) = [o for o in shown["others"] if o["kind"] == "gpu"]
        self.assertEqual(other["device"], GPU[1])
        self.assertGreater(other["busy_us"], 500000)
        self.assertEqual([o for o in self.d.show(a)["others"] if o["kind"] == "gpu"], [])
        self.assertIn(f"of {GPU[1]}", self.wattq("show", str(b)))
        # Nobody computed on GPU 0 but its run: all its energy is the run's. On GPU 1 only the intruder did, as
        # far as the driver tells: what fell after it was seen is nobody's.
        machine, own = self.energy(a, "gpu0", "machine"), self.energy(a, "gpu0")
        self.assertAlmostEqual(own / machine, 1, delta=0.03)
        self.assertAlmostEqual(self.energy(b, "gpu0") / machine, 0, delta=0.03)
        machine, own = self.energy(b, "gpu1", "machine"), self.energy(b, "gpu1")
        self.assertLess(own, 0.75 * machine)
        self.assertGreater(own, 0.1 * machine)

    def test_asking(self):
        text = self.wattq("submit", "--shared", "--", "true")
        self.assertIn("(1 GPU, 1 CPU)", text)
        self.assertIn("(no GPU, 1 CPU)", self.wattq("submit", "--shared", "-G", "0", "--", "true"))
        self.assertIn("3 GPUs were asked for, but this machine has 2", self.wattq("submit", "--gpus", "3", "--", "true",
                                                                                 code=2))
        self.assertIn("no GPU here is called 'gpu5'", self.wattq("exec", "--shared", "-G", "gpu5", "--", "true", code=2))
        with self.assertRaises(Refused):
            self.d.submit(["true"], gpus=3)
        # A run in the foreground sees its own; an exclusive one all, unless it asked for fewer.
        self.assertIn(GPU[1] + " PCI_BUS_ID", self.wattq("exec", "--shared", "-G", "gpu1", "--", "sh", "-c", SHOW))
        self.assertIn(",".join(GPU), self.wattq("exec", "--", "sh", "-c", SHOW))
        one = self.d.sh(SHOW, gpus=1)
        own = self.d.submit(["sh", "-c", SHOW], env={"CUDA_VISIBLE_DEVICES": "1"})
        self.d.wait(one, own)
        self.assertEqual(self.log(one).split(), [GPU[0], "PCI_BUS_ID", GPU[0]])
        self.assertEqual(self.log(own).split(), ["1", ",".join(GPU)])
        self.assertEqual(self.given(one), GPU)
        # A retry asks for the same.
        again = self.shared("false", gpu_ids=["1"])
        self.d.wait(again)
        retried = self.d.call("retry", runs=[again])["runs"][0]["run"]
        self.d.wait(retried)
        self.assertEqual(self.given(retried), [GPU[1]])
        self.assertIn(GPU[1], self.wattq("show", str(retried)))

    def test_damaged_gpu_is_given_to_nobody(self):
        """Who holds it goes on; who waits is told which and why; it is out after a restart too, until it is repaired."""
        holds = self.shared("sleep 60", gpu_ids=["gpu0"])
        self.d.until_state(holds, "running")
        self.set(remap_failed_at_0=1, pages_pending_at_1=1)
        row, page = "gpu0 is given to nobody: its memory has a bad row that could not be remapped", \
            "gpu1 is given to nobody: a bad page of its memory waits for a reset to be retired"
        named = self.shared("true", gpu_ids=["gpu0"])
        until(lambda: row in self.wattq("why", str(named)), "the damage to be told")
        self.assertEqual(self.d.state(holds), "running")
        self.d.call("cancel", runs=[holds], signal="KILL")
        self.d.wait(holds)
        self.d.kill()
        self.d.start()
        other = self.shared("true", gpu_ids=["gpu1"])
        until(lambda: page in self.wattq("queue", "-a") and row in self.wattq("queue", "-a"), "both to be told again")
        self.assertEqual([self.d.state(r) for r in (named, other)], ["queued", "queued"])
        # An exclusive run owns the machine, and sees what is sound.
        self.set(remap_failed_at_0=1)
        self.d.wait(other)
        alone = self.d.sh(SHOW)
        self.d.wait(alone)
        self.assertEqual(self.log(alone).split(), [GPU[1], "PCI_BUS_ID", GPU[1]])
        self.assertEqual(self.d.state(named), "queued")
        self.set()
        self.d.wait(named)
        self.assertEqual(self.given(named), [GPU[0]])

    def test_taken_out_and_put_back(self):
        """By an admin: who holds it goes on, who waits is told who took it and why, a new wattqd knows it still."""
        holds = self.shared("sleep 60", gpu_ids=["gpu0"])
        self.d.until_state(holds, "running")
        out = self.wattq("admin", "gpu", "gpu0", "off", "--reason", "its fan is loud")
        self.assertIn(f"took it out: its fan is loud\nrun {holds}, which holds it, goes on", out)
        self.d.call("cancel", runs=[holds], signal="KILL")
        self.d.wait(holds)
        self.d.kill()
        self.d.start()
        why = "gpu0 is given to nobody: root took it out: its fan is loud"
        if os.geteuid() != 0:
            why = "took it out: its fan is loud"
        both = self.shared("true", gpus=2)  # waits: it comes back
        self.assertIn("1 of the 2 here can be given; ", self.wattq("why", str(both)))
        self.assertIn(why, self.wattq("why", str(both)))
        self.assertIn("took it out: its fan is loud", self.wattq("info"))
        self.assertIn("took it out: its fan is loud", self.wattq("who"))
        alone = self.d.sh(SHOW)
        self.d.wait(alone)
        self.assertEqual(self.log(alone).split(), [GPU[1], "PCI_BUS_ID", GPU[1]])
        self.assertIn("is called 'gpu7'", self.wattq("admin", "gpu", "gpu7", "off", code=1))
        self.assertIn("off or on", self.wattq("admin", "gpu", "gpu0", code=2))
        self.assertIn("is given to runs again", self.wattq("admin", "gpu", GPU[0], "on"))
        self.d.wait(both)
        self.assertEqual(self.given(both), GPU)
        acts = [(e["act"], e["text"]) for e in self.d.call("admin_log")["events"]]
        self.assertEqual(acts, [("gpu on", f"gpu0 Fake GPU {GPU[0]}"),
                                ("gpu off", f"gpu0 Fake GPU {GPU[0]}: its fan is loud")])

    def test_errors_that_take_a_reset(self):
        """An Xid of the hardware takes a GPU out until somebody puts it back; one that programs cause does not. What the
        driver says itself, errors in memory or that the GPU is lost, is named as long as it says so."""
        self.set(xid_at_1=31, ecc_at_0=2)
        until(lambda: "its memory had errors" in self.wattq("info"), "the errors in memory")
        self.assertNotIn("gpu1", self.wattq("info"))
        named = self.shared("true", gpu_ids=["gpu0"])
        self.assertIn("gpu0 is given to nobody: its memory had errors", self.wattq("why", str(named)))
        self.set(xid_at_1=79, error_at_0=15)
        until(lambda: "its driver reported Xid 79" in self.wattq("info"), "the Xid")
        until(lambda: "gpu0 is given to nobody: it is lost" in self.wattq("queue", "-a"), "the loss")
        self.d.kill()
        self.set()
        self.d.start()
        self.d.wait(named)
        waits = self.shared("true", gpu_ids=["gpu1"])
        self.assertIn("gpu1 is given to nobody: its driver reported Xid 79", self.wattq("why", str(waits)))
        self.wattq("admin", "gpu", "gpu1", "on")
        self.d.wait(waits)
        events = self.d.call("admin_log")["events"]
        self.assertEqual([(e["act"], e["actor"]) for e in events][1], ("gpu off", "wattqd"))
        self.assertEqual(events[0]["act"], "gpu on")

    def test_a_held_gpu_is_not_idle(self):
        """It computes nothing and draws more than an empty one: no baseline of it, but one of the other."""
        self.set(**{f"proc_{INTRUDER}_at_1": 4096})
        until(lambda: "4242" in self.wattq("who"), "the process to be seen")
        self.wattq("idle", "measure", "--for", "3s")
        rows = {b["label"] for b in self.d.call("baselines")["baselines"]}
        self.assertTrue(any(r.startswith("gpu0") for r in rows), rows)
        self.assertFalse(any(r.startswith("gpu1") for r in rows), rows)


if __name__ == "__main__":
    unittest.main()
