"""A headless Chromium, driven by WebDriver through chromedriver: for the benchmark and the screenshots of the pages."""

import http.client
import json
import re

# What chromedriver prints when it listens.
READY = re.compile(r"started successfully on port (\d+)")
FLAGS = """--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --disable-quic --no-first-run
    --disable-background-networking --disable-component-update --disable-sync"""


class Browser:
    """A Chromium with its own profile, driven by the chromedriver on a port."""

    def __init__(self, port, chromium, profile, width=1000, height=800):
        self.port, self.session = port, ""
        args = [*FLAGS.split(), f"--window-size={width},{height}", f"--user-data-dir={profile}"]
        options = {"binary": chromium, "args": args}
        made = self.command("POST", "", {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}})
        self.session = f"/{made['sessionId']}"

    def command(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, f"/session{self.session}{path}", json.dumps(body or {}))
            answer = connection.getresponse()
            value = json.loads(answer.read())["value"]
        finally:
            connection.close()
        if answer.status != 200:
            raise SystemExit(f"{path}: the browser says: {value['message']}")
        return value

    def devtools(self, command, **parameters):
        return self.command("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def open(self, url):
        self.command("POST", "/url", {"url": url})

    def run(self, script, *arguments):
        """The result of a script, or of its promise."""
        return self.command("POST", "/execute/sync", {"script": script, "args": arguments})

    def end(self):
        self.command("DELETE", "")
