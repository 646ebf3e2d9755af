"""Measure sealed pastes: fpaste against `age` piped into and out of curl, on the same server, in turn."""

import json
import os
import re
import shutil
import statistics
import subprocess
import time
from pathlib import Path

ROUNDS = 5
MIB = 1 << 20
SIZE = 50 * MIB
OWNER = "ab" * 20


class Age:
    """age with a key instead of a password, so that neither side does key stretching."""

    def __init__(self, folder, url):
        self.key, self.url = folder / "age-key", url
        subprocess.run(["age-keygen", "-o", self.key], stderr=subprocess.DEVNULL, check=True)
        self.recipient = subprocess.run(["age-keygen", "-y", self.key], capture_output=True, text=True, check=True).stdout.strip()

    def upload(self, file):
        """The id of a new paste. `-T -` streams; --data-binary would buffer everything first."""
        curl = f"curl -sf -X POST -T - -H 'X-SSL-Client-SHA1: {OWNER}' -H 'Content-Type: application/octet-stream' '{self.url}/'"
        return json.loads(shell(f"age -r {self.recipient} '{file}' | {curl}"))["id"]

    def download(self, paste):
        return f"curl -sf '{self.url}/{paste}/raw' | age -d -i '{self.key}'"


class Fpaste:
    """fpaste with its defaults."""

    def __init__(self, binary, environment):
        settings = ("HOME", "FLASKPASTE_SERVER", "FLASKPASTE_CERT_SHA1")
        self.program = " ".join(f"{name}='{environment[name]}'" for name in settings) + f" '{binary}'"

    def upload(self, file):
        return shell(f"{self.program} -q '{file}'").strip()

    def download(self, link):
        return f"{self.program} get '{link}'"


def shell(command):
    """The output of a command line; every part of a pipe must succeed."""
    return subprocess.run(["bash", "-o", "pipefail", "-c", command], stdout=subprocess.PIPE, text=True, check=True).stdout


def first_byte(command):
    """Milliseconds from the start of a command to its first byte of output; the rest is read and counted."""
    started = time.perf_counter()
    process = subprocess.Popen(["bash", "-o", "pipefail", "-c", command], stdout=subprocess.PIPE, bufsize=0)
    size = len(process.stdout.read(1))
    waited = time.perf_counter() - started
    while piece := process.stdout.read(MIB):
        size += len(piece)
    if process.wait() or size != SIZE:
        raise SystemExit(f"bench: {size} of {SIZE} bytes came back")
    return waited * 1000


def once(contestant, file, opened):
    """One round of one contestant: MiB/s up, MiB/s down and milliseconds to the first byte."""
    file.write_bytes(os.urandom(SIZE))
    os.sync()
    started = time.perf_counter()
    paste = contestant.upload(file)
    up = SIZE / MIB / (time.perf_counter() - started)
    started = time.perf_counter()
    shell(f"{contestant.download(paste)} > '{opened}'")
    down = SIZE / MIB / (time.perf_counter() - started)
    if opened.read_bytes() != file.read_bytes():
        raise SystemExit("bench: a paste did not come back as it was sent")
    return up, down, first_byte(contestant.download(paste))


def peak_mib(argv, environment, stdin=None):
    """A command's output and peak memory, polled until it exits: the value from wait4 is never less than the memory of
    this process when it forked."""
    process = subprocess.Popen(argv, env=environment, stdin=stdin, stdout=subprocess.PIPE, text=True)
    status, peak = Path(f"/proc/{process.pid}/status"), 0
    while process.poll() is None:
        if found := re.search(r"VmHWM:\s+(\d+) kB", status.read_text()):
            peak = max(peak, int(found[1]))
        time.sleep(0.01)
    if process.returncode:
        raise SystemExit(f"bench: {argv[0]} failed")
    return process.stdout.read().strip(), peak / 1024


def measure_memory(binary, environment, folder, size):
    """fpaste's peak memory for `size` bytes, up and down, from a file and from standard input: pairs of label and MiB."""
    large, opened, label = folder / "large", folder / "opened", f"{size // MIB} MiB"
    with large.open("wb") as file:
        for _ in range(size // MIB):
            file.write(os.urandom(MIB))
    link, peak = peak_mib([binary, "-q", large], environment)
    yield f"fpaste's peak, sealing a file of {label}", peak
    _, peak = peak_mib([binary, "get", "-o", opened, link], environment)
    yield "opening it into a file", peak
    if subprocess.run(["cmp", large, opened]).returncode:
        raise SystemExit("bench: a paste did not come back as it was sent")
    opened.unlink()
    with large.open("rb") as file:
        _, peak = peak_mib([binary, "-q", "-"], environment, file)
    yield f"sealing {label} of standard input", peak
    large.unlink()


def measure(binary, port, environment, folder):
    """The lines of the table; `environment` configures fpaste for the server on `port`, which accepts an owner's uploads."""
    contestants = {"fpaste": Fpaste(binary, environment)}
    if shutil.which("age") and shutil.which("curl"):
        contestants["age and curl"] = Age(folder, f"http://127.0.0.1:{port}")
    runs = {name: [] for name in contestants}
    for turn in range(ROUNDS):
        for name in list(contestants)[:: 1 if turn % 2 else -1]:
            runs[name].append(once(contestants[name], folder / "large", folder / "opened"))
    lines = [f"\n{f'sealed, {SIZE // MIB} MiB':<52}{'up MiB/s':>10}{'down MiB/s':>12}{'first byte ms':>15}   ratios"]
    for name, theirs in runs.items():
        up, down, first = (statistics.median(column) for column in zip(*theirs))
        line = f"  {name:<50}{up:>10.0f}{down:>12.0f}{first:>15.1f}"
        if name != "fpaste":
            for column, what in enumerate(("up", "down")):
                ratio = statistics.median(a[column] / b[column] for a, b in zip(runs["fpaste"], theirs))
                line += f"   {what} {ratio:.2f} × (≥ 1: {'ok' if ratio >= 1 else 'MISSED'})"
        lines.append(line)
    if len(contestants) == 1:
        lines.append("  not compared: apt-get install age curl")
    return lines
