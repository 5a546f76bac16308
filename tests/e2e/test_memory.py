"""Key material in the memory of the release binary, its log and its process's attributes, after each
operation. Nothing may be left: raw, as base64url, or inside the base64 of a field."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pathlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

import memory
import records
from bao import Server
from mek import Mek

BOOTSTRAPPED = records.SAMPLES["good_bootstrapped"].data
SIXTY = records.SAMPLES["good_sixty_keys"].data
NOTHING = dict.fromkeys(memory.FORMS, 0)
MEMFD_SECRET = 447  # the system call, on every architecture
# The reply is on its way before gRPC has freed the call; then nothing moves any more.
QUIET_WITHIN = 2  # seconds


@pytest.fixture
def server(binary: pathlib.Path) -> Iterator[Server]:
    """A process of its own, whose memory no other test has used, with everything logged."""
    with Server.dev({"mek": binary}, log_level="trace") as server:
        server.cli("secrets", "enable", "mek").ok()
        yield server


class Watch:
    """Looks for every key shown to it so far."""

    def __init__(self, server: Server):
        self._server = server
        (self._pid,) = server.plugin_pids()
        self.keys: set[str] = set()

    def add(self, *shown: records.Fields) -> None:
        for record in shown:
            self.keys |= memory.keys_in(record)

    def look(self, after: str) -> None:
        assert self._server.plugin_pids() == [self._pid], f"another process after {after}"
        deadline = time.monotonic() + QUIET_WITHIN
        while (found := memory.traces(self._pid, self.keys)) != NOTHING:
            assert time.monotonic() < deadline, f"after {after}: {found}"

    def look_outside(self) -> None:
        """The log and what `ps` shows."""
        process = pathlib.Path(f"/proc/{self._pid}")
        for name, data in (("log", self._server.log_path.read_bytes()),
                           ("environment", (process / "environ").read_bytes()),
                           ("command line", (process / "cmdline").read_bytes())):
            assert data, name
            assert memory.traces_in(data, self.keys) == NOTHING, name


def test_no_key_is_left_by_an_operation(server: Server) -> None:
    mek, watch = Mek(server), Watch(server)
    assert mek.write("init").ok().data["version"] == 1
    # What init and rotate leave of keys they make is looked for once a read has shown the keys.
    watch.add(mek.record())
    watch.look("init and read")

    watch.add(BOOTSTRAPPED)
    mek.write("import", force=True, dry_run=True, **BOOTSTRAPPED).ok()
    watch.look("a dry run of import")
    mek.write("import", force=True, **BOOTSTRAPPED).ok()
    watch.look("import")
    mek.write("rotate", dry_run=True).ok()
    watch.look("a dry run of rotate")
    mek.write("rotate", force=True).ok()
    watch.look("rotate")
    rotated = mek.record()
    assert memory.keys_in(rotated) > memory.keys_in(BOOTSTRAPPED)
    watch.add(rotated)
    watch.look("read")
    retained = BOOTSTRAPPED["current_kid"]
    mek.write(f"keys/{retained}/retire").ok()
    watch.look("retire")
    mek.write(f"keys/{retained}/restore").ok()
    watch.look("restore")
    mek.record(version=1)
    watch.look("read of a version")
    mek.write("rollback", version=2, dry_run=True).ok()
    watch.look("a dry run of rollback")
    mek.write("rollback", version=2).ok()
    watch.look("rollback")
    mek.put(rotated).ok()
    watch.look("put")
    mek.patch(rotated | {"note": "one"}).ok()
    watch.look("patch")
    mek.read("verify").ok()
    watch.look("verify")
    mek.read("versions/2").ok()
    watch.look("versions/2")
    mek.status()
    mek.list("versions").ok()
    watch.look("status and list")
    watch.look_outside()


def test_the_sealing_key_lies_where_nobody_else_reads(server: Server) -> None:
    """Where the kernel has memfd_secret(2). The search shows that the page can't be read."""
    probe = ctypes.CDLL(None).syscall(MEMFD_SECRET, 0)
    if probe >= 0:
        os.close(probe)
    Mek(server).write("init").ok()
    Mek(server).record()
    (pid,) = server.plugin_pids()
    pages = [name for *_, name in memory.mappings(pid) if name.startswith("/secretmem")]
    assert len(pages) == (1 if probe >= 0 else 0)


def test_no_key_is_left_by_a_large_record(server: Server) -> None:
    """Larger than a TLS record and a staging buffer: both cut it at other places."""
    mek, watch = Mek(server), Watch(server)
    watch.add(SIXTY)
    assert len(watch.keys) == 120
    mek.import_record(SIXTY)
    watch.look("import")
    mek.write("rotate").ok()
    rotated = mek.record()
    assert memory.keys_in(rotated) > watch.keys
    watch.add(rotated)
    watch.look("rotate and read")
    watch.look_outside()


def test_no_key_is_left_by_a_refused_record(server: Server) -> None:
    mek, watch = Mek(server), Watch(server)
    mek.import_record(BOOTSTRAPPED)
    watch.add(BOOTSTRAPPED)
    for sample in records.BROKEN:
        watch.add(sample.data)
    for sample in records.BROKEN:
        assert mek.write("import", force=True, **sample.data).status == 400, sample
        assert mek.put(sample.data).status == 400, sample
        if sample.name in ("bad_current_absent", "bad_duplicate_kid", "bad_duplicate_member",
                           "bad_keys_not_json", "bad_std_base64_k", "bad_short_key"):
            watch.look(f"{sample}")
    watch.look("every broken record")
    sample = records.SAMPLES["bad_duplicate_kid"]
    assert mek.patch(sample.data).status == 400
    watch.look("a refused patch")
    assert mek.put(BOOTSTRAPPED, cas=7).status == 400
    watch.look("a put refused for its cas")
    watch.look_outside()


def test_no_key_is_left_once_many_readers_are_quiet(server: Server) -> None:
    mek, watch = Mek(server), Watch(server)
    mek.import_record(BOOTSTRAPPED)
    watch.add(BOOTSTRAPPED)
    rotated = threading.Event()

    def read() -> None:
        reader, count = Mek(server), 0
        while not rotated.is_set() or count < 100:
            reader.record()
            count += 1

    with ThreadPoolExecutor(8) as clients, contextlib.ExitStack() as stack:
        stack.callback(rotated.set)
        readers = [clients.submit(read) for _ in range(8)]
        for _ in range(5):
            mek.write("rotate", force=True).ok()
    for reader in readers:
        reader.result()  # raises what the reader did
    watch.add(mek.record())
    assert len(watch.keys) == 12
    watch.look("many reads")


def test_no_key_is_left_once_many_writers_are_quiet(server: Server) -> None:
    """Who waits for its turn is left what the one before has made."""
    mek, watch = Mek(server), Watch(server)
    mek.import_record(BOOTSTRAPPED)
    watch.add(BOOTSTRAPPED)

    def write() -> None:
        writer = Mek(server)
        for _ in range(10):
            writer.write("rotate", force=True).ok()

    with ThreadPoolExecutor(8) as clients:
        writers = [clients.submit(write) for _ in range(8)]
    for writer in writers:
        writer.result()  # raises what the writer did
    watch.add(mek.record())
    assert len(watch.keys) == 162
    watch.look("many writes")


def test_the_search_finds_a_piece_that_is_there(server: Server) -> None:
    """The shortest piece of each form, written into the process by the test."""
    (k, *_) = sorted(memory.keys_in(BOOTSTRAPPED))
    (pid,) = server.plugin_pids()
    assert memory.traces(pid, {k}) == NOTHING
    forms = memory.Key.of(k).forms
    assert [form for form, _ in forms] == ["base64url", "raw"] + ["in base64"] * 3
    for form, text in forms:
        memory.plant(pid, b"=" + text[7:7 + memory.PIECE] + b"=")
        assert memory.traces(pid, {k}) == NOTHING | {form: 1}
        memory.plant(pid, b"=" + text[7:7 + memory.PIECE - 1] + b"==")
        assert memory.traces(pid, {k}) == NOTHING


def test_the_search_finds_what_a_process_keeps(server: Server) -> None:
    """The server's own memory is not wiped: it keeps copies."""
    mek = Mek(server)
    mek.import_record(BOOTSTRAPPED)
    mek.record()
    assert memory.traces(server.pid(), memory.keys_in(BOOTSTRAPPED))["in base64"] > 0
