#!/usr/bin/env python3
"""Kills the leader of a real PostgreSQL cluster repeatedly under load, and checks that the servers keep their promises.

Usage: failover.py PATH_OF_FLASKPASTE_POSTGRES   (`make failover`; FAILOVER_KILLS, 3, and FAILOVER_SECONDS, 10, between them)

etcd, Patroni with two PostgreSQL nodes in strict synchronous mode, HAProxy, two servers and nginx (cluster.py) under
creators, readers, burners and deleters (load.py). SIGKILL ends the leader's Patroni and PostgreSQL at once, every other
time after half a second in which it has sent nothing to its standby; when the other has taken over, it is started again,
and the next kill comes when it is a synchronous standby.
Required: no acknowledged create is lost, no burn is given out twice, nothing burned or deleted comes back, after every
kill creates and reads go on by themselves, and no answer takes longer than 12 seconds. Exit 1 if anything is broken, or
something is not installed. It must never leave a process or a folder behind. Standard library only.
"""

import collections
import os
import signal
import sys
import time

from cluster import Cluster, Stuck, missing
from load import REFUSED, Check, Load

KILLS = int(os.environ.get("FAILOVER_KILLS", "3"))
SECONDS = float(os.environ.get("FAILOVER_SECONDS", "10"))
TAKEOVER_SECONDS = 90
WHOLE_SECONDS = 180
LONGEST_SECONDS = 12
STALL_SECONDS = 0.5
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Kill:
    """One kill: its time, when there was a new leader, and when the cluster was complete again."""

    def __init__(self, cluster, stalls):
        node = cluster.wait_until(cluster.leader, TAKEOVER_SECONDS, "a leader to kill")
        if stalls:
            node.stall()
            time.sleep(STALL_SECONDS)
        node.kill()
        self.node, self.at, self.until = node.name + ", stalled" * stalls, time.monotonic(), float("inf")
        cluster.wait_until(cluster.leader, TAKEOVER_SECONDS, "another leader")
        self.led = time.monotonic() - self.at
        node.start()
        cluster.wait_until(cluster.is_whole, WHOLE_SECONDS, "the whole cluster again")
        self.whole = time.monotonic() - self.at

    def row(self, number, answers, book):
        """The effect on clients, until the next kill."""
        answers = [answer for answer in answers if self.at <= answer.ended < self.until]
        cells = [number, self.node, seconds(self.led)]
        for kind, status in (("create", 201), ("read", 200)):
            # Requests begun earlier may have been answered by the killed node.
            good = (answer for answer in answers if answer[::3] == (kind, status) and answer.begun > self.at)
            first = next(good, None)
            if first is None:
                book.broken("no recovery", f"no {kind} after kill {number}")
            cells.append(seconds(first and first.ended - self.at))
        for kind in ("create", "read"):
            refused = [answer for answer in answers if answer.kind == kind and answer.status in REFUSED]
            cells.append(seconds(refused and refused[-1].ended - max(self.at, refused[0].begun)))
        outage = [answer for answer in answers if answer.ended < self.at + self.whole]
        refused = sum(answer.status in REFUSED for answer in outage)
        return [*cells, len(outage) - refused, refused, seconds(self.whole)]


def seconds(number):
    return f"{number:.1f} s" if number else "-"


def line(*cells):
    print(f"| {' | '.join(str(cell) for cell in cells)} |", flush=True)


def table(kills, answers, book):
    line("kill", "leader", "another led after", "first create after", "first read after", "creates refused for",
         "reads refused for", "acknowledged until whole", "refused until whole", "whole after")
    line(*["---"] * 10)
    for number, kill in enumerate(kills, 1):
        line(*kill.row(number, answers, book))
    print(flush=True)


def summary(load, check, answers):
    book, faults = load.book, load.book.faults
    created = sum(answer.kind == "create" and answer.status == 201 for answer in answers)
    statuses = collections.Counter(answer.status or "connection lost" for answer in answers)
    longest = max(answers, key=lambda answer: answer.ended - answer.begun)
    line("", "")
    line("---", "---")
    line("acknowledged creates", f"{created}, lost {len(faults[book.lost])}")
    line("burns given out", f"{len(book.burned) + len(book.unread)}, twice {len(faults[book.twice])}")
    line("deletes", len(book.deleted))
    line("burned or deleted, and back", len(faults[book.back]))
    line("burns with unknown outcome", f"{len(book.unsure_burns)}, still present {check.there['burns']}")
    line("deletes with unknown outcome", f"{len(book.unsure_deletes)}, still present {check.there['deletes']}")
    line("responses", ", ".join(f"{status}: {count}" for status, count in sorted(statuses.items(), key=str)))
    took = longest.ended - longest.begun
    line("slowest response", f"{seconds(took)}, a {longest.kind}, {longest.status}")
    if took > LONGEST_SECONDS:
        book.broken("an answer took too long", seconds(took))
    if not (created and book.burned and book.deleted):
        book.broken("nothing was tried", "creates, burns or deletes")


def run(cluster):
    cluster.start()
    load = Load(cluster.address)
    load.start()
    kills = []
    for number in range(KILLS):
        time.sleep(SECONDS)
        for kill in kills[-1:]:
            kill.until = time.monotonic()
        kills.append(Kill(cluster, stalls=number % 2 == 0))
    time.sleep(SECONDS)
    load.stop()
    answers = load.answers()
    table(kills, answers, load.book)
    check = Check(load)
    check.run()
    summary(load, check, answers)
    return not any(load.book.faults.values())


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    if packages := missing():
        sys.exit(f"failover.py needs Debian's packages: apt-get install {' '.join(packages)}")
    for number in SIGNALS:
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    cluster, is_well = Cluster(sys.argv[1]), False
    try:
        is_well = run(cluster)
    except Stuck as error:
        print(f"BROKEN: {error}", flush=True)
        print(*cluster.tails(), sep="\n", file=sys.stderr, flush=True)
    finally:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        cluster.close()
    sys.exit(not is_well)


if __name__ == "__main__":
    main()
