"""Measure fpaste: start-up and proof of work, compared with Python in the same run."""

import hashlib
import http.server
import os
import statistics
import subprocess
import threading
import time

ROUNDS = 5
MIB = 1 << 20
# Takes a few seconds at 20 million hashes a second.
DIFFICULTY = 26


class Puzzles(http.server.BaseHTTPRequestHandler):
    """A server that issues challenges of a fixed difficulty and records the solutions."""

    protocol_version = "HTTP/1.1"
    difficulty = 0
    solution = 0

    def answer(self, status, text):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def do_GET(self):
        nonce = os.urandom(16).hex()
        self.answer(200, f'{{"enabled":true,"nonce":"{nonce}","difficulty":{self.difficulty},"token":"t"}}')

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        Puzzles.solution = int(self.headers["X-PoW-Solution"])
        self.answer(201, '{"id":"abcd1234","url":"/abcd1234"}')

    def log_message(self, *_):
        pass


def timed(argv, environment, stdin=None):
    """The seconds a command takes; it must succeed."""
    started = time.perf_counter()
    subprocess.run(argv, env=environment, input=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def hash_rates(binary, environment):
    """Hashes a second of fpaste on all cores and of a Python loop on one."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Puzzles)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environment = {**environment, "FLASKPASTE_SERVER": f"http://127.0.0.1:{server.server_port}"}
    Puzzles.difficulty = 0
    overhead = statistics.median(timed([binary, "-q"], environment, b"x") for _ in range(ROUNDS))
    Puzzles.difficulty = DIFFICULTY
    tried = spent = 0
    for _ in range(ROUNDS):
        # The threads take batches in turn, so the solution is about the number of hashes tried.
        spent += timed([binary, "-q"], environment, b"x") - overhead
        tried += Puzzles.solution
    server.shutdown()
    started, prefix = time.perf_counter(), os.urandom(16).hex() + ":"
    for number in range(500_000):
        if hashlib.sha256(f"{prefix}{number}".encode()).digest()[:4] == bytes(4):
            break
    return tried / spent, number / (time.perf_counter() - started)


def measure(binary, environment):
    """The lines of the table."""
    start = statistics.median(timed([binary, "--version"], environment) for _ in range(20))
    python = statistics.median(timed(["python3", "-c", "import hashlib"], environment) for _ in range(ROUNDS))
    lines = ["\nfpaste"]
    add = lambda what, value, unit: lines.append(f"  {what:<48}{value:>10.1f} {unit}")
    add("start to end of --version", start * 1000, f"ms (python3 -c 'import hashlib': {python * 1000:.0f} ms)")
    add("size of the binary", binary.stat().st_size / MIB, "MiB   ≤ 8")
    ours, theirs = hash_rates(binary, environment)
    goal = "ok" if ours / theirs >= 8 else "MISSED"
    add("proof of work, all cores", ours / 1e6, f"million hashes/s = {ours / theirs:.1f} × Python's loop   ≥ 8 {goal}")
    return lines
