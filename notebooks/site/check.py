"""Open every page of the built site in headless Chromium: python notebooks/site/check.py [--pictures folder].

A page is right if its console has no error, it asks no other host for anything, and it is no wider than a telephone of
390 pixels.  Exit status 1 if one is not, 2 without a site or a Chromium.
"""
import argparse
import base64
import functools
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

HTML = Path(__file__).resolve().parents[2] / "build" / "site" / "html"
NAMES = "chromium", "chromium-browser", "google-chrome", "google-chrome-stable"
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync",
         "--no-first-run", "--disable-component-update", "--disable-extensions", "--remote-debugging-port=0",
         "--hide-scrollbars")
WIDTHS = 390, 1280
SECONDS = 30                                      # for one page


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


class Page:
    """A tab of Chromium, by its DevTools protocol: https://chromedevtools.github.io/devtools-protocol"""

    def __init__(self, socket):
        self.socket, self.number, self.events = socket, 0, []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method, **parameters):
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": parameters}))
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            said = json.loads(self.socket.recv(timeout=SECONDS))
            if said.get("id") == self.number:
                if "error" in said:
                    raise RuntimeError(f"{method}: {said['error']['message']}")
                return said["result"]
            self.events.append(said)
        raise TimeoutError(method)

    def wait_for(self, event):
        end = time.monotonic() + SECONDS
        while not any(one["method"] == event for one in self.events):
            self.events.append(json.loads(self.socket.recv(timeout=max(0.1, end - time.monotonic()))))

    def evaluate(self, expression):
        found = self.ask("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        return found["result"].get("value")

    def open(self, address, width):
        self.events.clear()
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=844, deviceScaleFactor=1, mobile=width < 800)
        self.ask("Page.navigate", url=address)
        self.wait_for("Page.loadEventFired")
        self.evaluate("window.MathJax && MathJax.startup ? MathJax.startup.promise.then(() => 0) : 0")


def faults(page, host, width):
    """What is wrong with the page that is open, in words."""
    for event in page.events:
        parameters = event["params"]
        if event["method"] == "Runtime.exceptionThrown":
            yield f"an exception: {parameters['exceptionDetails'].get('text')}"
        elif event["method"] == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "assert"):
            yield f"console: {parameters['args'][0].get('value') if parameters['args'] else ''}"
        elif event["method"] == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            yield f"log: {parameters['entry']['text']} {parameters['entry'].get('url', '')}"
        elif event["method"] == "Network.requestWillBeSent":
            url = parameters["request"]["url"]
            if not url.startswith((host, "data:", "blob:")):
                yield f"a request to {url}"
    widest = page.evaluate("document.scrollingElement.scrollWidth")
    if widest > width:
        yield f"{widest} pixels wide in a window of {width}"
    if page.evaluate("document.querySelectorAll('.math mjx-merror, mjx-merror').length"):
        yield "an equation that MathJax cannot read"


def chromium():
    return next(filter(None, map(shutil.which, [*filter(None, [os.environ.get("CHROMIUM")]), *NAMES])), None)


def start(program, folder):
    """Chromium, and the address of one tab of it."""
    process = subprocess.Popen([program, *FLAGS, f"--user-data-dir={folder}", "about:blank"], stderr=subprocess.PIPE,
                               stdout=subprocess.DEVNULL, text=True)
    for line in process.stderr:
        found = re.search(r"ws://127\.0\.0\.1:(\d+)/", line)
        if found:
            threading.Thread(target=process.stderr.read, daemon=True).start()
            with urllib.request.urlopen(f"http://127.0.0.1:{found[1]}/json") as answer:
                tabs = json.load(answer)
            return process, next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
    raise RuntimeError("Chromium ended before it listened")


def check_all(page, host, pictures):
    """How many pages have faults; each is printed."""
    paths, wrong = sorted(HTML.rglob("*.html")), 0
    for path in paths:
        name = path.relative_to(HTML).as_posix()
        if name.startswith(("lite/", "_static/")):
            continue
        for width in WIDTHS:
            page.open(f"{host}/{name}", width)
            found = list(dict.fromkeys(faults(page, host, width)))
            wrong += bool(found)
            for fault in found:
                print(f"{name} at {width}: {fault}", flush=True)
            if pictures and re.search(pictures[1], name):
                data = page.ask("Page.captureScreenshot", format="png", captureBeyondViewport=False)["data"]
                (pictures[0] / f"{name.replace('/', '-')}-{width}.png").write_bytes(base64.b64decode(data))
    print(f"{len(paths)} pages, {wrong} with faults")
    return wrong


def main():
    from websockets.sync.client import connect
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", nargs=2, metavar=("FOLDER", "PATTERN"), help="store pictures of these pages")
    given = parser.parse_args()
    if not (HTML / "index.html").exists():
        print("no site is built: make site", file=sys.stderr)
        return 2
    program = chromium()
    if program is None:
        print(f"none of {', '.join(NAMES)} is installed (Debian, Ubuntu: apt-get install chromium), and CHROMIUM names "
              "none", file=sys.stderr)
        return 2
    pictures = None
    if given.pictures:
        pictures = Path(given.pictures[0]), given.pictures[1]
        pictures[0].mkdir(parents=True, exist_ok=True)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(HTML)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        process, address = start(program, folder)
        try:
            with connect(address, max_size=None) as socket:
                return bool(check_all(Page(socket), f"http://127.0.0.1:{server.server_port}", pictures))
        finally:
            process.terminate()
            process.wait(10)
            server.shutdown()


if __name__ == "__main__":
    sys.exit(main())
