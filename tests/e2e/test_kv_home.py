"""The record in the KV v2 secret where it lives today, rotated in place on the real server."""

from __future__ import annotations

import contextlib
import json
import pathlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from jwcrypto import jwk, jwt

import consumers
import jose
import records
from bao import PROJECT, Server, wait_until
from mek import SECRET, Mek
from records import SAMPLES
from test_agent import Agent

KV = "services/all/kv"
POLICY = PROJECT / "plugin" / "deploy" / "kv" / "mek-kv-writer.hcl"
READER = 'path "services/all/kv/data/*" { capabilities = ["read"] }\n'


class Secret:
    """The KV v2 secret, as its readers and other hands see it."""

    def __init__(self, server: Server):
        self.server = server

    def put(self, data: records.Fields) -> None:
        self.server.http("POST", f"{KV}/data/{SECRET}", {"data": data}).ok()

    def read(self, version: int = 0) -> dict[str, Any]:
        return self.server.http("GET", f"{KV}/data/{SECRET}?version={version}").ok().data

    def record(self) -> records.Fields:
        return self.read()["data"]

    def version(self) -> int:
        return self.read()["metadata"]["version"]


def lay_out(server: Server, sample: str) -> Secret:
    """The platform as it is: the secret, and a login for the engine that may do what it must."""
    server.cli("secrets", "enable", f"-path={KV}", "-version=2", "kv").ok()
    secret = Secret(server)
    # The engine takes a moment to set itself up as version 2.
    wait_until(lambda: server.http("POST", f"{KV}/data/{SECRET}",
                                   {"data": SAMPLES[sample].data}).status == 200, "KV v2 is ready")
    server.cli("policy", "write", "mek-kv-writer", str(POLICY)).ok()
    server.cli("auth", "enable", "approle").ok()
    server.cli("write", "auth/approle/role/mek", "token_policies=mek-kv-writer", "token_ttl=1h").ok()
    return secret


def approle(server: Server) -> list[str]:
    role_id = server.json("read", "auth/approle/role/mek/role-id")["data"]["role_id"]
    secret_id = server.json("write", "-f", "auth/approle/role/mek/secret-id")["data"]["secret_id"]
    return ["auth_method=approle", f"role_id={role_id}", f"secret_id={secret_id}"]


@pytest.fixture
def secret(mek: Mek) -> Iterator[Secret]:
    """The bootstrapped record in KV, beside an engine that is empty."""
    yield lay_out(mek.server, "good_bootstrapped")
    mek.server.cli("secrets", "disable", KV).ok()
    mek.server.cli("auth", "disable", "approle").ok()


@pytest.fixture
def adopted(mek: Mek, secret: Secret) -> Mek:
    set_home(mek.server, *approle(mek.server))
    return mek


def set_home(server: Server, *login: str) -> dict[str, Any]:
    done = server.cli("write", "-format=json", "mek/config/home", "type=kv",
                      f"address={server.address}", *login).ok()
    return done.json


def test_from_the_secret_to_the_engine_by_the_command_line(mek: Mek, secret: Secret) -> None:
    """The way of plugin/deploy/ADOPT.md, with what each step shows."""
    bao = mek.server
    bao.cli("kv", "metadata", "delete", f"-mount={KV}", SECRET).ok()
    secret.put(SAMPLES["good_rotated_by_runbook"].data)
    login = approle(bao)
    home = set_home(bao, *login)
    assert home["data"]["connection"] == "ok"
    assert home["data"]["missing_capabilities"] == []
    assert home["data"]["kv_version"] == 1
    assert any("cas-required" in warning for warning in home["warnings"])
    secret_id = login[2].removeprefix("secret_id=")
    for shown in (json.dumps(home), bao.cli("read", "mek/config/home").ok().out, bao.log()):
        assert secret_id not in shown
    bao.cli("kv", "metadata", "put", f"-mount={KV}", "-cas-required=true", SECRET).ok()
    assert bao.json("read", "mek/config/home")["data"]["cas_required"] is True

    status = bao.json("read", "mek/status")["data"]
    assert status["home"] == "kv"
    assert status["version"] == 1
    assert status["current_kid"] == secret.record()["current_kid"]
    listed = bao.cli("list", "-detailed", "mek/versions").ok().out
    assert listed.count("external") == 1

    before = secret.record()
    rotated = bao.json("write", "mek/rotate", "cas=1", "reason=the first in place")["data"]
    assert rotated["version"] == secret.version() == 2
    assert secret.record()["current_kid"] == rotated["current_kid"]
    assert records.pairs_of(before) < records.pairs_of(secret.record())
    assert mek.record() == secret.record()
    for loaded in consumers.load_all(secret.record()).values():
        assert loaded.current_kid == rotated["current_kid"]
    # The runbook has overwritten the payload keys, or the platform wants them so: verify says it.
    verified = bao.json("read", "mek/verify")["data"]
    assert verified["result"] in ("ok", "warn"), verified
    assert bao.cli("write", "mek/rotate", "cas=1").rc == 2
    assert secret.version() == 2


def test_every_change_is_one_version(adopted: Mek, secret: Secret) -> None:
    first = secret.record()["current_kid"]
    kid = adopted.write("rotate", activation="staged").ok().data["staged_kid"]
    assert secret.version() == 2
    assert secret.record()["current_kid"] == first
    assert records.kids_of(secret.record(), "private_jwks") == [first, kid]
    adopted.write("activate", force=True).ok()
    assert secret.version() == 3
    assert secret.record()["current_kid"] == kid
    adopted.write("rollback", version=1).ok()
    assert secret.version() == 4
    assert records.kids_of(secret.record(), "keys") == [first, kid]
    adopted.write(f"keys/{kid}/retire").ok()
    assert records.kids_of(secret.record(), "keys") == [first]
    adopted.write(f"keys/{kid}/restore").ok()
    assert secret.version() == 6
    adopted.put(secret.read(3)["data"], cas=6).ok()
    assert secret.record() == secret.read(3)["data"]
    assert adopted.list("versions").data["keys"] == ["1", "2", "3", "4", "5", "6", "7"]
    assert adopted.read("verify").ok().data["result"] == "ok"


def test_back_to_a_version_that_kv_has_pruned(adopted: Mek, secret: Secret) -> None:
    bao = adopted.server
    bao.cli("kv", "metadata", "put", f"-mount={KV}", "-max-versions=2", SECRET).ok()
    first = secret.record()
    for _ in range(3):
        adopted.write("rotate").ok()
    assert bao.http("GET", f"{KV}/data/{SECRET}?version=1").status == 404
    adopted.write("rollback", version=1).ok()
    assert secret.version() == 5
    assert secret.record()["current_kid"] == first["current_kid"]
    assert len(records.kids_of(secret.record(), "keys")) == 4


def test_a_change_by_hand_is_respected(adopted: Mek, secret: Secret) -> None:
    adopted.write("rotate").ok()
    secret.put(SAMPLES["good_rotated_independent"].data)
    assert adopted.write("rotate", cas=2).status in (400, 409)
    rotated = adopted.write("rotate").ok().data
    assert rotated["version"] == secret.version() == 4
    assert rotated["previous_kid"] == SAMPLES["good_rotated_independent"].data["current_kid"]
    assert adopted.read("versions/3").ok().data["operation"] == "external"
    # What that hand dropped can come back.
    assert adopted.read("verify").ok().data["result"] == "fail"
    adopted.write("rollback", version=2).ok()
    assert adopted.read("verify").ok().data["result"] == "ok"


def test_login_by_jwt(mek: Mek, secret: Secret, tmp_path: pathlib.Path) -> None:
    bao = mek.server
    key = jwk.JWK.generate(kty="EC", crv="P-256")
    bao.cli("auth", "enable", "jwt").ok()
    bao.cli("write", "auth/jwt/config",
            f"jwt_validation_pubkeys={key.export_to_pem().decode()}").ok()
    bao.http("POST", "auth/jwt/role/mek", {
        "role_type": "jwt", "user_claim": "sub", "bound_audiences": [bao.address],
        "bound_subject": "system:serviceaccount:vault:openbao",
        "token_policies": ["mek-kv-writer"], "token_period": "12h"}).ok()
    token = jwt.JWT(header={"alg": "ES256"}, claims={
        "sub": "system:serviceaccount:vault:openbao", "aud": bao.address,
        "iat": int(time.time()), "exp": int(time.time()) + 600})
    token.make_signed_token(key)
    path = tmp_path / "token"
    path.write_text(token.serialize())
    home = set_home(bao, "auth_method=jwt", "role=mek", f"jwt_path={path}")
    assert home["data"]["connection"] == "ok"
    mek.write("rotate").ok()
    assert secret.version() == 2
    bao.cli("auth", "disable", "jwt").ok()


def test_login_by_token_and_by_a_wrapped_secret_id(mek: Mek, secret: Secret) -> None:
    bao = mek.server
    token = bao.token_for("mek-kv-writer", period="1h")
    assert set_home(bao, "auth_method=token", f"token={token}")["data"]["connection"] == "ok"
    mek.write("rotate").ok()
    bao.http("POST", "auth/token/revoke", {"token": token})
    refused = mek.write("rotate")
    assert refused.status == 409 and "403" in refused.errors[0]
    assert token not in refused.text

    role_id = approle(bao)[1]
    wrapped = bao.cli("write", "-f", "-wrap-ttl=60s", "-field=wrapping_token",
                      "auth/approle/role/mek/secret-id").ok().out.strip()
    login = ["auth_method=approle", role_id, f"wrapped_secret_id={wrapped}"]
    assert set_home(bao, *login)["data"]["connection"] == "ok"
    mek.write("rotate").ok()
    assert secret.version() == 3
    again = bao.cli("write", "mek/config/home", *login)
    assert again.rc == 2 and "can't be unwrapped" in again.err


def test_a_revoked_token_leads_to_a_new_login(adopted: Mek, secret: Secret) -> None:
    bao = adopted.server
    adopted.write("rotate").ok()
    for accessor in bao.json("list", "auth/token/accessors"):
        about = bao.http("POST", "auth/token/lookup-accessor", {"accessor": accessor})
        if about.data.get("path") == "auth/approle/login":
            bao.http("POST", "auth/token/revoke-accessor", {"accessor": accessor}).ok()
    adopted.write("rotate").ok()
    assert secret.version() == 3


def test_a_policy_that_lacks_something_is_told(mek: Mek, secret: Secret) -> None:
    bao = mek.server
    bao.http("PUT", "sys/policies/acl/mek-kv-writer", {
        "policy": f'path "{KV}/data/{SECRET}" {{ capabilities = ["read"] }}'}).ok()
    login = approle(bao)
    assert bao.cli("write", "mek/config/home", "type=kv", f"address={bao.address}", *login).rc == 2
    done = bao.cli("write", "-format=json", "mek/config/home", "type=mount",
                   f"address={bao.address}", *login).ok().json["data"]
    assert done["connection"].startswith("fail")
    assert done["missing_capabilities"] == [
        f"create on {KV}/data/{SECRET}", f"update on {KV}/data/{SECRET}",
        f"read on {KV}/metadata/{SECRET}"]


def test_back_home_with_nothing_lost(adopted: Mek, secret: Secret) -> None:
    bao = adopted.server
    adopted.write("rotate").ok()
    staged = adopted.write("rotate", activation="staged").ok().data["staged_kid"]
    in_kv = secret.record()
    bao.cli("write", "mek/config/home", "type=mount").ok()
    assert adopted.status()["home"] == "mount"
    assert adopted.status()["staged_kid"] == staged
    assert adopted.record() == in_kv
    adopted.write("activate", force=True).ok()
    assert secret.version() == 3
    assert secret.record() == in_kv
    assert records.pairs_of(adopted.record()) == records.pairs_of(in_kv)
    # And back into the same secret, with what was rotated in between.
    adopted.write("rotate").ok()
    in_mount = adopted.record()
    refused = bao.cli("write", "mek/config/home", "type=kv")
    assert refused.rc == 2 and "take=kv or take=mount" in refused.err
    assert secret.version() == 3
    bao.cli("write", "mek/config/home", "type=kv", "take=mount").ok()
    assert secret.version() == 4
    assert secret.record() == adopted.record()
    assert secret.record()["current_kid"] == in_mount["current_kid"]
    assert records.pairs_of(secret.record()) == records.pairs_of(in_mount)
    assert adopted.read("verify").ok().data["result"] == "ok"


def test_what_the_runbook_overwrote_comes_back(mek: Mek, secret: Secret) -> None:
    """Rows that api-keys sealed before the runbook's rotation open again, and later ones still can."""
    bao = mek.server
    good = secret.record()
    kid = good["current_kid"]
    row = jose.seal_wrapped(consumers.load_all(good)["api_keys"].current, b"a row")
    secret.put(good | {"private_jwks": good["keys"]})
    overwritten = consumers.load_all(secret.record())["api_keys"]
    with pytest.raises(jose.CannotOpen):
        jose.open_with(overwritten.keys, row)
    later = jose.seal_wrapped(overwritten.current, b"a later row")
    set_home(bao, *approle(bao))
    verified = bao.json("read", "mek/verify")["data"]
    assert verified["result"] == "fail"
    assert f"another key in the place of kid {kid} of private_jwks with version 2" in \
        verified["rotation.nothing_taken_out"]
    tried = bao.cli("write", "mek/repair", "dry_run=true").ok()
    assert f"private_jwks {kid}" in tried.out
    assert secret.version() == 2
    repaired = bao.cli("write", "mek/repair", "cas=2", "reason=the runbook's damage").ok()
    assert not records.shows_secret(repaired.out + repaired.err, good)
    assert secret.version() == 3
    assert secret.record() == good
    assert jose.open_with(consumers.load_all(secret.record())["api_keys"].keys, row) == b"a row"
    assert bao.json("read", "mek/verify")["data"]["result"] == "ok"
    # What was sealed in between opens with the other key, which is still to be had.
    between = consumers.load_all(mek.record(2))["api_keys"]
    assert jose.open_with(between.keys, later) == b"a later row"
    again = bao.cli("write", "-f", "mek/repair")
    assert again.rc == 2 and "there is nothing to repair" in again.err


def test_what_the_migration_job_dropped_comes_back(adopted: Mek, secret: Secret) -> None:
    adopted.write("rotate").ok()
    before = secret.record()
    fresh = SAMPLES["good_rotated_independent"].data
    secret.put(fresh)
    repaired = adopted.write("repair").ok().data
    assert len(repaired["added"]) == 4
    assert secret.record()["current_kid"] == fresh["current_kid"]
    assert records.pairs_of(secret.record()) == records.pairs_of(before) | records.pairs_of(fresh)
    assert adopted.read("verify").ok().data["result"] == "ok"


def test_agents_render_from_the_secret_before_and_after(
        adopted: Mek, secret: Secret, tmp_path: pathlib.Path) -> None:
    policy = tmp_path / "services-all-kv-ro.hcl"
    policy.write_text(READER)
    first = secret.record()["current_kid"]
    with Agent(adopted.server, tmp_path, once=False, mount=KV, policy=policy) as agent:
        wait_until(lambda: all((tmp_path / f"{name}.json").exists() for name in consumers.TEMPLATES),
                   "the agent has rendered")
        before = agent.loaded()
        assert before == consumers.load_all(secret.record())
        row = jose.seal_wrapped(before["api_keys"].current, b"a row")
        for change, current in (({"activation": "staged"}, first), ({"force": True}, None)):
            kid = adopted.write("rotate", **change).ok().data["current_kid"]
            wanted = current or kid
            wait_until(lambda: agent.loaded() == consumers.load_all(secret.record()),
                       "every service has what the secret holds", 30)
            for service, loaded in agent.loaded().items():
                assert loaded.current_kid == wanted, service
            assert jose.open_with(agent.loaded()["api_keys"].keys, row) == b"a row"
        adopted.write("rollback", version=1).ok()
        wait_until(lambda: all(loaded.current_kid == first for loaded in agent.loaded().values()),
                   "every service is back", 30)
        assert len(agent.loaded()["ess"].keys) == 3


def test_tls_seal_and_restart_on_raft(binary: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """The engine rotates through a TLS listener of its own server, which seals under it."""
    certificate, key, port = make_certificate(tmp_path)
    settings = f"""
        listener "tcp" {{
          address       = "127.0.0.1:{port}"
          tls_cert_file = "{certificate}"
          tls_key_file  = "{key}"
        }}"""
    with Server.raft({"mek": binary}, settings=settings) as server:
        server.cli("secrets", "enable", "mek").ok()
        mek = Mek(server)
        secret = lay_out(server, "good_bootstrapped")
        login = approle(server)
        refused = server.cli("write", "mek/config/home", "type=kv",
                             f"address=https://localhost:{port}", *login)
        assert refused.rc == 2 and "certificate is not accepted" in refused.err
        server.cli("write", "mek/config/home", "type=kv", f"address=https://localhost:{port}",
                   f"ca_cert=@{certificate}", *login).ok()
        mek.write("rotate").ok()
        assert secret.version() == 2

        stop = threading.Event()

        def rotate() -> None:
            # Each on a connection of its own, until the server refuses.
            while not stop.is_set():
                with contextlib.suppress(OSError, AssertionError, json.JSONDecodeError):
                    mek.write("rotate", force=True)

        threads = [threading.Thread(target=rotate) for _ in range(3)]
        for thread in threads:
            thread.start()
        wait_until(lambda: secret.version() >= 4, "rotations are under way")
        began = time.monotonic()
        server.http("PUT", "sys/seal").ok()
        assert time.monotonic() - began < 30
        stop.set()
        for thread in threads:
            thread.join(60)
        server.unseal()
        wait_until(lambda: mek.read("status").status == 200, "the engine is back")
        before = secret.version()
        rotated = mek.write("rotate").ok().data
        assert rotated["version"] == secret.version() == before + 1
        assert len(records.kids_of(secret.record(), "keys")) == secret.version()
        assert mek.read("verify").ok().data["result"] == "ok"


def make_certificate(folder: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path, int]:
    import datetime
    import socket

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "bao")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (x509.CertificateBuilder().subject_name(name).issuer_name(name)
            .public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
            .sign(key, hashes.SHA256()))
    certificate, key_file = folder / "cert.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM,
                                           serialization.PrivateFormat.TraditionalOpenSSL,
                                           serialization.NoEncryption()))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return certificate, key_file, listener.getsockname()[1]
