"""A user's session, as the README has it, by the real CLI."""

from __future__ import annotations

import json

import pytest

import records
from bao import wait_until
from mek import SECRET, Mek
from records import SAMPLES

PATHS = ("rotate", "rollback", "import", "init", "status", "versions", "versions/1", "verify", "config",
         f"data/{SECRET}", SECRET, f"metadata/{SECRET}")


def test_from_an_empty_mount_to_a_rollback(mek: Mek) -> None:
    bao = mek.server

    first = bao.json("write", "-f", "mek/init")["data"]
    assert first["version"] == 1

    rotated = bao.json("write", "mek/rotate", "reason=first rotation")["data"]
    assert rotated["version"] == 2
    assert rotated["previous_kid"] == first["current_kid"]

    status = bao.json("read", "mek/status")["data"]
    assert status["home"] == "mount"
    assert status["version"] == 2
    assert status["current_kid"] == rotated["current_kid"]
    assert status["previous_kid"] == first["current_kid"]
    assert status["phase"] == "propagating"

    assert bao.json("list", "mek/versions") == ["1", "2"]
    assert bao.json("list", "-after=1", "mek/versions") == ["2"]
    assert bao.json("list", "-limit=1", "mek/versions") == ["1"]
    assert bao.json("read", "mek/versions/2")["data"]["reason"] == "first rotation"
    assert bao.json("read", "mek/versions/1")["data"]["operation"] == "init"

    back = bao.json("write", "mek/rollback", "version=1")["data"]
    assert back["version"] == 3
    assert back["current_kid"] == first["current_kid"]

    verified = bao.json("read", "mek/verify")["data"]
    assert verified["result"] == "ok"
    assert mek.version() == 3


def test_the_tables_read_well(bootstrapped: Mek) -> None:
    """Flat replies: one value a line, nothing nested, no key material."""
    bao = bootstrapped.server
    record = bootstrapped.record()
    for command in (("write", "-f", "mek/rotate"), ("read", "mek/status"), ("read", "mek/versions/1"),
                    ("read", "mek/verify"), ("read", "mek/config")):
        out = bao.cli(*command).ok().out
        assert "map[" not in out, (command, out)
        assert not records.shows_secret(out, record)
        assert not records.shows_secret(out, bootstrapped.record())


def test_phase_becomes_active_when_the_grace_period_is_over(mek: Mek) -> None:
    mek.server.cli("write", "mek/config", "grace_period=2s").ok()
    mek.write("init").ok()
    mek.write("rotate").ok()
    assert mek.status()["phase"] == "propagating"
    wait_until(lambda: mek.status()["phase"] == "active", "the phase is active", 10)


def test_rotating_a_young_key_warns(mek: Mek) -> None:
    mek.write("init").ok()
    assert mek.write("rotate").ok().warnings


def test_config_is_read_as_written(mek: Mek) -> None:
    bao = mek.server
    before = bao.json("read", "mek/config")["data"]
    assert before["max_versions"] == 100
    assert before["private_jwks"] == "auto"
    assert seconds(before["grace_period"]) == 48 * 3600

    bao.cli("write", "mek/config", "grace_period=24h", "max_versions=10").ok()
    after = bao.json("read", "mek/config")["data"]
    assert after == before | {"grace_period": after["grace_period"], "max_versions": 10}
    assert seconds(after["grace_period"]) == 24 * 3600


def seconds(duration: int | str) -> int:
    """An OpenBao duration: seconds, or text such as 48h0m0s."""
    if isinstance(duration, int):
        return duration
    total, digits = 0, ""
    for character in duration:
        if character.isdigit():
            digits += character
        else:
            total += int(digits) * {"h": 3600, "m": 60, "s": 1}[character]
            digits = ""
    return total


# The kv commands ----------------------------------------------------------------------------------


@pytest.fixture
def tuned(bootstrapped: Mek) -> Mek:
    bootstrapped.server.cli("secrets", "tune", "-options=version=2", "mek").ok()
    return bootstrapped


def test_kv_get(tuned: Mek) -> None:
    got = tuned.server.json("kv", "get", f"mek/{SECRET}")["data"]
    assert got["data"] == SAMPLES["good_bootstrapped"].data
    assert got["metadata"]["version"] == 1
    field = tuned.server.cli("kv", "get", "-field=current_kid", f"mek/{SECRET}").ok().out
    assert field == SAMPLES["good_bootstrapped"].data["current_kid"]

    tuned.write("rotate").ok()
    old = tuned.server.json("kv", "get", "-version=1", f"mek/{SECRET}")["data"]
    assert old["data"] == got["data"]


def test_kv_get_table(tuned: Mek) -> None:
    out = tuned.server.cli("kv", "get", f"mek/{SECRET}").ok().out
    for word in ("Metadata", "version", "current_kid", "jwe_mapping"):
        assert word in out


def test_kv_put(tuned: Mek) -> None:
    tuned.write("rotate").ok()
    data = tuned.record()
    put = tuned.server.json("kv", "put", f"mek/{SECRET}",
                            *(f"{name}={text}" for name, text in data.items()))
    assert put["data"]["version"] == 3
    assert tuned.record() == data


def test_kv_put_with_cas(tuned: Mek) -> None:
    fields = [f"{name}={text}" for name, text in tuned.record().items()]
    assert tuned.server.cli("kv", "put", "-cas=1", f"mek/{SECRET}", *fields).rc == 0
    refused = tuned.server.cli("kv", "put", "-cas=1", f"mek/{SECRET}", *fields)
    assert refused.rc == 2
    assert "cas" in refused.err or "check-and-set" in refused.err
    assert tuned.version() == 2


def test_kv_patch(tuned: Mek) -> None:
    before = tuned.record()
    patched = tuned.server.json("kv", "patch", f"mek/{SECRET}", "note=owned by platform")
    assert patched["data"]["version"] == 2
    assert tuned.record() == before | {"note": "owned by platform"}


def test_kv_list(tuned: Mek) -> None:
    for path, found in (("mek", ["encryption/"]), ("mek/encryption", ["keys/"]),
                        ("mek/encryption/keys", ["stored_data"])):
        assert tuned.server.json("kv", "list", path) == found


def test_kv_metadata_get(tuned: Mek) -> None:
    tuned.write("rotate").ok()
    metadata = tuned.server.json("kv", "metadata", "get", f"mek/{SECRET}")["data"]
    assert metadata["current_version"] == 2
    assert sorted(metadata["versions"]) == ["1", "2"]
    table = tuned.server.cli("kv", "metadata", "get", f"mek/{SECRET}").ok().out
    assert "Version 2" in table


def test_kv_rollback(tuned: Mek) -> None:
    first = tuned.record()
    tuned.write("rotate").ok()
    rolled = tuned.server.cli("kv", "rollback", "-version=1", f"mek/{SECRET}").ok()
    assert "3" in rolled.out
    assert tuned.version() == 3
    assert tuned.record() == first


@pytest.mark.parametrize("command", [("delete",), ("destroy", "-versions=1"), ("undelete", "-versions=1"),
                                     ("metadata", "delete"), ("metadata", "put", "-max-versions=1")],
                         ids=" ".join)
def test_kv_commands_that_lose_keys_are_refused(tuned: Mek, command: tuple[str, ...]) -> None:
    before = tuned.snapshot()
    done = tuned.server.cli("kv", *command, f"mek/{SECRET}")
    assert done.rc == 2, done
    assert tuned.snapshot() == before


# Help ---------------------------------------------------------------------------------------------


def test_path_help_of_the_mount_names_every_path(mek: Mek) -> None:
    out = mek.server.cli("path-help", "mek/").ok().out
    for path in ("rotate", "rollback", "import", "init", "status", "versions", "verify", "config", SECRET):
        assert path in out


@pytest.mark.parametrize("path", PATHS)
def test_path_help_of_each_path(mek: Mek, path: str) -> None:
    out = mek.server.cli("path-help", f"mek/{path}").ok().out
    assert "OPERATIONS" in out
    assert len(out) > 80


def test_openapi_has_every_path(mek: Mek) -> None:
    document = mek.server.http("GET", "sys/internal/specs/openapi").ok().body
    paths = {path.removeprefix("/mek/") for path in document["paths"] if path.startswith("/mek/")}
    wanted = {path if path != "versions/1" else "versions/{version}" for path in PATHS}
    missing = {path for path in wanted if path not in paths and f"{path}/" not in paths}
    assert not missing, f"missing {missing}; there are {sorted(paths)}"
    rotate = document["paths"]["/mek/rotate"]["post"]
    assert rotate["summary"] or rotate.get("description")
    schema = json.dumps(document["paths"]["/mek/rotate"]) + json.dumps(document["components"])
    for field in ("cas", "dry_run", "reason", "force"):
        assert f'"{field}"' in schema
