"""Compare flaskpaste on PostgreSQL with flaskpaste on its embedded database, in one run, as ratios.

One, two and four servers, without and with a synchronous standby; random reads and durable creates of 1 KiB. Everything
shares the cores of this machine, including the clusters and wrk: several servers on one machine show the cost of another
server, not the benefit of another machine. docs/scaling.md has the results of a run.
"""

import argparse
import glob
import os
import pwd
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import bench
from bench import CONNECTIONS, ROOT, ROUNDS, Sample, die, note, table

USER = "nobody"
COUNTS = {"one server": 1, "two servers": 2, "four servers": 4}
SETTINGS = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{folder}'
shared_buffers = 256MB
max_wal_size = 2GB
max_connections = 100
wal_compression = off
"""


def programs():
    """The folder of the newest PostgreSQL's programs."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[4]))
    return found[-1] if found else die("PostgreSQL is missing: apt-get install postgresql")


def as_user(*argv):
    """A command, run as nobody if we are root, because PostgreSQL refuses to run as root."""
    if os.geteuid():
        return list(argv)
    group = str(pwd.getpwnam(USER).pw_gid)
    return ["setpriv", f"--reuid={USER}", f"--regid={group}", "--clear-groups", *argv]


def call(*argv):
    subprocess.run(as_user(*map(str, argv)), check=True, stdout=subprocess.DEVNULL)


def start_node(stack, bin, folder, data):
    """A running PostgreSQL server."""
    log = folder / f"{data.name}.log"
    process = bench.spawn(stack, as_user(f"{bin}/postgres", "-D", str(data)), log)
    ready = [f"{bin}/pg_isready", "-q", "-h", str(folder), "-p", port_of(data)]
    bench.wait_for(lambda: subprocess.run(ready).returncode == 0, process, log)


def port_of(data):
    lines = (data / "postgresql.conf").read_text().splitlines()
    return [line.split("=")[1].strip() for line in lines if line.startswith("port = ")][-1]


def sql(bin, folder, data, statement):
    argv = [f"{bin}/psql", "-qXAt", "-h", folder, "-p", port_of(data), "-U", "postgres", "-d", "postgres", "-c", statement]
    return subprocess.run(list(map(str, argv)), check=True, capture_output=True, text=True).stdout.strip()


def start_cluster(stack, folder, has_standby):
    """A primary with a synchronous standby; returns the address of an empty database."""
    bin = programs()
    folder.mkdir()
    folder.chmod(0o777)
    primary, standby = folder / "primary", folder / "standby"
    call(f"{bin}/initdb", "-D", primary, "-U", "postgres", "--locale=C", "--encoding=UTF8", "--auth=trust")
    with (primary / "postgresql.conf").open("a") as file:
        file.write(SETTINGS.format(port=bench.free_port(), folder=folder))
    start_node(stack, bin, folder, primary)
    if has_standby:
        source = f"host={folder} port={port_of(primary)} user=postgres application_name=standby"
        call(f"{bin}/pg_basebackup", "-d", source, "-D", standby, "-c", "fast", "-R", "-X", "stream")
        with (standby / "postgresql.conf").open("a") as file:
            file.write(f"\nport = {bench.free_port()}\n")
        start_node(stack, bin, folder, standby)
        sql(bin, folder, primary, "alter system set synchronous_standby_names = 'standby'")
        sql(bin, folder, primary, "select pg_reload_conf()")
    sql(bin, folder, primary, "create role flaskpaste login")
    sql(bin, folder, primary, "create database flaskpaste owner flaskpaste")
    return f"postgres://flaskpaste@127.0.0.1:{port_of(primary)}/flaskpaste"


def start_servers(stack, binary, folder, address, count):
    """A number of servers on one database, with the same pepper."""
    settings = {"FLASKPASTE_DB": address, "FLASKPASTE_PEPPER_FILE": f"{folder}/pepper", "FLASKPASTE_DEDUP_MAX": "0"}
    return [bench.start_flaskpaste(stack, binary, folder / f"server-{n}", **settings)[0] for n in range(count)]


def load(seconds, servers, mode, *ids):
    """Run wrk against all servers at once, each with its share of the connections; returns the sum as one sample."""
    share = CONNECTIONS // len(servers)
    with ThreadPoolExecutor(len(servers)) as pool:
        samples = list(pool.map(lambda server: bench.wrk(seconds, share, server, "/", mode, *ids), servers))
    rate = sum(sample.rate for sample in samples)
    cpu = sum(sample.cpu * sample.rate for sample in samples) / rate
    return Sample(rate, cpu, max(s.p50 for s in samples), max(s.p99 for s in samples))


def compare(title, contestants):
    """Run the contestants in turn, like bench.compare; `contestants` maps a name to a function that takes a sample."""
    runs = {name: [] for name in contestants}
    names = list(contestants)
    for turn in range(ROUNDS):
        note(f"{title}, round {turn + 1} of {ROUNDS}")
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            os.sync()
            runs[name].append(contestants[name]())
    bench.add_block(f"{title}, {CONNECTIONS} connections", runs, {})


def run(stack, options):
    for binary in (options.binary, options.embedded):
        if not os.access(binary, os.X_OK):
            die(f"{binary} is missing: `make bench-postgres` builds it first")
    bench.needs("wrk", "wrk")
    bench.WORK.mkdir(parents=True, exist_ok=True)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="run-", dir=bench.WORK)))
    # PostgreSQL's user needs access to it.
    folder.chmod(0o755)
    table.append(f"{bench.CORES} cores for all of it; wrk with 1 thread a server; {ROUNDS} rounds of {options.seconds} s")
    table.append(f"one 4 KiB write with fdatasync takes {bench.sync_cost(folder):.2f} ms on this disk")
    groups = {"embedded engine": [bench.start_flaskpaste(stack, options.embedded, folder / "embedded")[0]]}
    for has_standby, kind in ((False, "own commit"), (True, "synchronous standby")):
        address = start_cluster(stack, folder / kind.split()[0], has_standby)
        servers = start_servers(stack, options.binary, folder / kind.split()[0], address, max(COUNTS.values()))
        groups |= {f"{name}, {kind}": servers[:count] for name, count in COUNTS.items()}
    ids = {}
    for name, servers in groups.items():
        ids[name] = str(folder / f"ids-{len(ids)}")
        bench.prefill(servers[0], options.rows, Path(ids[name]))
    seconds = options.seconds
    reads = {name: (lambda s=servers, n=name: load(seconds, s, "pick", ids[n])) for name, servers in groups.items()}
    compare(f"raw GET of 1 KiB, random of {options.rows:,}", reads)
    creates = {name: (lambda s=servers: load(seconds, s, "post")) for name, servers in groups.items()}
    compare("durable POST of 1 KiB, each different", creates)


def main():
    parser = argparse.ArgumentParser(description="Benchmark of flaskpaste on PostgreSQL; see bench/README.md.")
    parser.add_argument("--seconds", type=int, default=5, help="length of one wrk run (5)")
    parser.add_argument("--rows", type=int, default=20_000, help="pastes in each database (20000)")
    built = ROOT / "target/release"
    parser.add_argument("--binary", type=Path, default=built / "flaskpaste-postgres")
    parser.add_argument("--embedded", type=Path, default=built / "flaskpaste")
    options = parser.parse_args()
    bench.carry_out(run, options)


if __name__ == "__main__":
    main()
