"""Rotation and rollback in detail: versions, keys, kids, parameters, refusals."""

from __future__ import annotations

import datetime
import time
import uuid
from typing import Any

import pytest

import jose
import records
from mek import SECRET, Mek
from records import SAMPLES, SETS

BOOTSTRAPPED = SAMPLES["good_bootstrapped"].data
MULTICAST = 1 << 40
SEALERS = {"keys": jose.seal_direct, "private_jwks": jose.seal_wrapped}


def kids(mek: Mek, name: str = "keys") -> list[str]:
    return records.kids_of(mek.record(), name)


def versions(mek: Mek) -> list[str]:
    return mek.list("versions").ok().data["keys"]


# One rotation is one version ----------------------------------------------------------------------


def test_one_rotation_by_http_is_one_version(bootstrapped: Mek) -> None:
    reply = bootstrapped.write("rotate").ok().data
    assert reply["version"] == 2
    assert bootstrapped.version() == 2
    assert versions(bootstrapped) == ["1", "2"]
    assert len(kids(bootstrapped)) == len(kids(bootstrapped, "private_jwks")) == 2


def test_one_rotation_by_cli_is_one_version(bootstrapped: Mek) -> None:
    reply = bootstrapped.server.json("write", "-f", "mek/rotate")["data"]
    assert reply["version"] == 2
    assert bootstrapped.version() == 2
    assert versions(bootstrapped) == ["1", "2"]
    assert len(kids(bootstrapped)) == len(kids(bootstrapped, "private_jwks")) == 2


def test_reads_make_no_version(bootstrapped: Mek) -> None:
    before = bootstrapped.snapshot()
    for path in ("status", "verify", "config", "versions/1", f"data/{SECRET}", SECRET,
                 f"metadata/{SECRET}"):
        bootstrapped.read(path).ok()
    assert bootstrapped.snapshot() == before


def test_rotation_says_what_it_did(bootstrapped: Mek) -> None:
    asked = datetime.datetime.now(datetime.timezone.utc)
    reply = bootstrapped.write("rotate", reason="quarterly").ok().data
    record = bootstrapped.record()
    assert reply["version"] == 2
    assert reply["current_kid"] == record["current_kid"] == kids(bootstrapped)[0]
    assert reply["previous_kid"] == BOOTSTRAPPED["current_kid"] == kids(bootstrapped)[1]
    assert not reply["staged_kid"]
    assert reply["key_count"] == 2
    created = datetime.datetime.fromisoformat(reply["created_time"])
    assert abs((created - asked).total_seconds()) < 30
    assert not records.shows_secret(str(reply), record)

    entry = bootstrapped.read("versions/2").ok().data
    assert entry["operation"] == "rotate"
    assert entry["reason"] == "quarterly"
    assert entry["created_time"] == reply["created_time"]
    assert not records.shows_secret(str(entry), record)


def test_five_rotations_are_five_versions_with_ever_later_kids(bootstrapped: Mek) -> None:
    for number in range(2, 7):
        assert bootstrapped.write("rotate").ok().data["version"] == number
    found = kids(bootstrapped)
    assert len(found) == len(set(found)) == 6
    assert kids(bootstrapped, "private_jwks") == found
    times = [records.kid_time(kid) for kid in reversed(found)]
    for earlier, later in zip(times, times[1:]):
        assert later - earlier >= 0.001 - 1e-6
    assert len({key["k"] for name in SETS for key in records.keys_of(bootstrapped.record(), name)}) == 12


# The new key --------------------------------------------------------------------------------------


@pytest.mark.parametrize("sample", records.GOOD, ids=str)
def test_a_new_kid_is_a_version_1_uuid_later_than_all(mek: Mek, sample: records.Sample) -> None:
    mek.import_record(sample.data)
    kid = mek.write("rotate").ok().data["current_kid"]
    assert records.is_uuid1(kid)
    assert uuid.UUID(kid).node & MULTICAST, "a random node id has the multicast bit"
    known = {kid for name in SETS for kid in records.kids_of(sample.data, name)}
    known_times = [records.kid_time(kid) for kid in known if records.is_uuid1(kid)]
    assert records.kid_time(kid) - max(known_times) >= 0.001 - 1e-6
    assert abs(records.kid_time(kid) - time.time()) < 60


def test_two_kids_share_no_node(bootstrapped: Mek) -> None:
    made = [bootstrapped.write("rotate").ok().data["current_kid"] for _ in range(3)]
    assert len({uuid.UUID(kid).node for kid in made}) == 3


@pytest.mark.parametrize("setting, sample, same", [
    ("auto", "good_bootstrapped", False),
    ("auto", "good_rotated_independent", False),
    ("auto", "good_rotated_by_runbook", True),
    ("mirror", "good_bootstrapped", True),
    ("independent", "good_rotated_by_runbook", False),
])
def test_private_key_is_independent_or_mirrored(mek: Mek, setting: str, sample: str, same: bool) -> None:
    data = SAMPLES[sample].data
    mek.import_record(data)
    if setting != "auto":
        mek.write("config", private_jwks=setting).ok()
    assert mek.read("config").ok().data["private_jwks"] == setting
    kid = mek.write("rotate").ok().data["current_kid"]

    record = mek.record()
    ks = [next(key["k"] for key in records.keys_of(record, name) if key["kid"] == kid) for name in SETS]
    assert (ks[0] == ks[1]) == same
    assert records.pairs_of(data) < records.pairs_of(record), "existing keys stay as they are"


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("newer_keys", ["keep", "drop"])
def test_what_was_sealed_before_opens_after(mek: Mek, name: str, newer_keys: str) -> None:
    data = SAMPLES["good_rotated_independent"].data
    mek.import_record(data)
    seal = SEALERS[name]
    sealed = [seal(key, key["kid"].encode()) for key in records.keys_of(data, name)]

    mek.write("rotate").ok()
    rotated = records.keys_of(mek.record(), name)
    current = next(key for key in rotated if key["kid"] == mek.record()["current_kid"])
    newest = seal(current, b"sealed between")
    assert [jose.open_with(rotated, text) for text in sealed] == [
        key["kid"].encode() for key in records.keys_of(data, name)]

    mek.write("rollback", version=1, newer_keys=newer_keys).ok()
    back = records.keys_of(mek.record(), name)
    assert [jose.open_with(back, text) for text in sealed] == [
        key["kid"].encode() for key in records.keys_of(data, name)]
    if newer_keys == "keep":
        assert jose.open_with(back, newest) == b"sealed between"
    else:
        with pytest.raises(jose.CannotOpen):
            jose.open_with(back, newest)
        mek.write("rollback", version=2).ok()
        assert jose.open_with(records.keys_of(mek.record(), name), newest) == b"sealed between"


# cas and other parameters -------------------------------------------------------------------------

CHANGES: dict[str, dict[str, Any]] = {"rotate": {}, "rollback": {"version": 1}}


@pytest.fixture
def at_three(bootstrapped: Mek) -> Mek:
    bootstrapped.write("rotate").ok()
    bootstrapped.write("rotate").ok()
    return bootstrapped


@pytest.mark.parametrize("path", CHANGES)
@pytest.mark.parametrize("cas", [3, "3"], ids=repr)
def test_the_right_cas_is_taken(at_three: Mek, path: str, cas: Any) -> None:
    assert at_three.write(path, cas=cas, **CHANGES[path]).ok().data["version"] == 4


@pytest.mark.parametrize("path", CHANGES)
@pytest.mark.parametrize("cas", [2, 4, 0, "2", 2**63 - 1], ids=repr)
def test_a_wrong_cas_is_refused(at_three: Mek, path: str, cas: Any) -> None:
    before = at_three.snapshot()
    reply = at_three.write(path, cas=cas, **CHANGES[path])
    assert reply.status == 400
    assert "cas" in reply.text and "3" in reply.text
    assert at_three.snapshot() == before


@pytest.mark.parametrize("path", CHANGES)
@pytest.mark.parametrize("cas", [3.5, "x", -1, "-1", 2**63, 2**64 + 3, "", [3], {"n": 3}, True, "3 "],
                         ids=repr)
def test_a_cas_that_is_no_number_is_refused(at_three: Mek, path: str, cas: Any) -> None:
    before = at_three.snapshot()
    reply = at_three.write(path, cas=cas, **CHANGES[path])
    assert reply.status == 400
    assert "cas" in reply.text
    assert at_three.snapshot() == before


@pytest.mark.parametrize("path, fields", [
    ("rotate", {"csa": 1}), ("rotate", {"cas": 3, "frce": True}), ("rotate", {"Cas": 3}),
    ("rollback", {"version": 1, "newerkeys": "drop"}), ("import", {"backups": "x"}),
    ("init", {"version": 1}), ("config", {"grace": "1h"}),
])
def test_an_unknown_parameter_is_refused(at_three: Mek, path: str, fields: dict[str, Any]) -> None:
    before = at_three.snapshot()
    reply = at_three.write(path, **fields)
    assert reply.status == 400
    unknown = set(fields) - {"cas", "version"} if path != "init" else {"version"}
    assert any(name in reply.text for name in unknown), reply
    assert at_three.snapshot() == before


@pytest.mark.parametrize("path, fields", [
    ("rotate", {"dry_run": "maybe"}), ("rotate", {"force": 7}), ("rotate", {"reason": ["a"]}),
    ("rotate", {"activation": "later"}), ("rollback", {"version": 1, "newer_keys": "merge"}),
    ("rollback", {"version": "one"}), ("rollback", {}), ("config", {"grace_period": "soon"}),
    ("config", {"max_versions": -1}), ("config", {"private_jwks": "copy"}),
])
def test_an_ill_typed_parameter_is_refused(at_three: Mek, path: str, fields: dict[str, Any]) -> None:
    before = at_three.snapshot(), at_three.read("config").ok().data
    reply = at_three.write(path, **fields)
    assert reply.status == 400
    assert list(fields or {"version": 1})[-1] in reply.text
    assert (at_three.snapshot(), at_three.read("config").ok().data) == before


@pytest.mark.parametrize("path", CHANGES)
def test_a_dry_run_changes_nothing(at_three: Mek, path: str) -> None:
    before = at_three.snapshot()
    reply = at_three.write(path, dry_run=True, **CHANGES[path]).ok()
    assert at_three.snapshot() == before
    assert versions(at_three) == ["1", "2", "3"]
    made = "(new)" if path == "rotate" else None
    assert reply.data.get("current_kid") in [made, *kids(at_three)]


def test_a_dry_run_checks_cas_too(at_three: Mek) -> None:
    assert at_three.write("rotate", dry_run=True, cas=2).status == 400


def test_a_misspelt_cas_by_the_cli_does_not_rotate(at_three: Mek) -> None:
    done = at_three.server.cli("write", "mek/rotate", "csa=1")
    assert done.rc == 2
    assert "csa" in done.err
    assert at_three.version() == 3


# Rollback -----------------------------------------------------------------------------------------


def test_rollback_keeps_newer_keys_at_the_end(at_three: Mek) -> None:
    first, second, third = (at_three.record(version=n) for n in (1, 2, 3))
    reply = at_three.write("rollback", version=1, reason="bad deploy").ok().data
    assert reply["version"] == 4
    assert reply["current_kid"] == first["current_kid"]
    record = at_three.record()
    assert record["current_kid"] == first["current_kid"]
    assert record["jwe_mapping"] == first["jwe_mapping"]
    for name in SETS:
        found = records.kids_of(record, name)
        assert found[0] == first["current_kid"]
        assert sorted(found[1:]) == sorted([second["current_kid"], third["current_kid"]])
    assert records.pairs_of(record) == records.pairs_of(third)
    entry = at_three.read("versions/4").ok().data
    assert entry["operation"] == "rollback" and entry["reason"] == "bad deploy"


def test_rollback_that_drops_is_exact_and_warns(at_three: Mek) -> None:
    reply = at_three.write("rollback", version=1, newer_keys="drop").ok()
    assert reply.warnings
    assert at_three.record() == at_three.record(version=1) == BOOTSTRAPPED
    assert at_three.record(version=3)["current_kid"] == kids_at(at_three, 3)[0]


def kids_at(mek: Mek, version: int) -> list[str]:
    return records.kids_of(mek.record(version=version), "keys")


def test_a_rollback_can_be_rolled_back(at_three: Mek) -> None:
    third = at_three.record()
    at_three.write("rollback", version=1).ok()
    at_three.write("rollback", version=3).ok()
    assert at_three.record() == third
    assert versions(at_three) == ["1", "2", "3", "4", "5"]


def test_rotation_after_a_rollback_goes_on_from_there(at_three: Mek) -> None:
    newest = records.kid_time(at_three.record()["current_kid"])
    at_three.write("rollback", version=1, newer_keys="drop").ok()
    reply = at_three.write("rotate").ok().data
    assert reply["previous_kid"] == BOOTSTRAPPED["current_kid"]
    assert records.kid_time(reply["current_kid"]) > newest, "later than dropped keys too"


@pytest.mark.parametrize("version, status", [(3, 409), ("3", 409), (4, 404), (99, 404)])
def test_rollback_to_the_live_or_an_unknown_version_is_refused(
        at_three: Mek, version: Any, status: int) -> None:
    before = at_three.snapshot()
    reply = at_three.write("rollback", version=version)
    assert reply.status == status
    assert str(version) in reply.text
    assert at_three.snapshot() == before


def test_versions_that_were_pruned_are_gone(bootstrapped: Mek) -> None:
    assert bootstrapped.read("versions/9").status == 404
    assert bootstrapped.read(f"data/{SECRET}?version=9").status == 404


# Import, init, delete -----------------------------------------------------------------------------


def test_import_over_a_record_needs_force(bootstrapped: Mek) -> None:
    before = bootstrapped.snapshot()
    data = SAMPLES["good_rotated_independent"].data
    refused = bootstrapped.write("import", **data)
    assert refused.status == 409
    assert "force" in refused.text
    assert bootstrapped.snapshot() == before

    bootstrapped.write("import", force=True, **data).ok()
    record = bootstrapped.record()
    for name in SETS:
        assert records.kids_of(record, name) == records.kids_of(data, name) + [
            BOOTSTRAPPED["current_kid"]]


def test_a_forced_import_can_drop(bootstrapped: Mek) -> None:
    data = SAMPLES["good_rotated_independent"].data
    reply = bootstrapped.write("import", force=True, newer_keys="drop", **data).ok()
    assert reply.warnings
    assert bootstrapped.record() == data


def test_another_key_under_a_known_kid_is_refused(bootstrapped: Mek) -> None:
    data = dict(BOOTSTRAPPED)
    text = records.text_of(data, "keys")
    k = records.keys_of(data, "keys")[0]["k"]
    other = records.keys_of(data, "private_jwks")[0]["k"]
    data["keys"] = records.encode(text.replace(k, other))
    before = bootstrapped.snapshot()
    for reply in (bootstrapped.write("import", force=True, **data), bootstrapped.put(data),
                  bootstrapped.patch({"keys": data["keys"]})):
        assert reply.status == 409
        assert BOOTSTRAPPED["current_kid"] in reply.text
        assert not records.shows_secret(reply.text, data)
    assert bootstrapped.snapshot() == before


def test_init_makes_the_first_record_and_only_that(mek: Mek) -> None:
    reply = mek.write("init").ok().data
    assert reply["version"] == 1
    record = mek.record()
    assert set(record) == set(records.FIELDS)
    assert records.is_uuid1(record["current_kid"])
    for name in SETS:
        assert records.kids_of(record, name) == [record["current_kid"]]
    assert len({k for _, _, k in records.pairs_of(record)}) == 2
    assert mek.write("init").status == 409
    assert mek.version() == 1


def test_an_empty_engine_says_so(mek: Mek) -> None:
    assert mek.status()["phase"] == "empty"
    assert mek.read(f"data/{SECRET}").status == 404
    assert mek.read(SECRET).status == 404
    for path, fields in (("rotate", {}), ("rollback", {"version": 1})):
        reply = mek.write(path, **fields)
        assert reply.status in (404, 409), reply
        assert "init" in reply.text and "import" in reply.text, "says what to do"
    assert mek.list("versions").data.get("keys", []) == []


@pytest.mark.parametrize("method, path, body", [
    ("DELETE", f"data/{SECRET}", None),
    ("DELETE", f"metadata/{SECRET}", None),
    ("POST", f"metadata/{SECRET}", {"max_versions": 1}),
    ("POST", f"delete/{SECRET}", {"versions": [1]}),
    ("POST", f"undelete/{SECRET}", {"versions": [1]}),
    ("POST", f"destroy/{SECRET}", {"versions": [1]}),
])
def test_what_would_lose_keys_is_refused_with_the_reason(
        bootstrapped: Mek, method: str, path: str, body: Any) -> None:
    bootstrapped.write("rotate").ok()
    before = bootstrapped.snapshot()
    reply = bootstrapped.server.http(method, f"mek/{path}", body)
    assert reply.status in (400, 405)
    assert len(" ".join(reply.errors)) > 40, "says why, and what to do instead"
    assert bootstrapped.snapshot() == before


def test_flat_fields_are_refused_with_the_hint_to_tune(bootstrapped: Mek) -> None:
    reply = bootstrapped.write(SECRET, **BOOTSTRAPPED)
    assert reply.status == 400
    assert "bao secrets tune -options=version=2" in reply.text
    assert bootstrapped.version() == 1


def test_paths_and_operations_that_are_not_there(bootstrapped: Mek) -> None:
    assert bootstrapped.read("no/such/path").status == 404
    assert bootstrapped.read("rotate").status == 405
    assert bootstrapped.delete("status").status == 405
    assert bootstrapped.write("verify").status == 405
    assert bootstrapped.read("data/some/other/secret").status == 404
    assert bootstrapped.version() == 1


def test_a_record_that_storage_could_not_hold_is_refused(bootstrapped: Mek) -> None:
    before = bootstrapped.snapshot()
    assert bootstrapped.patch({"note": "x" * (2 << 20)}).status == 413
    assert bootstrapped.snapshot() == before


# The KV v2 side -----------------------------------------------------------------------------------


def test_the_envelope_is_the_same_with_and_without_data(bootstrapped: Mek) -> None:
    bootstrapped.write("rotate").ok()
    with_data = bootstrapped.read(f"data/{SECRET}").ok().data
    assert bootstrapped.read(SECRET).ok().data == with_data
    metadata = with_data["metadata"]
    assert metadata["version"] == 2
    assert metadata["deletion_time"] == ""
    assert metadata["destroyed"] is False
    assert metadata["custom_metadata"] is None
    assert bootstrapped.read(f"{SECRET}?version=1").ok().data["data"] == BOOTSTRAPPED


def test_put_and_patch_take_cas(bootstrapped: Mek) -> None:
    data = SAMPLES["good_bootstrapped"].data
    assert bootstrapped.patch({"note": "one"}, cas=1).ok().data["version"] == 2
    assert bootstrapped.patch({"note": "two"}, cas=1).status == 400
    assert bootstrapped.put(data, cas=1).status == 400
    assert bootstrapped.record() == data | {"note": "one"}
    assert bootstrapped.put(data, cas=2).ok().data["version"] == 3
    assert bootstrapped.record() == data


def test_a_put_that_drops_keys_warns(bootstrapped: Mek) -> None:
    bootstrapped.write("rotate").ok()
    reply = bootstrapped.put(BOOTSTRAPPED).ok()
    assert reply.warnings
    assert bootstrapped.record() == BOOTSTRAPPED
    bootstrapped.write("rollback", version=2).ok()
    assert len(kids(bootstrapped)) == 2


def test_metadata_lists_the_versions(bootstrapped: Mek) -> None:
    bootstrapped.write("rotate").ok()
    data = bootstrapped.read(f"metadata/{SECRET}").ok().data
    assert data["current_version"] == 2
    assert sorted(data["versions"]) == ["1", "2"]
    assert data["versions"]["2"]["deletion_time"] == ""
    assert not records.shows_secret(str(data), bootstrapped.record())
