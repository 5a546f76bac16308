"""A container registry on loopback, for as long as a `with` block lasts."""

from __future__ import annotations

import ctypes
import http.client
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
from contextlib import closing, suppress

from bao import BaoError, wait_until

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def tool(name: str) -> str:
    found = shutil.which(name)
    if not found:
        raise BaoError(f"{name} is missing; run: scripts/install-deps package")
    return found


class Registry:
    """Debian's docker-registry. Plain HTTP: OpenBao and skopeo allow that on loopback."""

    def __enter__(self) -> Registry:
        self._home = pathlib.Path(tempfile.mkdtemp(prefix="mek-registry-"))
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        config = self._home / "config.yml"
        config.write_text(f"version: 0.1\n"
                          f"storage: {{filesystem: {{rootdirectory: {self._home}/data}}}}\n"
                          f"http: {{addr: '{self.address}'}}\n")
        with (self._home / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [tool("docker-registry"), "serve", config], env={"PATH": "/usr/bin:/bin"},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                preexec_fn=lambda: _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM))
        try:
            wait_until(self._answers, "the registry listens")
        except BaoError as error:
            error.add_note((self._home / "log").read_text(errors="replace"))
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(20)
        shutil.rmtree(self._home, ignore_errors=True)

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            raise BaoError("the registry's process ended")
        connection = http.client.HTTPConnection(self.address, timeout=5)
        with closing(connection), suppress(OSError):
            connection.request("GET", "/v2/")
            return connection.getresponse().status == 200
        return False

    def push(self, image: pathlib.Path, name: str, tag: str) -> str:
        """Copies an oci-archive here; returns the image's name without the tag."""
        skopeo("copy", "-q", "--dest-tls-verify=false", f"oci-archive:{image}:{tag}",
               f"docker://{self.address}/{name}:{tag}")
        return f"{self.address}/{name}"


def skopeo(*args: str) -> str:
    done = subprocess.run([tool("skopeo"), "--insecure-policy", *args], capture_output=True,
                          text=True, timeout=60, check=False, env={"PATH": "/usr/bin:/bin"})
    assert done.returncode == 0, done.stderr
    return done.stdout
