"""The audit device's file: what is done stands there, and nothing of a key does."""

from __future__ import annotations

import base64
import json
import pathlib
import re
from collections.abc import Iterator

import pytest

import records
from bao import Server
from mek import SECRET, Mek, backup_of
from records import SAMPLES

BOOTSTRAPPED = SAMPLES["good_bootstrapped"].data
OTHER = SAMPLES["good_rotated_independent"].data


class Audit:
    """The file, and the records whose keys may not stand in it."""

    def __init__(self, path: pathlib.Path):
        self._path = path
        self.secret: list[records.Fields] = []

    def entries(self) -> list[dict]:
        return [json.loads(line) for line in self._path.read_text().splitlines()]

    def found(self) -> list[str]:
        """The lines that show a key in any form; also inside what JSON escapes."""
        forms = {form for record in self.secret for form in records.forms_of_keys(record)}
        shown = []
        for line in self._path.read_bytes().splitlines():
            plain = json.dumps(json.loads(line), ensure_ascii=False).encode()
            if any(form in line or form in plain for form in forms):
                shown.append(line.decode())
        return shown


@pytest.fixture
def audit(tmp_path: pathlib.Path) -> Audit:
    return Audit(tmp_path / "audit.log")


@pytest.fixture
def mek(binary: pathlib.Path, audit: Audit) -> Iterator[Mek]:
    # The API can't make an audit device, and a dev server takes no such stanza.
    stanza = f"""
        audit "file" "file" {{
          description = "all requests and responses"
          options {{ file_path = "{audit._path}" }}
        }}
    """
    with Server.raft({"mek": binary}, stanza) as server:
        server.cli("secrets", "enable", "mek").ok()
        yield Mek(server)


SECRET_ID = "5c1d9c0e-4a35-4a5e-9d0c-77b1f2f3a111"


def do_everything(mek: Mek, audit: Audit) -> None:
    """Each operation of each path, granted and refused."""
    def see() -> None:
        audit.secret.append(mek.record())

    mek.write("init").ok()
    see()
    audit.secret += [BOOTSTRAPPED, OTHER]
    assert mek.write("init").status == 409
    assert mek.write("import", **BOOTSTRAPPED).status == 409
    mek.write("import", force=True, newer_keys="drop", reason="adopt", **BOOTSTRAPPED).ok()
    mek.write("import", force=True, backup=backup_of(OTHER)).ok()
    see()
    assert mek.write("repair").status == 409
    assert mek.write("repair", backup=backup_of(BOOTSTRAPPED)).status == 409
    mek.write("repair", backup=backup_of(OTHER | {"private_jwks": OTHER["keys"]}), dry_run=True).ok()
    mek.write("rotate", reason="yearly").ok()
    see()
    mek.write("rotate", dry_run=True).ok()
    assert mek.write("rotate", cas=1).status == 400
    assert mek.write("rotate", csa=1).status == 400
    mek.write("rollback", version=2, dry_run=True).ok()
    mek.write("rollback", version=3).ok()
    mek.write("rollback", version=2, newer_keys="drop").ok()
    assert mek.write("rollback", version=99).status == 404
    mek.put(OTHER, cas=mek.version()).ok()
    assert mek.put(OTHER, cas=1).status == 400
    mek.patch({"note": "owned by platform"}).ok()
    mek.write("config", max_versions=50).ok()
    for path in ("status", "verify", "config", "versions/1", f"data/{SECRET}",
                 f"data/{SECRET}?version=1", SECRET, f"metadata/{SECRET}"):
        mek.read(path).ok()
    mek.server.http("GET", f"mek/data/{SECRET}", wrap_ttl="60s").ok()
    for path in ("versions", "metadata", "metadata/encryption", "metadata/encryption/keys"):
        mek.list(path).ok()
    for path in (f"delete/{SECRET}", f"undelete/{SECRET}", f"destroy/{SECRET}", f"metadata/{SECRET}"):
        assert mek.write(path, versions=[1]).status == 400
    for path in (f"data/{SECRET}", SECRET, f"metadata/{SECRET}"):
        assert mek.delete(path).status == 400
    kid = mek.write("rotate").ok().data["current_kid"]
    staged = mek.write("rotate", activation="staged").ok().data["staged_kid"]
    see()
    mek.write("ack", consumer="nvcf-api", kid=staged).ok()
    mek.write("activate", force=True).ok()
    for path in ("keys", "readers"):
        mek.list(path).ok()
    mek.read(f"keys/{kid}").ok()
    for action in ("retire", "restore", "compromised"):
        mek.write(f"keys/{kid}/{action}").ok()
    assert mek.write(f"destroy-key/{kid}", confirm="another").status == 400
    mek.write(f"destroy-key/{kid}", confirm=kid).ok()
    mek.write("config/home", address="http://127.0.0.1:1", role_id="engine", secret_id=SECRET_ID).ok()
    mek.read("config/home").ok()
    for token in ("", "s.notatokenatallxxxxxxxxxxxx"):
        assert mek.read(f"data/{SECRET}", token).status == 403
    assert mek.write(SECRET, **OTHER).status == 400
    for sample in records.BROKEN:
        assert mek.put(sample.data).status in (400, 409, 413), sample
    contradicting = dict(OTHER)
    text = records.text_of(OTHER, "keys")
    kept, *_ = records.keys_of(OTHER, "keys")
    other = base64.urlsafe_b64encode(bytes(range(32))).decode().rstrip("=")
    contradicting["keys"] = records.encode(text.replace(kept["k"], other))
    audit.secret.append(contradicting)
    assert mek.put(contradicting).status == 409
    assert mek.write("import", force=True, **contradicting).status == 409


def test_no_key_stands_in_the_audit_file(mek: Mek, audit: Audit) -> None:
    do_everything(mek, audit)
    entries = audit.entries()

    audited = {entry["request"]["path"].removeprefix("mek/").rstrip("/") for entry in entries
               if entry["request"]["path"].startswith("mek/")}
    for path in mek.served_paths():
        pattern = re.escape(path).replace(re.escape("{}"), ".+")
        assert any(re.fullmatch(pattern, name) for name in audited), (
            f"do_everything in {__file__} doesn't use {path}: add what is new there")
    shown = [(entry["response"].get("data") or {}).get("data") for entry in entries
             if entry["type"] == "response" and entry["request"]["operation"] == "read"
             and entry["request"]["path"] == f"mek/data/{SECRET}"]
    shown = [record for record in shown if record]
    assert len(shown) >= 5
    for record in shown:
        assert set(record) >= set(records.FIELDS)
        assert all(value.startswith("hmac-sha256:") for value in record.values())

    assert len(audit.secret) >= 6
    assert audit.found() == []
    assert SECRET_ID not in audit._path.read_text()
    log = mek.server.log()
    assert not any(records.shows_secret(log, record, 20) for record in audit.secret)


def test_the_search_of_the_audit_file_finds_a_key_that_is_there(mek: Mek, audit: Audit) -> None:
    """What stands in a path is written as it is: the search sees it in each form."""
    audit.secret.append(BOOTSTRAPPED)
    assert audit.found() == []
    assert SECRET_ID not in audit._path.read_text()
    k = records.keys_of(BOOTSTRAPPED, "keys")[0]["k"]
    for form in (k, base64.b64encode(f"xx{k}".encode()).decode().replace("/", "_"),
                 base64.urlsafe_b64decode(k + "=").hex()):
        before = len(audit.found())
        mek.read(f"versions/{form}")
        assert len(audit.found()) > before, form
