"""Staged rotation, a key's life and the account of readers, by the real CLI, server and agents."""

from __future__ import annotations

import pathlib
import re
import time

import pytest

import consumers
import jose
import records
from bao import wait_until
from mek import SECRET, Mek
from test_agent import POLICY as READER
from test_agent import Agent

TICK = 75  # the host's tick comes once a minute


def test_a_staged_rotation_by_the_command_line(bootstrapped: Mek) -> None:
    bao = bootstrapped.server
    first = bootstrapped.record()["current_kid"]
    before = {field: records.kids_of(bootstrapped.record(), field) for field in ("keys", "private_jwks")}

    staged = bao.json("write", "mek/rotate", "activation=staged", "reason=yearly")["data"]
    assert staged["version"] == 2
    assert staged["current_kid"] == first
    kid = staged["staged_kid"]
    record = bootstrapped.record()
    assert record["current_kid"] == first
    for field in ("keys", "private_jwks"):
        assert records.kids_of(record, field) == before[field] + [kid]

    status = bootstrapped.status()
    assert status["phase"] == "staged"
    assert status["staged_kid"] == kid
    assert "grace period: 47h59m" in status["next_step"] or "grace period: 48h" in status["next_step"]

    refused = bao.cli("write", "-f", "mek/activate")
    assert refused.rc == 2
    assert "Code: 409" in refused.err and "grace period" in refused.err
    assert bao.cli("write", "-f", "mek/rotate").rc == 2
    assert bootstrapped.version() == 2

    active = bao.json("write", "mek/activate", "force=true")
    assert active["data"]["current_kid"] == kid
    assert any("did not wait" in warning for warning in active["warnings"])
    for loaded in consumers.load_all(bootstrapped.record()).values():
        assert loaded.current_kid == kid
        assert [key["kid"] for key in loaded.keys] == [kid] + before["keys"]


def test_what_happens_by_itself_on_the_tick(bootstrapped: Mek) -> None:
    """A staged key becomes current when it is acknowledged; on another mount a key of age is rotated."""
    bao = bootstrapped.server
    bao.cli("secrets", "enable", "-path=aged", "mek").ok()
    aged = Mek(bao, "aged")
    aged.import_record(records.SAMPLES["good_bootstrapped"].data)
    aged.write("config", auto_rotate_period="1h").ok()
    assert aged.status()["phase"] == "overdue"

    bao.cli("write", "mek/config", "grace_period=1s", "required_acks=nvcf-api,api-keys",
            "activation=staged").ok()
    kid = bao.json("write", "-f", "mek/rotate")["data"]["staged_kid"]
    bao.cli("write", "mek/ack", "consumer=nvcf-api", f"kid={kid}").ok()
    time.sleep(2)
    refused = bao.cli("write", "-f", "mek/activate")
    assert "acknowledgement by api-keys" in refused.err
    assert bootstrapped.status()["missing_acks"] == ["api-keys"]
    bao.cli("write", "mek/ack", "consumer=api-keys", f"kid={kid}").ok()
    wait_until(lambda: bootstrapped.version() == 3, "the tick activates the staged key", TICK)
    history = bootstrapped.read("versions/3").ok().data
    assert history["operation"] == "activate"
    assert history["reason"].startswith("automatic")
    assert bootstrapped.record()["current_kid"] == kid

    wait_until(lambda: aged.version() == 2, "the tick rotates the key of age", TICK)
    history = aged.read("versions/2").ok().data
    assert history["operation"] == "rotate"
    assert "auto_rotate_period 1h" in history["reason"]
    assert aged.status()["phase"] == "propagating"
    bao.cli("secrets", "disable", "aged").ok()


def test_a_rollback_abandons_a_staged_key(bootstrapped: Mek) -> None:
    first = bootstrapped.record()["current_kid"]
    kid = bootstrapped.write("rotate", activation="staged").ok().data["staged_kid"]
    bootstrapped.write("rollback", version=1).ok()
    assert bootstrapped.status()["staged_kid"] == ""
    assert bootstrapped.record()["current_kid"] == first
    assert bootstrapped.read(f"keys/{kid}").ok().data["state"] == "retained"


def test_agents_fetch_a_staged_key_within_its_ttl_and_seal_with_the_old_one(
        bootstrapped: Mek, tmp_path: pathlib.Path) -> None:
    """What every service seals after its agent fetched opens with what each had before, and after."""
    first = bootstrapped.record()["current_kid"]
    with Agent(bootstrapped.server, tmp_path, once=False) as agent:
        wait_until(lambda: all((tmp_path / f"{name}.json").exists() for name in consumers.TEMPLATES),
                   "the agent has rendered")
        before = agent.loaded()
        kid = bootstrapped.write("rotate", activation="staged").ok().data["staged_kid"]
        wait_until(lambda: all(kid in [key["kid"] for key in loaded.keys]
                               for loaded in agent.loaded().values()), "every service has the key", 90)
        spread = agent.loaded()
        for service, loaded in spread.items():
            assert loaded.current_kid == first, service
        row = jose.seal_wrapped(spread["api_keys"].current, b"a row")
        assert jose.open_with(before["api_keys"].keys, row) == b"a row"

        bootstrapped.write("activate", force=True).ok()
        wait_until(lambda: all(loaded.current_kid == kid for loaded in agent.loaded().values()),
                   "every service seals with the key", 90)
        sealed = jose.seal_direct(agent.loaded()["ess"].current, b"a namespace's key")
        # One that has not fetched since the staging opens it all the same.
        assert jose.open_with(spread["ess"].keys, sealed) == b"a namespace's key"
        assert jose.open_with(agent.loaded()["api_keys"].keys, row) == b"a row"


def test_the_envelope_tells_agents_to_come_back_soon_only_while_a_key_spreads(bootstrapped: Mek) -> None:
    bootstrapped.server.cli("write", "mek/config", "grace_period=1s").ok()
    time.sleep(1.2)
    assert "ttl" not in bootstrapped.envelope()
    bootstrapped.write("rotate", activation="staged").ok()
    assert bootstrapped.envelope()["ttl"] == 60
    assert bootstrapped.envelope()["rotation_period"] == 60
    reply = bootstrapped.server.cli("kv", "get", f"mek/{SECRET}")
    assert reply.rc == 0, reply.err
    bootstrapped.write("activate", force=True).ok()


def test_readers_are_listed_with_what_they_have(bootstrapped: Mek) -> None:
    bao = bootstrapped.server
    bao.cli("policy", "write", "mek-reader", str(READER)).ok()
    token = bao.token_for("mek-reader", display_name="ess")
    bootstrapped.read(f"data/{SECRET}", token).ok()
    bootstrapped.write("rotate", activation="staged").ok()
    listed = bao.json("list", "-detailed", "mek/readers")["data"]
    (name,) = [name for name, info in listed["key_info"].items()
               if info.get("display_name") == "token-ess"]
    info = listed["key_info"][name]
    assert name.endswith("@127.0.0.1")
    assert info["version"] == 1
    assert info["is_behind"] is True
    status = bootstrapped.status()
    assert status["readers_behind"] >= 1
    assert "token-ess@127.0.0.1" in status["behind"]
    bootstrapped.read(f"data/{SECRET}", token).ok()
    listed = bao.json("list", "-detailed", "mek/readers")["data"]
    assert listed["key_info"][name]["is_behind"] is False
    table = bao.cli("list", "-detailed", "mek/readers").ok().out
    assert "map[" not in table


def test_a_batch_token_is_a_reader_without_a_name_of_its_own(bootstrapped: Mek) -> None:
    bao = bootstrapped.server
    bao.cli("write", "mek/config", "activate_early=true").ok()
    bao.cli("policy", "write", "mek-reader", str(READER)).ok()
    token = bao.token_for("mek-reader", type="batch")
    bootstrapped.read(f"data/{SECRET}", token).ok()
    assert "batch-token@127.0.0.1" in bao.json("list", "mek/readers")


def test_a_keys_life(bootstrapped: Mek) -> None:
    bao = bootstrapped.server
    first = bootstrapped.record()["current_kid"]
    second = bootstrapped.write("rotate").ok().data["current_kid"]
    assert set(bao.json("list", "mek/keys")) == {first, second}
    table = bao.cli("list", "-detailed", "mek/keys").ok().out
    assert re.search(rf"{first}.*retained", table) and re.search(rf"{second}.*current", table), table

    refused = bootstrapped.write(f"keys/{second}/retire")
    assert refused.status == 409 and "rotate first" in refused.errors[0]
    bao.cli("write", "-f", f"mek/keys/{first}/retire").ok()
    assert bao.json("read", f"mek/keys/{first}")["data"]["state"] == "retired"
    assert first not in records.kids_of(bootstrapped.record(), "keys")
    bao.cli("write", "-f", f"mek/keys/{first}/restore").ok()
    assert bao.json("read", f"mek/keys/{first}")["data"]["state"] == "retained"
    bao.cli("write", "-f", f"mek/keys/{first}/compromised").ok()
    rolled = bootstrapped.write("rollback", version=1)
    assert rolled.status == 409 and "compromised" in rolled.errors[0]


def test_only_sudo_destroys_a_key(bootstrapped: Mek) -> None:
    bao = bootstrapped.server
    first = bootstrapped.record()["current_kid"]
    bootstrapped.write("rotate").ok()
    bao.http("PUT", "sys/policies/acl/almost", {
        "policy": 'path "mek/*" { capabilities = ["create", "read", "update", "list"] }'}).ok()
    token = bao.token_for("almost")
    assert bootstrapped.write(f"destroy-key/{first}", token, confirm=first).status == 403
    assert bootstrapped.write(f"destroy-key/{first}", confirm="yes").status == 400
    done = bootstrapped.write(f"destroy-key/{first}", confirm=first).ok()
    assert done.data["deleted_versions"] == "1"
    assert bootstrapped.read(f"keys/{first}").ok().data["state"] == "destroyed"
    gone = bootstrapped.read("versions/1")
    assert gone.status == 409 and "destroyed" in gone.errors[0]
    assert first not in records.kids_of(bootstrapped.record(), "keys")
    assert bootstrapped.read("verify").ok().data["result"] == "ok"


def test_a_schedule_is_checked_and_shown(mek: Mek) -> None:
    mek.write("init").ok()
    bad = mek.write("config", rotation_schedule="99 * * * *")
    assert bad.status == 400 and "minute" in bad.errors[0]
    mek.server.cli("write", "mek/config", "rotation_schedule=0 3 1 */3 *", "rotation_window=4h").ok()
    status = mek.status()
    assert re.fullmatch(r"\d{4}-(01|04|07|10)-01T03:00:00\.0{9}Z", status["next_rotation_time"])


@pytest.mark.parametrize("page, expected", [
    ("?after=1", ["2", "3"]), ("?limit=1", ["1"]), ("?after=1&limit=1", ["2"])])
def test_history_goes_page_by_page(bootstrapped: Mek, page: str, expected: list[str]) -> None:
    bootstrapped.write("rotate").ok()
    bootstrapped.write("rotate", reason="again").ok()
    assert bootstrapped.list(f"versions{page}").ok().data["keys"] == expected
    detailed = bootstrapped.server.cli("list", "-detailed", "mek/versions").ok().out
    assert "again" in detailed and "map[" not in detailed
