#!/usr/bin/env python3
"""The page on measurement names, for each way in which energy figures went wrong elsewhere, the test that would
catch it here; the page on security, for each thing that a user cannot do, the test that tries it. A name that is nowhere
in the tree, or a case that is missing, fails."""
import glob
import os
import re
import unittest

SRC = os.environ.get("WATTQ_SRC", ".")
CASES = 66
TESTED_AT_LEAST = 50
CANNOT_AT_LEAST = 25


def rows():
    with open(os.path.join(SRC, "docs", "measurement.md"), encoding="utf-8") as f:
        text = f.read().split("## What went wrong elsewhere", 1)[1]
    return [[c.strip() for c in line.strip().strip("|").split("|")]
            for line in text.splitlines() if re.match(r"\| *\d+ *\|", line)]


def names(file):
    found = glob.glob(os.path.join(SRC, "tests", "*", file + ".*"))
    if not found:
        raise AssertionError(f"there is no file of tests {file}")
    text = ""
    for path in found:
        with open(path, encoding="utf-8") as f:
            text += f.read()
    return text


class Cases(unittest.TestCase):
    def test_every_case_is_there_once(self):
        self.assertEqual([int(r[0]) for r in rows()], list(range(1, CASES + 1)))
        self.assertTrue(all(len(r) == 3 and r[1] and r[2] for r in rows()))

    def test_every_test_that_is_named_exists(self):
        tested = 0
        for number, _, where in rows():
            refs = re.findall(r"`(test_\w+):(\w+)`", where)
            tested += bool(refs)
            for file, name in refs:
                self.assertRegex(names(file), rf"\b{name}\b", f"case {number}")
        self.assertGreaterEqual(tested, TESTED_AT_LEAST)


class Cannot(unittest.TestCase):
    """The table "A user cannot" of docs/security.md."""

    def rows(self):
        with open(os.path.join(SRC, "docs", "security.md"), encoding="utf-8") as f:
            part = f.read().split("\n## A user cannot\n", 1)[1].split("\n## ", 1)[0]
        rows = [[c.strip() for c in line.strip("|").split("|")] for line in part.splitlines() if line.startswith("|")][2:]
        self.assertGreaterEqual(len(rows), CANNOT_AT_LEAST)
        return rows

    def test_every_row_is_tried(self):
        for row in self.rows():
            self.assertEqual(len(row), 3, row)
            refs = re.findall(r"`(\w+)\.(\w+)`", row[2])
            self.assertTrue(refs, row)
            for file, name in refs:
                self.assertRegex(names(file), rf"(?m)^ *(def|static void|int) {name}\(", row[0])

    def test_every_test_has_its_row(self):
        named = {name for row in self.rows() for file, name in re.findall(r"`(\w+)\.(\w+)`", row[2]) if file == "test_cannot"}
        self.assertEqual(set(re.findall(r"(?m)^    def (test_\w+)\(", names("test_cannot"))), named)


if __name__ == "__main__":
    unittest.main()
