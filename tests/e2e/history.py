"""Clients that rotate and read while things break, and what must be true of the history after it."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import records
from bao import Server, wait_until
from mek import SECRET, Mek

# 1 under `make soak`; 0.1 does a tenth of that.
SOAK = float(os.environ.get("MEK_SOAK") or 0)


def rounds(short: int, soak: int) -> int:
    """How often to do it: `soak` times under `make soak`."""
    return max(short, round(soak * SOAK))


def seeded(name: str) -> random.Random:
    """A random source whose seed is printed; MEK_SEED sets it."""
    seed = int(os.environ.get("MEK_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"{name}: MEK_SEED={seed}")
    return random.Random(seed)


@dataclass(frozen=True)
class Acknowledged:
    """A rotation that the server said it has done, and when it was asked and answered."""

    version: int
    kid: str
    asked: float
    answered: float
    reason: str = ""


@dataclass
class Seen:
    """What the clients saw."""

    acknowledged: list[Acknowledged] = field(default_factory=list)
    failed: int = 0  # 5xx, dropped connections, time-outs: done or not, the client can't know
    asked: int = 0
    reads: int = 0
    wrong: list[str] = field(default_factory=list)


class Clients:
    """Threads that rotate with `cas`, and retry with the same after a failure; and one that reads.

        with Clients(servers, seen, rotators=3): something breaks
    """

    def __init__(self, servers: Sequence[Server], rotators: int = 3, readers: int = 1,
                 mount: str = "mek", pause: float = 0.02, timeout: float = 3, seen: Seen | None = None):
        self._servers = servers
        self._mount = mount
        self._pause = pause
        self._timeout = timeout
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.seen = seen or Seen()
        self._threads = [threading.Thread(target=self._guarded, args=(self._rotate, number), daemon=True)
                         for number in range(rotators)]
        self._threads += [threading.Thread(target=self._guarded, args=(self._read, number), daemon=True)
                          for number in range(readers)]

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self._threads), "a client hangs"

    def wait_for_acknowledged(self, more: int, seconds: float = 60) -> None:
        """Until so many more rotations have been acknowledged."""
        wanted = len(self.seen.acknowledged) + more
        wait_until(lambda: len(self.seen.acknowledged) >= wanted or self.seen.wrong,
                   f"{more} more rotations are acknowledged", seconds)

    def _guarded(self, work: Callable[[int], None], number: int) -> None:
        try:
            work(number)
        except Exception as error:  # noqa: BLE001: a thread's error must reach the test
            self._wrong(f"{work.__name__} {number}: {error!r}")

    def _wrong(self, text: str) -> None:
        with self._lock:
            self.seen.wrong.append(text)

    def _failed(self) -> None:
        with self._lock:
            self.seen.failed += 1
        self._stop.wait(0.05)

    def _rotate(self, number: int) -> None:
        turn = number
        while not self._stop.is_set():
            live = None
            while live is None and not self._stop.is_set():
                turn += 1
                live = self._live_version(turn)
            while live is not None and not self._stop.is_set():
                asked = time.monotonic()
                reply = self._ask(turn, "POST", "rotate", {"cas": live})
                if reply is None:  # the same again, from another node
                    turn += 1
                elif reply.status == 400 and "cas" in reply.text:
                    live = None
                elif reply.status == 200:
                    with self._lock:
                        self.seen.acknowledged.append(Acknowledged(
                            reply.data["version"], reply.data["current_kid"], asked, time.monotonic()))
                    if reply.data["version"] != live + 1:
                        self._wrong(f"cas={live} made version {reply.data['version']}")
                    live += 1
                else:
                    self._wrong(f"rotate cas={live}: {reply.status} {reply.errors}")
                    live = None
            self._stop.wait(self._pause)

    def _live_version(self, turn: int) -> int | None:
        reply = self._ask(turn, "GET", "status")
        if reply is None:
            return None
        if reply.status != 200:
            self._wrong(f"status: {reply.status} {reply.errors}")
            return None
        return reply.data["version"]

    def _read(self, number: int) -> None:
        """The record, whole at any time, from whichever node."""
        turn = number
        while not self._stop.wait(self._pause):
            turn += 1
            reply = self._ask(turn, "GET", f"data/{SECRET}")
            if reply is None:
                continue
            if reply.status != 200:
                self._wrong(f"read: {reply.status} {reply.errors}")
                continue
            if problem := what_is_broken(reply.data["data"]):
                self._wrong(f"read of version {reply.data['metadata']['version']}: {problem}")
            self.seen.reads += 1

    def _ask(self, turn: int, method: str, path: str, body: dict | None = None):
        """The answer, or nothing if the server or the connection failed: a client may then retry."""
        server = self._servers[turn % len(self._servers)]
        with self._lock:
            self.seen.asked += 1
        try:
            reply = server.http(method, f"{self._mount}/{path}", body, timeout=self._timeout)
        except (OSError, http.client.HTTPException, ValueError):
            self._failed()
            return None
        # The host's own: a standby that can't forward; a node that has just been unsealed.
        if reply.status >= 500 or reply.status == 307 or "no handler for route" in reply.text:
            self._failed()
            return None
        return reply


class NamedRotations(Clients):
    """Threads that rotate without `cas`, each request with a reason of its own, which no client repeats:
    whoever carries one out twice (a standby, the host, the engine) shows it in the history."""

    def _rotate(self, number: int) -> None:
        for turn in itertools.count(number):
            if self._stop.wait(self._pause):
                return
            asked = time.monotonic()
            reply = self._ask(turn, "POST", "rotate", {"reason": f"request {number}-{turn}"})
            if reply is None:
                continue
            if reply.status != 200:
                self._wrong(f"rotate: {reply.status} {reply.errors}")
                continue
            with self._lock:
                self.seen.acknowledged.append(Acknowledged(
                    reply.data["version"], reply.data["current_kid"], asked, time.monotonic(),
                    f"request {number}-{turn}"))


def what_is_broken(record: records.Fields) -> str:
    """Which of a record's own invariants doesn't hold (product.md, 1 and 2)."""
    current = record["current_kid"]
    if json.loads(record["jwe_mapping"])["payload_jwe_kid"] != current:
        return "jwe_mapping names another kid than current_kid"
    if records.kids_of(record, "keys")[0] != current:
        return "the first of keys isn't the current one"
    if current not in records.kids_of(record, "private_jwks"):
        return "private_jwks lacks the current key"
    return ""


def check(mek: Mek, seen: Seen) -> None:
    """The invariants of product.md, and that nothing acknowledged was lost."""
    assert not seen.wrong, seen.wrong[:20]
    live = mek.status()["version"]
    numbers = sorted(int(number) for number in mek.list("versions").ok().data["keys"])
    assert numbers == list(range(1, live + 1)), "a gap"

    before: set[tuple[str, str, str]] = set()
    kids: dict[int, str] = {}
    for number in numbers:
        record = mek.record(version=number)
        assert not what_is_broken(record), f"version {number}: {what_is_broken(record)}"
        pairs = records.pairs_of(record)
        assert before <= pairs, f"version {number} lost a key"
        if number > 1:
            assert len(pairs) == len(before) + 2, f"version {number} isn't one rotation"
        kids[number] = record["current_kid"]
        before = pairs
    final = mek.record()
    assert records.pairs_of(final) == before and final["current_kid"] == kids[live]

    versions = [done.version for done in seen.acknowledged]
    assert len(versions) == len(set(versions)), "a version was answered twice"
    for done in seen.acknowledged:
        assert kids.get(done.version) == done.kid, f"version {done.version} isn't what was acknowledged"
        for name in records.SETS:
            assert done.kid in records.kids_of(final, name)
    later_answered = float("inf")
    for done in sorted(seen.acknowledged, key=lambda one: one.version, reverse=True):
        assert done.asked < later_answered, f"version {done.version} was asked for when a later one was done"
        later_answered = min(later_answered, done.answered)
    assert mek.read("verify").ok().data["result"] in ("ok", "warn")
