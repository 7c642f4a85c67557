#!/usr/bin/env python3
"""The page on measurement names, for each way in which energy figures went wrong elsewhere, the test that would
catch it here. A name that is nowhere in the tree, or a case that is missing, fails."""
import glob
import os
import re
import unittest

SRC = os.environ.get("WATTQ_SRC", ".")
CASES = 66
TESTED_AT_LEAST = 50


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


if __name__ == "__main__":
    unittest.main()
