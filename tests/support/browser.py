"""A headless Chromium, driven over a pipe with its DevTools protocol: no driver, no network, no library.

    with Browser() as b:
        page = b.open(path, width=375)
        page.evaluate("document.title")
"""
import base64
import itertools
import json
import os
import shutil
import subprocess
import tempfile
import time


def find():
    """The browser's program, or None."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if shutil.which(name):
            return shutil.which(name)
    return None


def find_axe():
    """axe-core's script, or None: $WATTQ_AXE, Debian's place for it, or a Python package that carries it."""
    places = [os.environ.get("WATTQ_AXE"), "/usr/share/nodejs/axe-core/axe.min.js"]
    try:
        import axe_core_python
        places.append(os.path.join(os.path.dirname(axe_core_python.__file__), "axe.min.js"))
    except ImportError:
        pass
    return next((p for p in places if p and os.path.exists(p)), None)


class Browser:
    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="wattq-browser-")
        self.ids = itertools.count(1)
        self.events = []
        self.buffer = b""
        to_read, to_write = os.pipe()
        from_read, from_write = os.pipe()
        options = ["--headless=new", "--remote-debugging-pipe", "--disable-gpu", "--no-first-run",
                   "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
                   "--user-data-dir=" + self.dir]
        if os.geteuid() == 0:
            options.append("--no-sandbox")
        self.proc = subprocess.Popen(
            ["sh", "-c", f'exec "$0" "$@" 3<&{to_read} 4>&{from_write}', find(), *options, "about:blank"],
            pass_fds=(to_read, from_write), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        os.close(to_read)
        os.close(from_write)
        self.write, self.read = to_write, from_read
        return self

    def __exit__(self, *_):
        try:
            self.call("Browser.close")
        except (EOFError, OSError):
            pass
        try:
            self.proc.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait()
        os.close(self.write)
        os.close(self.read)
        shutil.rmtree(self.dir, ignore_errors=True)

    def recv(self):
        while b"\0" not in self.buffer:
            more = os.read(self.read, 1 << 16)
            if not more:
                raise EOFError("the browser has gone")
            self.buffer += more
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, session=None, **params):
        ident = next(self.ids)
        message = {"id": ident, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self.write, json.dumps(message).encode() + b"\0")
        while True:
            reply = self.recv()
            if reply.get("id") == ident:
                assert "error" not in reply, (method, reply["error"])
                return reply["result"]
            self.events.append(reply)

    def wait(self, method, session):
        while True:
            for e in self.events:
                if e.get("method") == method and e.get("sessionId") == session:
                    return e
            self.events.append(self.recv())

    def open(self, path, width=1280, height=900, dark=False):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        page = Page(self, self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.call(domain + ".enable")
        page.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                  mobile=width < 600)
        page.call("Emulation.setEmulatedMedia",
                  features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        page.call("Page.navigate", url="file://" + os.path.abspath(path))
        self.wait("Page.loadEventFired", page.session)
        return page


class Page:
    def __init__(self, browser, session):
        self.browser, self.session = browser, session

    def call(self, method, **params):
        return self.browser.call(method, session=self.session, **params)

    def evaluate(self, script):
        reply = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in reply, reply["exceptionDetails"]
        return reply["result"].get("value")

    def complaints(self):
        """What the page said on the console, threw, or asked the network for."""
        time.sleep(0.1)
        self.evaluate("1")
        mine = [e for e in self.browser.events if e.get("sessionId") == self.session]
        said = [e for e in mine if e["method"] in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown",
                                                   "Log.entryAdded")]
        asked = [e["params"]["request"]["url"] for e in mine if e["method"] == "Network.requestWillBeSent"]
        return said + [u for u in asked if not u.startswith("file://")]

    def pdf(self):
        return base64.b64decode(self.call("Page.printToPDF", printBackground=True)["data"])

    def screenshot(self):
        return base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"])
