"""Many mounts, which all live in one process of the plugin."""

from __future__ import annotations

import os
import pathlib
from concurrent.futures import ThreadPoolExecutor

from bao import Server, wait_until
from history import rounds
from mek import Mek

CLIENTS = 8

# sdk/transport/host_connection.h, kMostConnections.
MOST_CONNECTIONS = 32


def sockets_of_plugin(server: Server) -> int:
    (pid,) = server.plugin_pids()
    links = [os.readlink(fd) for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir() if fd.is_symlink()]
    return sum(link.startswith("socket:") for link in links)


def test_each_of_many_mounts_has_its_own_keys(binary: pathlib.Path) -> None:
    number = rounds(60, soak=1000)
    with Server.raft({"mek": binary}) as server, ThreadPoolExecutor(CLIENTS) as clients:
        mounts = [Mek(server, f"mek-{i}") for i in range(number)]

        def make(mek: Mek) -> str:
            server.http("POST", f"sys/mounts/{mek.mount}", {"type": "mek"}).ok()
            return str(mek.write("init").ok().data["current_kid"])

        def rotate(mek: Mek) -> str:
            return str(mek.write("rotate").ok().data["current_kid"])

        first = list(clients.map(make, mounts))
        second = list(clients.map(rotate, mounts))
        assert len({*first, *second}) == 2 * number
        records = list(clients.map(Mek.record, mounts))
        assert [record["current_kid"] for record in records] == second
        assert len({record["keys"] for record in records}) == number
        # The one that listens, and the host's own connection, beside those to the host.
        wait_until(
            lambda: sockets_of_plugin(server) == MOST_CONNECTIONS + 2,
            "all connections but those used last are closed",
        )

        # Each comes back by itself, as it was.
        server.kill_plugin()
        wait_until(lambda: mounts[0].read("status").status == 200, "the host has seen the death")
        assert list(clients.map(Mek.record, mounts)) == records
        assert len(server.plugin_pids()) == 1

        gone, kept = mounts[::2], mounts[1::2]
        for mek in gone:
            server.http("DELETE", f"sys/mounts/{mek.mount}").ok()
        third = list(clients.map(rotate, kept))
        assert len({*first, *second, *third}) == 2 * number + len(kept)
        for mek, kid, before in zip(kept, third, second[1::2], strict=True):
            history = mek.read("versions/3").ok().data
            assert (history["current_kid"], history["previous_kid"]) == (kid, before)
        print(f"{number} mounts, {len(first) + len(second) + len(third)} keys")
