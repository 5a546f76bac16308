"""Three OpenBao nodes on raft, on loopback: one active, two standbys that forward and serve reads."""

from __future__ import annotations

import contextlib
import http.client
import pathlib
from collections.abc import Mapping

from bao import Server, wait_until


class Cluster:
    """Nodes that share one storage. Each has its own plugin directory with the same files."""

    def __init__(self, plugins: Mapping[str, pathlib.Path],
                 install: Mapping[str, pathlib.Path] | None = None, size: int = 3):
        self._plugins = plugins
        self._install = dict(plugins) | dict(install or {})
        self._size = size
        self._stack = contextlib.ExitStack()
        self.nodes: list[Server] = []

    def __enter__(self) -> Cluster:
        with contextlib.ExitStack() as failing:
            failing.callback(self._stack.close)
            first = self._stack.enter_context(
                Server.raft(self._plugins, install=self._install, node="node1"))
            self.nodes.append(first)
            # A new node votes at once, not after ten seconds.
            first.http("POST", "sys/storage/raft/autopilot/configuration",
                       {"server_stabilization_time": "0s"}).ok()
            for number in range(2, self._size + 1):
                node = self._stack.enter_context(Server.raft(
                    {}, install=self._install, initialises_itself=True, node=f"node{number}"))
                node.join(first)
                self.nodes.append(node)
            self.wait_until_whole()
            failing.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def leader(self, other_than: Server | None = None) -> Server:
        """The active node, as it says itself; waits for one."""
        return wait_until(lambda: self._leader(other_than), "a node is active", 60)

    def standbys(self) -> list[Server]:
        leader = self.leader()
        return [node for node in self.nodes if node is not leader]

    def _leader(self, other_than: Server | None) -> Server | None:
        for node in self.nodes:
            if node is not other_than:
                with contextlib.suppress(OSError, http.client.HTTPException):
                    reply = node.http("GET", "sys/leader", timeout=2)
                    if reply.status == 200 and reply.body.get("is_self"):
                        return node
        return None

    def wait_until_whole(self) -> None:
        """Every node votes, and answers for the mounts."""
        wait_until(self._is_whole, "every node is unsealed and votes", 60)

    def _is_whole(self) -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if any(node.http("GET", "sys/mounts", timeout=5).status != 200 for node in self.nodes):
                return False
            leader = self._leader(None)
            if leader is None:
                return False
            servers = leader.http("GET", "sys/storage/raft/configuration", timeout=5).data
            voters = [server for server in servers["config"]["servers"] if server["voter"]]
            return len(voters) == self._size
        return False
