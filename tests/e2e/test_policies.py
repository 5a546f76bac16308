"""The shipped policies, each on every operation, as the real server enforces them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

import records
from bao import PROJECT
from mek import SECRET, Mek
from records import SAMPLES

FOLDER = PROJECT / "plugin" / "deploy" / "policies"
POLICIES = ("mek-rotator", "mek-operator", "mek-reader", "mek-auditor")
ROTATOR, OPERATOR, READER, AUDITOR = POLICIES
RECORD = SAMPLES["good_rotated_independent"].data


@dataclass(frozen=True)
class Operation:
    """A request, who may make it, and what it then answers on an engine with two versions."""

    method: str
    path: str
    body: dict[str, Any] | None
    allowed: tuple[str, ...]
    status: int = 200

    def __str__(self) -> str:
        fields = " ".join(self.body or ()) if self.path != "mek/import" else ""
        return f"{self.method} {self.path} {fields}".strip()


OPERATIONS = [
    Operation("POST", "mek/rotate", {"dry_run": True}, (ROTATOR, OPERATOR)),
    Operation("POST", "mek/rotate", {"dry_run": True, "reason": "x", "cas": 2}, (ROTATOR, OPERATOR)),
    Operation("POST", "mek/rotate", {"dry_run": True, "force": True}, (OPERATOR,)),
    Operation("POST", "mek/rotate", {"dry_run": True, "force": False}, (OPERATOR,)),
    Operation("POST", "mek/rotate", {"dry_run": True, "Force": True}, (OPERATOR,), 400),
    Operation("POST", "mek/rollback", {"dry_run": True, "version": 1}, (OPERATOR,)),
    Operation("POST", "mek/import", dict(RECORD), (OPERATOR,), 409),
    Operation("POST", "mek/init", {}, (OPERATOR,), 409),
    Operation("GET", "mek/config", None, (OPERATOR, AUDITOR)),
    Operation("POST", "mek/config", {"max_versions": 50}, (OPERATOR,), 204),
    Operation("GET", "mek/status", None, (ROTATOR, OPERATOR, AUDITOR)),
    Operation("LIST", "mek/versions", None, (OPERATOR, AUDITOR)),
    Operation("GET", "mek/versions/1", None, (OPERATOR, AUDITOR)),
    Operation("GET", "mek/verify", None, (OPERATOR, AUDITOR)),
    Operation("GET", f"mek/data/{SECRET}", None, (READER,)),
    Operation("GET", f"mek/data/{SECRET}?version=1", None, (READER,)),
    Operation("GET", f"mek/{SECRET}", None, (READER,)),
    Operation("GET", f"mek/metadata/{SECRET}", None, (READER,)),
    Operation("LIST", "mek/metadata/encryption", None, (READER,)),
    Operation("POST", f"mek/data/{SECRET}", {"data": RECORD}, ()),
    Operation("PATCH", f"mek/data/{SECRET}", {"data": {"note": "x"}}, ()),
    Operation("POST", f"mek/{SECRET}", dict(RECORD), ()),
    Operation("DELETE", f"mek/data/{SECRET}", None, ()),
    Operation("DELETE", f"mek/metadata/{SECRET}", None, ()),
    Operation("POST", "mek/destroy-key/x", {"confirm": "x"}, ()),
    Operation("DELETE", "sys/mounts/mek", None, ()),
    Operation("POST", "sys/mounts/mek", {"type": "kv"}, ()),
    Operation("POST", "sys/mounts/mek/tune", {"description": "x"}, ()),
    Operation("POST", "sys/remount", {"from": "mek", "to": "elsewhere"}, ()),
    Operation("GET", "sys/raw/logical", None, ()),
]


@pytest.fixture
def tokens(dev_server) -> Iterator[dict[str, str]]:
    for policy in POLICIES:
        dev_server.cli("policy", "write", policy, str(FOLDER / f"{policy}.hcl")).ok()
    yield {policy: dev_server.token_for(policy) for policy in POLICIES}


@pytest.fixture
def rotated(bootstrapped: Mek) -> Mek:
    bootstrapped.write("rotate").ok()
    return bootstrapped


def test_each_policy_is_shipped() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.hcl")) == sorted(POLICIES)


def test_each_policy_allows_just_its_operations(rotated: Mek, tokens: dict[str, str]) -> None:
    before = rotated.snapshot()
    wrong = []
    for operation in OPERATIONS:
        for policy in POLICIES:
            reply = rotated.server.http(operation.method, operation.path, operation.body, tokens[policy])
            wanted = operation.status if policy in operation.allowed else 403
            if reply.status != wanted and not (wanted == 204 and reply.status == 200):
                wrong.append(f"{policy}: {operation}: {reply.status}, not {wanted}: {reply.errors}")
    assert not wrong, "\n".join(wrong)
    assert rotated.snapshot() == before


def test_a_rotator_rotates(rotated: Mek, tokens: dict[str, str]) -> None:
    done = rotated.server.json("write", "-f", "mek/rotate", token=tokens[ROTATOR])
    assert done["data"]["version"] == 3
    assert rotated.server.json("read", "mek/status", token=tokens[ROTATOR])["data"]["version"] == 3


def test_a_rotator_cannot_read_a_key(rotated: Mek, tokens: dict[str, str]) -> None:
    rotated.server.cli("secrets", "tune", "-options=version=2", "mek").ok()
    denied = rotated.server.cli("kv", "get", f"mek/{SECRET}", token=tokens[ROTATOR])
    assert denied.rc == 2
    assert "permission denied" in denied.err
    assert not records.shows_secret(denied.out + denied.err, rotated.record())


def test_an_operator_goes_back(rotated: Mek, tokens: dict[str, str]) -> None:
    done = rotated.server.json("write", "mek/rollback", "version=1", token=tokens[OPERATOR])
    assert done["data"]["version"] == 3


def test_a_reader_reads_as_kv(rotated: Mek, tokens: dict[str, str]) -> None:
    rotated.server.cli("secrets", "tune", "-options=version=2", "mek").ok()
    got = rotated.server.json("kv", "get", f"mek/{SECRET}", token=tokens[READER])
    assert got["data"]["data"] == rotated.record()


@pytest.mark.parametrize("policy", POLICIES)
def test_no_policy_lets_the_mount_be_disabled_whatever_else_it_meets(
        rotated: Mek, tokens: dict[str, str], policy: str) -> None:
    """A deny wins over a policy that allows all."""
    server = rotated.server
    everything = 'path "sys/mounts/*" { capabilities = ["create", "read", "update", "delete", "sudo"] }'
    server.http("PUT", "sys/policies/acl/everything", {"policy": everything}).ok()
    token = server.token_for("everything", policy)
    denied = server.cli("secrets", "disable", "mek", token=token)
    assert denied.rc == 2 and "permission denied" in denied.err
    assert rotated.version() == 2


@pytest.mark.parametrize("path", [f"data/{SECRET}", SECRET])
def test_a_slash_is_no_way_around_a_rule_on_the_exact_path(rotated: Mek, path: str) -> None:
    """All of the mount but the record: what people write who trust exact paths."""
    rotated.server.http("POST", "sys/policies/acl/all-but-the-key", {"policy": f"""
        path "mek/*" {{ capabilities = ["read", "list"] }}
        path "mek/data/{SECRET}" {{ capabilities = ["deny"] }}
        path "mek/{SECRET}" {{ capabilities = ["deny"] }}
    """}).ok()
    token = rotated.server.token_for("all-but-the-key")
    assert rotated.read("status", token).status == 200
    assert rotated.read(path, token).status == 403
    for other in (f"{path}/", f"{path}%2F"):
        reply = rotated.read(other, token)
        assert reply.status in (403, 404), f"{other}: {reply.status}"
        assert not reply.data, f"{other} shows {sorted(reply.data)}"
