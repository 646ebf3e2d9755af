#!/usr/bin/env python3
"""Attacks a real server on a bare port, with default settings, and measures the effect on other clients.

Usage: attack.py PATH_OF_FLASKPASTE [NAME...]   (`make attack`); without names, every attack.

While each attack runs, a separate process posts a paste and reads it back on new connections, ten times a second.
A distant reader reads burn pastes of 1 MB over a connection with a delay of 100 ms each way.
Required: the same process throughout, at least 99 % of the probes answered, their 95th percentile below 2 s during the
attack and below 50 ms from five seconds after it, every distant read complete, memory below 200 MiB. Exit 1 if an attack
breaks a requirement.
Standard library only; slowhttptest, if installed, for its four modes.
"""

import asyncio
import atexit
import base64
import json
import multiprocessing
import os
import random
import re
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

DURATION = float(os.environ.get("ATTACK_SECONDS", "15"))
RECOVERY_SECONDS = 5
CALM_SECONDS = 3
PROBES_PER_SECOND = 10
PROBE_TIMEOUT = 10
WAY_SECONDS = 0.1
MEMORY_LIMIT_MIB = 200
ATTACKS = {}


def attack(function):
    ATTACKS[function.__name__.replace("_", " ")] = function
    return function


class Server:
    """The server, in its own folder, with a soft limit of 1,024 descriptors."""

    def __init__(self, program, hard_limit=None, is_unix=False, settings=()):
        self.folder = tempfile.mkdtemp(prefix="flaskpaste-attack-")
        hard = hard_limit or resource.getrlimit(resource.RLIMIT_NOFILE)[1]

        def limit():
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, hard), hard))

        self.address = self.folder + "/socket"
        if not is_unix:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.address = free.getsockname()
        bind = f"unix:{self.address}" if is_unix else f"127.0.0.1:{self.address[1]}"
        self.environment = {
            "FLASKPASTE_BIND": bind,
            "FLASKPASTE_DB": self.folder + "/pastes.db",
            "PATH": os.environ["PATH"],
            **{name: value for name, value in os.environ.items() if name == "FLASKPASTE_DEDUP_MAX"},
            # Clients of a proxy are not exempt from the proof of work; clients on a loopback port are.
            **({"FLASKPASTE_POW_DIFFICULTY": "0"} if is_unix else {}),
            **dict(settings),
        }
        self.program, self.limit = program, limit
        self.log = open(self.folder + "/log", "wb")
        self.start_again()

    def start_again(self):
        """Starts the program and waits until it accepts pastes."""
        self.child = subprocess.Popen([self.program], env=self.environment, stderr=self.log, preexec_fn=self.limit)
        atexit.register(self.child.kill)
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
        return post(self.address, content, headers)

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


# The prober: a separate process, so that the attackers do not delay it.


def open_socket(address, timeout=PROBE_TIMEOUT):
    peer = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    peer.settimeout(timeout)
    peer.connect(address)
    return peer


def read_all(peer):
    answer = b""
    while piece := peer.recv(65536):
        answer += piece
    return answer


def exchange(address, request):
    """One request on a new connection; the whole response."""
    with open_socket(address) as peer:
        peer.sendall(request)
        return read_all(peer)


def post(address, content, headers=()):
    """Creates a paste; its fields."""
    fields = "".join(f"{name}: {value}\r\n" for name, value in dict(headers).items())
    head = f"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}Content-Length: {len(content)}\r\n\r\n"
    answer = exchange(address, head.encode() + content)
    if not answer.startswith(b"HTTP/1.1 201 "):
        raise OSError(f"no paste: {answer[:200]!r}")
    return json.loads(answer.split(b"\r\n\r\n", 1)[1])


def get(raw):
    return f"GET {raw} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()


def probe(address):
    content = os.urandom(24).hex().encode()
    return exchange(address, get(post(address, content)["raw"])).endswith(b"\r\n\r\n" + content)


def delay(source, target):
    """Forwards bytes from one socket to another with a delay, at most 64 KiB per delay, like a
    distant peer with an ordinary TCP window."""
    try:
        while piece := source.recv(65536):
            time.sleep(WAY_SECONDS)
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def read_from_afar(address):
    """Reads a burn paste of 1 MB over a delayed connection; whether it is complete."""
    content = os.urandom(1 << 20)
    raw = post(address, content, {"X-Burn-After-Read": "true"})["raw"]
    near, here = socket.socketpair()
    there = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    # A small buffer: whatever it holds counts as read.
    there.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    there.settimeout(30)
    there.connect(address)
    with near, here, there:
        for source, target in [(here, there), (there, here)]:
            threading.Thread(target=delay, args=(source, target), daemon=True).start()
        near.settimeout(30)
        near.sendall(get(raw))
        return read_all(near).endswith(content)


def read_from_afar_forever(address, results):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        at = time.monotonic()
        try:
            is_whole = read_from_afar(address)
        except (OSError, ValueError):
            is_whole = None
        results.put((at, is_whole))
        time.sleep(0.2)


def probe_forever(address, results):
    def one(at):
        started = time.monotonic()
        try:
            is_answered = probe(address)
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
    if isinstance(server.address, str):
        return await asyncio.open_unix_connection(server.address)
    return await asyncio.open_connection(*server.address)


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
    """Keeps `count` attackers busy; a disconnected one reconnects immediately."""
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
    """A behaviour that keeps sending until the server disconnects."""

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
            peer = socket.socket(socket.AF_UNIX if isinstance(server.address, str) else socket.AF_INET)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            peer.setblocking(False)
            loop = asyncio.get_running_loop()
            try:
                await loop.sock_connect(peer, server.address)
                await loop.sock_sendall(peer, request)
                while time.monotonic() < until and await loop.sock_recv(peer, 10):
                    await asyncio.sleep(1)
            except OSError:
                await asyncio.sleep(0.01)
            finally:
                peer.close()

    until = time.monotonic() + DURATION
    await asyncio.gather(*(one(until) for _ in range(300)))


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


# Creates per address are limited, and no proof of work slows the flood; the prober's address stays below the limit.
COUNTED = {"FLASKPASTE_RATE": "1500", "FLASKPASTE_POW_DIFFICULTY": "0", "FLASKPASTE_DEDUP_MAX": "0"}


@attack
async def a_flood_of_creates_from_many_addresses_each_counted(server):
    async def behave(reader, writer, until):
        while time.monotonic() < until:
            address = f"2001:db8:{random.randrange(65536):x}:{random.randrange(65536):x}::1"
            head = POST + f"X-Forwarded-For: {address}\r\nContent-Length: 20\r\n\r\n".encode()
            writer.write(head + os.urandom(10).hex().encode())
            answer = await reader.readuntil(b"\r\n\r\n")
            length = int(answer.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)

    await crowd(server, 40, behave)


@attack
async def a_flood_of_tokens(server):
    async def behave(reader, writer, until):
        while time.monotonic() < until:
            token = base64.urlsafe_b64encode(os.urandom(32)).rstrip(b"=")
            writer.write(b"GET /pastes HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer fpt_" + token + b"\r\n\r\n")
            answer = await reader.readuntil(b"}")
            if not answer.startswith(b"HTTP/1.1 401 ") and not answer.startswith(b"HTTP/1.1 503 "):
                raise AssertionError(f"a guessed token was answered with {answer[:60]!r}")

    await crowd(server, 40, behave)


# One request each, however parsers differ; a second response would be to the smuggled one.
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
        # A status line, not the message about versions.
        if len(re.findall(rb"HTTP/1\.1 [2-5]\d\d ", answer)) > 1:
            raise AssertionError(f"{request!r} was answered twice: {answer!r}")

    await crowd(server, 30, behave)


CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


def chunk(content):
    return b"%x\r\n%s\r\n" % (len(content), content)


@attack
async def endless_chunk_lines(server):
    async def send(writer, until):
        expect = random.choice([b"", b"Expect: 100-continue\r\n"])
        begin = chunk(bytes(20480)) if random.random() < 0.5 else b""
        endless = random.choice([b"0", b"5;x", b"0\r\nX: y"])
        writer.write(CHUNKED[:-2] + expect + b"\r\n" + begin + endless)
        while time.monotonic() < until:
            writer.write(endless[-1:] * 65536)
            await writer.drain()

    await crowd(server, 20, told_off(send))


# Not a number to some parsers, and five to others; none of them may be stored.
SIZES = [b"+5", b" 5", b"\t5", b"5 ", b"0x5", b"000000005", b"12345678901234567890", b"5;a\0b", b"5;a\nb", b"5;" + b"x" * 300]


@attack
async def malformed_chunks(server):
    async def behave(reader, writer, until):
        begin = chunk(os.urandom(random.choice([1, 20_000, 70_000])))
        writer.write(CHUNKED + begin + random.choice(SIZES) + b"\r\nhello\r\n0\r\n\r\n" + SMUGGLED)
        answer = await asyncio.wait_for(reader.read(), 20)
        if answer.count(b"HTTP/1.1 ") > 1 or b" 201 " in answer[:20]:
            raise AssertionError(f"malformed chunks were answered {answer!r}")

    await crowd(server, 30, behave)


@attack
async def cut_chunked_uploads(server):
    whole = CHUNKED + chunk(os.urandom(120_480)) + b"0\r\n\r\n"

    async def behave(reader, writer, until):
        writer.write(whole[: random.choice([len(whole) - 1, len(whole) - 5, random.randrange(200, len(whole))])])
        await writer.drain()
        if random.random() < 0.5:
            writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), 5)
        if b" 201 " in answer[:20]:
            raise AssertionError(f"a truncated upload was stored: {answer!r}")

    await crowd(server, 300, behave)


def steadily(length):
    """Sends a body of this length, 4.4 kB every 90 ms."""

    async def send(writer, until):
        writer.write(POST + b"Content-Length: %d\r\n\r\n" % length)
        while time.monotonic() < until:
            writer.write(b"a" * 4400)
            await writer.drain()
            await asyncio.sleep(0.09)

    return send


@attack
async def steady_uploads(server):
    await crowd(server, 256, told_off(steadily(3_000_000)))


@attack
async def refused_senders(server):
    send = steadily(1_000_000_000)

    async def behave(reader, writer, until):
        # It keeps sending whatever the response, until the connection is closed.
        await asyncio.gather(send(writer, until), reader.read())

    await crowd(server, 1000, behave)


@attack
async def slow_readers_on_a_unix_socket(server):
    await slow_readers(server)


@attack
async def hang_ups_on_a_unix_socket(server):
    await hang_ups_and_resets(server)


@attack
async def slow_bodies_on_a_unix_socket(server):
    await slow_bodies(server)


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
        url = f"http://127.0.0.1:{server.address[1]}/"
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
    """Runs an attack and the prober; the table's row, and the broken requirements."""
    is_own = "256" in name or "unix" in name or "counted" in name
    settings = COUNTED if "counted" in name else {}
    hard_limit = 256 if "256" in name else None
    own = Server(program, hard_limit, "unix" in name, settings) if is_own else None
    server = own or server
    broken, peak, probes, distant = [], [0.0], [], []
    probers = []
    over = threading.Event()
    for target, seen in [(probe_forever, probes), (read_from_afar_forever, distant)]:
        results = multiprocessing.Queue()

        def collect(results=results, seen=seen):
            while True:
                seen.append(results.get())

        threading.Thread(target=collect, daemon=True).start()
        probers.append(multiprocessing.Process(target=target, args=(server.address, results), daemon=True))

    def watch():
        while not over.is_set() and server.is_same_process():
            peak[0] = max(peak[0], server.memory_mib())
            time.sleep(0.1)

    threading.Thread(target=watch, daemon=True).start()
    for prober in probers:
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
    for prober in probers:
        prober.terminate()
        prober.join()
    during = [(seconds, ok) for at, seconds, ok in probes if begun <= at < ended]
    after = [seconds for at, seconds, ok in probes if ended + RECOVERY_SECONDS <= at < ended + RECOVERY_SECONDS + CALM_SECONDS]
    # Pending probes count as unanswered.
    expected = max(len(during), int((ended - begun) * PROBES_PER_SECOND) - 1)
    answered = sum(ok for _, ok in during) / max(1, expected)
    slow, calm = percentile([seconds for seconds, _ in during], 0.95), percentile(after, 0.95)
    # A refused create loses nothing.
    whole = [is_whole for at, is_whole in distant if at < ended and is_whole is not None]
    if not whole or not all(whole):
        broken.append("a distant reader was disconnected" if whole else "no distant reader was served")
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
    row = (
        f"| {name} | {100 * answered:.1f} % of {expected} | {1000 * slow:.0f} ms | {1000 * calm:.0f} ms "
        f"| {sum(whole)} of {len(whole)} | {peak[0]:.0f} MiB |"
    )
    return row, broken


def main():
    program, names = sys.argv[1], sys.argv[2:] or list(ATTACKS)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 16384), hard))
    if not shutil.which("slowhttptest"):
        print("SKIPPED: slowhttptest is not installed", file=sys.stderr)
    print("| attack | probes answered | 95th percentile during | from 5 s after | distant reads complete | peak memory |")
    print("|---|---|---|---|---|---|")
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
        print("BROKEN: the server did not stop cleanly")
    sys.exit(failed)


if __name__ == "__main__":
    main()
