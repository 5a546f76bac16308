"""Three OpenBao nodes on raft, on loopback: one active, two standbys that forward and serve reads. What they
say to each other can be cut off."""

from __future__ import annotations

import contextlib
import http.client
import os
import pathlib
import re
import socket
import threading
import time
from collections.abc import Mapping

from bao import Server, wait_until


class Network:
    """The way from each node to each other: a relay before every node's cluster port."""

    def __init__(self) -> None:
        self.nodes: dict[int, Server] = {}  # by the relay's port
        self._listeners: list[socket.socket] = []
        self._isolated: Server | None = None
        self._whole = threading.Event()
        self._whole.set()

    def relay(self) -> int:
        """A new relay's port; `nodes` says later to whom it leads."""
        listener = socket.create_server(("127.0.0.1", 0))
        self._listeners.append(listener)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return listener.getsockname()[1]

    def isolate(self, node: Server) -> None:
        """Nothing gets from or to this node, and nobody is told: as when a cable is pulled."""
        self._isolated = node
        self._whole.clear()

    def heal(self) -> None:
        self._isolated = None
        self._whole.set()

    def close(self) -> None:
        self.heal()
        for listener in self._listeners:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def _accept(self, listener: socket.socket) -> None:
        port = listener.getsockname()[1]
        with contextlib.suppress(OSError):
            while True:
                connection, (_, peer_port) = listener.accept()
                threading.Thread(target=self._relay, args=(connection, peer_port, port),
                                 daemon=True).start()

    def _relay(self, near: socket.socket, peer_port: int, port: int) -> None:
        owner = None
        # The kernel's list, read in pieces, can miss a line while others come and go.
        for _ in range(10):
            if (owner := self._owner(peer_port, port)) is not None:
                break
            time.sleep(0.01)
        ends = (owner, self.nodes.get(port))
        with near, contextlib.suppress(OSError):
            self._wait_while_cut(ends)
            if ends[1] is None:
                return
            with socket.create_connection(("127.0.0.1", ends[1].port + 1)) as far:
                back = threading.Thread(target=self._pump, args=(far, near, ends), daemon=True)
                back.start()
                self._pump(near, far, ends)
                back.join()

    def _pump(self, source: socket.socket, sink: socket.socket, ends: tuple[Server | None, ...]) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if self._wait_while_cut(ends):
                    break  # the data was lost
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _wait_while_cut(self, ends: tuple[Server | None, ...]) -> bool:
        """Whether it had to wait."""
        was_cut = False
        # A connection of nobody known could be the isolated node's.
        while (isolated := self._isolated) is not None and (isolated in ends or None in ends):
            was_cut = True
            self._whole.wait(60)
        return was_cut

    def _owner(self, port: int, peer_port: int) -> Server | None:
        """The node whose process has the connection from that port."""
        line = rf"^ *\d+: \w+:{port:04X} \w+:{peer_port:04X} +(?:\S+ +){{6}}(\d+)"
        found = re.search(line, pathlib.Path("/proc/net/tcp").read_text(), re.MULTILINE)
        socket_file = f"socket:[{found[1]}]" if found else ""
        for node in self.nodes.values():
            # Another thread may be restarting it.
            if (pid := node.running_pid()) is None:
                continue
            with contextlib.suppress(OSError):
                folder = pathlib.Path(f"/proc/{pid}/fd")
                if any(os.readlink(entry) == socket_file for entry in folder.iterdir()):
                    return node
        return None


class Cluster:
    """Nodes that share one storage. Each has its own plugin directory with the same files."""

    def __init__(self, plugins: Mapping[str, pathlib.Path],
                 install: Mapping[str, pathlib.Path] | None = None, size: int = 3):
        self._plugins = plugins
        self._install = dict(plugins) | dict(install or {})
        self._size = size
        self._stack = contextlib.ExitStack()
        self.nodes: list[Server] = []
        self.network = Network()

    def __enter__(self) -> Cluster:
        with contextlib.ExitStack() as failing:
            failing.callback(self._stack.close)
            self._stack.callback(self.network.close)
            first = self._start(1, self._plugins)
            # A new node votes at once, not after ten seconds.
            first.http("POST", "sys/storage/raft/autopilot/configuration",
                       {"server_stabilization_time": "0s"}).ok()
            for number in range(2, self._size + 1):
                self._start(number, {}).join(first)
            self.wait_until_whole()
            failing.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start(self, number: int, plugins: Mapping[str, pathlib.Path]) -> Server:
        port = self.network.relay()
        node = Server.raft(plugins, install=self._install, initialises_itself=number > 1,
                           node=f"node{number}", cluster_port=port)
        self.network.nodes[port] = node
        self.nodes.append(self._stack.enter_context(node))
        return node

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

    def active_service(self) -> ActiveService:
        """An address of the active node, whichever that is."""
        return ActiveService(self)

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


class ActiveService:
    """Leads each connection to the node that is active then, as the Helm chart's service …-active does; to
    none while there is none."""

    def __init__(self, cluster: Cluster):
        self._cluster = cluster
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> ActiveService:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with near, contextlib.suppress(OSError):
            node = self._cluster._leader(None)
            if node is None:
                return
            with socket.create_connection(("127.0.0.1", node.port)) as far:
                back = threading.Thread(target=_copy, args=(far, near), daemon=True)
                back.start()
                _copy(near, far)
                back.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
