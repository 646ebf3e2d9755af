"""The load of failover.py: creators, readers, burners and deleters, and the record of what was acknowledged.

Job: send requests through nginx almost without pause, record every response with its time, and know what must hold.
Invariant: acknowledged operations are recorded as such, all others as unsure; check() verifies both.
It must never retry a create, a burn or a delete, nor report an operation as lost that was not acknowledged.
"""

import collections
import concurrent.futures
import contextlib
import hashlib
import http.client
import json
import os
import queue
import random
import threading
import time

CREATORS, READERS, BURNERS, DELETERS, CHECKERS = 4, 4, 2, 2, 8
SIZES = [10, 1000, 1000, 1000, 10_000, 100_000]
PAUSE_SECONDS, REFUSED_PAUSE_SECONDS = 0.01, 0.1
PATIENCE_SECONDS = 45
# No response, or one that says that the server or its database is unavailable.
REFUSED = (0, 502, 503, 504)

Answer = collections.namedtuple("Answer", "kind begun ended status")
Paste = collections.namedtuple("Paste", "id token content")


class Content:
    """Unique bytes, stored as their seed."""

    def __init__(self):
        self.seed, self.size = os.urandom(16), random.choice(SIZES)

    def bytes(self):
        return hashlib.shake_256(self.seed).digest(self.size)


class Book:
    """What was acknowledged, and what is broken. The lists only grow: only the last needs a lock."""

    def __init__(self):
        self.kept, self.unread, self.burned, self.deleted = [], [], [], []
        self.unsure_burns, self.unsure_deletes = [], []
        self.faults, self.lock = collections.defaultdict(set), threading.Lock()
        self.lost, self.back, self.twice = "acknowledged and lost", "gone and back", "given out twice"

    def broken(self, what, which, detail=""):
        """Reports each fault once, and the first few of a kind immediately."""
        with self.lock:
            if which not in self.faults[what] and len(self.faults[what]) < 5:
                print(f"BROKEN: {what}: {which}{detail}", flush=True)
            self.faults[what].add(which)


class Person:
    """A client with its own persistent connection that records the responses."""

    def __init__(self, address, book):
        self.connection = http.client.HTTPConnection(*address, timeout=PATIENCE_SECONDS)
        self.book, self.answers = book, []

    def ask(self, kind, method, path, body=None, headers=None):
        """Status and content; 0 if the connection broke before or during the response."""
        begun = time.monotonic()
        try:
            self.connection.request(method, path, body, headers or {})
            reply = self.connection.getresponse()
            status, content = reply.status, reply.read()
        except (OSError, http.client.HTTPException):
            self.connection.close()
            status, content = 0, b""
        self.answers.append(Answer(kind, begun, time.monotonic(), status))
        return status, content

    def post(self, **headers):
        """A paste of new content, if its create was acknowledged."""
        content = Content()
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        headers["Content-Type"] = "application/octet-stream"
        status, reply = self.ask("create", "POST", "/", content.bytes(), headers)
        if status == 201:
            reply = json.loads(reply)
            return Paste(reply["id"], reply["delete_token"], content)
        if status not in REFUSED:
            self.book.broken("a create was answered", f"{status} {reply[:200]!r}")
        return None

    def get(self, paste):
        """The status of a read: 200 if the content is as sent, None if it differs."""
        status, content = self.ask("read", "GET", f"/{paste.id}/raw")
        if status == 200 and content != paste.content.bytes():
            self.book.broken("wrong content", paste.id, f", {len(content)} bytes of {paste.content.size}")
            return None
        if status not in (200, 404, *REFUSED):
            self.book.broken("a read was answered", f"{status} {content[:200]!r}")
        return status


class Crowd:
    """Two concurrent readers."""

    def __init__(self, address, book):
        self.people = [Person(address, book) for _ in range(2)]
        self.pool = concurrent.futures.ThreadPoolExecutor(2)
        self.book = book

    def race(self, paste):
        """Whether the content was given out, is gone, or neither is known."""
        statuses = list(self.pool.map(lambda person: person.get(paste), self.people))
        if statuses.count(200) > 1:
            self.book.broken(self.book.twice, paste.id)
        if 200 in statuses:
            return "given"
        return "gone" if statuses == [404, 404] else "unsure"


class Load:
    def __init__(self, address):
        self.address, self.book, self.people, self.is_over = address, Book(), [], threading.Event()
        kinds = [self.create] * CREATORS + [self.read] * READERS + [self.burn] * BURNERS + [self.delete] * DELETERS
        self.threads = [threading.Thread(target=self.live, args=(kind,), daemon=True) for kind in kinds]

    def start(self):
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.is_over.set()
        for thread in self.threads:
            thread.join()

    def live(self, kind):
        person, crowd = Person(self.address, self.book), Crowd(self.address, self.book)
        self.people += [person, *crowd.people]
        try:
            pause = PAUSE_SECONDS
            while not self.is_over.wait(pause):
                kind(person, crowd)
                was_refused = person.answers and person.answers[-1].status in REFUSED
                pause = REFUSED_PAUSE_SECONDS if was_refused else PAUSE_SECONDS
        except Exception as error:
            self.book.broken("a client failed", repr(error))

    def answers(self):
        return sorted((answer for person in self.people for answer in list(person.answers)), key=lambda answer: answer.ended)

    def create(self, person, _):
        if paste := person.post():
            self.book.kept.append(paste)

    def read(self, person, _):
        """Mostly existing pastes, sometimes deleted ones."""
        book = self.book
        pastes = random.choices((book.kept, book.burned, book.deleted), (8, 1, 1))[0]
        if not pastes:
            return
        paste = random.choice(pastes)
        status = person.get(paste)
        if pastes is book.kept and status == 404:
            book.broken(book.lost, paste.id)
        if pastes is not book.kept and status == 200:
            book.broken(book.back, paste.id)

    def burn(self, person, crowd):
        """Every fourth is left for the final check."""
        if not (paste := person.post(X_Burn_After_Read="true")):
            return
        if random.random() < 0.25:
            return self.book.unread.append(paste)
        result = crowd.race(paste)
        if result == "gone":
            self.book.broken(self.book.lost, paste.id, ", which burns and which nobody had read")
        (self.book.burned if result == "given" else self.book.unsure_burns).append(paste)

    def delete(self, person, _):
        if not (paste := person.post()):
            return
        status, reply = person.ask("delete", "DELETE", f"/{paste.id}", headers={"X-Delete-Token": paste.token})
        if status == 404:
            self.book.broken(self.book.lost, paste.id, ", which was to be deleted")
        elif status not in (200, *REFUSED):
            self.book.broken("a delete was answered", f"{status} {reply[:200]!r}")
        (self.book.deleted if status == 200 else self.book.unsure_deletes).append(paste)


class Check:
    """Checks every record, with the servers idle."""

    def __init__(self, load):
        self.address, self.book, self.there = load.address, load.book, collections.Counter()
        self.todo = queue.SimpleQueue()

    def run(self):
        book = self.book
        for part, pastes in ((self.kept, book.kept), (self.gone, book.burned), (self.gone, book.deleted),
                             (self.unread, book.unread), (self.unsure_burn, book.unsure_burns),
                             (self.unsure_delete, book.unsure_deletes)):
            for paste in pastes:
                self.todo.put((part, paste))
        threads = [threading.Thread(target=self.work, daemon=True) for _ in range(CHECKERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def work(self):
        person, crowd = Person(self.address, self.book), Crowd(self.address, self.book)
        while not self.todo.empty():
            with contextlib.suppress(queue.Empty):
                part, paste = self.todo.get_nowait()
                part(person, crowd, paste)

    def ask(self, person, paste):
        """A read outside a race can be retried."""
        for _ in range(10):
            if (status := person.get(paste)) not in REFUSED:
                return status
            time.sleep(1)
        self.book.broken("refused at rest", paste.id)
        return None

    def kept(self, person, _, paste):
        if self.ask(person, paste) == 404:
            self.book.broken(self.book.lost, paste.id)

    def gone(self, person, _, paste):
        if self.ask(person, paste) == 200:
            self.book.broken(self.book.back, paste.id)

    def unread(self, person, crowd, paste):
        if (result := crowd.race(paste)) != "given":
            self.book.broken(self.book.lost, paste.id, f", which burns and which nobody had read: {result}")
        self.gone(person, crowd, paste)

    def unsure_burn(self, person, crowd, paste):
        if (result := crowd.race(paste)) == "unsure":
            self.book.broken("refused at rest", paste.id)
        self.there["burns"] += result == "given"
        self.gone(person, crowd, paste)

    def unsure_delete(self, person, _, paste):
        self.there["deletes"] += self.ask(person, paste) == 200
