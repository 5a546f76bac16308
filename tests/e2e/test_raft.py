"""On a node that commits to disk: restarts, crashes of the plugin, reload, upgrade, leaving no trace."""

from __future__ import annotations

import pathlib
import threading
from collections.abc import Callable, Iterator

import pytest

import records
from bao import Reply, Server, sha256, version_of, wait_until
from mek import Mek
from records import SAMPLES

BOOTSTRAPPED = SAMPLES["good_bootstrapped"].data


@pytest.fixture(scope="module")
def node(binary: pathlib.Path) -> Iterator[Server]:
    with Server.raft({"mek": binary}) as server:
        server.cli("secrets", "enable", "-path=keep-alive", "mek").ok()
        yield server


@pytest.fixture
def rotated(node: Server) -> Iterator[Mek]:
    """An engine with two versions."""
    node.cli("secrets", "enable", "mek").ok()
    mek = Mek(node)
    mek.import_record(BOOTSTRAPPED)
    mek.write("rotate").ok()
    yield mek
    node.cli("secrets", "disable", "mek").ok()


def test_a_restart_keeps_everything(rotated: Mek) -> None:
    before = rotated.snapshot(), rotated.read("versions/1").ok().data
    rotated.write("config", max_versions=17).ok()
    rotated.server.restart()
    assert (rotated.snapshot(), rotated.read("versions/1").ok().data) == before
    assert rotated.read("config").ok().data["max_versions"] == 17
    assert rotated.write("rotate").ok().data["version"] == 3
    assert rotated.write("rollback", version=1).ok().data["version"] == 4


def test_a_restored_snapshot_is_what_readers_get(rotated: Mek) -> None:
    """What the process remembers of the record is of the time after the snapshot."""
    server = rotated.server
    before = rotated.snapshot()
    server.cli("operator", "raft", "snapshot", "save", "two-versions.snap").ok()
    assert rotated.write("rotate").ok().data["version"] == 3
    assert rotated.snapshot() != before
    server.cli("operator", "raft", "snapshot", "restore", "two-versions.snap").ok()
    wait_until(lambda: rotated.read("status").status == 200, "the server is back", 10)
    assert rotated.snapshot() == before
    assert rotated.write("rotate").ok().data["version"] == 3
    assert rotated.read("verify").ok().data["result"] in ("ok", "warn")


def first_answer(ask: Callable[[], Reply]) -> int:
    """The first status that isn't 500, which the host answers by itself until it has seen the plugin's death."""
    return wait_until(lambda: (status := ask().status) != 500 and status, "an answer of the plugin", 5)


def test_a_killed_plugin_comes_back_with_the_next_request(rotated: Mek) -> None:
    before = rotated.snapshot()
    for _ in range(3):
        rotated.server.kill_plugin()
        assert first_answer(lambda: rotated.read("status")) == 200
        assert rotated.snapshot() == before
        assert len(rotated.server.plugin_pids()) == 1


def test_a_rotation_right_after_the_plugin_was_killed_rotates_once(rotated: Mek) -> None:
    before = rotated.status()["last_change_time"]
    rotated.server.kill_plugin()
    # 400: a request that was answered 500 had been done.
    assert first_answer(lambda: rotated.write("rotate", cas=2)) in (200, 400)
    assert rotated.write("rotate", cas=2).status == 400, "cas no longer matches: the rotation is done"
    # What README has one read when the answer was lost.
    assert rotated.status()["last_operation"] == "rotate"
    assert rotated.status()["last_change_time"] > before
    assert rotated.version() == 3
    assert len(records.keys_of(rotated.record(), "keys")) == 3


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.05])
def test_a_plugin_killed_amid_rotations_leaves_whole_versions(rotated: Mek, delay: float) -> None:
    """Each request rotates once or not at all; a client that got a 500 retries with cas."""
    timer = threading.Timer(delay, rotated.server.kill_plugin)
    timer.start()
    answered = []
    asked = 0
    while timer.is_alive() or asked < 20:
        reply = rotated.write("rotate")
        asked += 1
        assert reply.status in (200, 500), reply
        if reply.status == 200:
            answered.append(reply.data["version"])
    assert first_answer(lambda: rotated.read("status")) == 200
    assert answered == sorted(set(answered)), "no version is answered twice"
    found = [int(number) for number in rotated.list("versions").ok().data["keys"]]
    assert sorted(found) == list(range(1, rotated.version() + 1)), "no gap"
    assert len(answered) <= rotated.version() - 2 <= asked
    seen: set[tuple[str, str, str]] = set()
    for number in sorted(found):
        record = rotated.record(version=number)
        assert seen <= records.pairs_of(record)
        seen |= records.pairs_of(record)
        assert records.kids_of(record, "keys")[0] == record["current_kid"]
    assert rotated.read("verify").ok().data["result"] in ("ok", "warn")


def test_a_reload_keeps_everything(rotated: Mek) -> None:
    before = rotated.snapshot()
    old = rotated.server.plugin_pids()
    rotated.server.cli("plugin", "reload", "-plugin=mek").ok()
    assert rotated.snapshot() == before
    assert wait_until(lambda: rotated.server.plugin_pids(), "the plugin runs") and \
        rotated.server.plugin_pids() != old
    assert rotated.write("rotate").ok().data["version"] == 3


def test_mounts_are_kept_apart_in_one_process(rotated: Mek) -> None:
    server = rotated.server
    other = Mek(server, "other")
    server.cli("secrets", "enable", "-path=other", "mek").ok()
    try:
        assert other.status()["phase"] == "empty"
        other.write("init").ok()
        assert other.version() == 1 and rotated.version() == 2
        assert not records.pairs_of(other.record()) & records.pairs_of(rotated.record())
        assert len(server.plugin_pids()) == 1
    finally:
        server.cli("secrets", "disable", "other").ok()
    assert rotated.version() == 2


def test_upgrade_to_a_second_version(binary: pathlib.Path, next_binary: pathlib.Path) -> None:
    old, new = version_of(binary), version_of(next_binary)
    assert old != new
    with Server.raft({}) as server:
        server.register("mek", binary, old)
        server.cli("secrets", "enable", "mek").ok()
        mek = Mek(server)
        mek.import_record(BOOTSTRAPPED)
        mek.write("rotate").ok()
        before = mek.snapshot()

        server.register("mek", next_binary, new)
        server.cli("secrets", "tune", f"-plugin-version={new}", "mek").ok()
        server.cli("plugin", "reload", "-plugin=mek").ok()
        assert mek.snapshot() == before
        mounted = server.json("secrets", "list", "-detailed")["mek/"]
        assert mounted["running_plugin_version"] == new
        assert mounted["running_sha256"] == sha256(next_binary)
        assert mek.write("rotate").ok().data["version"] == 3

        server.restart()
        assert mek.version() == 3
        assert server.json("secrets", "list", "-detailed")["mek/"]["running_plugin_version"] == new


def test_a_binary_with_another_sum_is_not_run(binary: pathlib.Path) -> None:
    with Server.raft({}) as server:
        server.install(binary, "mek")
        server.cli("plugin", "register", f"-sha256={'0' * 64}", "-command=mek", "secret", "mek").ok()
        refused = server.cli("secrets", "enable", "mek")
        assert refused.rc == 2 and "checksum" in refused.err
        assert server.plugin_pids() == []


def test_a_stopped_server_leaves_no_process_and_no_socket(binary: pathlib.Path) -> None:
    with Server.raft({"mek": binary}) as server:
        server.cli("secrets", "enable", "mek").ok()
        Mek(server).write("init").ok()
        assert len(server.plugin_pids()) == 1 and server.sockets()
        server.stop()
        wait_until(lambda: not server.plugin_pids(), "the plugin has left", 5)
        assert server.sockets() == []
        assert list(server.socket_dir.iterdir()) == []


def test_a_killed_server_leaves_no_process(binary: pathlib.Path) -> None:
    with Server.raft({"mek": binary}) as server:
        server.cli("secrets", "enable", "mek").ok()
        mek = Mek(server)
        mek.write("init").ok()
        before = mek.snapshot()
        server.kill()
        wait_until(lambda: not server.plugin_pids(), "the plugin has seen that its host is gone", 10)
        server.start()
        server.unseal()
        assert mek.snapshot() == before


def test_a_dead_plugin_cannot_leak_what_it_logged(node: Server, rotated: Mek) -> None:
    for version in ("1", "2"):
        assert not records.shows_secret(node.log(), rotated.record(int(version)), 20)
