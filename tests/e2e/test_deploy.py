"""The shipped server configuration: registers the plugin and initialises a new server by itself."""

from __future__ import annotations

import pathlib
import re
import secrets

from bao import PROJECT, Server, sha256, wait_until
from mek import Mek

FOLDER = PROJECT / "plugin" / "deploy"


def plugin_stanza(binary: pathlib.Path) -> str:
    """From openbao.hcl, with this binary's sum."""
    text = (FOLDER / "server" / "openbao.hcl").read_text()
    stanza = re.search(r'^plugin "secret" "mek" \{.*?^\}', text, re.S | re.M)
    auto = re.search(r"^plugin_auto_register = true$", text, re.M)
    assert stanza and auto
    return f"{auto[0]}\n{stanza[0]}".replace("<64 hexadecimal digits>", sha256(binary))


def test_the_plugin_stanza_registers_the_binary(binary: pathlib.Path) -> None:
    with Server.raft({}, plugin_stanza(binary),
                     install={"openbao-plugin-secrets-mek": binary}) as server:
        server.cli("secrets", "enable", "mek").ok()
        assert Mek(server).write("init").ok().data["version"] == 1
        mounted = server.json("secrets", "list", "-detailed")["mek/"]
        assert mounted["running_plugin_version"] == "v0.1.0"
        assert mounted["running_sha256"] == sha256(binary)


def test_a_new_server_initialises_itself(binary: pathlib.Path) -> None:
    initialize = (FOLDER / "server" / "initialize.hcl").read_text()
    initialize = initialize.replace("/openbao/policies", str(FOLDER / "policies"))
    # The way to log in that the file leaves to its reader.
    login = """
        initialize "login" {
          request "enable" {
            operation = "update"
            path      = "sys/auth/userpass"
            data      = { type = "userpass" }
          }
          request "user" {
            operation = "update"
            path      = "auth/userpass/users/ann"
            data      = { password = "a throw-away", token_policies = "mek-operator,mek-auditor" }
          }
        }
        seal "static" {
          current_key_id = "one"
          current_key    = "%s"
        }
    """ % secrets.token_hex(32)
    with Server.raft({}, plugin_stanza(binary) + initialize + login, initialises_itself=True,
                     install={"openbao-plugin-secrets-mek": binary}) as server:
        login = wait_until(
            lambda: server.http("POST", "auth/userpass/login/ann", {"password": "a throw-away"}).body
            .get("auth"), "the server has initialised itself")
        server.token = login["client_token"]
        mek = Mek(server)
        assert mek.write("init").ok().data["version"] == 1
        assert mek.status()["version"] == 1
        assert mek.read("data/encryption/keys/stored_data").status == 403
        assert server.cli("secrets", "disable", "mek").rc == 2
        assert mek.status()["version"] == 1
