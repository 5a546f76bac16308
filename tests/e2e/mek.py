"""The engine at one mount, in the words of its own operations."""

from __future__ import annotations

import json
import re
from typing import Any

import records
from bao import Reply, Server

SECRET = "encryption/keys/stored_data"
_OPERATIONS = {"get": "read", "post": "write", "patch": "patch", "delete": "delete"}


class Mek:
    """Speaks to one mount over HTTP, as root unless a token is given."""

    def __init__(self, server: Server, mount: str = "mek"):
        self.server = server
        self.mount = mount

    def write(self, path: str, token: str | None = None, /, **fields: Any) -> Reply:
        return self.server.http("POST", f"{self.mount}/{path}", fields, token)

    def read(self, path: str, token: str | None = None, /) -> Reply:
        return self.server.http("GET", f"{self.mount}/{path}", None, token)

    def list(self, path: str, token: str | None = None, /) -> Reply:
        return self.server.http("LIST", f"{self.mount}/{path}", None, token)

    def delete(self, path: str, token: str | None = None, /) -> Reply:
        return self.server.http("DELETE", f"{self.mount}/{path}", None, token)

    def put(self, data: records.Fields, cas: Any = None) -> Reply:
        """A KV v2 put of the record."""
        return self.server.http("POST", f"{self.mount}/data/{SECRET}", _kv_body(data, cas))

    def patch(self, data: records.Fields, cas: Any = None) -> Reply:
        """A KV v2 patch of the record."""
        return self.server.http("PATCH", f"{self.mount}/data/{SECRET}", _kv_body(data, cas))

    def import_record(self, data: records.Fields) -> None:
        """Adopts a record: by `import`, or by its KV v2 backup when it has more than four fields."""
        if set(data) == set(records.FIELDS):
            self.write("import", **data).ok()
        else:
            self.write("import", backup=backup_of(data)).ok()

    def record(self, version: int | None = None) -> records.Fields:
        return self.envelope(version)["data"]

    def version(self) -> int:
        """The live version, as a reader sees it."""
        return self.envelope()["metadata"]["version"]

    def envelope(self, version: int | None = None) -> dict[str, Any]:
        query = f"?version={version}" if version is not None else ""
        return self.read(f"data/{SECRET}{query}").ok().data

    def status(self) -> dict[str, Any]:
        return self.read("status").ok().data

    def snapshot(self) -> tuple[dict[str, Any], list[str]]:
        """All that a refused request must leave alone: the live envelope and the list of versions."""
        live = self.read(f"data/{SECRET}")
        assert live.status in (200, 404), live
        return live.data, self.list("versions").data.get("keys", [])

    def served_paths(self) -> dict[str, set[str]]:
        """The paths in the engine's OpenAPI document, each parameter as {}, with their operations."""
        document = self.server.http("GET", "sys/internal/specs/openapi").ok().body
        found: dict[str, set[str]] = {}
        for path, item in document["paths"].items():
            if not path.startswith(f"/{self.mount}/"):
                continue
            name = re.sub(r"\{[^}]*\}", "{}", path.removeprefix(f"/{self.mount}/").rstrip("/"))
            served = found.setdefault(name, set())
            for method in _OPERATIONS.keys() & item.keys():
                # A list is a get with a parameter `list`; whether there is a read too isn't said.
                marks = {parameter["name"] for parameter in item[method].get("parameters", [])}
                lists = method == "get" and "list" in marks
                served.add("list" if lists else _OPERATIONS[method])
        assert "rotate" in found, sorted(found)
        return found


def backup_of(data: records.Fields, version: int = 1) -> str:
    """A record as `bao kv get -format=json` prints it."""
    return json.dumps({
        "request_id": "2f1d2c3b-0000-4000-8000-000000000001", "lease_id": "", "lease_duration": 0,
        "renewable": False, "warnings": None,
        "data": {"data": data, "metadata": {
            "created_time": "2026-02-01T10:00:00.123456789Z", "custom_metadata": None,
            "deletion_time": "", "destroyed": False, "version": version}}})


def _kv_body(data: records.Fields, cas: Any) -> dict[str, Any]:
    return {"data": data} if cas is None else {"data": data, "options": {"cas": cas}}
