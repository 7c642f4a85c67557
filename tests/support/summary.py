#!/usr/bin/env python3
"""Say what a ctest run did, from its JUnit file: what failed, what was skipped and why, then one line
'N passed, N failed, N skipped'. Exit 1 when something failed or nothing ran."""
import re
import sys
import xml.etree.ElementTree as tree


def reason(output):
    """The test's own words: its last line that says skip, else its last line."""
    lines = [line.strip() for line in (output or "").splitlines() if line.strip()]
    said = [line for line in lines if re.search(r"\bskip", line, re.IGNORECASE)]
    return (said or lines or ["it gave no reason"])[-1]


def main(path):
    # A program that was not built is "skipped" to ctest; here it has failed.
    cases = tree.parse(path).getroot().iter("testcase")
    passed, failed, skipped, partly = [], [], [], []
    for case in cases:
        name, output = case.get("name"), case.findtext("system-out")
        skip = case.find("skipped")
        if case.get("status") == "run" and case.find("failure") is None:
            passed.append(name)
            inner = re.findall(r"\[  SKIPPED \] (\w+)$", output or "", re.MULTILINE)
            partly += [f"{name}: {test}" for test in dict.fromkeys(inner)]
        elif skip is not None and skip.get("message", "").startswith("SKIP_"):
            skipped.append(f"{name}: {reason(output)}")
        else:
            failed.append(name)
    print(f"{len(passed) + len(failed) + len(skipped)} tests ran or were asked to run")
    for title, names in (("failed", failed), ("skipped, and why", skipped),
                         ("cases skipped inside tests that passed", partly)):
        if names:
            print(f"{title}:")
            print("\n".join(f"  {name}" for name in names))
    print(f"{len(passed)} passed, {len(failed)} failed, {len(skipped)} skipped")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
