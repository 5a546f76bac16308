"""What stands in storage is damaged, or a newer plugin's: refused, named, and left as it is."""

from __future__ import annotations

import base64
import hashlib
import json
import pathlib
from collections.abc import Callable, Iterator

import pytest

import records
from bao import Server
from mek import SECRET, Mek
from records import SAMPLES

BOOTSTRAPPED = SAMPLES["good_bootstrapped"].data
OTHER = SAMPLES["good_rotated_independent"].data


class Storage:
    """A mount's own storage, seen from below it: sys/raw, behind the engine's back."""

    def __init__(self, mek: Mek):
        self._server = mek.server
        self._mount = mek.mount
        uuid = self._server.http("GET", f"sys/mounts/{mek.mount}").ok().data["uuid"]
        self._prefix = f"sys/raw/logical/{uuid}"

    def list(self, folder: str = "") -> list[str]:
        return self._server.http("LIST", f"{self._prefix}/{folder}").data.get("keys", [])

    def get(self, key: str) -> bytes:
        reply = self._server.http("GET", f"{self._prefix}/{key}?encoding=base64&compressed=false").ok()
        return base64.b64decode(reply.data["value"])

    def put(self, key: str, value: bytes) -> None:
        self._server.http("POST", f"{self._prefix}/{key}", {
            "value": base64.b64encode(value).decode(), "encoding": "base64"}).ok()
        # The engine may remember the last version: it is told by none of this.
        self._server.http("POST", "sys/plugins/reload/backend", {"mounts": [self._mount]}).ok()

    def delete(self, key: str) -> None:
        """Without a word to the engine."""
        self._server.http("DELETE", f"{self._prefix}/{key}").ok()

    def content(self) -> dict[str, bytes]:
        found = {}
        for name in self.list():
            for key in ([name + entry for entry in self.list(name)] if name.endswith("/") else [name]):
                found[key] = self.get(key)
        return found


@pytest.fixture(scope="module")
def node(binary: pathlib.Path) -> Iterator[Server]:
    with Server.raft({"mek": binary}, "raw_storage_endpoint = true") as server:
        server.http("POST", "sys/mounts/keep-alive", {"type": "mek"}).ok()
        yield server


@pytest.fixture
def mek(node: Server) -> Iterator[Mek]:
    """Two versions, and an archived key."""
    node.http("POST", "sys/mounts/mek", {"type": "mek"}).ok()
    mek = Mek(node)
    mek.import_record(OTHER)
    mek.write("import", force=True, newer_keys="drop", **BOOTSTRAPPED).ok()
    mek.write("config", max_versions=50).ok()
    yield mek
    node.http("DELETE", "sys/mounts/mek").ok()


def of_schema(document: bytes, schema: int) -> bytes:
    """The document as a plugin with another schema would write it: whole, with the right checksum."""
    text = document.decode()
    assert text.startswith('{"schema":1,') and json.loads(text)
    body = text[:text.rindex(',"sha256":"')].removeprefix('{"schema":1,')
    body = f'{{"schema":{schema},"new":"member",{body}'
    return f'{body},"sha256":"{hashlib.sha256(body.encode()).hexdigest()}"}}'.encode()


def flip_bit(document: bytes) -> bytes:
    middle = len(document) // 2
    return document[:middle] + bytes([document[middle] ^ 1]) + document[middle + 1:]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda document: document[:len(document) // 2],
    "bit flipped": flip_bit,
    "empty": lambda _: b"",
    "of another type": lambda _: b"[1, 2]",
    "not text": lambda _: b"\xff\x00\xfe" * 100,
    "newer schema": lambda document: of_schema(document, 2),
}
LIVE = "versions/0000000002"
# What changes the record, or reads it.
REQUESTS = (("POST", "rotate", {}), ("POST", "rotate", {"dry_run": True}),
            ("POST", "rotate", {"force": True}), ("POST", "rollback", {"version": 1}), ("POST", "init", {}),
            ("POST", "import", {"force": True} | OTHER),
            ("POST", f"data/{SECRET}", {"data": BOOTSTRAPPED}),
            ("PATCH", f"data/{SECRET}", {"data": {"note": "x"}}), ("GET", f"data/{SECRET}", None),
            ("GET", SECRET, None), ("GET", "status", None), ("GET", "versions/2", None))


@pytest.mark.parametrize("damage", DAMAGES, ids=str)
def test_a_damaged_live_version_is_neither_used_nor_overwritten(mek: Mek, damage: str) -> None:
    storage = Storage(mek)
    whole = storage.get(LIVE)
    storage.put(LIVE, DAMAGES[damage](whole))
    before = storage.content()
    for method, path, body in REQUESTS:
        reply = mek.server.http(method, f"mek/{path}", body)
        assert reply.status in (409, 500), (path, reply)
        said = " ".join(reply.errors)
        assert "version 2" in said, (path, said)
        assert ("newer" if damage == "newer schema" else "damaged") in said, (path, said)
        if damage == "newer schema":
            assert "upgrade" in said, "says what to do"
        assert not records.shows_secret(said, BOOTSTRAPPED)
    verified = mek.read("verify").ok().data
    assert verified["result"] == "fail"
    assert "version 2" in json.dumps(verified)
    assert storage.content() == before
    assert mek.read(f"data/{SECRET}?version=1").ok().data["data"] == OTHER, "what is whole can be read"

    storage.put(LIVE, whole)
    assert mek.record() == BOOTSTRAPPED
    assert mek.write("rotate").ok().data["version"] == 3
    assert mek.read("verify").ok().data["result"] in ("ok", "warn")


def test_a_live_version_lost_under_the_running_process_is_told_and_made_whole_by_a_rotation(mek: Mek) -> None:
    """The process has it in memory, and is the only one that has."""
    storage = Storage(mek)
    storage.delete(LIVE)
    assert mek.record() == BOOTSTRAPPED
    verified = mek.read("verify").ok().data
    assert verified["result"] == "fail"
    assert verified["storage.live_version"].startswith("fail: ")
    assert "version 2, the live one, is missing from storage" in verified["storage.live_version"]
    assert "write rotate before" in verified["storage.live_version"]
    assert mek.write("rotate").ok().data["version"] == 3
    assert mek.read("verify").ok().data["storage.live_version"].startswith("ok: ")
    mek.server.restart()
    assert records.keys_of(mek.record(), "keys")[1:] == records.keys_of(BOOTSTRAPPED, "keys")


def test_a_newer_plugins_version_stops_an_older_one(mek: Mek) -> None:
    """A downgrade: the newer plugin has gone on, and its record is not rotated from the one before."""
    storage = Storage(mek)
    newer = of_schema(storage.get(LIVE), 2)
    storage.put("versions/0000000003", newer)
    reply = mek.write("rotate")
    assert reply.status in (409, 500) and "version 3" in reply.text and "newer" in reply.text
    # The first version that a process writes has a mark behind its number.
    assert [name[:10] for name in storage.list("versions/")] == [f"000000000{n}" for n in (1, 2, 3)]
    mek.server.restart()
    assert mek.write("rotate").status == reply.status, "also after a restart"
    assert storage.get("versions/0000000003") == newer


@pytest.mark.parametrize("damage", DAMAGES, ids=str)
def test_damaged_settings_stop_writes_and_not_readers(mek: Mek, damage: str) -> None:
    storage = Storage(mek)
    whole = storage.get("config")
    storage.put("config", DAMAGES[damage](whole))
    before = storage.content()
    for method, path, body in (("POST", "rotate", {}), ("POST", "config", {"max_versions": 7}),
                               ("GET", "config", None)):
        reply = mek.server.http(method, f"mek/{path}", body)
        assert reply.status in (409, 500) and "config" in reply.text, (path, reply)
    assert mek.record() == BOOTSTRAPPED
    assert storage.content() == before
    storage.put("config", whole)
    assert mek.read("config").ok().data["max_versions"] == 50
    assert mek.write("rotate").ok().data["version"] == 3


@pytest.mark.parametrize("damage", DAMAGES, ids=str)
def test_a_damaged_archive_entry_is_named_and_kept(mek: Mek, damage: str) -> None:
    storage = Storage(mek)
    kid = OTHER["current_kid"]
    whole = storage.get(f"archive/{kid}")
    storage.put(f"archive/{kid}", DAMAGES[damage](whole))
    before = storage.content()[f"archive/{kid}"]
    verified = mek.read("verify").ok().data
    assert verified["result"] == "fail" and kid in json.dumps(verified)
    # A rotation has nothing to do with it.
    assert mek.record() == BOOTSTRAPPED
    mek.write("rotate").ok()
    assert storage.content()[f"archive/{kid}"] == before
    storage.put(f"archive/{kid}", whole)
    assert mek.read("verify").ok().data["result"] in ("ok", "warn")
