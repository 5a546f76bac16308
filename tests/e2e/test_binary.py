"""The plugin's file by itself: what an image needs, and what a person sees who runs it."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess

import pytest

from bao import PROJECT


def run(*command: str | pathlib.Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30,
                          check=False, stdin=subprocess.DEVNULL)


def test_is_static_and_stripped(binary: pathlib.Path) -> None:
    checked = run(PROJECT / "scripts" / "check-binary", binary, PATH=os.environ["PATH"])
    assert checked.returncode == 0, checked.stderr


def test_says_its_version(binary: pathlib.Path) -> None:
    said = run(binary, "--version")
    assert said.returncode == 0
    assert re.search(r"\bv?\d+\.\d+\.\d+\b", said.stdout), said.stdout
    assert said.stderr == ""


def test_explains_itself(binary: pathlib.Path) -> None:
    said = run(binary, "--help")
    assert said.returncode == 0
    for word in ("OpenBao", "plugin", "bao plugin register", "bao secrets enable"):
        assert word in said.stdout


def test_refuses_to_run_on_its_own(binary: pathlib.Path) -> None:
    said = run(binary)
    assert said.returncode == 1
    assert said.stdout == ""
    assert "plugin" in said.stderr and "OpenBao" in said.stderr


def test_refuses_a_host_without_mutual_tls(binary: pathlib.Path) -> None:
    said = run(binary, VAULT_BACKEND_PLUGIN="6669da05-b1c8-4f49-97d9-c8e5bed98e20",
               PLUGIN_PROTOCOL_VERSIONS="5")
    assert said.returncode == 1
    assert said.stdout == ""
    assert "PLUGIN_CLIENT_CERT" in said.stderr or "TLS" in said.stderr


def test_refuses_unknown_options_without_repeating_them(binary: pathlib.Path) -> None:
    said = run(binary, "--no-such-option")
    assert said.returncode != 0
    assert said.stdout == ""
    assert "--help" in said.stderr


def test_runs_where_there_is_nothing_else(binary: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """As in a distroless image: no shell, no libc, no /tmp, no /etc."""
    if os.geteuid() != 0:
        pytest.fail("chroot needs root: run the tests as root or in a user namespace "
                    "(unshare --map-root-user make test-e2e)")
    shutil.copy(binary, tmp_path / "plugin")
    said = run("/usr/sbin/chroot", tmp_path, "/plugin", "--version")
    assert said.returncode == 0, said.stderr
    assert said.stdout == run(binary, "--version").stdout
