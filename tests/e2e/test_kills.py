"""The server and the plugin die at random moments amid rotations; the plugin is reloaded amid them."""

from __future__ import annotations

import os
import pathlib
import signal
import time
from collections.abc import Iterator

import pytest

from bao import Server, wait_until
from history import Clients, Seen, check, rounds, seeded
from mek import Mek
from records import SAMPLES

# A record grows with each rotation: so often another one is begun.
ROUNDS_A_MOUNT = 4


@pytest.fixture(scope="module")
def node(binary: pathlib.Path) -> Iterator[Server]:
    with Server.raft({"mek": binary}) as server:
        server.http("POST", "sys/mounts/keep-alive", {"type": "mek"}).ok()
        yield server


class Engines:
    """The engine that a round works on, with all that its clients have seen."""

    def __init__(self, server: Server, name: str):
        self._server = server
        self._name = name
        self._mek = Mek(server)
        self._seen = Seen()
        self.total = Seen()

    def of_round(self, number: int) -> tuple[Mek, Seen]:
        if number % ROUNDS_A_MOUNT == 0:
            self.close()
            self._mek = Mek(self._server, f"{self._name}{number}")
            self._server.http("POST", f"sys/mounts/{self._mek.mount}", {"type": "mek"}).ok()
            self._mek.write("config", max_versions=10000).ok()
            self._mek.import_record(SAMPLES["good_bootstrapped"].data)
            self._seen = Seen()
        return self._mek, self._seen

    def close(self) -> None:
        self.total.acknowledged += self._seen.acknowledged
        self.total.failed += self._seen.failed
        self._server.http("DELETE", f"sys/mounts/{self._mek.mount}").ok()


def own_directories(server: Server) -> list[str]:
    """The plugins' socket directories."""
    return sorted(path.name for path in server.socket_dir.glob("plugin-cc-*"))


def test_the_server_is_killed_amid_rotations(node: Server) -> None:
    random_ = seeded("killing the server")
    engines = Engines(node, "server")
    slowest = 0.0
    for number in range(rounds(8, 200)):
        mek, seen = engines.of_round(number)
        with Clients([node], rotators=2, mount=mek.mount, seen=seen) as clients:
            clients.wait_for_acknowledged(1)
            time.sleep(random_.uniform(0, 0.4))
            plugins = node.plugin_pids()
            node.kill()
            killed = time.monotonic()
            wait_until(lambda: not node.plugin_pids(), "the plugin has left", 5)
            slowest = max(slowest, time.monotonic() - killed)
            node.start()
            node.unseal()
            clients.wait_for_acknowledged(1)
        check(mek, seen)
        (plugin,) = node.plugin_pids()
        assert plugin not in plugins
        assert len(own_directories(node)) == 1
    engines.close()
    print(f"{number + 1} kills, {len(engines.total.acknowledged)} rotations acknowledged, "
          f"{engines.total.failed} failed; the plugin left within {slowest:.2f} s")


def test_the_plugin_is_killed_amid_rotations(node: Server) -> None:
    random_ = seeded("killing the plugin")
    engines = Engines(node, "plugin")
    for number in range(rounds(8, 200)):
        mek, seen = engines.of_round(number)
        with Clients([node], rotators=2, mount=mek.mount, seen=seen) as clients:
            clients.wait_for_acknowledged(1)
            time.sleep(random_.uniform(0, 0.4))
            (plugin,) = node.plugin_pids()
            os.kill(plugin, signal.SIGKILL)
            clients.wait_for_acknowledged(2)
        check(mek, seen)
        (now,) = node.plugin_pids()
        assert now != plugin
        assert len(own_directories(node)) == 1, "the dead one's directory is cleared away"
    engines.close()
    print(f"{number + 1} kills, {len(engines.total.acknowledged)} rotations acknowledged, "
          f"{engines.total.failed} failed")


def test_the_plugin_is_reloaded_amid_requests(node: Server) -> None:
    random_ = seeded("reloading the plugin")
    engines = Engines(node, "reload")
    for number in range(rounds(3, 100)):
        mek, seen = engines.of_round(number)
        asked, begun = seen.asked, time.monotonic()
        with Clients([node], rotators=3, readers=2, mount=mek.mount, seen=seen, pause=0.01) as clients:
            clients.wait_for_acknowledged(5)
            time.sleep(random_.uniform(0, 0.4))
            (before,) = node.plugin_pids()
            node.http("POST", "sys/plugins/reload/backend", {"plugin": "mek"}).ok()
            clients.wait_for_acknowledged(5)
        rate = (seen.asked - asked) / (time.monotonic() - begun)
        assert rate >= 50, f"only {rate:.0f} requests a second"
        check(mek, seen)
        (now,) = node.plugin_pids()
        assert now != before
        assert len(own_directories(node)) == 1
    engines.close()
    print(f"{number + 1} reloads, {len(engines.total.acknowledged)} rotations acknowledged, "
          f"{engines.total.failed} requests failed")
