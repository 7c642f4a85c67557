#!/usr/bin/env python3
"""Say what a ctest run did, from its JUnit file: what failed and its last words, what was skipped and why, then one
line 'N passed, N failed, N skipped'. Exit 1 when something failed or nothing ran. A second file is of a run of those
that failed, one at a time: who passes there has failed beside others, on a machine that was too busy for it, and is
named as that."""
import os
import re
import sys
import xml.etree.ElementTree as tree


def reason(output):
    """The test's own words: its last line that says skip, else its last line."""
    lines = [line.strip() for line in (output or "").splitlines() if line.strip()]
    said = [line for line in lines if re.search(r"\bskip", line, re.IGNORECASE)]
    return (said or lines or ["it gave no reason"])[-1]


def last_words(output, lines=12):
    said = [line for line in (output or "").splitlines() if line.strip()]
    return "\n".join(f"      {line}" for line in said[-lines:])


def passes(case):
    return case.get("status") == "run" and case.find("failure") is None


def passed_alone(path):
    return {case.get("name") for case in tree.parse(path).getroot().iter("testcase") if passes(case)}


def main(path, second=None):
    # A program that was not built is "skipped" to ctest; here it has failed.
    alone = passed_alone(second) if second and os.path.exists(second) else set()
    cases = tree.parse(path).getroot().iter("testcase")
    passed, failed, skipped, partly, busy = [], [], [], [], []
    for case in cases:
        name, output = case.get("name"), case.findtext("system-out")
        skip = case.find("skipped")
        if passes(case):
            passed.append(name)
            inner = re.findall(r"\[  SKIPPED \] (\w+)$", output or "", re.MULTILINE)
            partly += [f"{name}: {test}" for test in dict.fromkeys(inner)]
        elif skip is not None and skip.get("message", "").startswith("SKIP_"):
            skipped.append(f"{name}: {reason(output)}")
        else:
            if name in alone:
                passed.append(name)
            (busy if name in alone else failed).append(f"{name}\n{last_words(output)}")
    print(f"{len(passed) + len(failed) + len(skipped)} tests ran or were asked to run")
    for title, names in (("failed beside others and passed alone", busy), ("failed", failed), ("skipped, and why", skipped),
                         ("cases skipped inside tests that passed", partly)):
        if names:
            print(f"{title}:")
            print("\n".join(f"  {name}" for name in names))
    print(f"{len(passed)} passed, {len(failed)} failed, {len(skipped)} skipped")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
