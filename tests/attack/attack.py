#!/usr/bin/env python3
"""Attacks a real server on a bare port, with default settings, and measures what everybody else notices of it.

Usage: attack.py PATH_OF_FLASKPASTE [NAME...]   (`make attack`); without names, every attack.

While each attack runs, an independent process posts a paste and reads it back on fresh connections, ten times a second.
Required: the same process throughout, at least 99 % of the probes answered, their 95th percentile below 2 s during the
attack and below 50 ms from five seconds after it, memory below 200 MiB. Exit 1 if an attack breaks a requirement.
Standard library only; slowhttptest, where it is installed, for its four modes.
"""

import asyncio
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

DURATION = float(os.environ.get("ATTACK_SECONDS", "15"))
RECOVERY_SECONDS = 5
CALM_SECONDS = 3
PROBES_PER_SECOND = 10
PROBE_TIMEOUT = 10
MEMORY_LIMIT_MIB = 200
ATTACKS = {}


def attack(function):
    ATTACKS[function.__name__.replace("_", " ")] = function
    return function


class Server:
    """The server, in a folder of its own, with a soft limit of 1,024 descriptors."""

    def __init__(self, program, hard_limit=None):
        self.folder = tempfile.mkdtemp(prefix="flaskpaste-attack-")
        hard = hard_limit or resource.getrlimit(resource.RLIMIT_NOFILE)[1]

        def limit():
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, hard), hard))

        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.environment = {
            "FLASKPASTE_BIND": f"127.0.0.1:{self.port}",
            "FLASKPASTE_DB": self.folder + "/pastes.db",
            "PATH": os.environ["PATH"],
            **{name: value for name, value in os.environ.items() if name == "FLASKPASTE_DEDUP_MAX"},
        }
        self.program, self.limit = program, limit
        self.log = open(self.folder + "/log", "wb")
        self.start_again()

    def start_again(self):
        """Starts the program, and waits until it takes pastes."""
        self.child = subprocess.Popen([self.program], env=self.environment, stderr=self.log, preexec_fn=self.limit)
        deadline = time.monotonic() + 10
        while True:
            try:
                self.post(b"ready?" + os.urandom(8))
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def post(self, content, headers=()):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/", content, dict(headers), method="POST")
        with urllib.request.urlopen(request, timeout=PROBE_TIMEOUT) as reply:
            return json.load(reply)

    def is_same_process(self):
        return self.child.poll() is None

    def memory_mib(self, field="VmRSS"):
        with open(f"/proc/{self.child.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith(field)) / 1024

    def stop(self):
        self.child.send_signal(signal.SIGTERM)
        code = self.child.wait(20)
        self.log.close()
        shutil.rmtree(self.folder)
        return code


# The prober: a process of its own, so that the attacker's work does not delay it.


def exchange(port, request):
    """One request on a fresh connection; the whole answer."""
    with socket.create_connection(("127.0.0.1", port), PROBE_TIMEOUT) as peer:
        peer.sendall(request)
        answer = b""
        while piece := peer.recv(65536):
            answer += piece
    return answer


def probe(port):
    content = os.urandom(24).hex().encode()
    head = f"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(content)}\r\n\r\n"
    answer = exchange(port, head.encode() + content)
    if not answer.startswith(b"HTTP/1.1 201 "):
        return False
    paste = json.loads(answer.split(b"\r\n\r\n", 1)[1])["id"]
    head = f"GET /{paste}/raw HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    return exchange(port, head.encode()).endswith(b"\r\n\r\n" + content)


def probe_forever(port, results):
    def one(at):
        started = time.monotonic()
        try:
            is_answered = probe(port)
        except (OSError, ValueError):
            is_answered = False
        results.put((at, time.monotonic() - started, is_answered))

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    due = time.monotonic()
    while True:
        threading.Thread(target=one, args=(due,), daemon=True).start()
        due += 1 / PROBES_PER_SECOND
        time.sleep(max(0, due - time.monotonic()))


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))] if values else float("nan")


# The attackers.


async def connect(server):
    return await asyncio.open_connection("127.0.0.1", server.port)


async def drop(writer, reset=False):
    if reset:
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.close()
    try:
        await asyncio.wait_for(writer.wait_closed(), 1)
    except (OSError, asyncio.TimeoutError):
        pass


async def crowd(server, count, behave):
    """Keeps `count` attackers busy; one that was thrown out comes again at once."""
    until = time.monotonic() + DURATION

    async def one():
        while time.monotonic() < until:
            writer = None
            try:
                reader, writer = await connect(server)
                await behave(reader, writer, until)
            except (OSError, asyncio.IncompleteReadError):
                await asyncio.sleep(0.01)
            finally:
                if writer:
                    await drop(writer)

    await asyncio.gather(*(one() for _ in range(count)))


async def read_to_the_end(reader, until):
    try:
        await asyncio.wait_for(reader.read(), max(0.01, until - time.monotonic()))
    except asyncio.TimeoutError:
        pass


def told_off(behave):
    """A behaviour that goes on sending until the server has had enough."""

    async def whole(reader, writer, until):
        end = asyncio.create_task(reader.read(1))
        go_on = asyncio.create_task(behave(writer, until))
        await asyncio.wait({end, go_on}, return_when=asyncio.FIRST_COMPLETED)
        for task in (end, go_on):
            task.cancel()
        await asyncio.gather(end, go_on, return_exceptions=True)

    return whole


POST = b"POST / HTTP/1.1\r\nHost: localhost\r\n"
LENGTHS = [b"1000000000", b"1000000000000", b"9223372036854775807", b"9223372036854775808", b"18446744073709551615"]
LENGTHS += [b"18446744073709551616", b"-1", b"+3", b"3, 3", b"3\r\nContent-Length: 4", b"0x10", b""]


@attack
async def absurd_content_lengths(server):
    async def behave(reader, writer, until):
        expect = random.choice([b"", b"Expect: 100-continue\r\n"])
        writer.write(POST + b"Content-Length: " + random.choice(LENGTHS) + b"\r\n" + expect + b"\r\nabc")
        await writer.drain()
        await asyncio.wait_for(reader.read(), 5)

    await crowd(server, 50, behave)


@attack
async def an_endless_header_line(server):
    async def send(writer, until):
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")
        while time.monotonic() < until:
            writer.write(b"a" * 65536)
            await writer.drain()

    await crowd(server, 50, told_off(send))


@attack
async def a_hundred_thousand_headers(server):
    async def send(writer, until):
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        for number in range(100_000):
            writer.write(b"X-%d: y\r\n" % number)
            await writer.drain()
        writer.write(b"\r\n")

    await crowd(server, 50, told_off(send))


@attack
async def idle_connections(server):
    async def behave(reader, writer, until):
        await read_to_the_end(reader, until)

    await crowd(server, 1500, behave)


@attack
async def restless_connections(server):
    async def behave(reader, writer, until):
        while time.monotonic() < until:
            writer.write(b"GET /robots.txt HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await reader.readuntil(b"Disallow: /\n")
            await asyncio.sleep(0.05)

    await crowd(server, 400, behave)


def slowly(first):
    async def send(writer, until):
        writer.write(first)
        while time.monotonic() < until:
            await asyncio.sleep(5)
            writer.write(b"a")

    return told_off(send)


@attack
async def slow_headers(server):
    await crowd(server, 600, slowly(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: "))


@attack
async def slow_bodies(server):
    await crowd(server, 600, slowly(POST + b"Content-Length: 100000\r\n\r\na"))


@attack
async def slow_readers(server):
    raw = (await asyncio.to_thread(server.post, os.urandom(3 << 20)))["raw"]
    request = f"GET {raw} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()

    async def one(until):
        while time.monotonic() < until:
            peer = socket.socket()
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            peer.setblocking(False)
            loop = asyncio.get_running_loop()
            try:
                await loop.sock_connect(peer, ("127.0.0.1", server.port))
                await loop.sock_sendall(peer, request)
                while time.monotonic() < until and await loop.sock_recv(peer, 10):
                    await asyncio.sleep(1)
            except OSError:
                await asyncio.sleep(0.01)
            finally:
                peer.close()

    until = time.monotonic() + DURATION
    await asyncio.gather(*(one(until) for _ in range(200)))


@attack
async def pipelined_requests_never_read(server):
    request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"

    async def behave(reader, writer, until):
        writer.transport.pause_reading()
        for _ in range(200):
            writer.write(request * 1000)
            await asyncio.wait_for(writer.drain(), max(0.01, until - time.monotonic()))

    async def bounded(reader, writer, until):
        try:
            await behave(reader, writer, until)
        except asyncio.TimeoutError:
            pass

    await crowd(server, 20, bounded)


@attack
async def hang_ups_and_resets(server):
    async def behave(reader, writer, until):
        what = random.choice([b"", b"GET", b"GET /health HTTP/1.1\r\nHost: l\r\n\r\n", POST + b"Content-Length: 99999\r\n\r\nabc"])
        writer.write(what)
        if random.random() < 0.5:
            await writer.drain()
        await drop(writer, reset=random.random() < 0.7)

    await crowd(server, 100, behave)


@attack
async def idle_connections_at_a_limit_of_256_descriptors(server):
    await idle_connections(server)


@attack
async def password_guessers(server):
    paste = await asyncio.to_thread(server.post, b"secret", {"X-Paste-Password": "right"})

    async def behave(reader, writer, until):
        head = f"GET {paste['raw']} HTTP/1.1\r\nHost: localhost\r\nX-Paste-Password: {random.random()}\r\n\r\n"
        writer.write(head.encode())
        await reader.readuntil(b"\r\n\r\n")

    await crowd(server, 40, behave)


# One request each, whatever a reader of another opinion makes of it; the second answer would be the smuggled one.
SMUGGLED = b"GET /robots.txt HTTP/1.1\r\nHost: localhost\r\n\r\n"
SMUGGLERS = [
    POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    POST + b"X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    POST + b"X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    POST + b" Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    POST + b"Content-Length : 0\r\n\r\n",
    POST + b"Content-Length: 0\r\nContent-Length: 44\r\n\r\n",
    POST + b"Content-Length: 0, 44\r\n\r\n",
    POST + b"Content-Length: +0\r\n\r\n",
    POST + b"Content-Length: -1\r\n\r\n",
    POST + b"Content-Length:\x0b0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 4\r\n\r\nabcd",
    b"GET / HTTP/1.1\nHost: localhost\n\n",
    b"GET  / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET / HTTP/2.0\r\nHost: localhost\r\n\r\n",
]


@attack
async def smuggling(server):
    async def behave(reader, writer, until):
        request = random.choice(SMUGGLERS)
        writer.write(request + SMUGGLED)
        try:
            answer = await asyncio.wait_for(reader.read(), 20)
        except ConnectionResetError:
            return
        if answer.count(b"HTTP/1.1 ") - answer.count(b"HTTP/1.1 100") > 1:
            raise AssertionError(f"{request!r} was answered twice: {answer!r}")

    await crowd(server, 30, behave)


@attack
async def tls_and_noise(server):
    hello = bytes.fromhex("16030100a5010000a10303") + os.urandom(200)

    async def behave(reader, writer, until):
        noise = [hello, os.urandom(4096), b"\r\n" * 2000, b"\0" * 4096, b"SSH-2.0-x\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
        writer.write(random.choice(noise))
        try:
            await asyncio.wait_for(reader.read(), 1)
        except asyncio.TimeoutError:
            pass

    await crowd(server, 50, behave)


def slowhttptest(*mode):
    async def run(server):
        url = f"http://127.0.0.1:{server.port}/"
        if "-X" in mode:
            url += (await asyncio.to_thread(server.post, os.urandom(1 << 20)))["raw"][1:]
        command = ["slowhttptest", *mode, "-c", "1000", "-r", "300", "-l", str(int(DURATION)), "-p", "3", "-u", url]
        child = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        told = (await child.communicate())[0].decode(errors="replace")
        states = [line for line in told.splitlines() if "service available" in line]
        if not states or not all("YES" in line for line in states):
            raise AssertionError(f"slowhttptest reports the service unavailable: {states or told[-500:]}")

    return run


if shutil.which("slowhttptest"):
    ATTACKS["slowhttptest -H (slow headers)"] = slowhttptest("-H", "-i", "5")
    ATTACKS["slowhttptest -B (slow bodies)"] = slowhttptest("-B", "-i", "5", "-s", "8192")
    ATTACKS["slowhttptest -R (ranges)"] = slowhttptest("-R", "-a", "10", "-b", "3000")
    ATTACKS["slowhttptest -X (slow reading)"] = slowhttptest("-X", "-w", "10", "-y", "20", "-n", "5", "-z", "32", "-k", "3")


def run(name, program, server):
    """Runs an attack with the prober beside it; the table's row, and what it broke."""
    own = Server(program, hard_limit=256) if "256" in name else None
    server = own or server
    results = multiprocessing.Queue()
    prober = multiprocessing.Process(target=probe_forever, args=(server.port, results), daemon=True)
    broken, peak, probes = [], [0.0], []
    over = threading.Event()

    def collect():
        while True:
            probes.append(results.get())

    threading.Thread(target=collect, daemon=True).start()

    def watch():
        while not over.is_set() and server.is_same_process():
            peak[0] = max(peak[0], server.memory_mib())
            time.sleep(0.1)

    threading.Thread(target=watch, daemon=True).start()
    prober.start()
    time.sleep(0.5)
    begun = time.monotonic()
    try:
        asyncio.run(ATTACKS[name](server))
    except AssertionError as error:
        broken.append(str(error))
    ended = time.monotonic()
    time.sleep(RECOVERY_SECONDS + CALM_SECONDS)
    time.sleep(0.5)
    over.set()
    prober.terminate()
    prober.join()
    during = [(seconds, ok) for at, seconds, ok in probes if begun <= at < ended]
    after = [seconds for at, seconds, ok in probes if ended + RECOVERY_SECONDS <= at < ended + RECOVERY_SECONDS + CALM_SECONDS]
    # What has not come back yet counts as unanswered.
    expected = max(len(during), int((ended - begun) * PROBES_PER_SECOND) - 1)
    answered = sum(ok for _, ok in during) / max(1, expected)
    slow, calm = percentile([seconds for seconds, _ in during], 0.95), percentile(after, 0.95)
    if not server.is_same_process():
        broken.append("the process has ended")
    if answered < 0.99:
        broken.append("fewer than 99 % of the probes answered")
    if not slow < 2:
        broken.append("95th percentile of 2 s or more")
    if not calm < 0.05:
        broken.append("95th percentile of 50 ms or more afterwards")
    if peak[0] > MEMORY_LIMIT_MIB:
        broken.append("too much memory")
    if own and own.stop() != 0:
        broken.append("it did not stop in order")
    row = f"| {name} | {100 * answered:.1f} % of {expected} | {1000 * slow:.0f} ms | {1000 * calm:.0f} ms | {peak[0]:.0f} MiB |"
    return row, broken


def main():
    program, names = sys.argv[1], sys.argv[2:] or list(ATTACKS)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 16384), hard))
    if not shutil.which("slowhttptest"):
        print("SKIPPED: slowhttptest is not installed", file=sys.stderr)
    print("| attack | probes answered | 95th percentile during | from 5 s after | memory, at most |\n|---|---|---|---|---|")
    server = Server(program)
    failed = False
    for name in names:
        row, broken = run(name, program, server)
        print(row, flush=True)
        for what in broken:
            failed = True
            print(f"BROKEN: {name}: {what}", flush=True)
    if server.stop() != 0:
        failed = True
        print("BROKEN: the server did not stop in order")
    sys.exit(failed)


if __name__ == "__main__":
    main()
