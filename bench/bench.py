"""Compare flaskpaste with nginx, a Flask pastebin and, if installed, wastebin, in one run, as ratios.

Absolute numbers say more about the machine than about the program, so every number with a
target is a ratio of two contestants measured seconds apart, several times in turn. The median of
the rounds' ratios is printed, so that a machine that slows down half-way affects both sides.
README.md in this folder explains the table.
"""

import argparse
import ctypes
import http.client
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import client
import pages
import sealed
from browser import READY

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent
WORK = ROOT / "target" / "bench"
ROUNDS = 3
CONNECTIONS = 48
MANY_CONNECTIONS = 200
CORES = os.cpu_count() or 1
OK = {True: "ok", False: "MISSED"}
table = []  # the lines to print at the end
BODY = (b"The same kilobyte for everyone. " * 32)[:1024]
MIB = 1 << 20
OWNER = {"X-SSL-Client-SHA1": "ab" * 20}


def die(message):
    """Exit with a one-line message; the exit stack in `main` still stops every server."""
    raise SystemExit(f"bench: {message}")


def note(message):
    """Print progress to stderr, so that stdout has only the table."""
    print(f"bench: {message}", file=sys.stderr, flush=True)


class Server(NamedTuple):
    """A running contestant."""

    process: subprocess.Popen
    port: int


def needs(tool, package):
    """The path of a program; exits with the package to install if it is missing."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    return shutil.which(tool, path=path) or die(f"{tool} is missing: apt-get install {package}")


def free_port():
    """A free port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def die_with_parent():
    """Make Linux kill this child even if the benchmark is killed with SIGKILL."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def end(process):
    """Stop a server and its workers: with SIGTERM, then with SIGKILL."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
            process.wait(10)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


def spawn(stack, argv, log, **env):
    """Start a program in its own session, to be stopped by `stack`.

    Linux shares the cores between sessions first: in a shared session, a server with more threads
    would get more CPU than the others and wrk."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("FLASK", "GUNICORN"))}
    with log.open("wb") as out:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=clean | env, cwd=log.parent,
            start_new_session=True, preexec_fn=die_with_parent,
        )  # fmt: skip
    stack.callback(end, process)
    return process


def wait_for(attempt, process, log, seconds=20):
    """Poll until `attempt` returns something; if the server exits or stays silent, print its log."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit and process.poll() is None:
        try:
            if found := attempt():
                return found
        except OSError:
            pass  # not listening yet
        time.sleep(0.0005)
    die(f"{process.args[0]} did not come up; its log ends:\n{log.read_text(errors='replace')[-2000:]}")


def answering(process, port, path, log):
    """Return the server once a GET of `path` returns 200."""
    server = Server(process, port)
    wait_for(lambda: fetch(server, "GET", path), process, log)
    return server


def start_flaskpaste(stack, binary, folder, **more):
    """Start the program under test on an empty database, with its default durability, and time its start."""
    folder.mkdir()
    log = folder / "log"
    settings = {"FLASKPASTE_BIND": "127.0.0.1:0", "FLASKPASTE_DB": f"{folder}/pastes.db"}
    settings |= {"FLASK_ENV": "production", "FLASKPASTE_POW_DIFFICULTY": "0", "FLASKPASTE_LOG": "off"}
    settings |= more
    began = time.perf_counter()
    process = spawn(stack, [str(binary)], log, **settings)
    line = re.compile(r"listening on http://127\.0\.0\.1:(\d+)\s")
    port = int(wait_for(lambda: line.search(log.read_text()), process, log)[1])
    server = answering(process, port, "/health", log)
    return server, (time.perf_counter() - began) * 1000


def start_nginx(stack, nginx, folder):
    """nginx with one static file, its file cache on and unlimited keep-alive."""
    (folder / "www").mkdir(parents=True)
    (folder / "www" / "body.txt").write_bytes(BODY)
    port, log = free_port(), folder / "log"
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temps = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    (folder / "nginx.conf").write_text(f"""
        {"user root;" if os.geteuid() == 0 else ""}
        daemon off; worker_processes auto; pid {folder}/pid; error_log stderr warn;
        events {{ worker_connections 1024; }}
        http {{
            access_log off; default_type text/plain; sendfile on; {temps}
            keepalive_requests 1000000000; open_file_cache max=100;
            server {{ listen 127.0.0.1:{port}; root {folder}/www; }}
        }}""")
    argv = [nginx, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]
    server = answering(spawn(stack, argv, log), port, "/body.txt", log)
    if fetch(server, "GET", "/body.txt") != BODY:
        die("nginx does not give back the file")
    return server


def start_wastebin(stack, program, folder):
    """wastebin with its defaults and its own database; restarted for each run, because it may exit when clients hang up."""
    folder = Path(tempfile.mkdtemp(prefix="wastebin-", dir=folder))
    port, log = free_port(), folder / "log"
    settings = {"WASTEBIN_ADDRESS_PORT": f"127.0.0.1:{port}", "WASTEBIN_DATABASE_PATH": f"{folder}/pastes.db"}
    process = spawn(stack, [program], log, RUST_LOG="warn", **settings)
    server = answering(process, port, "/robots.txt", log)
    headers = {"Content-Type": "application/json"}
    kept = json.loads(fetch(server, "POST", "/", json.dumps({"text": BODY.decode()}), headers))["path"]
    if fetch(server, "GET", f"/raw{kept}") != BODY:
        die("wastebin does not give back what it was given")
    return server, f"/raw{kept}", "get"


def start_browser(stack, folder):
    """Chromium and its driver; None if either is missing."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        return None
    (folder := folder / "browser").mkdir()
    log = folder / "log"
    process = spawn(stack, [driver, "--port=0"], log, HOME=str(folder), TMPDIR=str(folder))
    port = int(wait_for(lambda: READY.search(log.read_text()), process, log)[1])
    browser = pages.Reader(port, chromium, folder / "profile", BODY.decode().strip())
    stack.callback(browser.end)
    return browser


def make_venv():
    """Flask and gunicorn in a virtual environment, at the pinned versions."""
    venv, wanted = WORK / "venv", (BENCH / "requirements.txt").read_text()
    stamp = venv / "installed.txt"
    if not stamp.exists() or stamp.read_text() != wanted:
        note("installing bench/requirements.txt into target/bench/venv")
        if subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)]).returncode:
            die("cannot make a virtual environment: apt-get install python3-venv")
        pip = [venv / "bin" / "pip", "install", "-q", "--disable-pip-version-check", "-r"]
        if subprocess.run([*pip, BENCH / "requirements.txt"]).returncode:
            die("pip could not install bench/requirements.txt (see above)")
        stamp.write_text(wanted)
    return venv / "bin" / "gunicorn"


def start_flask(stack, gunicorn, folder):
    """The Flask program; with gthread and 4 threads, the fastest of sync, gthread 1 and gthread 4."""
    folder.mkdir()
    port, log = free_port(), folder / "log"
    workers = f"--workers={2 * CORES + 1} --worker-class=gthread --threads=4 --keep-alive=60"
    where = ["--no-control-socket", f"--bind=127.0.0.1:{port}", f"--pythonpath={BENCH}"]
    argv = [str(gunicorn), *workers.split(), *where, "flask_app:app"]
    process = spawn(stack, argv, log, BENCH_DB=f"{folder}/pastes.db", PYTHONDONTWRITEBYTECODE="1")
    return answering(process, port, "/health", log)


def fetch(server, method, path, body=None, headers=None, status=200):
    """The body of a response, over a new connection; an unexpected status is fatal."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    if answer.status != status:
        die(f"{method} :{server.port}{path}: expected {status}, got {answer.status}: {content[:300]!r}")
    return content


def paste(server):
    """Store BODY and check, before timing, that it is returned unchanged."""
    kept = json.loads(fetch(server, "POST", "/", BODY, {"Content-Type": "text/plain"}, 201))["id"]
    raw, told = fetch(server, "GET", f"/{kept}/raw"), json.loads(fetch(server, "GET", f"/{kept}"))
    if raw != BODY or told["size"] != len(BODY):
        die(f"port {server.port} does not give back what it was given")
    return kept


def prefill(server, rows, ids_file):
    """Create `rows` different pastes over HTTP, and write their IDs to a file."""

    def feed(lane):
        ids = []
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as peer:
            for n in range(lane, rows, CONNECTIONS):
                peer.sendall(head + b"prefill %16d  " % n + BODY[26:])
                ids.append(read_id(peer))
        return ids

    head = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1024\r\n\r\n"
    began = time.monotonic()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        ids = [i for lane in pool.map(feed, range(CONNECTIONS)) for i in lane]
    if len(set(ids)) != rows:
        die(f"stored {rows} pastes and got {len(set(ids))} different IDs")
    ids_file.write_text("".join(f"{i}\n" for i in ids))
    note(f"stored {rows:,} pastes in {time.monotonic() - began:.0f} s")


def read_id(peer):
    """The ID in the next response, which must be a complete 201; parsed here, because http.client
    costs more than the server."""
    answer = b""
    while not answer.endswith((b"}", b"}\n")):
        answer += peer.recv(4096) or die(f"the server hung up while it was filled: {answer[:300]!r}")
    found = re.search(rb'"id": ?"([0-9a-f]+)"', answer)
    if not answer.startswith(b"HTTP/1.1 201 ") or not found:
        die(f"storing a paste was answered with {answer[:300]!r}")
    return found[1].decode()


class Sample(NamedTuple):
    """The results of one wrk run."""

    rate: float
    cpu: float  # microseconds a request, all threads and processes of the server
    p50: float
    p99: float


def cpu_seconds(server):
    """The user and system CPU time of all processes in a server's session."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        if int(fields[3]) == server.process.pid:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def wrk(seconds, connections, server, path, mode, *ids):
    """Run wrk once. Its single thread saturates any contestant and leaves it the other cores."""
    url = f"http://127.0.0.1:{server.port}{path}"
    argv = f"wrk -t1 -c{connections} -d{seconds}s --timeout 10s -s".split()
    argv += [BENCH / "wrk.lua", url, "--", mode, str(time.time_ns()), *ids]
    before = cpu_seconds(server)
    out = subprocess.run(argv, capture_output=True, text=True, start_new_session=True)
    spent = cpu_seconds(server) - before
    line = re.search(r"^BENCH (\d+) (\d+) (\d+) (\d+) (\d+)$", out.stdout, re.M)
    if out.returncode or not line:
        die(f"wrk failed on {url}:\n{out.stdout}{out.stderr}")
    requests, micros, p50, p99, errors = map(int, line.groups())
    if errors or not requests:
        die(f"{errors} of {requests} requests to {url} failed:\n{out.stdout}")
    return Sample(requests / micros * 1e6, spent / requests * 1e6, p50 / 1000, p99 / 1000)


def memory(server, field):
    """VmRSS or VmHWM of a server, in MiB."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(rf"{field}:\s+(\d+) kB", status)[1]) / 1024


def peak_under_transfers(server, size, headers):
    """Peak memory during 32 uploads and 8 downloads of `size` bytes at once.

    The uploads wait for each other half-way, so that all 32 are in progress at the same time,
    and downloads are repeated and checked until the last upload is answered."""
    payload = os.urandom(size)
    half_way, uploaded = threading.Barrier(32, timeout=60), threading.Event()

    def content(tag, meet):
        yield b"%16d" % tag
        for at in range(16, size, 65536):
            if meet and at <= size // 2 < at + 65536:
                half_way.wait()
            yield memoryview(payload)[at : at + 65536]

    def upload(tag, meet=True):
        declared = headers | {"Content-Length": str(size)}
        return json.loads(fetch(server, "POST", "/", content(tag, meet), declared, 201))["id"]

    def download(tag, kept):
        while not uploaded.is_set():
            if fetch(server, "GET", f"/{kept}/raw") != b"%16d" % tag + payload[16:]:
                die("a download is not what was uploaded")

    with ThreadPoolExecutor(40) as pool:
        kept = [upload(tag, meet=False) for tag in range(8)]
        Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")
        downloads = [pool.submit(download, tag, kept[tag]) for tag in range(8)]
        try:
            list(pool.map(upload, range(8, 40)))
        finally:
            uploaded.set()
        for one in downloads:
            one.result()
    return memory(server, "VmHWM")


def sync_cost(folder):
    """Milliseconds to write 4 KiB to disk durably: the cost of one commit without grouping."""
    began = time.perf_counter()
    with (folder / "sync").open("wb", buffering=0) as file:
        for _ in range(100):
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
    return (time.perf_counter() - began) * 10


class Target(NamedTuple):
    """The targets for flaskpaste relative to a contestant, as ratios."""

    rate: float = 0
    cpu: float = 0
    p99: float = 0


def compare(title, seconds, contestants, targets, connections=CONNECTIONS):
    """Run the contestants in turn, each round starting with another one, and add a block to the table.

    `contestants` maps a name to the arguments of `wrk`, or a function that returns them, flaskpaste
    first; `targets` maps a name to flaskpaste's targets against it."""
    runs = {name: [] for name in contestants}
    names = list(contestants)
    for turn in range(ROUNDS):
        note(f"{title}, round {turn + 1} of {ROUNDS}")
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            os.sync()  # nobody waits for what the one before left to write
            contestant = contestants[name]
            runs[name].append(wrk(seconds, connections, *(contestant() if callable(contestant) else contestant)))
    add_block(f"{title}, {connections} connections", runs, targets)


def add_block(title, runs, targets):
    """Add a block to the table: the medians of each contestant's runs, and the ratios of the first one to them."""
    table.append(f"\n{title:<52}{'req/s':>8}{'CPU µs':>9}{'p50 ms':>9}{'p99 ms':>9}   ratios")
    ours = next(iter(runs.values()))
    for name, theirs in runs.items():
        rate, cpu, p50, p99 = (statistics.median(column) for column in zip(*theirs))
        line = f"  {name:<48}{rate:>10,.0f}{cpu:>9.1f}{p50:>9.2f}{p99:>9.2f}"
        if theirs is not ours:
            line += "   " + "  ".join(ratios(ours, theirs, targets.get(name, Target())))
        table.append(line)


def ratios(ours, theirs, target):
    """The ratio of each round, the median, and whether it meets the target."""
    for what, goal in target._asdict().items():
        ratio = statistics.median(getattr(a, what) / getattr(b, what) for a, b in zip(ours, theirs))
        if what == "rate" and not goal:
            yield f"rate {ratio:.2f} ×"
        elif what == "rate":
            yield f"rate {ratio:.2f} × (≥ {goal:g}: {OK[ratio >= goal]})"
        elif goal:
            yield f"{what} {ratio:.2f} × (≤ {goal:g}: {OK[ratio <= goal]})"


def add_limit(what, value, unit, limit):
    """Add a line to the table whose value must not exceed a limit."""
    table.append(f"  {what:<48}{value:>10.1f} {unit:<26}   ≤ {limit:<6g}{OK[value <= limit]}")


def measure_start(stack, binary, folder):
    """Start-up time of ten fresh servers, each creating a database, and the size of the binary."""
    times = []
    for n in range(10):
        with ExitStack() as one:
            times.append(start_flaskpaste(one, binary, folder / f"start{n}")[1])
    server, _ = start_flaskpaste(stack, binary, folder / "main")
    time.sleep(1)
    table.append("\nfootprint")
    add_limit("from exec to the first answer, median of 10", statistics.median(times), "ms", 50)
    add_limit(f"size of {binary.name}", binary.stat().st_size / MIB, "MiB", 4)
    add_limit("memory, idle", memory(server, "VmRSS"), "MiB", 16)
    return server


def measure_rates(seconds, ours, nginx, flask, wastebin):
    """The most common requests, against nginx and Flask, and wastebin if installed."""
    kept, theirs = paste(ours), paste(flask)
    contestants = {
        "flaskpaste": (ours, f"/{kept}/raw", "get"),
        "nginx, static file": (nginx, "/body.txt", "get"),
        "Flask + gunicorn + SQLite": (flask, f"/{theirs}/raw", "get"),
    }
    targets = {"nginx, static file": Target(rate=0.65, cpu=1.5), "Flask + gunicorn + SQLite": Target(rate=20)}
    if wastebin:
        contestants["wastebin"] = wastebin
        targets["wastebin"] = Target(rate=2.5)
    compare("raw GET of 1 KiB", seconds, contestants, targets)
    del contestants["Flask + gunicorn + SQLite"]
    crowded = {"nginx, static file": Target(cpu=1.5, p99=4)}
    compare("raw GET of 1 KiB", seconds, contestants, crowded, MANY_CONNECTIONS)
    contestants = {
        "flaskpaste": (ours, f"/{kept}", "get"),
        "nginx, static file": (nginx, "/body.txt", "get"),
        "Flask + gunicorn + SQLite": (flask, f"/{theirs}", "get"),
    }
    compare("metadata GET", seconds, contestants, {"nginx, static file": Target(cpu=1.5)})
    del contestants["Flask + gunicorn + SQLite"]
    compare("metadata GET", seconds, contestants, crowded, MANY_CONNECTIONS)
    contestants = {
        "flaskpaste, synchronous=FULL": (ours, "/", "post"),
        "Flask, synchronous=NORMAL": (flask, "/", "post"),
    }
    targets = {"Flask, synchronous=NORMAL": Target(rate=12)}
    compare("durable POST of unique 1 KiB bodies", seconds, contestants, targets)


def measure_random(seconds, rows, server, folder):
    """Reads of random pastes out of very many."""
    many, one = folder / "ids", folder / "id"
    prefill(server, rows, many)
    one.write_text(paste(server) + "\n")
    contestants = {
        "flaskpaste, random paste": (server, "/", "pick", many),
        "flaskpaste, one hot paste": (server, "/", "pick", one),
    }
    targets = {"flaskpaste, one hot paste": Target(rate=0.8)}
    compare(f"raw GET of 1 KiB, {rows:,} pastes", seconds, contestants, targets)


def client_environment(server, home):
    """The environment of fpaste, with its own home folder, for a server that identifies it by a certificate."""
    home.mkdir()
    environment = {"HOME": str(home), "PATH": os.environ["PATH"], "FLASKPASTE_CERT_SHA1": "ab" * 20}
    return environment | {"FLASKPASTE_SERVER": f"http://127.0.0.1:{server.port}"}


def measure_pages(stack, binary, folder, nginx, wastebin, quick):
    """A sealed paste in a browser, against a static file of nginx, and the page of wastebin if installed."""
    note("pages")
    browser = start_browser(stack, folder)
    if not browser:
        table.append("\npages are not measured: apt-get install chromium chromium-driver")
        return
    server, _ = start_flaskpaste(stack, binary, folder / "pages")
    fpaste = [binary.with_name("fpaste"), "create", "-"]
    environment = client_environment(server, folder / "reader")
    link = subprocess.run(fpaste, input=BODY, env=environment, capture_output=True, check=True).stdout.decode().strip()
    nginx = start_nginx(stack, nginx, folder / "plain")
    addresses = {"flaskpaste, sealed": link, "nginx, static file": f"http://127.0.0.1:{nginx.port}/body.txt"}
    if wastebin:
        server, path, _ = start_wastebin(stack, wastebin, folder)
        addresses["wastebin"] = f"http://127.0.0.1:{server.port}{path.removeprefix('/raw')}"
    table.extend(pages.measure(browser, addresses, 5 if quick else 30))


def measure_client(stack, binary, folder, quick):
    """fpaste, with a server that accepts 1 GiB from an owner."""
    note("fpaste")
    server, _ = start_flaskpaste(stack, binary, folder / "client", FLASKPASTE_MAX_AUTH=str(1100 * MIB))
    environment = client_environment(server, home := folder / "home")
    fpaste = binary.with_name("fpaste")
    table.extend(client.measure(fpaste, environment))
    table.extend(sealed.measure(fpaste, server.port, environment, home))
    for what, peak in sealed.measure_memory(fpaste, environment, home, (64 if quick else 1024) * MIB):
        add_limit(what, peak, "MiB", 64)


def run(stack, options):
    """All measurements, ordered so that none affects the next."""
    binary = options.binary.resolve()
    if not os.access(binary, os.X_OK):
        die(f"{binary} is missing: `make bench` builds it first")
    nginx_binary = needs("nginx", "nginx")
    program = os.environ.get("WASTEBIN")
    WORK.mkdir(parents=True, exist_ok=True)
    for leftover in WORK.glob("run-*"):
        shutil.rmtree(leftover)  # of a run that was killed
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="run-", dir=WORK)))
    if options.pages:
        measure_pages(stack, binary, folder, nginx_binary, program, options.quick)
        return
    needs("wrk", "wrk")
    gunicorn = make_venv()
    rounds = f"{ROUNDS} rounds of {options.seconds} s in turn, medians"
    table.append(f"{CORES} cores; wrk with 1 thread; {rounds}; CPU µs: the server's, a request")
    table.append(f"one 4 KiB write with fdatasync takes {sync_cost(folder):.2f} ms on this disk")
    table.append("off: flaskpaste's proof of work and request log, the access logs of nginx and gunicorn")
    with ExitStack() as first:
        ours = measure_start(first, binary, folder)
        nginx = start_nginx(first, nginx_binary, folder / "nginx")
        flask = start_flask(first, gunicorn, folder / "flask")
        wastebin = (lambda: start_wastebin(first, program, folder)) if program else None
        measure_rates(options.seconds, ours, nginx, flask, wastebin)
        after = memory(ours, "VmRSS")
    with ExitStack() as second:
        ours, _ = start_flaskpaste(second, binary, folder / "random")
        measure_random(options.seconds, options.rows, ours, folder)
        table.append("\nmemory under load")
        after = max(after, memory(ours, "VmRSS"))
        add_limit("after the above, the larger of two servers", after, "MiB", 64)
        for size, headers in [(3 * MIB, {})] + [(50 * MIB, OWNER)] * (not options.quick):
            note(f"32 uploads and 8 downloads of {size // MIB} MiB at once")
            peak = peak_under_transfers(ours, size, headers)
            add_limit(f"peak, 32 uploads and 8 downloads of {size // MIB} MiB", peak, "MiB", 200)
    with ExitStack() as third:
        measure_client(third, binary, folder, options.quick)
    with ExitStack() as fourth:
        measure_pages(fourth, binary, folder, nginx_binary, program, options.quick)


def carry_out(run, options):
    """Run a benchmark, stop everything it started whatever happens, and print its table so far."""
    for sign in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, lambda number, _: sys.exit(128 + number))
    try:
        with ExitStack() as stack:
            run(stack, options)
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        print(*table, sep="\n", end="\n" * bool(table))


def main():
    parser = argparse.ArgumentParser(description="Benchmark of flaskpaste; see bench/README.md.")
    parser.add_argument("--quick", action="store_true", help="1 s runs, 20,000 rows, no 50 MiB transfers")
    parser.add_argument("--pages", action="store_true", help="only the pages in a browser")
    parser.add_argument("--seconds", type=int, help="length of one wrk run (5)")
    parser.add_argument("--rows", type=int, help="pastes for the random reads (200000)")
    built = ROOT / "target/release/flaskpaste"
    parser.add_argument("--binary", type=Path, default=built, help="default: target/release/flaskpaste")
    options = parser.parse_args()
    options.seconds = options.seconds or (1 if options.quick else 5)
    options.rows = options.rows or (20_000 if options.quick else 200_000)
    carry_out(run, options)


if __name__ == "__main__":
    main()
