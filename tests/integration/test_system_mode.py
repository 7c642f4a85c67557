#!/usr/bin/env python3
"""A machine that many people share: runs are their users', nobody reaches another's, and each of wattqd, launcher and
shepherd can be killed. Needs root."""
import os
import pwd
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import system  # noqa: E402
from harness import Refused, check_energy  # noqa: E402
from system import SystemDaemon  # noqa: E402


class Shared(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d = SystemDaemon().__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.d.__exit__(None, None, None)

    def test_a_run_is_its_users(self):
        d = self.d
        for user, groups in (("ada", "ada lab wattq-meter"), ("bob", "bob")):
            run = d.wattq_submit(user, "sh", "-c", "id -un; id -Gn; umask; pwd; ulimit -Hc; echo $A; touch mine",
                                 umask=0o027, A="b c")
            self.assertEqual(d.wait(run)["state"], "done", d.log_text())
            home = pwd.getpwnam(user).pw_dir
            log = d.run_file(run, "log").splitlines()
            self.assertEqual(log[:4] + log[5:], [user, groups, "0027", home, "b c"])
            st = os.stat(f"{home}/mine")
            self.assertEqual((st.st_uid, st.st_mode & 0o777), (pwd.getpwnam(user).pw_uid, 0o640))
            st = os.stat(d.path("state", "runs", str(run), "log"))
            self.assertEqual((st.st_uid, st.st_gid, st.st_mode & 0o777),
                             (pwd.getpwnam(user).pw_uid, pwd.getpwnam("wattq").pw_gid, 0o640))
            shown = d.show(run)
            self.assertTrue(shown["mode"].startswith("system+"), shown["mode"])
            check_energy(shown)

    def test_nobody_runs_what_was_not_signed(self):
        with self.d.peer("eve") as c:
            self.assertEqual((c.hello["mode"], c.hello["launcher"]), ("system", self.d.launcher_dir))
            with self.assertRaises(Refused) as r:
                c.call("submit", run=self.d.spec(["true"]))
        self.assertEqual(r.exception.code, "forbidden")


if __name__ == "__main__":
    system.enter()
    unittest.main()
