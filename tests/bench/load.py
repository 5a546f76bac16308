"""Load on a server, and what a process costs."""

from __future__ import annotations

import json
import os
import pathlib
import re
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from typing import Any

from bao import BaoError, Server


@dataclass(frozen=True)
class Answers:
    """What a load got: milliseconds of each answer that was wanted, and how many were not."""

    times: list[float]
    refused: int

    def percentile(self, part: int) -> float:
        ordered = sorted(self.times)
        return ordered[min(len(ordered) - 1, len(ordered) * part // 100)]


def load(server: Server, path: str, requests: int, clients: int = 1, body: Any = None,
         may_refuse: bool = False) -> Answers:
    """`requests` by so many clients, each on a connection of its own, each with one on its way.

    A GET, or a POST of `body`. Made by h2load, which costs less than what it measures.
    """
    with tempfile.TemporaryDirectory(prefix="mek-load-") as folder:
        log, data = pathlib.Path(folder, "log"), pathlib.Path(folder, "body")
        command = ["h2load", "--h1", f"-n{requests}", f"-c{clients}", f"--log-file={log}",
                   f"--header=X-Vault-Token: {server.token}"]
        if body is not None:
            data.write_text(json.dumps(body))
            command += [f"--data={data}", "--header=Content-Type: application/json"]
        done = subprocess.run([*command, f"{server.address}/v1/{path}"], capture_output=True,
                              text=True, timeout=300, check=False)
        if done.returncode:
            raise BaoError(f"h2load failed:\n{done.stdout}{done.stderr}")
        # Of each request: when it began, the status, the microseconds it took.
        rows = [[int(number) for number in line.split()] for line in log.read_text().splitlines()]
    wanted = [micros / 1e3 for _, status, micros in rows if status in (200, 204)]
    if len(rows) != requests or not wanted or (len(wanted) != requests and not may_refuse):
        raise BaoError(f"{path}: {len(rows)} of {requests} requests were answered, "
                       f"with {sorted({status for _, status, _ in rows})}")
    return Answers(wanted, requests - len(wanted))


class Connection:
    """One connection of one client, for requests that differ: cheap enough to time them."""

    def __init__(self, server: Server):
        self._token = server.token
        self._socket = socket.create_connection(("127.0.0.1", server.port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        self._socket.close()

    def timed(self, method: str, path: str, body: Any = None) -> float:
        """The milliseconds until the answer is there."""
        request = self._request(method, path, body)
        began = time.perf_counter()
        self._socket.sendall(request)
        reply = b""
        while not _is_whole(reply):
            part = self._socket.recv(1 << 16)
            if not part:
                raise BaoError(f"{path}: the server closed the connection")
            reply += part
        took = time.perf_counter() - began
        if not reply.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 204 ")):
            raise BaoError(f"{method} {path}: {reply.splitlines()[0].decode()}")
        return took * 1e3

    def _request(self, method: str, path: str, body: Any) -> bytes:
        payload = b"" if body is None else json.dumps(body).encode()
        return (f"{method} /v1/{path} HTTP/1.1\r\nHost: bench\r\nX-Vault-Token: {self._token}\r\n"
                f"Content-Length: {len(payload)}\r\n\r\n").encode() + payload


def _is_whole(reply: bytes) -> bool:
    head, found, body = reply.partition(b"\r\n\r\n")
    if not found:
        return False
    if length := re.search(rb"(?im)^content-length: (\d+)", head):
        return len(body) >= int(length[1])
    # JSON has no line ends of this kind.
    return b" 204 " in head.split(b"\r\n", 1)[0] or body.endswith(b"0\r\n\r\n")


def pid_of(server: Server, name: str) -> int:
    """The process of the plugin that is registered under that name."""
    tasks = pathlib.Path(f"/proc/{server.pid()}/task").glob("*/children")
    found = [int(pid) for task in tasks for pid in task.read_text().split()
             if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == name]
    if len(found) != 1:
        raise BaoError(f"{len(found)} processes of the plugin {name} run, expected 1")
    return found[0]


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, to the nanosecond: clock_getcpuclockid(3)."""
    return time.clock_gettime(~pid << 3 | 2)


def memory_mib(pid: int) -> dict[str, float]:
    """RSS, and Pss where it may be read: a plugin that refuses dumps shows it to root only."""
    name = "smaps_rollup" if os.geteuid() == 0 else "status"
    text = pathlib.Path(f"/proc/{pid}/{name}").read_text()
    found = dict(re.findall(r"^(Rss|Pss|VmRSS):\s+(\d+) kB", text, re.MULTILINE))
    return {name.removeprefix("Vm").replace("Rss", "RSS"): int(kib) / 1024
            for name, kib in found.items()}
