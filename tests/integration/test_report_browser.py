#!/usr/bin/env python3
"""The report in a real browser, on a screen, on a phone, in the dark and on paper: it loads without a word on the
console and without a look at the network, nothing is wider than a phone, text can be read, and an accessibility
checker finds nothing. Skips without Chromium; without axe-core our own checks are all there are."""
import json
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from browser import Browser, find, find_axe  # noqa: E402
from harness import Daemon  # noqa: E402
from study_page import sweep, wattq  # noqa: E402

# Text whose contrast with what lies behind it is below 4.5:1, as "words: ratio".
CONTRAST = """
(() => {
  const rgb = c => { const m = c.match(/[\\d.]+/g).map(Number); return m.length < 4 || m[3] > 0 ? m : null; };
  const part = v => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
  const light = c => 0.2126 * part(c[0]) + 0.7152 * part(c[1]) + 0.0722 * part(c[2]);
  const behind = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor);
                        if (c) return c; } return [255, 255, 255]; };
  const bad = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let n = walk.nextNode(); n; n = walk.nextNode()) {
    const e = n.parentElement, s = getComputedStyle(e);
    if (!n.textContent.trim() || s.display === 'none' || e.closest('title,desc,style')) continue;
    const front = light(rgb(e.closest('svg') ? s.fill : s.color)), back = light(behind(e));
    const ratio = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
    if (ratio < 4.5) bad.push(n.textContent.trim().slice(0, 40) + ': ' + ratio.toFixed(2));
  }
  return bad;
})()"""
# Text smaller than 11 px as shown; drawings are scaled.
SMALL = """
(() => [...document.querySelectorAll('p,th,td,caption,figcaption,li,dt,dd,summary,svg text')].filter(e => {
  const svg = e.closest('svg');
  const scale = svg ? svg.getBoundingClientRect().width / svg.viewBox.baseVal.width : 1;
  return e.getClientRects().length && parseFloat(getComputedStyle(e).fontSize) * scale < 11;
}).map(e => e.textContent.slice(0, 40)))()"""
# Boxes that scroll sideways must be reachable with the keyboard and named.
BOXES = """
(() => [...document.querySelectorAll('.wide')].filter(e => e.tabIndex !== 0 || !e.getAttribute('aria-label'))
  .length)()"""
NAMES = """
(() => [...document.querySelectorAll('svg')].filter(e => e.getAttribute('role') !== 'img' ||
  !e.getAttribute('aria-labelledby').split(' ').every(i => document.getElementById(i).textContent)).length)()"""
HEADS = "(() => [...document.querySelectorAll('th')].filter(e => !e.scope).length)()"


class InABrowser(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d = Daemon()
        cls.d.start()
        sweep(cls.d, "--repeat", "1")
        wattq(cls.d, "report")
        cls.page = os.path.join(cls.d.dir, "wattq-report.html")
        cls.browser = Browser()
        cls.browser.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.browser.__exit__()
        cls.d.__exit__(None, None, None)

    def check(self, page):
        self.assertEqual(page.evaluate(CONTRAST), [])
        self.assertEqual(page.evaluate(SMALL), [])
        for script in (BOXES, NAMES, HEADS):
            self.assertEqual(page.evaluate(script), 0, script)
        self.assertEqual(page.complaints(), [])

    def test_on_a_screen(self):
        page = self.browser.open(self.page)
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        self.check(page)
        self.assertGreater(page.evaluate("document.querySelectorAll('svg path').length"), 50)
        self.assertEqual(page.evaluate("document.documentElement.lang"), "en")

    def test_on_a_phone(self):
        page = self.browser.open(self.page, width=375, height=700)
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        self.assertEqual(page.evaluate("document.documentElement.scrollWidth"), 375)
        self.assertEqual(page.evaluate("innerWidth"), 375)
        self.check(page)

    def test_in_the_dark(self):
        page = self.browser.open(self.page, dark=True)
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        self.assertLess(sum(map(int, paper[4:-1].split(","))), 200, paper)
        self.check(page)

    def test_on_paper(self):
        page = self.browser.open(self.page, dark=True)
        pdf = page.pdf()
        self.assertTrue(pdf.startswith(b"%PDF"))
        self.assertGreater(len(pdf), 20000)
        page.call("Emulation.setEmulatedMedia", media="print",
                  features=[{"name": "prefers-color-scheme", "value": "dark"}])
        self.assertEqual(page.evaluate("getComputedStyle(document.body).backgroundColor"), "rgb(255, 255, 255)")

    def test_axe(self):
        axe = find_axe()
        if not axe:
            self.skipTest("axe-core is not installed (python3 -m pip install axe-core-python, or WATTQ_AXE)")
        with open(axe) as f:
            script = f.read()
        for width, dark in ((1280, False), (375, False), (1280, True)):
            page = self.browser.open(self.page, width=width, dark=dark)
            page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
            page.evaluate(script + ";0")
            found = page.evaluate("axe.run().then(r => JSON.stringify(r.violations.map("
                                  "v => [v.id, v.help, v.nodes.length, v.nodes[0].html.slice(0, 160)])))")
            self.assertEqual(json.loads(found), [], f"width {width}, dark {dark}")


if __name__ == "__main__":
    if not find():
        print("there is no Chromium here (chromium, chromium-browser, google-chrome): skipped")
        sys.exit(77)
    unittest.main(verbosity=2)
