"""Key material in the memory of the release binary, after each operation."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import pytest

import memory
import records
from bao import Server
from mek import Mek


BOOTSTRAPPED = records.SAMPLES["good_bootstrapped"].data


@pytest.fixture
def server(binary: pathlib.Path) -> Iterator[Server]:
    """A process of its own, whose memory no other test has used."""
    with Server.dev({"mek": binary}) as server:
        server.cli("secrets", "enable", "mek").ok()
        yield server


def test_no_key_stands_in_memory_after_an_operation(server: Server) -> None:
    mek = Mek(server)
    (pid,) = server.plugin_pids()
    shown: list[records.Fields] = [BOOTSTRAPPED]

    def look(after: str) -> None:
        for record in shown:
            found = memory.traces(pid, record)
            # Copies inside the base64 of a field stay in TLS's staging buffers until they are used again
            # (SECURITY.md); keys themselves stay nowhere.
            assert (found["raw"], found["base64url"]) == (0, 0), f"after {after}: {found}"

    mek.import_record(BOOTSTRAPPED)
    look("import")
    mek.write("rotate").ok()
    look("rotate")
    shown.append(mek.record())
    look("read")
    mek.write("rollback", version=1).ok()
    look("rollback")
    mek.put(shown[1]).ok()
    look("put")
    mek.read("verify").ok()
    look("verify")
    mek.status()
    look("status")


def test_the_search_finds_a_key_that_is_there(server: Server) -> None:
    """The search itself works: the server's own process, which is not wiped, keeps copies."""
    mek = Mek(server)
    mek.import_record(BOOTSTRAPPED)
    mek.record()
    assert memory.traces(server.pid(), BOOTSTRAPPED)["in base64"] > 0
