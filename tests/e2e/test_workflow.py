"""The shipped workflow: rotates in the engine, copies to a KV v2 secret, by the caller's rights."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

import records
from bao import PROJECT, Reply, Server, wait_until
from mek import SECRET, Mek

FOLDER = PROJECT / "plugin" / "deploy" / "workflows"
NAME = "mek-rotate-and-copy"
KV = "services/all/kv"


class Workflow:
    """The workflow as one with the policy mek-workflow runs it."""

    def __init__(self, server: Server):
        self.server = server
        self.token = server.token_for("mek-workflow")

    def run(self, token: str | None = None, /, **inputs: object) -> Reply:
        path = f"sys/workflows/execute/{NAME}"
        return self.server.http("POST", path, inputs, token or self.token)

    def secret(self) -> dict[str, object]:
        return self.server.http("GET", f"{KV}/data/{SECRET}").data


@pytest.fixture
def workflow(mek: Mek) -> Iterator[Workflow]:
    server = mek.server
    server.cli("secrets", "enable", f"-path={KV}", "-version=2", "kv").ok()
    wait_until(lambda: server.http("GET", f"{KV}/config").status == 200, "KV is ready")
    server.cli("policy", "write", "mek-workflow", str(FOLDER / "mek-workflow.hcl")).ok()
    server.cli("write", f"sys/workflows/manage/{NAME}",
               f"workflow=@{FOLDER / NAME}.hcl").ok()
    yield Workflow(server)
    server.cli("delete", f"sys/workflows/manage/{NAME}").ok()
    server.cli("secrets", "disable", KV).ok()


def put(workflow: Workflow, data: records.Fields) -> None:
    workflow.server.http("POST", f"{KV}/data/{SECRET}", {"data": data}).ok()


def test_rotates_and_copies_the_whole_record(mek: Mek, workflow: Workflow) -> None:
    record = records.SAMPLES["good_bootstrapped"].data | {"owner": "a field of others"}
    mek.import_record(record)
    put(workflow, record)
    put(workflow, record)

    done = workflow.run(reason="quarterly rotation").ok()
    assert done.data == {"version": 2, "kv_version": 3, "current_kid": mek.status()["current_kid"]}
    assert done.data["current_kid"] != record["current_kid"]
    copied = workflow.secret()
    assert copied["data"] == mek.record()
    assert copied["data"]["owner"] == "a field of others"
    assert copied["metadata"]["version"] == 3
    assert mek.read("versions/2").ok().data["reason"] == "quarterly rotation"


def test_the_first_copy_creates_the_secret(bootstrapped: Mek, workflow: Workflow) -> None:
    assert workflow.run().ok().data["kv_version"] == 1
    assert workflow.secret()["data"] == bootstrapped.record(2)


def test_copies_without_rotating(bootstrapped: Mek, workflow: Workflow) -> None:
    workflow.run().ok()
    bootstrapped.write("rollback", version=1).ok()
    done = workflow.run(rotate=False).ok()
    assert done.data == {"version": 3, "kv_version": 2,
                         "current_kid": bootstrapped.record(1)["current_kid"]}
    assert workflow.secret()["data"] == bootstrapped.record(3)


def test_a_change_in_between_is_not_overwritten(bootstrapped: Mek, workflow: Workflow) -> None:
    """Another writes the secret while the workflow runs: acted by a request put into it."""
    put(workflow, bootstrapped.record())
    text = (FOLDER / f"{NAME}.hcl").read_text()
    record = 'request "record" {'
    assert text.count(record) == 1
    meddling = text.replace(record, f"""
        request "another" {{
          operation = "update"
          path      = "{KV}/data/{SECRET}"
          data      = {{ data = {{ current_kid = "by hand" }} }}
        }}
        {record}""")
    workflow.server.http("POST", f"sys/workflows/manage/{NAME}", {"workflow": meddling}).ok()
    refused = workflow.run()
    assert refused.status == 400
    assert "request.[copy (" in refused.text  # the server says where it stopped, not KV's reason
    assert workflow.secret()["data"] == {"current_kid": "by hand"}
    # The rotation stands; copying again mends it.
    assert bootstrapped.version() == 2
    workflow.server.http("POST", f"sys/workflows/manage/{NAME}", {"workflow": text}).ok()
    workflow.run(rotate=False).ok()
    assert workflow.secret()["data"] == bootstrapped.record(2)


def test_acts_with_the_callers_rights_only(bootstrapped: Mek, workflow: Workflow) -> None:
    put(workflow, bootstrapped.record())
    server = workflow.server
    server.http("PUT", "sys/policies/acl/workflow-alone", {
        "policy": f'path "sys/workflows/execute/{NAME}" {{ capabilities = ["update"] }}'}).ok()
    before = bootstrapped.snapshot()
    refused = workflow.run(server.token_for("workflow-alone"))
    assert refused.status >= 400 and "permission denied" in refused.text
    assert bootstrapped.snapshot() == before
    assert workflow.secret()["metadata"]["version"] == 1


def test_shows_no_key(bootstrapped: Mek, workflow: Workflow) -> None:
    put(workflow, bootstrapped.record())
    shown = [workflow.run().ok().text]
    put(workflow, bootstrapped.record())
    server = workflow.server
    shown.append(server.http("GET", f"sys/workflows/manage/{NAME}").text)
    traced = server.http("POST", f"sys/workflows/trace/{NAME}", {}, workflow.token)
    assert traced.status == 403
    shown.append(traced.text)
    keys = set(re.findall(r'"k": ?"([^"]+)"', json.dumps(
        [records.decode(bootstrapped.record()[name]) for name in ("keys", "private_jwks")])))
    assert len(keys) == 4
    for text in [*shown, server.log()]:
        assert not any(key in text for key in keys)
