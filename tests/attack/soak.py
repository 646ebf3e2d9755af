#!/usr/bin/env python3
"""Load and crashes: mixed traffic at full speed, burn races, and a hundred kills under writes.

Usage: soak.py PATH_OF_FLASKPASTE   (`make soak`; SOAK_SECONDS, SOAK_RACES and SOAK_KILLS shorten or lengthen it)

Required: every response as expected; memory in the last third of the load at most a tenth above that of the middle third; as
many threads and descriptors afterwards as before; exactly one winner of every burn race; an intact database and every
acknowledged paste after every kill. Exit 1 if anything is broken. Standard library only.
"""

import http.client
import json
import os
import random
import signal
import sqlite3
import sys
import threading
import time

from attack import Server, percentile

SECONDS = float(os.environ.get("SOAK_SECONDS", "300"))
RACES = int(os.environ.get("SOAK_RACES", "1000"))
KILLS = int(os.environ.get("SOAK_KILLS", "100"))
CLIENTS = 16
RACERS = 200
BROKEN = []


def broken(what):
    BROKEN.append(what)
    print(f"BROKEN: {what}", flush=True)


class Person:
    """A client with its own connection that creates, reads and deletes, and checks the responses."""

    def __init__(self, server):
        self.server, self.connection, self.pastes, self.latencies, self.requests = server, None, [], [], 0

    def ask(self, method, path, body=None, headers=None):
        started = time.monotonic()
        is_kept = self.connection is not None
        try:
            reply, content = self.exchange(method, path, body, headers)
        except (OSError, http.client.HTTPException):
            self.connection = None
            # The server may close an idle connection between two requests; only reads can be retried safely.
            if not is_kept or method != "GET":
                raise
            reply, content = self.exchange(method, path, body, headers)
        self.latencies.append(time.monotonic() - started)
        self.requests += 1
        if reply.will_close:
            self.connection = None
        return reply.status, content

    def exchange(self, method, path, body, headers):
        if self.connection is None:
            self.connection = http.client.HTTPConnection(*self.server.address, timeout=30)
        self.connection.request(method, path, body, headers or {})
        reply = self.connection.getresponse()
        return reply, reply.read()

    def create(self):
        size = random.choice([10, 1000, 1000, 10_000, 100_000, 2_000_000])
        content = os.urandom(size)
        headers = {"Content-Type": "application/octet-stream"}
        kind = random.random()
        if kind < 0.1:
            headers["X-Burn-After-Read"] = "1"
        elif kind < 0.4:
            headers["X-Expiry"] = "2"
        status, reply = self.ask("POST", "/", content, headers)
        if status != 201:
            return broken(f"a create was answered {status}: {reply[:200]!r}")
        reply = json.loads(reply)
        if "X-Expiry" not in headers:
            self.pastes.append((reply["id"], reply["delete_token"], content, "X-Burn-After-Read" in headers))

    def read(self):
        index = random.randrange(len(self.pastes))
        paste, _, content, burns = self.pastes[index]
        if burns:
            del self.pastes[index]
        status, got = self.ask("GET", f"/{paste}/raw")
        if status != 200 or got != content:
            broken(f"a read was answered {status} with {len(got)} bytes of {len(content)}")

    def delete(self):
        paste, token, _, _ = self.pastes.pop(random.randrange(len(self.pastes)))
        status, _ = self.ask("DELETE", f"/{paste}", headers={"X-Delete-Token": token})
        if status != 200:
            broken(f"a delete was answered {status}")

    def live(self, until):
        try:
            while time.monotonic() < until:
                what = random.random()
                if not self.pastes or what < 0.25:
                    self.create()
                elif what < 0.85:
                    self.read()
                elif what < 0.95 or len(self.pastes) > 200:
                    self.delete()
                else:
                    self.ask("GET", "/health")
        except (OSError, http.client.HTTPException) as error:
            broken(f"a request failed: {error!r}")


def count(server, what):
    return len(os.listdir(f"/proc/{server.child.pid}/{what}"))


def load(program):
    server = Server(program)
    before = count(server, "task"), count(server, "fd")
    people = [Person(server) for _ in range(CLIENTS)]
    begun = time.monotonic()
    threads = [threading.Thread(target=person.live, args=(begun + SECONDS,)) for person in people]
    for thread in threads:
        thread.start()
    memory = []
    while any(thread.is_alive() for thread in threads):
        memory.append(server.memory_mib())
        time.sleep(SECONDS / 300)
    for person in people:
        if person.connection:
            person.connection.close()
    time.sleep(2)
    third = len(memory) // 3
    middle, last = percentile(memory[third : 2 * third], 0.5), percentile(memory[2 * third :], 0.5)
    if last > middle * 1.1 + 2:
        broken(f"memory grows: {middle:.0f} MiB in the middle third, {last:.0f} MiB in the last")
    after = count(server, "task"), count(server, "fd")
    if after[0] > before[0] or after[1] > before[1] + 2:
        broken(f"threads and descriptors before {before}, after {after}")
    latencies = [seconds for person in people for seconds in person.latencies]
    requests = sum(person.requests for person in people)
    print(f"| mixed load, {SECONDS:.0f} s, {CLIENTS} clients | {requests} requests, p99 {1000 * percentile(latencies, 0.99):.0f} ms |")
    print(f"| memory, middle and last third | {middle:.0f} MiB, {last:.0f} MiB |")
    print(f"| threads, descriptors before and after | {before[0]}, {before[1]}; {after[0]}, {after[1]} |", flush=True)
    if server.stop() != 0:
        broken("the server did not stop in order")


def races(program):
    """Many clients read a burn paste at once; one of them gets it."""
    server = Server(program)
    start, done, stop = threading.Barrier(RACERS + 1), threading.Barrier(RACERS + 1), threading.Event()
    paste, winners, lock = [None], [0], threading.Lock()

    def racer():
        person = Person(server)
        while True:
            start.wait()
            if stop.is_set():
                return
            status, content = person.ask("GET", f"/{paste[0]}/raw")
            if status == 200 and content == b"once " * 100:
                with lock:
                    winners[0] += 1
            elif status != 404:
                broken(f"a racer was answered {status}")
            done.wait()

    for _ in range(RACERS):
        threading.Thread(target=racer, daemon=True).start()
    for _ in range(RACES):
        headers = {"X-Burn-After-Read": "1"}
        paste[0] = server.post(b"once " * 100, headers)["id"]
        winners[0] = 0
        start.wait()
        done.wait()
        if winners[0] != 1:
            broken(f"{winners[0]} readers won a burn paste")
    stop.set()
    start.wait()
    print(f"| {RACERS} readers of one burn paste, {RACES} times | one winner each |", flush=True)
    server.stop()


def kills(program):
    """kill -9 at random moments under writes; acknowledged pastes survive."""
    server = Server(program)
    acknowledged, lock = {}, threading.Lock()

    def write(stop):
        person = Person(server)
        while not stop.is_set():
            content = os.urandom(random.choice([10, 1000, 50_000]))
            try:
                status, reply = person.ask("POST", "/", content)
            except (OSError, http.client.HTTPException):
                return
            if status == 201:
                with lock:
                    acknowledged[json.loads(reply)["id"]] = content

    for number in range(KILLS):
        stop = threading.Event()
        writers = [threading.Thread(target=write, args=(stop,)) for _ in range(8)]
        for writer in writers:
            writer.start()
        time.sleep(random.uniform(0.01, 0.4))
        server.child.send_signal(signal.SIGKILL)
        server.child.wait()
        stop.set()
        for writer in writers:
            writer.join()
        server.start_again()
        checked = sqlite3.connect(f"file:{server.folder}/pastes.db?mode=ro", uri=True).execute("PRAGMA integrity_check")
        if checked.fetchone()[0] != "ok":
            broken(f"the database is damaged after kill {number}")
        reader = Person(server)
        sample = random.sample(sorted(acknowledged), min(200, len(acknowledged)))
        for paste in sample if number < KILLS - 1 else sorted(acknowledged):
            status, content = reader.ask("GET", f"/{paste}/raw")
            if status != 200 or content != acknowledged[paste]:
                broken(f"an acknowledged paste is gone after kill {number}: {status}")
    print(f"| {KILLS} kills under writes | {len(acknowledged)} acknowledged pastes, all present |", flush=True)
    server.stop()


def main():
    program = sys.argv[1]
    # The races post the same content repeatedly.
    os.environ["FLASKPASTE_DEDUP_MAX"] = "0"
    print("| | |\n|---|---|", flush=True)
    for part in (load, races, kills):
        part(program)
    sys.exit(bool(BROKEN))


if __name__ == "__main__":
    main()
