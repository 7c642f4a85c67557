"""Writes schema_N.sql: a small database as the wattqd that is built here leaves it when it is killed, N its schema.

    WATTQ_SRC=. WATTQ_BIN=build python3 tests/golden/db/make.py

Made once for each schema, with the last wattqd that wrote it, and never again: tests/unit/test_golden_db.c brings each to
the newest schema and looks whether all is still there. When a schema is added, the one before it must have its file.
In it: a run with parameter, phases and metrics, its samples in a chunk; another whose samples are still rows of the tail;
a third that is held. Schemas 1 to 5 are by the programs of commits 5495331, dd7f398, 5b549bd, 319f98d and 9b04d9b; the
blobs of samples of the first four are of version 0.
"""
import os
import re
import socket
import sqlite3
import sys

SRC = os.environ.get("WATTQ_SRC", ".")
sys.path.insert(0, os.path.join(SRC, "tests", "support"))
os.environ["PATH"] = "/usr/bin:/bin"
from harness import Daemon  # noqa: E402

PROGRAM = """printf '{"phase":"train"}\\n' >>"$WATTQ_METRICS"
for i in 1 2 3; do sleep 0.15; printf '{"step":%s,"loss":%s.5}\\n' $i $((4 - i)) >>"$WATTQ_METRICS"; done"""


def without_names(text):
    """What the dump says of this machine is of no use to anybody."""
    return re.sub(re.escape(socket.gethostname()), "golden", text)


def main():
    out = os.path.dirname(os.path.abspath(__file__)) if len(sys.argv) < 2 else sys.argv[1]
    with Daemon() as d:
        first = d.sh(PROGRAM, label="golden", params={"lr": "0.1"})
        d.wait(first)
        d.stop()
        d.start()
        d.wait(d.sh("sleep 0.5", label="in the tail"))
        d.sh("true", label="waits", hold=True)
        d.kill()
        db = sqlite3.connect(os.path.join(d.state_dir, "wattq.db"))
        version = db.execute("PRAGMA user_version").fetchone()[0]
        application = db.execute("PRAGMA application_id").fetchone()[0]
        with open(os.path.join(out, f"schema_{version}.sql"), "w") as f:
            f.write(f"PRAGMA page_size=4096;\nPRAGMA auto_vacuum=INCREMENTAL;\nPRAGMA application_id={application};\n"
                    f"PRAGMA user_version={version};\n")
            for line in db.iterdump():
                f.write(without_names(line) + "\n")
        db.close()
    print(f"schema_{version}.sql")


if __name__ == "__main__":
    main()
