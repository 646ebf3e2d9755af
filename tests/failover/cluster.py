"""The cluster of failover.py: etcd, Patroni with PostgreSQL nodes, HAProxy, our servers, and nginx in front of them.

Job: start all of it from Debian's packages in one temporary folder on loopback, kill a node and start it again.
Invariant: after close() none of its processes and folders is left.
It must never touch a system service, listen on anything but loopback, or signal a process it did not start.
"""

import contextlib
import ctypes
import glob
import http.client
import json
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time

NODES = 2
SERVERS = 2
# Patroni's shortest sensible lease; loop_wait + 2 * retry_timeout must be less.
TTL, LOOP_WAIT, RETRY_TIMEOUT = 20, 3, 5
START_SECONDS = 120
PACKAGES = {"etcd": "etcd-server", "patroni": "patroni", "haproxy": "haproxy", "nginx": "nginx", "initdb": "postgresql",
            "pg_rewind": "postgresql", "psql": "postgresql"}

HAPROXY = """
global
    maxconn 800
defaults
    mode tcp
    timeout connect 2s
    timeout check 2s
    timeout client 1h
    timeout server 1h
listen database
    bind 127.0.0.1:{port}
    option httpchk OPTIONS /primary
    http-check expect status 200
    default-server inter 1s fall 2 rise 1 on-marked-down shutdown-sessions
{servers}
"""

# No request is retried on a second server: nginx never retries a POST, but a GET may have burned a paste
# and a DELETE deleted one, and the second response, 404, would hide that.
# The servers close connections after 15 idle seconds; nginx must close them first.
NGINX = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/nginx; proxy_temp_path {folder}/nginx; fastcgi_temp_path {folder}/nginx;
    uwsgi_temp_path {folder}/nginx; scgi_temp_path {folder}/nginx;
    client_max_body_size 8m;
    client_body_buffer_size 1m;
    keepalive_requests 1000000;
    upstream flaskpaste {{
{servers}
        keepalive 32;
        keepalive_timeout 10s;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://flaskpaste;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_max_temp_file_size 0;
            proxy_next_upstream off;
            proxy_connect_timeout 2s;
            proxy_read_timeout 30s;
        }}
    }}
}}
"""


class Stuck(Exception):
    """A step timed out."""


def search_path():
    # The newest installed PostgreSQL.
    newest = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[4]))[-1:]
    return ":".join([*newest, os.environ.get("PATH", ""), "/usr/sbin", "/usr/bin", "/sbin", "/bin"])


def missing():
    """The Debian packages that are not installed."""
    return sorted({package for program, package in PACKAGES.items() if not shutil.which(program, path=search_path())})


def get(port, path):
    """The status and JSON of a local HTTP server; (0, None) if it does not respond."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=3)
    try:
        connection.request("GET", path)
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read() or "null")
    except (OSError, http.client.HTTPException, ValueError):
        return 0, None
    finally:
        connection.close()


def free_ports(count):
    """Ports below the ephemeral range, so that a restarted node finds its own free."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
        first = int(file.read().split()[0])
    ports = []
    for port in random.sample(range(first // 2, first), 2000):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            ports.append(port)
        if len(ports) == count:
            return ports
    raise Stuck("not enough free ports")


def adopt_orphans():
    """Makes this process a subreaper, so that every started process is found, PostgreSQL's too."""
    set_child_subreaper = 36
    if ctypes.CDLL(None, use_errno=True).prctl(set_child_subreaper, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def descendants():
    """The descendants of this process: their PIDs, their parents' and whether they are zombies."""
    children = {}
    for path in glob.glob("/proc/[0-9]*/stat"):
        with contextlib.suppress(OSError), open(path) as file:
            # The name, in parentheses, may contain anything.
            state, parent = file.read().rpartition(")")[2].split()[:2]
            children.setdefault(int(parent), []).append((int(path.split("/")[2]), int(parent), state in "ZX"))
    found, to_see = [], [os.getpid()]
    while to_see:
        below = children.get(to_see.pop(), [])
        found += below
        to_see += [pid for pid, _, _ in below]
    return found


def living():
    return [pid for pid, _, is_dead in descendants() if not is_dead]


def send(pids, number):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


class Node:
    """Patroni and its PostgreSQL."""

    def __init__(self, cluster, name, port, api):
        self.cluster, self.name, self.port, self.api = cluster, name, port, api
        self.data = f"{cluster.folder}/{name}"
        self.process = None

    def start(self):
        self.process = self.cluster.spawn(self.name, "patroni", f"{self.data}.yml")

    def is_at(self, path):
        return get(self.api, path)[0] == 200

    def has_standbys(self):
        """Whether it is the leader and has all its standbys."""
        status, state = get(self.api, "/primary")
        standbys = (state or {}).get("replication", [])
        return status == 200 and sum(standby["state"] == "streaming" for standby in standbys) == NODES - 1

    def processes(self):
        """The PIDs of its PostgreSQL: all of them run in the data folder."""
        found = []
        for pid in living():
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{pid}/cwd") == self.data:
                    found.append(pid)
        return found

    def stall(self):
        """Stops the WAL senders: from here on no commit reaches a standby."""
        for pid in self.processes():
            with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline") as file:
                if "walsender" in file.read():
                    send([pid], signal.SIGSTOP)

    def kill(self):
        """SIGKILL, to Patroni first so that it restarts nothing."""
        self.process.kill()
        self.process.wait()
        while pids := self.processes():
            send(pids, signal.SIGKILL)
            time.sleep(0.01)

    def forget_memory(self):
        """The shared memory that a killed PostgreSQL leaves, and that its next start would remove."""
        with contextlib.suppress(OSError, IndexError), open(f"{self.data}/postmaster.pid") as file:
            subprocess.run(["ipcrm", "-m", file.read().splitlines()[6].split()[1]], stderr=subprocess.DEVNULL)

    def settings(self, etcd, passwords):
        """Patroni reads YAML, a superset of JSON."""
        address = f"127.0.0.1:{self.port}"
        users = {role: {"username": role, "password": password} for role, password in passwords.items()}
        dynamic = {
            "ttl": TTL, "loop_wait": LOOP_WAIT, "retry_timeout": RETRY_TIMEOUT,
            "synchronous_mode": True, "synchronous_mode_strict": True,
            "postgresql": {
                "use_pg_rewind": True,
                "remove_data_directory_on_rewind_failure": True,
                "remove_data_directory_on_diverged_timelines": True,
                "parameters": {"max_connections": 100, "shared_buffers": "64MB", "wal_keep_size": "256MB",
                               "dynamic_shared_memory_type": "mmap"},
            },
        }
        return json.dumps({
            "scope": "flaskpaste", "name": self.name,
            "restapi": {"listen": f"127.0.0.1:{self.api}", "connect_address": f"127.0.0.1:{self.api}"},
            "etcd3": {"hosts": [etcd]},
            "bootstrap": {"dcs": dynamic, "initdb": [{"encoding": "UTF8"}, {"locale": "C.UTF-8"}, "data-checksums"]},
            "postgresql": {
                "listen": address, "connect_address": address, "data_dir": self.data,
                "bin_dir": os.path.dirname(shutil.which("initdb", path=search_path())),
                "pgpass": f"{self.data}.pgpass", "authentication": users,
                "parameters": {"unix_socket_directories": self.cluster.folder},
                "pg_hba": ["host all all 127.0.0.1/32 scram-sha-256", "host replication all 127.0.0.1/32 scram-sha-256"],
            },
        })


class Cluster:
    def __init__(self, program):
        self.program, self.folder, self.nodes, self.processes = program, None, [], []

    def start(self):
        self.make_folder()
        etcd, peer, database, entrance, *rest = free_ports(4 + 2 * NODES + SERVERS)
        servers, ports, apis = rest[:SERVERS], rest[SERVERS : SERVERS + NODES], rest[SERVERS + NODES :]
        self.start_etcd(etcd, peer)
        passwords = {role: secrets.token_hex(16) for role in ("superuser", "replication", "rewind")}
        self.nodes = [Node(self, name, port, api) for name, port, api in zip("abcdefgh", ports, apis)]
        for node in self.nodes:
            self.write(f"{node.name}.yml", node.settings(f"127.0.0.1:{etcd}", passwords))
            node.start()
        self.start_haproxy(database)
        self.wait_until(self.is_whole, START_SECONDS, "the database cluster")
        url = self.make_database(database, passwords["superuser"])
        for port in servers:
            self.start_server(port, url)
        self.start_nginx(entrance, servers)

    def make_folder(self):
        adopt_orphans()
        self.folder = tempfile.mkdtemp(prefix="flaskpaste-failover-")
        shutil.copy(self.program, f"{self.folder}/flaskpaste")
        os.chmod(f"{self.folder}/flaskpaste", 0o755)
        self.write("pepper", secrets.token_hex(32))
        self.give_away(self.folder)

    def give_away(self, path):
        """PostgreSQL refuses root, and the others do not need it."""
        if os.getuid() == 0:
            shutil.chown(path, "nobody", "nogroup")

    def write(self, name, text):
        path = f"{self.folder}/{name}"
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
        self.give_away(path)
        return path

    def spawn(self, name, *command, **settings):
        """Starts a process in the folder, in its own session: Ctrl-C reaches only us, and close() ends it."""
        environment = {"PATH": search_path(), "HOME": self.folder, "LANG": "C.UTF-8", **settings}
        unprivileged = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.getuid() == 0 else {}
        program = shutil.which(command[0], path=environment["PATH"])
        with open(f"{self.folder}/{name}.log", "ab") as log:
            process = subprocess.Popen(
                [program, *command[1:]], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                env=environment, start_new_session=True, **unprivileged)
        self.processes.append(process)
        return process

    def reap_orphans(self):
        """Reaps zombies: Patroni waits until its PostgreSQL is gone."""
        ours = {process.pid for process in self.processes}
        for pid, parent, is_dead in descendants():
            if is_dead and parent == os.getpid() and pid not in ours:
                os.waitpid(pid, 0)

    def wait_until(self, is_done, seconds, what):
        end = time.monotonic() + seconds
        while not (result := is_done()):
            if time.monotonic() > end:
                raise Stuck(f"{what}: timed out after {seconds} s")
            self.reap_orphans()
            time.sleep(0.1)
        return result

    def wait_for_health(self, process, port, what):
        self.wait_until(lambda: process.poll() is not None or get(port, "/health")[0] == 200, START_SECONDS, what)
        if process.poll() is not None:
            raise Stuck(f"{what} ended with {process.returncode}")

    def start_etcd(self, port, peer):
        client, peers = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer}"
        etcd = self.spawn(
            "etcd", "etcd", "--name=etcd", f"--data-dir={self.folder}/etcd", "--logger=zap",
            f"--listen-client-urls={client}", f"--advertise-client-urls={client}", f"--listen-peer-urls={peers}",
            f"--initial-advertise-peer-urls={peers}", f"--initial-cluster=etcd={peers}")
        self.wait_for_health(etcd, port, "etcd")

    def start_haproxy(self, port):
        servers = "\n".join(f"    server {node.name} 127.0.0.1:{node.port} check port {node.api}" for node in self.nodes)
        path = self.write("haproxy.cfg", HAPROXY.format(port=port, servers=servers))
        self.spawn("haproxy", "haproxy", "-db", "-f", path)

    def make_database(self, port, password):
        """Creates a database, and a user without other rights, through HAProxy; its URL."""
        own = secrets.token_hex(16)
        for statement in (f"CREATE ROLE flaskpaste LOGIN PASSWORD '{own}'", "CREATE DATABASE flaskpaste OWNER flaskpaste"):
            psql = self.spawn("psql", "psql", "-qX", "-h", "127.0.0.1", "-p", str(port), "-U", "superuser",
                              "-d", "postgres", "-c", statement, PGPASSWORD=password)
            if psql.wait(60) != 0:
                raise Stuck("psql through HAProxy failed")
        return f"postgres://flaskpaste:{own}@127.0.0.1:{port}/flaskpaste"

    def start_server(self, port, database):
        server = self.spawn(
            f"server-{port}", f"{self.folder}/flaskpaste", FLASKPASTE_DB=database, FLASKPASTE_BIND=f"127.0.0.1:{port}",
            FLASKPASTE_PEPPER_FILE=f"{self.folder}/pepper", FLASKPASTE_POW_DIFFICULTY="0", FLASKPASTE_DEDUP_MAX="0",
            FLASKPASTE_LOG="off")
        self.wait_for_health(server, port, "a server of ours")

    def start_nginx(self, port, servers):
        # No server is ever marked down for a slow response: both return 503 by themselves.
        lines = "\n".join(f"        server 127.0.0.1:{server} max_fails=0;" for server in servers)
        path = self.write("nginx.conf", NGINX.format(port=port, folder=self.folder, servers=lines))
        self.address = ("127.0.0.1", port)
        self.wait_for_health(self.spawn("nginx", "nginx", "-e", "stderr", "-c", path), port, "nginx")

    def leader(self):
        return next((node for node in self.nodes if node.is_at("/primary")), None)

    def is_whole(self):
        """A leader, all standbys streaming from it, and one of them synchronous."""
        leader = self.leader()
        followers = [node for node in self.nodes if node is not leader]
        return leader and leader.has_standbys() and any(node.is_at("/synchronous") for node in followers)

    def tails(self):
        """The last lines of every log."""
        for path in sorted(glob.glob(f"{self.folder}/*.log")):
            with open(path, errors="replace") as file:
                yield f"--- {os.path.basename(path)}\n{''.join(file.readlines()[-12:])}"

    def close(self):
        while pids := living():
            send(pids, signal.SIGKILL)
            time.sleep(0.05)
        for node in self.nodes:
            node.forget_memory()
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
