"""Every record of tests/records: the good ones live on, the broken ones change nothing."""

from __future__ import annotations

import re

import pytest

import consumers
import records
from mek import Mek, backup_of
from records import BROKEN, GOOD, SAMPLES, SETS, Fields, Sample

# What the refusal of each broken record says, as a regular expression: the rule, not the value.
REFUSALS = {
    "bad_current_absent": r"current_kid .*(is not in keys|is in no set)",
    "bad_current_not_first": r"current_kid must be the first key",
    "bad_deep_json": r"keys .*(nested|deep)",
    "bad_duplicate_kid": r"keys\[2\].*same kid .*twice",
    "bad_duplicate_member": r"keys .*twice",
    "bad_empty_current_kid": r"current_kid.* is empty",
    "bad_empty_jwe_mapping": r"jwe_mapping.* is empty",
    "bad_empty_keys": r"keys.* is empty",
    "bad_empty_private_jwks": r"private_jwks.* is empty",
    "bad_keys_is_array": r"keys .*no JSON object with an array",
    "bad_keys_not_base64": r"keys is not base64",
    "bad_keys_not_json": r"keys .*(not valid JSON|does not decode to JSON)",
    "bad_kid_number": r"keys\[1\].*kid is not a string",
    "bad_kid_quote": r"keys\[1\].*kid must be .*characters",
    "bad_kid_too_long": r"keys\[1\].*kid must be .*128",
    "bad_long_key": r"k is \d+ bytes long: expected 32",
    "bad_mapping_empty": r"jwe_mapping has no payload_jwe_kid",
    "bad_mapping_mismatch": r"payload_jwe_kid must equal current_kid",
    "bad_mapping_not_json": r"jwe_mapping .*(not valid JSON|hold JSON)",
    "bad_missing_current_kid": r"current_kid.* is missing",
    "bad_missing_jwe_mapping": r"jwe_mapping.* is missing",
    "bad_missing_keys": r"keys.* is missing",
    "bad_missing_private_jwks": r"private_jwks.* is missing",
    "bad_no_k": r"k is missing",
    "bad_no_keys": r"keys holds no key",
    "bad_no_kid": r"keys\[1\].*kid is missing",
    "bad_number_current_kid": r"current_kid(:| is not a string).*",
    "bad_number_jwe_mapping": r"jwe_mapping(:| is not a string).*",
    "bad_number_keys": r"keys(:| is not a string).*",
    "bad_number_private_jwks": r"private_jwks(:| is not a string).*",
    "bad_padded_k": r"k is not base64url",
    "bad_private_lacks_current": r"private_jwks lacks current_kid",
    "bad_private_short_key": r"private_jwks\[\d\].*k is \d+ bytes long: expected 32",
    "bad_short_key": r"keys\[\d\].*k is \d+ bytes long: expected 32",
    "bad_std_base64_k": r"k is not base64url",
    "bad_wrong_alg": r'alg must be "A256GCM"',
    "bad_wrong_kty": r'kty must be "oct"',
    "bad_wrong_use": r'use must be "enc"',
}

# The broken records are this one with one thing wrong.
SOUND = SAMPLES["good_rotated_independent"].data


def test_every_broken_record_has_its_refusal() -> None:
    assert sorted(REFUSALS) == sorted(str(sample) for sample in BROKEN)


@pytest.mark.parametrize("sample", GOOD, ids=str)
def test_a_good_record_is_adopted_as_it_is(mek: Mek, sample: Sample) -> None:
    mek.import_record(sample.data)
    assert mek.record() == sample.data
    assert mek.version() == 1


@pytest.mark.parametrize("sample", GOOD, ids=str)
def test_a_good_record_is_put_as_it_is(mek: Mek, sample: Sample) -> None:
    mek.write("init").ok()
    reply = mek.put(sample.data).ok()
    assert reply.data["version"] == 2
    assert mek.record() == sample.data


@pytest.mark.parametrize("sample", GOOD, ids=str)
def test_a_good_record_survives_rotation_and_rollback(mek: Mek, sample: Sample) -> None:
    mek.import_record(sample.data)

    rotated_reply = mek.write("rotate").ok().data
    rotated = mek.record()
    assert rotated_reply["version"] == 2
    assert rotated_reply["previous_kid"] == sample.data["current_kid"]
    new_kid = rotated_reply["current_kid"]
    assert rotated["current_kid"] == new_kid
    assert records.kids_of(rotated, "keys") == [new_kid] + records.kids_of(sample.data, "keys")
    assert_kept(sample.data, rotated)
    assert len(records.pairs_of(rotated)) == len(records.pairs_of(sample.data)) + 2
    consumers.load_all(rotated)

    mek.write("rollback", version=1).ok()
    back = mek.record()
    assert back["current_kid"] == sample.data["current_kid"]
    for name in SETS:
        assert records.kids_of(back, name) == records.kids_of(sample.data, name) + [new_kid]
    assert records.pairs_of(back) == records.pairs_of(rotated)
    assert back["jwe_mapping"] == sample.data["jwe_mapping"]
    assert_kept(sample.data, back)
    assert_kept(rotated, back)
    consumers.load_all(back)

    mek.write("rollback", version=1, newer_keys="drop").ok()
    assert mek.record() == sample.data
    assert mek.record(version=1) == sample.data
    assert mek.record(version=2) == rotated
    assert mek.version() == 4


def assert_kept(before: Fields, after: Fields) -> None:
    """Each old JWK with its text, and all that is no key with its text and its place."""
    for name in SETS:
        old, new = records.key_texts(before, name), records.key_texts(after, name)
        assert {kid: new[kid] for kid in old} == old
        order = [kid for kid in new if kid in old]
        assert sorted(order) == sorted(old)
        assert records.other_members(after, name) == records.other_members(before, name)
    assert records.other_members(after, "jwe_mapping") == records.other_members(before, "jwe_mapping")
    extra = {name: value for name, value in before.items() if name not in records.FIELDS}
    assert {name: after.get(name) for name in extra} == extra


@pytest.mark.parametrize("sample", BROKEN, ids=str)
def test_a_broken_record_is_refused_everywhere(mek: Mek, sample: Sample) -> None:
    def refuse(reply, where: str) -> None:
        assert reply.status == 400, (where, reply)
        message = " ".join(reply.errors)
        assert re.search(REFUSALS[sample.name], message, re.S), (where, message)
        assert not records.shows_secret(reply.text, sample.data), (where, "a value is shown")

    refuse(mek.write("import", backup=backup_of(sample.data)), "import of a backup")
    assert mek.status()["phase"] == "empty"
    assert mek.list("versions").data.get("keys", []) == []

    mek.import_record(SOUND)
    before = mek.snapshot()
    refuse(mek.write("import", force=True, backup=backup_of(sample.data)), "forced import")
    refuse_fields = mek.write("import", force=True, **sample.data)
    assert refuse_fields.status == 400, refuse_fields
    assert not records.shows_secret(refuse_fields.text, sample.data)
    refuse(mek.put(sample.data), "put")
    # A patch says that a field goes by giving it null.
    refuse(mek.patch({name: None for name in SOUND} | sample.data), "patch")
    assert mek.snapshot() == before

    for line in mek.server.log()[mek.server.log_mark:].splitlines():
        assert not records.shows_secret(line, sample.data), "the log shows a value"


def test_the_four_fields_are_taken_from_files(bootstrapped: Mek) -> None:
    """`bao write mek/import keys=@keys.txt …`, as the CLI sends it."""
    data = SAMPLES["good_rotated_independent"].data
    for name, text in data.items():
        (bootstrapped.server.home / name).write_text(text)
    done = bootstrapped.server.json("write", "mek/import", "force=true",
                                    *(f"{name}=@{name}" for name in data))
    assert done["data"]["version"] == 2
    record = bootstrapped.record()
    assert record["current_kid"] == data["current_kid"]
    assert records.pairs_of(data) < records.pairs_of(record)


def test_a_backup_is_taken_as_the_cli_prints_it(mek: Mek) -> None:
    """`bao kv get -format=json … > mek_backup.json; bao write mek/import backup=@mek_backup.json`."""
    server = mek.server
    data = SAMPLES["good_fifth_field"].data
    server.cli("secrets", "enable", "-path=old", "-version=2", "kv").ok()
    try:
        server.http("POST", "old/data/encryption/keys/stored_data", {"data": data}).ok()
        backup = server.cli("kv", "get", "-format=json", "old/encryption/keys/stored_data").ok().out
        (server.home / "mek_backup.json").write_text(backup)
        server.cli("write", "mek/import", "backup=@mek_backup.json").ok()
        assert mek.record() == data
    finally:
        server.cli("secrets", "disable", "old").ok()


def test_a_current_kid_that_is_no_uuid1_is_adopted_with_a_warning(mek: Mek) -> None:
    data = SAMPLES["good_bootstrapped"].data
    other = {name: text for name, text in data.items() if name not in SETS}
    kid = data["current_kid"]
    for name in SETS:
        text = records.text_of(data, name).replace(kid, "mek-2019")
        other[name] = records.encode(text)
    other["current_kid"] = "mek-2019"
    other["jwe_mapping"] = data["jwe_mapping"].replace(kid, "mek-2019")

    reply = mek.write("import", **other).ok()
    assert any("UUID" in warning for warning in reply.warnings), reply
    assert mek.record() == other
    assert mek.read("verify").ok().data["result"] == "fail"
    mek.write("rotate").ok()
    assert mek.read("verify").ok().data["result"] in ("ok", "warn")
    assert records.kids_of(mek.record(), "keys")[1:] == ["mek-2019"]
