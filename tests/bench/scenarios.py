"""What is measured, on a real server; one function a scenario."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
import os
import pathlib
import secrets
import select
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import load
from bao import PROJECT, BaoError, Server, bao_binary
from figures import OURS, Board, Goal

MICRO = PROJECT / "build" / "tests" / "bench" / "mek_bench"
FLOOR = MICRO.with_name("floor_plugin")
RUNBOOK = pathlib.Path(__file__).with_name("runbook.sh")
SECRET = "encryption/keys/stored_data"
KV, TRANSIT = "KV v2", "transit"
CLIENTS = (1, 8, 32)

# To the peer, an idiomatic plugin in Go that does the same job; see README, "How fast".
GOALS = {
    "binary": Goal(0.55),
    "start, spawn to handshake": Goal(0.35),
    "enable, first mount": Goal(0.58),
    "enable, joining mount": Goal(0.50),
    "RSS at rest": Goal(0.48),
    "RSS after 10,000 requests": Goal(0.50),
    "RSS with 200 used mounts": Goal(0.50),
    "read p50, 1 client": Goal(0.70),
    "read p50, 8 clients": Goal(0.85),
    "read p50, 32 clients": Goal(0.88),
    "CPU of 1,000 reads, 1 client": Goal(0.55),
    "CPU of 1,000 reads, 8 clients": Goal(0.80),
    "CPU of 1,000 reads, 32 clients": Goal(0.90),
    "rotate p50, 1 client": Goal(0.58),
    "rotate p50, 8 clients": Goal(0.45),
    "rotate p50, 32 clients": Goal(0.42),
    "raft: rotate p50, 1 client": Goal(0.56),
    "raft: rotate p50, 8 clients": Goal(0.45),
    "raft: rotate p50, 32 clients": Goal(0.43),
    "CPU of 1,000 rotations": Goal(0.45),
    "rotate p50, 1,000 keys": Goal(0.45),
    "rotate p50, 100 versions": Goal(1.10, "10 vers."),
    "rotate p50, 1,000 versions": Goal(1.10, "10 vers."),
    "rotate p50, 10,000 versions": Goal(1.10, "10 vers."),
    "rotate by command": Goal(0.25, "runbook"),
}

# Figures of the README's table, and what each stands beside there.
README_ROWS = {
    "binary": "", "start, spawn to handshake": "", "enable, first mount": "",
    "enable, joining mount": "", "RSS at rest": "", "RSS after 10,000 requests": "",
    "RSS with 200 used mounts": "", "read p50, 1 client": KV, "read p50, 32 clients": KV,
    "CPU of 1,000 reads, 1 client": "", "CPU of 1,000 reads, 32 clients": "",
    "rotate p50, 1 client": KV, "rotate p50, 32 clients": KV, "raft: rotate p50, 1 client": KV,
    "raft: rotate p50, 32 clients": KV, "CPU of 1,000 rotations": "", "read p50, 1,000 keys": KV,
    "rotate p50, 1,000 keys": "", "rotate p50, 10,000 versions": "10 vers.",
    "restart: first read, 1,000 versions": "", "rotate by command": "runbook",
}


@dataclass(frozen=True)
class Subject:
    """A plugin. It rotates at `rotate`, is read at `data/SECRET`, and takes a record at `put`."""

    name: str
    binary: pathlib.Path
    put: str = f"data/{SECRET}"

    def body(self, fields: dict[str, str]) -> dict[str, Any]:
        """What to write to `put`."""
        return {"data": fields} if self.put.startswith("data/") else fields


@dataclass
class Plan:
    """Whom to measure, how often, and where the figures go."""

    subjects: list[Subject]
    board: Board
    quick: bool

    def with_floor(self) -> Plan:
        """Also the plugin that does only what none can do without (floor_plugin.cc)."""
        if not FLOOR.exists():
            raise BaoError(f"{FLOOR} is missing; run: make bench")
        return dataclasses.replace(self, subjects=[*self.subjects, Subject("floor", FLOOR)])

    def rounds(self, number: int) -> Iterator[list[Subject]]:
        """The subjects of each round, in turn the other way round."""
        for turn in range(max(3, number // 3) if self.quick else number):
            yield self.subjects[::-1] if turn % 2 else self.subjects


def record_of(size: int) -> dict[str, str]:
    """A record of so many keys, as the runbook leaves it: the same ones in both sets."""
    keys = [{"kty": "oct", "use": "enc", "kid": str(uuid.uuid1()),
             "k": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("="),
             "alg": "A256GCM"} for _ in range(size)]
    kid = str(keys[0]["kid"])
    text = base64.b64encode(json.dumps({"keys": keys}).encode()).decode()
    return {"keys": text, "current_kid": kid, "private_jwks": text,
            "jwe_mapping": json.dumps({"payload_jwe_kid": kid})}


def counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


class Bench:
    """A server with all subjects, each under its name as a plugin."""

    def __init__(self, plan: Plan, storage: str = "dev"):
        self.plan, self.board = plan, plan.board
        plugins = {subject.name: subject.binary for subject in plan.subjects}
        self.server = (Server.dev(plugins, log_level="warn") if storage == "dev"
                       else Server.raft(plugins))
        self._made = 0

    def __enter__(self) -> Bench:
        self.server.__enter__()
        self.connection = load.Connection(self.server)
        return self

    def __exit__(self, *details: object) -> None:
        self.connection.close()
        self.server.__exit__(*details)

    def call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        reply = self.server.http(method, path, body)
        if reply.status not in (200, 204):
            raise BaoError(f"{method} {path}: {reply.status} {reply.errors}")
        return reply.data

    def add(self, name: str, unit: str, subject: str, value: float) -> None:
        self.board.add(name, unit, subject, value)

    def add_latencies(self, what: str, clients: int, subject: str, answers: load.Answers) -> None:
        for part in (50, 99):
            name = f"{what} p{part}, {counted(clients, 'client')}"
            self.add(name, "ms", subject, answers.percentile(part))

    # Mounts -----------------------------------------------------------------------------------

    def mount(self, plugin: str, options: dict[str, str] | None = None) -> str:
        self._made += 1
        path = f"bench-{self._made}"
        self.call("POST", f"sys/mounts/{path}", {"type": plugin, "options": options or {}})
        return path

    def unmount(self, path: str) -> None:
        self.call("DELETE", f"sys/mounts/{path}")

    def put(self, subject: Subject, mount: str, fields: dict[str, str], times: int = 1) -> None:
        load.load(self.server, f"{mount}/{subject.put}", times, body=subject.body(fields))

    def holding(self, subject: Subject, size: int) -> str:
        """A new mount with a record of so many keys."""
        mount = self.mount(subject.name)
        self.put(subject, mount, record_of(size))
        return mount

    @contextlib.contextmanager
    def fresh(self, subject: Subject, size: int) -> Iterator[str]:
        mount = self.holding(subject, size)
        yield mount
        self.unmount(mount)

    def holding_each(self, size: int) -> dict[str, str]:
        return {subject.name: self.holding(subject, size) for subject in self.plan.subjects}

    def kv(self) -> str:
        mount = self.mount("kv", {"version": "2"})
        # It refuses requests while it upgrades itself.
        deadline = time.monotonic() + 10
        while self.server.http("POST", f"{mount}/data/probe", {"data": {}}).status != 200:
            if time.monotonic() > deadline:
                raise BaoError("the KV mount takes no writes")
            time.sleep(0.02)
        return mount

    @contextlib.contextmanager
    def transit(self) -> Iterator[str]:
        """A new key, as one with many versions is slower to rotate."""
        mount = self.mount("transit")
        self.call("POST", f"{mount}/keys/mek", {})
        yield f"{mount}/keys/mek/rotate"
        self.unmount(mount)

    # Work -------------------------------------------------------------------------------------

    def read(self, mount: str, requests: int, clients: int = 1) -> load.Answers:
        return load.load(self.server, f"{mount}/data/{SECRET}", requests, clients)

    def rotate(self, mount: str, requests: int, clients: int = 1) -> load.Answers:
        return load.load(self.server, f"{mount}/rotate", requests, clients, body={})

    @contextlib.contextmanager
    def cpu(self, what: str, subject: Subject, requests: int) -> Iterator[None]:
        pid = load.pid_of(self.server, subject.name)
        before = load.cpu_seconds(pid)
        yield
        spent = load.cpu_seconds(pid) - before
        self.add(f"CPU of 1,000 {what}", "s", subject.name, spent * 1000 / requests)


# Without a server ------------------------------------------------------------------------------


def micro(plan: Plan) -> None:
    """What is computed within the process, beside a SHA-256 of 64 KiB."""
    if not MICRO.exists():
        raise BaoError(f"{MICRO} is missing; run: make bench")
    rounds = sum(1 for _ in plan.rounds(9))
    done = subprocess.run(
        [MICRO, f"--benchmark_repetitions={rounds}", "--benchmark_min_time=0.01",
         "--benchmark_enable_random_interleaving=true", "--benchmark_format=json"],
        check=True, capture_output=True, text=True)
    # As they stand in the sources, not as they were run.
    runs = sorted(json.loads(done.stdout)["benchmarks"],
                  key=lambda run: (run["family_index"], run["per_family_instance_index"]))
    times: dict[str, dict[int, float]] = {}
    for run in runs:
        if run["run_type"] == "iteration":
            of_run = times.setdefault(run["run_name"], {})
            of_run[run["repetition_index"]] = run["cpu_time"] / 1e3
    yardstick = times.pop("Yardstick")
    for name, of_run in times.items():
        for turn, micros in of_run.items():
            plan.board.add(name, "µs", OURS, micros)
            plan.board.add(name, "µs", "SHA-256", yardstick[turn])


def cold(plan: Plan) -> None:
    """The file, and the start as the host sees it, whose part is played here."""
    for subject in plan.subjects:
        plan.board.add("binary", "MiB", subject.name, subject.binary.stat().st_size / 2**20)
    with tempfile.TemporaryDirectory(prefix="mek-cold-") as folder:
        certificate = subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-521",
             "-nodes", "-keyout", "/dev/null", "-subj", "/CN=localhost", "-days", "1"],
            check=True, capture_output=True, text=True).stdout
        environment = {
            "PATH": "/usr/bin:/bin", "TMPDIR": folder, "PLUGIN_CLIENT_CERT": certificate,
            "VAULT_BACKEND_PLUGIN": "6669da05-b1c8-4f49-97d9-c8e5bed98e20",
            "PLUGIN_PROTOCOL_VERSIONS": "5", "PLUGIN_MIN_PORT": "0", "PLUGIN_MAX_PORT": "0",
        }
        for subject in plan.subjects:
            _start(subject.binary, environment)  # so that the file is in memory
        for subjects in plan.rounds(31):
            for subject in subjects:
                took, cpu = _start(subject.binary, environment)
                plan.board.add("start, spawn to handshake", "ms", subject.name, took * 1e3)
                plan.board.add("start, CPU", "ms", subject.name, cpu * 1e3)


def _start(binary: pathlib.Path, environment: dict[str, str]) -> tuple[float, float]:
    began = time.perf_counter()
    process = subprocess.Popen([binary], env=environment, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    try:
        line = b""
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([process.stdout], [], [], 10)
            part = os.read(process.stdout.fileno(), 1 << 16) if ready else b""
            if not part:
                raise BaoError(f"{binary} printed no handshake line")
            line += part
        took = time.perf_counter() - began
        cpu = load.cpu_seconds(process.pid)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    if not line.startswith(b"1|5|unix|"):
        raise BaoError(f"{binary}: an unexpected handshake: {line!r}")
    return took, cpu


# On a server -----------------------------------------------------------------------------------


def enable(plan: Plan) -> None:
    """A first mount starts the process, a second one joins it."""
    with Bench(plan) as bench:
        for subjects in plan.rounds(15):
            for subject in subjects:
                mounts = []
                for name in ("first", "joining"):
                    began = time.perf_counter()
                    mounts.append(bench.mount(subject.name))
                    took = time.perf_counter() - began
                    bench.add(f"enable, {name} mount", "ms", subject.name, took * 1e3)
                for mount in mounts:
                    bench.unmount(mount)


def memory(plan: Plan) -> None:
    """A fresh process at rest, after 9,600 reads and 400 rotations, and with 200 mounts."""
    for _ in plan.rounds(3):
        with Bench(plan) as bench:
            mounts = bench.holding_each(2)
            _add_memory(bench, "at rest")
            for _ in range(20):
                for subject in plan.subjects:
                    with bench.fresh(subject, 2) as mount:
                        bench.rotate(mount, 20)
                    bench.read(mounts[subject.name], 480, 8)
            _add_memory(bench, "after 10,000 requests")
        with Bench(plan) as bench:
            for _ in range(200):
                bench.holding_each(1)
            _add_memory(bench, "with 200 used mounts")


def _add_memory(bench: Bench, when: str) -> None:
    time.sleep(1)
    for subject in bench.plan.subjects:
        found = load.memory_mib(load.pid_of(bench.server, subject.name))
        for kind, mib in found.items():
            bench.add(f"{kind} {when}", "MiB", subject.name, mib)


def reads(plan: Plan) -> None:
    """A record of two keys, as it is after one rotation."""
    plan = plan.with_floor()
    with Bench(plan) as bench:
        mounts, kv = bench.holding_each(2), bench.kv()
        bench.call("POST", f"{kv}/data/{SECRET}", {"data": record_of(2)})
        for clients, requests in zip(CLIENTS, (1000, 2000, 2000), strict=True):
            for subjects in plan.rounds(9):
                for subject in subjects:
                    with bench.cpu(f"reads, {counted(clients, 'client')}", subject, requests):
                        answers = bench.read(mounts[subject.name], requests, clients)
                    bench.add_latencies("read", clients, subject.name, answers)
                bench.add_latencies("read", clients, KV, bench.read(kv, requests, clients))


def rotations(plan: Plan) -> None:
    """64 rotations of a record of one key, in memory."""
    plan = plan.with_floor()
    _rotations(plan, "dev", "")
    with Bench(plan) as bench:
        _keep_alive(bench)
        for subjects in plan.rounds(5):
            for subject in subjects:
                spent = 0.0
                for _ in range(8):
                    with bench.fresh(subject, 1) as mount:
                        pid = load.pid_of(bench.server, subject.name)
                        before = load.cpu_seconds(pid)
                        bench.rotate(mount, 64)
                        spent += load.cpu_seconds(pid) - before
                bench.add("CPU of 1,000 rotations", "s", subject.name, spent * 1000 / (8 * 64))


def raft(plan: Plan) -> None:
    """The same on a storage that commits each write to disk."""
    _rotations(plan.with_floor(), "raft", "raft: ")


def _rotations(plan: Plan, storage: str, prefix: str) -> None:
    with Bench(plan, storage) as bench:
        _keep_alive(bench)
        kv = bench.kv()
        written = {"data": record_of(32)}  # as many keys as a rotated record has, on average
        for clients in CLIENTS:
            for subjects in plan.rounds(15 if storage == "dev" else 9):
                for subject in subjects:
                    with bench.fresh(subject, 1) as mount:
                        answers = bench.rotate(mount, 64, clients)
                    bench.add_latencies(f"{prefix}rotate", clients, subject.name, answers)
                answers = load.load(bench.server, f"{kv}/data/{SECRET}", 64, clients, written)
                bench.add_latencies(f"{prefix}rotate", clients, KV, answers)
                # Transit refuses rotations of one key that meet each other.
                with bench.transit() as path:
                    answers = load.load(bench.server, path, 64, clients, {}, may_refuse=True)
                bench.add_latencies(f"{prefix}rotate", clients, TRANSIT, answers)
                if clients > 1:
                    name = f"{prefix}rotations refused, {clients} clients"
                    for subject in subjects:
                        bench.add(name, "%", subject.name, 0)  # rotate() has seen to it
                    bench.add(name, "%", TRANSIT, answers.refused * 100 / 64)


def _keep_alive(bench: Bench) -> None:
    """A mount of each subject that stays, so that no other one has to start its process."""
    bench.holding_each(1)


def cas(plan: Plan) -> None:
    """A rotation beside a KV write with check-and-set, the least that a client could do for one."""
    with Bench(plan) as bench:
        _keep_alive(bench)
        kv, version = bench.kv(), 0
        written = record_of(10)
        for subjects in plan.rounds(15):
            for subject in subjects:
                with bench.fresh(subject, 1) as mount:
                    times = [bench.connection.timed("POST", f"{mount}/rotate", {}) for _ in range(20)]
                bench.add("rotate beside a CAS write, p50", "ms", subject.name, _median(times))
            times = []
            for _ in range(20):
                body = {"options": {"cas": version}, "data": written}
                times.append(bench.connection.timed("POST", f"{kv}/data/{SECRET}", body))
                version += 1
            bench.add("rotate beside a CAS write, p50", "ms", f"{KV} CAS", _median(times))


def keys(plan: Plan) -> None:
    """Records of more and more keys."""
    with Bench(plan) as bench:
        _keep_alive(bench)
        for size in (1, 10, 100, 1000):
            kv = bench.kv()
            bench.call("POST", f"{kv}/data/{SECRET}", {"data": record_of(size)})
            for subjects in plan.rounds(9):
                for subject in subjects:
                    with bench.fresh(subject, size) as mount:
                        answers = bench.rotate(mount, 10)
                        bench.add(f"rotate p50, {counted(size, 'key')}", "ms", subject.name,
                                  answers.percentile(50))
                    with bench.fresh(subject, size) as mount:
                        answers = bench.read(mount, 40)
                        bench.add(f"read p50, {counted(size, 'key')}", "ms", subject.name,
                                  answers.percentile(50))
                bench.add(f"read p50, {counted(size, 'key')}", "ms", KV,
                          bench.read(kv, 40).percentile(50))


def versions(plan: Plan) -> None:
    """Rotations beside more and more old versions: no slower than beside ten."""
    with Bench(plan) as bench:
        numbers = (10, 100, 1000) if plan.quick else (10, 100, 1000, 10_000)
        mounts = {number: _with_versions(bench, number) for number in numbers}
        for subjects in plan.rounds(9):
            times = {(number, subject.name): bench.rotate(mounts[number][subject.name], 10)
                     for number in numbers for subject in subjects}
            for (number, name), answers in times.items():
                bench.add(f"rotate p50, {number:,} versions", "ms", name, answers.percentile(50))
            for number in numbers[1:]:
                bench.add(f"rotate p50, {number:,} versions", "ms", f"{numbers[0]} vers.",
                          times[numbers[0], OURS].percentile(50))


def _with_versions(bench: Bench, number: int) -> dict[str, str]:
    """Mounts with a record of one key, written so many times."""
    mounts = {}
    for subject in bench.plan.subjects:
        mount = mounts[subject.name] = bench.mount(subject.name)
        if subject.name == OURS:
            bench.call("POST", f"{mount}/config", {"max_versions": 10_000})  # none is pruned
        bench.put(subject, mount, record_of(1), number)
    return mounts


def restart(plan: Plan) -> None:
    """The first requests after a restart of the server, beside many versions, on raft."""
    with Bench(plan, "raft") as bench:
        for number in (10, 1000) if plan.quick else (10, 1000, 10_000):
            mounts = _with_versions(bench, number)
            for subjects in plan.rounds(5):
                bench.server.restart()
                connection = load.Connection(bench.server)
                for subject in subjects:
                    mount = mounts[subject.name]
                    for what, request in (
                            ("read", ("GET", f"{mount}/data/{SECRET}")),
                            ("rotate", ("POST", f"{mount}/rotate", {}))):
                        took = connection.timed(*request)
                        bench.add(f"restart: first {what}, {number:,} versions", "ms",
                                  subject.name, took)
                connection.close()


def runbook(plan: Plan) -> None:
    """One rotation: as commands, and as the requests that these make, beside the runbook's."""
    with Bench(plan) as bench, tempfile.TemporaryDirectory(prefix="mek-bin-") as tools:
        pathlib.Path(tools, "bao").symlink_to(bao_binary())
        environment = bench.server.environment()
        # This Python before others, as a version manager's stand-in for it is slow to start.
        environment["PATH"] = f"{tools}:{pathlib.Path(sys.executable).parent}:{environment['PATH']}"
        kv = bench.kv()
        _keep_alive(bench)

        def timed(command: list[str]) -> float:
            began = time.perf_counter()
            done = subprocess.run(command, env=environment, capture_output=True, text=True,
                                  timeout=60, check=False)
            took = (time.perf_counter() - began) * 1e3
            if done.returncode:
                raise BaoError(f"{command[0]} failed: {done.stderr}")
            return took

        for subjects in plan.rounds(9):
            for subject in subjects:
                with bench.fresh(subject, 1) as mount:
                    bench.add("rotate by command", "ms", subject.name,
                              timed(["bao", "write", "-f", f"{mount}/rotate"]))
                with bench.fresh(subject, 1) as mount:
                    took = bench.connection.timed("POST", f"{mount}/rotate", {})
                    bench.add("rotate by requests", "ms", subject.name, took)
            bench.call("POST", f"{kv}/data/{SECRET}", {"data": record_of(1)})
            bench.add("rotate by command", "ms", "runbook", timed([str(RUNBOOK), kv]))
            # `bao kv` asks for the mount's version before each of its requests.
            took = 0.0
            for method, body in (("GET", None), ("GET", None),
                                 ("POST", {"data": record_of(2)}), ("GET", None)):
                took += bench.connection.timed("GET", f"sys/internal/ui/mounts/{kv}/{SECRET}")
                took += bench.connection.timed(method, f"{kv}/data/{SECRET}", body)
            bench.add("rotate by requests", "ms", "runbook", took)


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


SCENARIOS: dict[str, Callable[[Plan], None]] = {
    scenario.__name__: scenario for scenario in (
        micro, cold, enable, memory, reads, rotations, raft, cas, keys, versions, restart, runbook)
}
