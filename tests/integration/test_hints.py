#!/usr/bin/env python3
"""Every `wattq COMMAND` that an error's "what to do next" names is a command of the client.

An error that recommends something that does not exist is worse than none."""
import os
import pathlib
import re
import subprocess
import unittest

SRC = pathlib.Path(os.environ["WATTQ_SRC"])
WATTQ = os.path.join(os.environ["WATTQ_BIN"], "client", "wattq")
NEXT = re.compile(r'err_next\([^"]*((?:"(?:[^"\\]|\\.)*"\s*)+)')
WORDS = {"installed", "that"}  # prose: "is wattq installed completely?", "a wattq that speaks ..."


def hints():
    for path in sorted(p for d in ("common", "daemon", "client") for p in (SRC / d).rglob("*.c")):
        text = path.read_text()
        for m in NEXT.finditer(text):
            said = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', m.group(1)))
            for word in re.findall(r"\bwattq ([a-z]+)", said):
                if word not in WORDS:
                    yield f"{path.relative_to(SRC)}:{text.count(chr(10), 0, m.start()) + 1}", word


class Hints(unittest.TestCase):
    def test_commands_exist(self):
        listed = subprocess.run([WATTQ, "help"], capture_output=True, text=True, check=True).stdout
        commands = set(re.findall(r"^  ([a-z]+) ", listed, re.M))
        found = list(hints())
        self.assertGreater(len(found), 20, "the pattern no longer finds the hints")
        self.assertEqual([h for h in found if h[1] not in commands], [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
