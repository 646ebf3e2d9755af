#!/usr/bin/env python3
"""Record the README's two terminal sessions, between the marks in README.md, and the screenshots of the pages, in
docs/pictures/. Run it with `make pictures`; it needs chromium, chromedriver and a free port, the one in the README.

Everything comes from the running programs, with a temporary database and home folder.
"""

import base64
import os
import pathlib
import pty
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "bench"))
from browser import READY, Browser  # noqa: E402

PORT = 5000
URL = f"http://localhost:{PORT}"
WIDTH, HEIGHT, SCALE = 720, 680, 1.25
WAIT_SECONDS = 30
SCRIPT = '''#!/bin/sh
# Dumps the staging database, every night.
set -eu
export PGPASSWORD=correct-horse
pg_dump --host db.example.org staging |
    gzip > "/backup/staging-$(date +%F).sql.gz"
'''


def wait_for(condition, what):
    """Waits until a condition holds."""
    until = time.monotonic() + WAIT_SECONDS
    while not condition():
        if time.monotonic() > until:
            raise SystemExit(f"record: timeout: {what}")
        time.sleep(0.05)


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Terminal:
    """A shell session in a folder, as text: each command after a prompt, then its output."""

    def __init__(self, folder, programs):
        self.folder, self.lines = folder, []
        self.environment = {
            "HOME": str(folder), "PATH": f"{programs}:/usr/bin:/bin", "LANG": "C.UTF-8", "TERM": "dumb",
        }

    def run(self, command):
        """Runs a command on its own terminal; yields its lines of output."""
        ours, its = pty.openpty()
        process = subprocess.Popen(
            ["sh", "-c", command], cwd=self.folder, env=self.environment, stdin=its, stdout=its, stderr=its
        )
        os.close(its)
        with open(ours, errors="replace", newline="\n") as screen:
            try:
                for line in screen:
                    # Without colours and erased progress.
                    yield re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", line.rstrip("\r\n")).rsplit("\r", 1)[-1]
            except OSError:
                pass  # so a terminal ends whose other side is closed (EIO)
        process.wait(timeout=WAIT_SECONDS)

    def type(self, command):
        """Runs a command and returns its output."""
        printed = list(self.run(command))
        self.lines += [f"$ {command}", *printed]
        return "\n".join(printed)

    def text(self):
        return "```console\n" + "\n".join(self.lines) + "\n```\n"


def link_in(printed):
    return re.search(rf"{URL}/[0-9a-f]+#\S+", printed)[0]


def record_secret(terminal):
    """A burn paste is created, read and gone, and its receipt shown."""
    terminal.lines += ["$ cat secret.txt", "db_password = correct-horse"]
    (terminal.folder / "secret.txt").write_text("db_password = correct-horse\n")
    link = link_in(terminal.type("fpaste -b -x 1h secret.txt"))
    terminal.type(f"fpaste '{link}'")
    terminal.type(f"fpaste '{link}'")
    terminal.type("fpaste status " + link.split("#")[0].rsplit("/", 1)[1])


def record_ask(terminal):
    """A secret is asked for and answered by somebody else."""
    command = "fpaste ask 'staging database password'"
    terminal.lines.append(f"$ {command}")
    for line in terminal.run(command):
        terminal.lines.append(line)
        if f"{URL}/" in line:
            other = Terminal(terminal.folder, terminal.environment["PATH"].split(":")[0])
            other.type(f"echo correct-horse | fpaste answer '{link_in(line)}'")


def replace(text, mark, session):
    """The README with a session between its marks."""
    begin, end = f"<!-- {mark} -->\n", f"<!-- /{mark} -->\n"
    before, rest = text.split(begin)
    return before + begin + session + end + rest.split(end)[1]


class Camera:
    """A browser that takes screenshots."""

    def __init__(self, port, folder):
        self.browser = Browser(port, shutil.which("chromium"), folder, WIDTH, HEIGHT)
        self.browser.devtools(
            "Emulation.setDeviceMetricsOverride", width=WIDTH, height=HEIGHT, deviceScaleFactor=SCALE, mobile=False
        )
        self.browser.devtools("Emulation.setScrollbarsHidden", hidden=True)

    def see(self, selector):
        script = "const e = document.querySelector(arguments[0]); return Boolean(e) && e.checkVisibility()"
        wait_for(lambda: self.browser.run(script, selector), f"{selector} on the page")

    def click(self, selector):
        self.browser.run("document.querySelector(arguments[0]).click()", selector)

    def take(self, name):
        self.browser.run("document.activeElement.blur(); scrollTo(0, 0)")
        picture = self.browser.devtools("Page.captureScreenshot", format="png")["data"]
        (ROOT / "docs" / "pictures" / f"{name}.png").write_bytes(base64.b64decode(picture))


def take_pictures(camera):
    """The create page, its link, and the page of a burn paste before and after the click."""
    browser = camera.browser
    browser.open(f"{URL}/")
    camera.see("#send")
    browser.run("const t = document.querySelector('#text'); t.value = arguments[0]; t.dispatchEvent(new Event('input'))", SCRIPT)
    camera.click("#burn")
    camera.take("create")
    camera.click("#send")
    camera.see("#result")
    camera.take("link")
    link = browser.run("return document.querySelector('#link').value")
    # Leave the create page first: with the link copied, it does not ask.
    camera.click("#copy")
    browser.open("about:blank")
    browser.open(link)
    camera.see("#go")
    camera.take("paste")
    camera.click("#go")
    camera.see("#content")
    camera.take("content")


def main():
    programs = pathlib.Path(sys.argv[1]).resolve()
    for tool in ("chromium", "chromedriver"):
        if not shutil.which(tool):
            raise SystemExit(f"record: {tool} is missing: apt-get install chromium chromium-driver")
    if answers(PORT):
        raise SystemExit(f"record: port {PORT} is in use: stop what listens there")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        environment = {"FLASKPASTE_DB": str(folder / "pastes.db"), "FLASKPASTE_LOG": "off", "PATH": os.environ["PATH"]}
        log = (folder / "log").open("w+")
        quiet = {"stderr": subprocess.DEVNULL}
        started = [subprocess.Popen([programs / "flaskpaste"], env=environment, **quiet)]
        started.append(
            subprocess.Popen(["chromedriver", "--port=0"], stdout=log, env={**os.environ, "HOME": name, "TMPDIR": name})
        )
        try:
            wait_for(lambda: answers(PORT), "the server")
            wait_for(lambda: READY.search((folder / "log").read_text()), "chromedriver")
            readme = ROOT / "README.md"
            text = readme.read_text()
            for mark, record in (("session", record_secret), ("ask", record_ask)):
                (home := folder / mark).mkdir()
                terminal = Terminal(home, programs)
                record(terminal)
                text = replace(text, mark, terminal.text())
            camera = Camera(int(READY.search((folder / "log").read_text())[1]), folder / "profile")
            try:
                take_pictures(camera)
            finally:
                camera.browser.end()
            readme.write_text(text)
        finally:
            for process in started:
                process.terminate()
                process.wait()


if __name__ == "__main__":
    main()
