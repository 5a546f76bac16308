"""Fixtures of the end-to-end tests. Nothing is skipped: what is missing fails, saying what to run."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

import pytest

import records
from bao import BaoError, Server, next_plugin_binary, plugin_binary
from mek import Mek
from registry import Registry
from release import FOLDER, NAME, Release


def pytest_report_header() -> list[str]:
    try:
        return [f"plugin: {plugin_binary()}"]
    except BaoError as error:
        return [f"plugin: {error}"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Iterator[Any]:
    """Shows the log of each running server under a test that failed."""
    report = yield
    if report.failed:
        for server in Server.running:
            lines = server.log()[server.log_mark:].splitlines()[-80:]
            report.sections.append((f"log of the {server.storage} server", "\n".join(lines)))
    return report


@pytest.fixture(autouse=True)
def _mark_logs() -> None:
    for server in Server.running:
        server.mark_log()


@pytest.fixture(scope="session")
def binary() -> pathlib.Path:
    return plugin_binary()


@pytest.fixture(scope="session")
def next_binary() -> pathlib.Path:
    """The same plugin with a higher version."""
    return next_plugin_binary()


@pytest.fixture(scope="session")
def dev_server(binary: pathlib.Path) -> Iterator[Server]:
    """One dev server for all tests. A mount of its own keeps the plugin's process alive."""
    with Server.dev({"mek": binary}) as server:
        server.cli("secrets", "enable", "-path=keep-alive", "mek").ok()
        yield server


@pytest.fixture
def mek(dev_server: Server) -> Iterator[Mek]:
    """A fresh, empty engine at mek/. By HTTP: the CLI takes a tenth of a second to start."""
    dev_server.http("POST", "sys/mounts/mek", {"type": "mek"}).ok()
    yield Mek(dev_server)
    dev_server.http("DELETE", "sys/mounts/mek").ok()


@pytest.fixture
def bootstrapped(mek: Mek) -> Mek:
    """An engine that holds the record as NVCF bootstraps it, as version 1."""
    mek.import_record(records.SAMPLES["good_bootstrapped"].data)
    return mek


@pytest.fixture(scope="session")
def release() -> Release:
    return Release(FOLDER)


@pytest.fixture(scope="session")
def registry() -> Iterator[Registry]:
    with Registry() as registry:
        yield registry


@pytest.fixture(scope="session")
def image(registry: Registry, release: Release) -> str:
    """The release's image in a registry on loopback, by the name that a plugin stanza gives."""
    return registry.push(release.image, f"mek/{NAME}", release.version)
