"""Three nodes: requests through standbys, and the loss of the active node amid rotations."""

from __future__ import annotations

import contextlib
import itertools
import os
import pathlib
import random
import signal
import time
from collections.abc import Callable, Iterator

import pytest

import records
from bao import BAO_VERSION, Reply, Server, version_of, wait_until
from cluster import Cluster
from history import Clients, NamedRotations, check, rounds, seeded, what_is_broken
from mek import SECRET, Mek
from records import SAMPLES
from test_kv_home import KV, approle, lay_out

BOOTSTRAPPED = SAMPLES["good_bootstrapped"].data


@pytest.fixture(scope="module")
def cluster(binary: pathlib.Path) -> Iterator[Cluster]:
    with Cluster({"mek": binary}) as cluster:
        cluster.leader().http("POST", "sys/mounts/keep-alive", {"type": "mek"}).ok()
        yield cluster


@pytest.fixture
def engines(cluster: Cluster) -> Iterator[list[Mek]]:
    """A fresh engine with one version, as each node shows it; the active node first."""
    with mounted(cluster) as mount:
        yield [Mek(node, mount) for node in (cluster.leader(), *cluster.standbys())]


_mounts = itertools.count(1)


@contextlib.contextmanager
def mounted(cluster: Cluster) -> Iterator[str]:
    """A fresh engine with one version, which every node has; at a path of its own."""
    mount = f"mek{next(_mounts)}"
    leader = cluster.leader()
    leader.http("POST", f"sys/mounts/{mount}", {"type": "mek"}).ok()
    engine = Mek(leader, mount)
    engine.write("config", max_versions=10000).ok()
    engine.import_record(BOOTSTRAPPED)
    wait_until(lambda: all(has_version(Mek(node, mount), 1) for node in cluster.nodes),
               "every node has version 1")
    yield mount
    cluster.wait_until_whole()
    cluster.leader().http("DELETE", f"sys/mounts/{mount}").ok()


def has_version(mek: Mek, version: int) -> bool:
    reply = mek.read(f"data/{SECRET}")
    return reply.status == 200 and reply.data["metadata"]["version"] == version


def is_mounted(node: Server, path: str) -> bool:
    """`path` as it is mounted: sys/mounts/… or sys/auth/… A node that can't say so may have it."""
    _, kind, mount = path.split("/", 2)
    reply = node.http("GET", f"sys/{kind}")
    return reply.status != 200 or f"{mount}/" in reply.data


# Through standbys ---------------------------------------------------------------------------------


def test_each_write_through_a_standby_is_done_once(engines: list[Mek]) -> None:
    active, *standbys = engines
    version = 1
    for standby in standbys:
        for path, fields in (("rotate", {"reason": "x"}), ("rollback", {"version": 1}),
                             ("import", {"force": True} | BOOTSTRAPPED)):
            reply = standby.write(path, cas=version, **fields) if path != "import" else \
                standby.write(path, **fields)
            assert reply.ok().data["version"] == version + 1
            version += 1
            assert active.version() == version
        assert standby.put(BOOTSTRAPPED, cas=version).ok().data["version"] == version + 1
        assert standby.patch({"note": "x"}, cas=version + 1).ok().data["version"] == version + 2
        version += 2
        assert active.version() == version
        dry_run = standby.write("rotate", dry_run=True).ok().data
        assert dry_run["current_kid"] == "(new)"
        assert dry_run["previous_kid"] == active.record()["current_kid"]
        standby.write("config", max_versions=9000 + version).ok()
        assert active.read("config").ok().data["max_versions"] == 9000 + version
        assert active.version() == version
    assert active.list("versions").ok().data["keys"] == [str(number) for number in range(1, version + 1)]


def test_a_standby_knows_of_a_write_as_soon_as_it_is_answered(engines: list[Mek]) -> None:
    """What decides a write, and `status`, is the active node's state: a standby's own may be behind."""
    version = 1
    for turn in range(rounds(30, 300)):
        writer, reader = engines[turn % 3], engines[(turn + 1) % 3]
        assert writer.write("rotate", cas=version).ok().data["version"] == version + 1
        version += 1
        status = reader.status()
        assert status["version"] == version
        assert reader.write("rotate", dry_run=True, cas=version).status == 200
        assert reader.write("rotate", cas=version - 1).status == 400
    assert engines[0].version() == version


def test_a_standbys_errors_are_the_active_nodes(engines: list[Mek]) -> None:
    active, *standbys = engines
    before = active.snapshot()
    for path, fields, status in (("rotate", {"cas": 7}, 400), ("rotate", {"csa": 1}, 400),
                                 ("rollback", {"version": 9}, 404), ("rollback", {"version": 1}, 409),
                                 ("init", {}, 409), ("import", dict(BOOTSTRAPPED), 409),
                                 ("config", {"max_versions": "x"}, 400),
                                 (SECRET, dict(BOOTSTRAPPED), 400),
                                 (f"destroy/{SECRET}", {"versions": [1]}, 400)):
        answered = active.write(path, **fields)
        assert answered.status == status, (path, answered)
        for standby in standbys:
            reply = standby.write(path, **fields)
            assert (reply.status, reply.errors) == (answered.status, answered.errors), path
    assert active.snapshot() == before


def test_a_standby_serves_the_record_and_its_history(engines: list[Mek]) -> None:
    active, *standbys = engines
    active.write("rotate", reason="x").ok()
    for standby in standbys:
        wait_until(lambda: has_version(standby, 2), "the standby has version 2", 10)
        for path in (f"data/{SECRET}", SECRET, f"data/{SECRET}?version=1", f"metadata/{SECRET}",
                     "versions/1", "versions/2", "config"):
            assert standby.read(path).ok().data == active.read(path).ok().data
        assert standby.snapshot() == active.snapshot()
        assert standby.read("verify").ok().data["result"] in ("ok", "warn")


# Losing the active node ---------------------------------------------------------------------------


def step_down(cluster: Cluster, _: random.Random, clients: Clients) -> None:
    leader = cluster.leader()
    leader.http("PUT", "sys/step-down").ok()
    cluster.leader(other_than=leader)
    clients.wait_for_acknowledged(3)


def kill(cluster: Cluster, _: random.Random, clients: Clients) -> None:
    leader = cluster.leader()
    leader.kill()
    cluster.leader(other_than=leader)
    clients.wait_for_acknowledged(3)
    wait_until(lambda: not leader.plugin_pids(), "the dead node's plugin has left", 5)
    leader.start()
    leader.unseal()
    clients.wait_for_acknowledged(3)


def pause(cluster: Cluster, random_: random.Random, clients: Clients) -> None:
    """Long enough for another to take over, or a moment only; then it goes on as if nothing were."""
    leader = cluster.leader()
    os.kill(leader.pid(), signal.SIGSTOP)
    try:
        if random_.random() < 0.7:
            cluster.leader(other_than=leader)
            clients.wait_for_acknowledged(3)
        else:
            time.sleep(random_.uniform(0.1, 0.8))
    finally:
        os.kill(leader.pid(), signal.SIGCONT)
    clients.wait_for_acknowledged(3)


def partition(cluster: Cluster, random_: random.Random, clients: Clients) -> None:
    """The active node is cut off from the others, and its clients go on asking it."""
    leader = cluster.leader()
    cluster.network.isolate(leader)
    try:
        cluster.leader(other_than=leader)
        clients.wait_for_acknowledged(3)
        time.sleep(random_.uniform(0, 1))
    finally:
        cluster.network.heal()
    clients.wait_for_acknowledged(3)


@pytest.mark.parametrize("event", [step_down, kill, pause, partition], ids=lambda event: event.__name__)
def test_no_acknowledged_rotation_is_lost_with_the_active_node(
        cluster: Cluster, event: Callable[[Cluster, random.Random, Clients], None]) -> None:
    random_ = seeded(event.__name__)
    acknowledged = failed = 0
    for number in range(rounds(2, 25)):
        with mounted(cluster) as mount:
            with Clients(cluster.nodes, mount=mount) as clients:
                clients.wait_for_acknowledged(2)
                time.sleep(random_.uniform(0, 0.3))
                event(cluster, random_, clients)
            cluster.wait_until_whole()
            leader = Mek(cluster.leader(), mount)
            check(leader, clients.seen)
            for engine in (Mek(node, mount) for node in cluster.nodes):
                wait_until(lambda: has_version(engine, leader.version()), "it has the last version")
                assert engine.snapshot() == leader.snapshot()
                assert len(engine.server.plugin_pids()) <= 1, "a plugin was left behind"
            assert clients.seen.reads > 0
            acknowledged += len(clients.seen.acknowledged)
            failed += clients.seen.failed
    print(f"{event.__name__}: {number + 1} rounds, {acknowledged} rotations acknowledged, "
          f"{failed} failed")


def test_the_record_in_kv_survives_its_active_nodes(cluster: Cluster) -> None:
    """The home is a KV secret of the same cluster: what the nodes' plugins write there is forwarded, cut off
    and repeated with the nodes."""
    random_ = seeded("kv home")
    for event in [step_down, kill] * rounds(1, 10):
        leader = cluster.leader()
        secret = lay_out(leader, "good_bootstrapped")
        leader.http("POST", f"{KV}/metadata/{SECRET}", {"max_versions": 1000}).ok()
        leader.http("POST", "sys/mounts/mek-kv", {"type": "mek"}).ok()
        login = dict(pair.split("=", 1) for pair in approle(leader))
        with cluster.active_service() as service:
            home = Mek(leader, "mek-kv").write("config/home", type="kv", address=service.address, **login)
            assert home.ok().data["connection"] == "ok"
            wait_until(lambda: all(has_version(Mek(node, "mek-kv"), 1) for node in cluster.nodes),
                       "every node has version 1")
            with NamedRotations(cluster.nodes, mount="mek-kv", timeout=8) as clients:
                clients.wait_for_acknowledged(3)
                time.sleep(random_.uniform(0, 0.3))
                event(cluster, random_, clients)
            cluster.wait_until_whole()
            engine = Mek(cluster.leader(), "mek-kv")
            check(engine, clients.seen)
            # Each version of the secret is one rotation of the engine's, for one request.
            live = engine.version()
            secret.server = engine.server
            assert secret.version() == live
            carried_out: dict[str, int] = {}
            for number in range(2, live + 1):
                made = engine.read(f"versions/{number}").ok().data
                assert made["operation"] == "rotate", made
                assert carried_out.setdefault(made["reason"], number) == number, made
                assert secret.read(number)["data"] == engine.record(version=number)
            for done in clients.seen.acknowledged:
                assert carried_out[done.reason] == done.version
            assert engine.read("verify").ok().data["result"] == "ok"
            print(f"{event.__name__}: {len(clients.seen.acknowledged)} rotations acknowledged, "
                  f"{clients.seen.failed} failed")
        # A standby of OpenBao 2.7.2 that lags behind while a mount goes restarts its core over it, and what is
        # mounted meanwhile it may miss for good.
        for node in cluster.nodes:
            wait_until(lambda: has_version(Mek(node, KV), live), "the node has the last version")
        for path in ("sys/mounts/mek-kv", f"sys/mounts/{KV}", "sys/auth/approle"):
            cluster.leader().http("DELETE", path).ok()
            wait_until(lambda: not any(is_mounted(node, path) for node in cluster.nodes), f"no node has {path}")


# Versions side by side ----------------------------------------------------------------------------


def running(node: Server) -> set[str]:
    """The plugin binaries that a node runs."""
    return {pathlib.Path(os.readlink(f"/proc/{pid}/exe")).name for pid in node.plugin_pids()}


def test_a_rolling_upgrade_and_back_with_both_versions_at_work(
        binary: pathlib.Path, next_binary: pathlib.Path) -> None:
    old, new = version_of(binary), version_of(next_binary)
    with Cluster({}, install={f"mek-{old}": binary, f"mek-{new}": next_binary}) as cluster:
        cluster.leader().register("mek", binary, old)
        cluster.leader().register("mek", next_binary, new)
        leader = cluster.leader()
        leader.http("POST", "sys/mounts/mek", {"type": "mek", "config": {"plugin_version": old}}).ok()
        Mek(leader).import_record(BOOTSTRAPPED)
        version = 1

        # How the server takes a tuned version to its nodes: up to 2.6 a standby's reload starts the
        # version that it ran before, and only a restart the new one; 2.7.0 and 2.7.1 restart a
        # standby's core themselves at the tuning, which they can't write to its storage; from 2.7.2
        # on each node has it from its own reload.
        host = tuple(map(int, BAO_VERSION.split(".")))
        reload_upgrades = host >= (2, 7, 2)
        tuning_restarts = (2, 7) <= host < (2, 7, 2)

        def served(reply: Reply) -> dict | None:
            # The server mounts anew when the tuning gets to a standby, and has no route meanwhile.
            between = (404, 500, 503) if tuning_restarts else (404,)
            return None if reply.status in between else reply.ok().data

        def use_every_node() -> None:
            nonlocal version
            for node in cluster.nodes:
                # By cas a repeated rotation can't be a second one.
                reply = wait_until(lambda: served(Mek(node).write("rotate", cas=version)),
                                   "the node rotates", 10)
                version += 1
                status = wait_until(lambda: served(Mek(node).read("status")), "the node reads", 10)
                assert reply["version"] == status["version"] == version
            for node in cluster.nodes:
                wait_until(lambda: has_version(Mek(node), version), "every node has the last version")
                assert not what_is_broken(Mek(node).record())
                assert records.kids_of(Mek(node).record(), "keys")[0] == reply["current_kid"]

        wait_until(lambda: all(running(node) == {f"mek-{old}"} for node in cluster.nodes),
                   "every node runs the old one")
        use_every_node()
        for wanted, before in ((new, old), (old, new)):
            cluster.leader().http("POST", "sys/mounts/mek/tune", {"plugin_version": wanted}).ok()
            # The standbys first, then the active node, as one upgrades a cluster.
            for node in (*cluster.standbys(), cluster.leader()):
                use_every_node()
                assert running(node) == {f"mek-{before}"} or tuning_restarts
                if wanted == new and reload_upgrades:
                    node.http("POST", "sys/plugins/reload/backend", {"plugin": "mek"}).ok()
                else:
                    node.restart()
                    wait_until(lambda: all(Mek(other).read("status").status == 200
                                           for other in cluster.nodes), "every node serves")
                use_every_node()
                assert running(node) == {f"mek-{wanted}"}
            assert all(running(node) == {f"mek-{wanted}"} for node in cluster.nodes)
        assert len(records.kids_of(Mek(cluster.leader()).record(), "keys")) == version


def test_a_reload_on_each_node_keeps_everything(cluster: Cluster, engines: list[Mek]) -> None:
    version = 1
    for node in cluster.nodes:
        before = node.plugin_pids()
        node.http("POST", "sys/plugins/reload/backend", {"plugin": "mek"}).ok()
        (now,) = node.plugin_pids()
        assert now not in before
        for engine in engines:
            assert engine.write("rotate", cas=version).ok().data["version"] == version + 1
            version += 1
