"""The shipped policies, each on every operation, as the real server enforces them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

import records
from bao import PROJECT, Reply, Server
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
    Operation("POST", "mek/repair", {"dry_run": True}, (OPERATOR,), 409),
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
    Operation("GET", "mek/config/home", None, ()),
    Operation("POST", "mek/config/home", {"type": "mount"}, ()),
    Operation("DELETE", "sys/mounts/mek", None, ()),
    Operation("POST", "sys/mounts/mek", {"type": "kv"}, ()),
    Operation("POST", "sys/mounts/mek/tune", {"description": "x"}, ()),
    Operation("POST", "sys/remount", {"from": "mek", "to": "elsewhere"}, ()),
    Operation("GET", "sys/raw/logical", None, ()),
]


@dataclass(frozen=True)
class Row:
    """A path below the mount, and the operations on it that each policy allows; those left out none."""

    path: str  # as in the OpenAPI document, each parameter as {}
    allowed: dict[str, str] = field(default_factory=dict)
    example: str = ""  # a path that matches, if there are parameters
    body: dict[str, Any] = field(default_factory=dict)  # of a write that changes nothing

    def allows(self, policy: str, operation: str) -> bool:
        return operation in self.allowed.get(policy, "").split()


# Written by hand, from what the policies are for and not from what they say. A new path needs a row.
ROWS = [
    Row("rotate", {ROTATOR: "write", OPERATOR: "write"}, body={"dry_run": True}),
    Row("activate", {ROTATOR: "write", OPERATOR: "write"}, body={"cas": 99}),
    Row("rollback", {OPERATOR: "write"}, body={"dry_run": True, "version": 1}),
    Row("repair", {OPERATOR: "write"}, body={"dry_run": True, "version": 1}),
    Row("import", {OPERATOR: "write"}, body=dict(RECORD)),
    Row("init", {OPERATOR: "write"}),
    Row("status", {ROTATOR: "read", OPERATOR: "read", AUDITOR: "read"}),
    Row("verify", {OPERATOR: "read", AUDITOR: "read"}),
    Row("versions", {OPERATOR: "list", AUDITOR: "list"}),
    Row("versions/{}", {OPERATOR: "read list", AUDITOR: "read list"}, "versions/1"),
    Row("keys", {OPERATOR: "list", AUDITOR: "list"}),
    Row("keys/{}", {OPERATOR: "read write list", AUDITOR: "read list"}, "keys/no-such-kid"),
    Row("keys/{}/retire", {OPERATOR: "read write list", AUDITOR: "read list"},
        "keys/no-such-kid/retire"),
    Row("keys/{}/restore", {OPERATOR: "read write list", AUDITOR: "read list"},
        "keys/no-such-kid/restore"),
    Row("keys/{}/compromised", {OPERATOR: "read write list", AUDITOR: "read list"},
        "keys/no-such-kid/compromised"),
    Row("destroy-key/{}", example="destroy-key/no-such-kid", body={"confirm": "no-such-kid"}),
    Row("config", {OPERATOR: "read write", AUDITOR: "read"}, body={"max_versions": 100}),
    Row("config/home"),
    Row("readers", {OPERATOR: "list", AUDITOR: "list"}),
    Row("ack", {OPERATOR: "write"}, body={"consumer": "nvcf-api", "kid": "no-such-kid"}),
    Row(f"data/{SECRET}", {READER: "read"}, body={"data": RECORD, "options": {"cas": 99}}),
    Row(SECRET, {READER: "read"}, body=dict(RECORD)),
    Row(f"metadata/{SECRET}", {READER: "read list"}),
    Row("metadata", {READER: "list"}),
    Row("metadata/encryption", {READER: "read list"}),
    Row("metadata/encryption/keys", {READER: "read list"}),
    Row("delete/{}", example=f"delete/{SECRET}", body={"versions": [1]}),
    Row("undelete/{}", example=f"undelete/{SECRET}", body={"versions": [1]}),
    Row("destroy/{}", example=f"destroy/{SECRET}", body={"versions": [1]}),
]

# Each operation, and the requests that mean it.
REQUESTS = {
    "read": [("GET", "")],
    "list": [("LIST", ""), ("LIST", "/"), ("GET", "?list=true"), ("GET", "/?list=true")],
    "scan": [("SCAN", ""), ("SCAN", "/"), ("GET", "?scan=true"), ("GET", "/?scan=true")],
    "write": [("POST", ""), ("PUT", "")],
    "patch": [("PATCH", "")],
    "delete": [("DELETE", "")],
}
WITH_BODY = ("POST", "PUT", "PATCH")


@pytest.fixture(scope="module")
def tokens(dev_server: Server) -> dict[str, str]:
    for policy in POLICIES:
        dev_server.cli("policy", "write", policy, str(FOLDER / f"{policy}.hcl")).ok()
    return {policy: dev_server.token_for(policy) for policy in POLICIES}


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


def test_each_path_has_a_row(mek: Mek) -> None:
    served = mek.served_paths()
    assert "rotate" in served, sorted(served)
    missing = sorted(set(served) - {row.path for row in ROWS})
    assert not missing, (
        f"the engine serves {missing}: add a Row for each to ROWS in {__file__}, with the operations "
        "that each shipped policy shall allow (none, if none), and grant those in plugin/deploy/policies")


@pytest.mark.parametrize("wrap_ttl", ["", "60s"], ids=["plain", "wrapped"])
def test_each_policy_allows_just_its_rows(rotated: Mek, tokens: dict[str, str], wrap_ttl: str) -> None:
    """Every policy on every path with every operation; `default` gives nothing, and root all."""
    before = rotated.snapshot()
    served = rotated.served_paths()
    tokens = tokens | {"default": rotated.server.token_for("default"), "root": rotated.server.token}
    wrong = []
    for row in ROWS:
        for operation, requests in REQUESTS.items():
            for policy, token in tokens.items():
                allowed = policy == "root" or row.allows(policy, operation)
                for method, suffix in requests:
                    path = f"mek/{row.example or row.path}{suffix}"
                    body = row.body if method in WITH_BODY else None
                    reply = rotated.server.http(method, path, body, token, wrap_ttl=wrap_ttl)
                    if problem := _problem(reply, operation, allowed,
                                           operation in served.get(row.path, ()), bool(wrap_ttl)):
                        wrong.append(f"{policy}: {method} {path}: {reply.status} {reply.errors}: "
                                     f"{problem}")
    assert not wrong, f"{len(wrong)} wrong:\n" + "\n".join(wrong)
    assert rotated.snapshot() == before


def _problem(reply: Reply, operation: str, allowed: bool, served: bool, wrap: bool) -> str:
    if not allowed:
        return "" if reply.status == 403 and not reply.data else "not denied"
    if reply.status == 403:
        return "denied"
    # The host wraps a list only from a backend inside it: those of plugins aren't of the Go type that it
    # looks for, and it answers as if there were no such path.
    if not served or (operation == "list" and wrap):
        return "" if reply.status in (404, 405) else "answered, though it isn't served"
    if reply.status >= 500 or reply.status == 405 or "unsupported" in reply.text:
        return "not served"
    if wrap and reply.status == 200 and (reply.data or not reply.body.get("wrap_info")):
        return "not wrapped"
    return ""


def test_a_slash_at_the_end_gives_nobody_anything(rotated: Mek, tokens: dict[str, str]) -> None:
    """But for a list, where it is how a list is asked for."""
    before = rotated.snapshot()
    wrong = []
    for row in ROWS:
        for method in ("GET", "POST", "PATCH", "DELETE"):
            for policy, token in (tokens | {"root": rotated.server.token}).items():
                for suffix in ("/", "%2F"):
                    path = f"mek/{row.example or row.path}{suffix}"
                    body = row.body if method in WITH_BODY else None
                    reply = rotated.server.http(method, path, body, token)
                    if reply.status not in (400, 403, 404, 405) or reply.data:
                        wrong.append(f"{policy}: {method} {path}: {reply.status} {sorted(reply.data)}")
    assert not wrong, f"{len(wrong)} wrong:\n" + "\n".join(wrong)
    assert rotated.snapshot() == before


def test_a_wrapped_reply_opens_once_with_the_wrapping_token_alone(
        rotated: Mek, tokens: dict[str, str]) -> None:
    server = rotated.server
    for path, policy in ((f"data/{SECRET}", READER), ("status", ROTATOR), ("versions/1", AUDITOR)):
        wrapped = server.http("GET", f"mek/{path}", None, tokens[policy], wrap_ttl="60s").ok()
        assert not wrapped.data
        assert not records.shows_secret(wrapped.text, rotated.record())
        wrapping = wrapped.body["wrap_info"]["token"]
        opened = server.http("POST", "sys/wrapping/unwrap", None, wrapping).ok()
        assert opened.data.keys() == rotated.read(path).ok().data.keys()
        assert server.http("POST", "sys/wrapping/unwrap", None, wrapping).status in (400, 403)
        assert server.http("GET", f"mek/{path}", None, wrapping).status == 403


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
