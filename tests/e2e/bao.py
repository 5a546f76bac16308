"""A throw-away OpenBao server with our plugin, driven by the real `bao` CLI and by HTTP.

    with Server.dev({"mek": binary}) as server:
        server.cli("secrets", "enable", "mek")
        server.http("GET", "mek/status").data

Every server has a folder of its own (configuration, storage, plugins, sockets, logs), takes nothing
from the caller's environment, and is gone with all its processes when the `with` block ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import http.client
import json
import os
import pathlib
import random
import re
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

PROJECT = pathlib.Path(__file__).resolve().parents[2]
BAO_VERSION = os.environ.get("BAO_VERSION", "2.7.2")
ROOT_TOKEN = "root"
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class BaoError(RuntimeError):
    """The server, or what is needed to run it, is not as it must be."""


def bao_binary() -> pathlib.Path:
    binary = PROJECT / "build" / "tools" / f"bao-{BAO_VERSION}"
    if not binary.exists():
        raise BaoError(f"{binary} is missing; run: scripts/get-bao {BAO_VERSION}")
    return binary


def plugin_binary() -> pathlib.Path:
    """The engine under test: MEK_PLUGIN, else what `make build` leaves."""
    binary = pathlib.Path(
        os.environ.get("MEK_PLUGIN", PROJECT / "build" / "openbao-plugin-secrets-mek")
    ).resolve()
    if not binary.exists():
        raise BaoError(f"{binary} is missing; run: make build")
    return binary


def next_plugin_binary() -> pathlib.Path:
    """The same engine with a higher version: MEK_PLUGIN_NEXT, else what `make test-e2e` leaves."""
    built = PROJECT / "build" / "openbao-plugin-secrets-mek-next"
    found = pathlib.Path(os.environ.get("MEK_PLUGIN_NEXT", built)).resolve()
    if not found.exists():
        raise BaoError(f"{found} is missing; run: make build/{built.name}")
    return found


def version_of(binary: pathlib.Path) -> str:
    """A plugin's version, as the catalog writes it."""
    said = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout
    number = re.search(r"\d+\.\d+\.\d+\S*", said)
    assert number, said
    return f"v{number[0]}"


def wait_until(ready: Callable[[], Any], what: str, seconds: float = 30) -> Any:
    """Polls until `ready` returns something true, and returns that."""
    deadline = time.monotonic() + seconds
    while True:
        if result := ready():
            return result
        if time.monotonic() > deadline:
            raise BaoError(f"not within {seconds:g} s: {what}")
        time.sleep(0.05)


def sha256(path: pathlib.Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass(frozen=True)
class Run:
    """What a CLI command did."""

    args: tuple[str, ...]
    rc: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def ok(self) -> Run:
        assert self.rc == 0, f"$ bao {shlex.join(self.args)}\nexit code {self.rc}\n{self.out}{self.err}"
        return self


@dataclass(frozen=True)
class Reply:
    """What the HTTP API answered."""

    status: int
    body: dict[str, Any] = field(default_factory=dict)

    @property
    def data(self) -> dict[str, Any]:
        return self.body.get("data") or {}

    @property
    def warnings(self) -> list[str]:
        return self.body.get("warnings") or []

    @property
    def errors(self) -> list[str]:
        return self.body.get("errors") or []

    @property
    def text(self) -> str:
        return json.dumps(self.body)

    def ok(self) -> Reply:
        assert self.status in (200, 204), f"{self.status} {self.body}"
        return self


class Server:
    """One `bao server` on 127.0.0.1. Requests may come from several threads, all else from one."""

    running: list[Server] = []

    def __init__(self, storage: str, plugins: Mapping[str, pathlib.Path], settings: str = "",
                 install: Mapping[str, pathlib.Path] | None = None, initialises_itself: bool = False,
                 log_level: str = "debug", node: str = "one", cluster_port: int = 0):
        if storage not in ("dev", "raft"):
            raise ValueError(storage)
        self.storage = storage
        self.token = ROOT_TOKEN
        self._plugins = dict(plugins)
        self._settings = settings
        self._install = dict(plugins) | dict(install or {})
        self._initialises_itself = initialises_itself
        self._log_level = log_level
        self.node = node
        self._cluster_port = cluster_port
        self.alone = True  # a node of a cluster may be a standby
        self.port = 0
        self._unseal_key = ""
        self.log_mark = 0
        self._stack = contextlib.ExitStack()
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def dev(cls, plugins: Mapping[str, pathlib.Path], log_level: str = "debug") -> Server:
        """In memory, unsealed, each plugin registered under its name; root token `root`."""
        return cls("dev", plugins, log_level=log_level)

    @classmethod
    def raft(cls, plugins: Mapping[str, pathlib.Path], settings: str = "",
             install: Mapping[str, pathlib.Path] | None = None,
             initialises_itself: bool = False, node: str = "one", cluster_port: int = 0) -> Server:
        """One node on disk, initialised and unsealed, each plugin registered by its SHA-256.

        `settings` is more server configuration, `install` more binaries for the plugin directory.
        With `initialises_itself` the server is only started: `settings` do the rest, or `join`.
        `cluster_port` is where other nodes shall find it, if not at its own port for that.
        """
        return cls("raft", plugins, settings, install, initialises_itself, node=node,
                   cluster_port=cluster_port)

    # Life -------------------------------------------------------------------------------------

    def __enter__(self) -> Server:
        with contextlib.ExitStack() as failing:
            failing.callback(self._stack.close)
            failing.push(self._note_log)
            self._lay_out()
            Server.running.append(self)
            self._stack.callback(Server.running.remove, self)
            self._stack.callback(self.stop)
            self.start()
            if self.storage == "raft" and not self._initialises_itself:
                self._initialise()
                for name, binary in self._plugins.items():
                    self.register(name, binary)
            failing.pop_all()
        return self

    def _note_log(self, _: object, error: BaseException | None, __: object) -> None:
        """A server that could not be started takes its log away with its folder: the error keeps it."""
        if error is not None and hasattr(self, "log_path"):
            error.add_note("the server's log ends:\n" + "\n".join(self.log().splitlines()[-60:]))

    def _lay_out(self) -> None:
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="mek-"))
        self._stack.callback(shutil.rmtree, self.home, ignore_errors=True)
        self.plugin_dir = self.home / "plugins"
        self.socket_dir = self.home / "tmp"
        self.log_path = self.home / "server.log"
        for folder in (self.plugin_dir, self.socket_dir, self.home / "raft"):
            folder.mkdir()
        for name, binary in self._install.items():
            self.install(binary, name)

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self) -> None:
        """Starts the process, at the port it had before; on raft it is then sealed until `unseal`.

        From the main thread only: when a thread ends, what it has started is told to end too.
        """
        first = self.port == 0
        for _ in range(5):
            if first:
                self.port = _free_port_pair()
            self.address = f"http://127.0.0.1:{self.port}"
            before = len(self.log())
            self._spawn()
            try:
                wait_until(self._answers, "the server listens")
                return
            except BaoError:
                self.stop()
                said = self.log()[before:]
                if "address already in use" not in said:
                    raise BaoError(f"bao did not start:\n{said[-4000:]}") from None
        raise BaoError("no free port was found")

    def _spawn(self) -> None:
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=self.environment(), cwd=self.home, start_new_session=True,
                preexec_fn=lambda: _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM))

    def _command(self) -> list[str]:
        command = [str(bao_binary()), "server", f"-log-level={self._log_level}"]
        if self.storage == "dev":
            return command + [
                "-dev", f"-dev-root-token-id={ROOT_TOKEN}", "-dev-no-store-token",
                f"-dev-listen-address=127.0.0.1:{self.port}", f"-dev-plugin-dir={self.plugin_dir}",
            ]
        config = self.home / "server.hcl"
        config.write_text(f"""
            storage "raft" {{
              path    = "{self.home}/raft"
              node_id = "{self.node}"
              # Elections take a second, not five, and a node that joins votes soon.
              performance_multiplier       = 1
              autopilot_update_interval    = "200ms"
              autopilot_reconcile_interval = "500ms"
            }}
            listener "tcp" {{
              address         = "127.0.0.1:{self.port}"
              cluster_address = "127.0.0.1:{self.port + 1}"
              tls_disable     = true
            }}
            api_addr         = "{self.address}"
            cluster_addr     = "https://127.0.0.1:{self._cluster_port or self.port + 1}"
            plugin_directory = "{self.plugin_dir}"
            {self._settings}
        """)
        return command + [f"-config={config}"]

    def _answers(self) -> bool:
        return self._gets("sys/health?uninitcode=200&sealedcode=200") and (
            self.storage == "raft" or self._mounts_answer())

    def _mounts_answer(self) -> bool:
        return self._gets("sys/mounts")

    def _gets(self, path: str) -> bool:
        """Whether a GET is answered with 200: a server that starts may refuse or drop a connection."""
        if self._process is None or self._process.poll() is not None:
            raise BaoError("the server process ended")
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.http("GET", path).status == 200
        return False

    def _initialise(self) -> None:
        keys = self.http("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1}).ok().body
        self.token, self._unseal_key = keys["root_token"], keys["keys"][0]
        self.unseal()

    def join(self, member: Server) -> None:
        """Becomes a further node of that one's cluster, unsealed."""
        self.token, self._unseal_key = member.token, member._unseal_key
        self.alone = member.alone = False
        self.http("POST", "sys/storage/raft/join", {"leader_api_addr": member.address}).ok()
        self.unseal()

    def unseal(self) -> None:
        self.http("PUT", "sys/unseal", {"key": self._unseal_key}).ok()
        wait_until(lambda: (not self.alone or self._gets("sys/health")) and self._mounts_answer(),
                   "the node is active, or at least answers")

    def restart(self) -> None:
        """A clean stop and a new start, unsealed."""
        self.stop()
        self.start()
        self.unseal()

    def stop(self) -> None:
        """SIGTERM, and SIGKILL if that is not heeded. Does nothing when it has stopped."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
        self._process = None

    def kill(self) -> None:
        """SIGKILL to the server alone, as a crash is."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    # Plugins ----------------------------------------------------------------------------------

    def install(self, binary: pathlib.Path, command: str) -> pathlib.Path:
        """Copies a binary into the plugin directory under the name `command`."""
        target = self.plugin_dir / command
        shutil.copy(binary, target)
        target.chmod(0o755)
        return target

    def register(self, name: str, binary: pathlib.Path, version: str = "") -> None:
        """Registers a secrets plugin by SHA-256, as in production."""
        command = f"{name}-{version}" if version else name
        digest = sha256(self.install(binary, command))
        options = [f"-version={version}"] if version else []
        self.cli("plugin", "register", f"-sha256={digest}", f"-command={command}", *options,
                 "secret", name).ok()

    def pid(self) -> int:
        pid = self.running_pid()
        assert pid is not None
        return pid

    def running_pid(self) -> int | None:
        """None while the server is stopped, as in the middle of a restart."""
        process = self._process
        return None if process is None else process.pid

    def plugin_pids(self) -> list[int]:
        """The plugin processes that run from this server's plugin directory."""
        found = []
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                executable = pathlib.Path(os.readlink(process / "exe").removesuffix(" (deleted)"))
                if executable.parent == self.plugin_dir:
                    found.append(int(process.name))
        return sorted(found)

    def sockets(self) -> list[pathlib.Path]:
        return [path for path in self.socket_dir.rglob("*") if path.is_socket()]

    # Use --------------------------------------------------------------------------------------

    def environment(self, token: str | None = None) -> dict[str, str]:
        """The whole environment of a `bao` command for this server."""
        return {
            "PATH": "/usr/bin:/bin", "HOME": str(self.home), "TMPDIR": str(self.socket_dir),
            "LANG": "C.UTF-8", "BAO_ADDR": self.address,
            "BAO_TOKEN": self.token if token is None else token,
        }

    def cli(self, *args: str, token: str | None = None, stdin: str | None = None) -> Run:
        """Runs the real CLI as a person would."""
        done = subprocess.run(
            [bao_binary(), *args], env=self.environment(token), cwd=self.home, timeout=60,
            capture_output=True, text=True, check=False,
            **({"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}))
        return Run(args, done.returncode, done.stdout, done.stderr)

    def json(self, *args: str, token: str | None = None) -> Any:
        """A command's -format=json output; `args` starts with the command, options follow."""
        split = 2 if args[0] in ("kv", "secrets", "token", "policy", "plugin") else 1
        if args[:2] == ("kv", "metadata"):
            split = 3
        return self.cli(*args[:split], "-format=json", *args[split:], token=token).ok().json

    def http(self, method: str, path: str, body: Any = None, token: str | None = None, *,
             wrap_ttl: str = "", timeout: float = 60) -> Reply:
        """One API request. `path` is what follows /v1/; LIST and PATCH work as in KV v2."""
        headers = {"X-Vault-Token": self.token if token is None else token}
        if method == "PATCH":
            headers["Content-Type"] = "application/merge-patch+json"
        if wrap_ttl:
            headers["X-Vault-Wrap-TTL"] = wrap_ttl
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        with contextlib.closing(connection):
            payload = body if isinstance(body, (str, type(None))) else json.dumps(body)
            connection.request(method, f"/v1/{path}", payload, headers)
            answer = connection.getresponse()
            text = answer.read()
        return Reply(answer.status, json.loads(text) if text.strip() else {})

    def token_for(self, *policies: str, **options: Any) -> str:
        """A token with exactly these policies (and default)."""
        reply = self.http("POST", "auth/token/create", {"policies": list(policies)} | options)
        return reply.ok().body["auth"]["client_token"]

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def mark_log(self) -> None:
        """What is logged from here on is shown if the test fails."""
        self.log_mark = len(self.log())


def _free_port_pair() -> int:
    """A port P such that P and P + 1 (the cluster's) are free now; `start` retries if one is lost."""
    while True:
        port = random.SystemRandom().randrange(20000, 32000, 2)
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for number in (port, port + 1):
                holder = stack.enter_context(socket.socket())
                holder.bind(("127.0.0.1", number))
            return port
