#!/usr/bin/env python3
"""wattq report after a real sweep: what the page holds, that it is well-formed, that it says nothing that is no
number, and that estimates are marked."""
import html.parser
import json
import os
import re
import sys
import unittest
import xml.etree.ElementTree as xml

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import Daemon  # noqa: E402
from study_page import sweep, wattq  # noqa: E402

ESTIMATE = """channel guess kind=counter scope=package quality=estimated period=1ms quantum=1 pmax=1000W
power guess = constant 50W
"""


class Text(html.parser.HTMLParser):
    """The words of a page, without its style; and every address in it."""

    def __init__(self, page):
        super().__init__()
        self.words, self.addresses, self.inside = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "link", "br"):
            self.inside.append(tag)
        self.addresses += [v for k, v in attrs if k in ("href", "src", "xlink:href", "action")]

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.inside.pop() == tag, tag

    def handle_data(self, data):
        if "style" not in self.inside:
            self.words.append(data)


def look(case, page):
    """What holds for every page; its text."""
    xml.fromstring(page.split("\n", 1)[1])  # also XML, but for the doctype
    text = Text(page)
    words = " ".join(text.words)
    case.assertNotRegex(words, r"(?i)(?<![a-z])(nan|inf|null|undefined)(?![a-z])")
    case.assertTrue(all(a.startswith("#") for a in text.addresses), text.addresses)
    case.assertNotIn("http", page)
    case.assertNotIn("@import", page)
    case.assertNotIn("url(", page)
    case.assertNotIn("<script", page)
    ids = re.findall(r' id="([^"]+)"', page)
    case.assertEqual(len(ids), len(set(ids)))
    for anchor in text.addresses:
        case.assertIn(anchor[1:], ids)
    return words


class Report(unittest.TestCase):
    def test_a_sweep(self):
        with Daemon() as d:
            n = sweep(d, "--repeat", "2")
            said = wattq(d, "report", "--title", "Tiny <networks>").stderr
            self.assertRegex(said, rf"wattq-report.html: {n} training runs")
            with open(os.path.join(d.dir, "wattq-report.html")) as f:
                page = f.read()
            words = look(self, page)
            self.assertIn("Tiny <networks>", words)
            self.assertEqual(len(re.findall(r'<tr class="(?:yes|no|open)">', page)), 20)
            self.assertNotIn("estimate", words.replace("an estimate", ""))
            for figure in ("rows-cpu", "size-cpu", "depth-cpu", "f-cpu", "ops-cpu"):
                self.assertIn(f'<figure id="{figure}">', page)
            self.assertIn("full: ", words)  # a cache boundary
            self.assertIn("package", words)
            self.as_data(d, n)
            self.elsewhere(d)

    def as_data(self, d, n):
        doc = json.loads(wattq(d, "--json", "report").stdout, parse_constant=lambda c: self.fail(c))
        self.assertEqual(doc["schema"], "wattq.report/1")
        self.assertEqual(len(doc["runs"]), n)
        self.assertEqual({c["row"] for c in doc["claims"]}, set(range(1, 17)))
        for c in doc["claims"]:
            self.assertTrue(c["why"])
            if c["verdict"] == "reproduced":
                self.assertIsNotNone(c["value"])
        depth = [c for c in doc["claims"] if c["row"] == 6 and c["hardware"] == "CPU"][0]
        self.assertIsNotNone(depth["value"])
        for run in doc["runs"]:
            self.assertLessEqual(run["lo_j"], run["energy_j"])
            self.assertLessEqual(run["energy_j"], run["hi_j"])

    def elsewhere(self, d):
        """To the standard output, of few runs, of none that fits, to where nobody can write."""
        page = wattq(d, "report", "-o", "-", "1").stdout
        words = look(self, page)
        self.assertIn("1 training runs of 1", words)
        wattq(d, "submit", "-W", "--", "true")
        words = look(self, wattq(d, "report", "-o", "-", "last").stdout)
        self.assertIn("There is no finished training run in this selection (last)", words)
        self.assertIn("it is not a run of the built-in trainer", words)
        p = wattq(d, "report", "-o", "/nowhere/x.html", "1", code=1)
        self.assertIn("wattq report -o", p.stderr)

    def test_estimates_stay_estimates(self):
        with Daemon(script=ESTIMATE) as d:
            sweep(d, "--repeat", "1")
            words = look(self, wattq(d, "report", "-o", "-").stdout)
            self.assertIn("The joules of these runs are estimates", words)
            self.assertNotIn("energy per datum (J)", words)
            self.assertIn("time per datum (s)", words)
            joules = re.findall(r"(~?[\d.]+ [mkµn]?J)( estimated)?", words.split("All ")[-1])
            self.assertTrue(joules)
            for figure, word in joules:
                self.assertTrue(figure.startswith("~") and word, figure)


if __name__ == "__main__":
    unittest.main(verbosity=2)
