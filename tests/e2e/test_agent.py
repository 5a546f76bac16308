"""The real `bao agent` renders the three services' templates from the mount, and they load the result."""

from __future__ import annotations

import pathlib
import subprocess

import pytest

import consumers
import jose
import records
from bao import PROJECT, Server, bao_binary, wait_until
from mek import Mek
from records import SAMPLES

POLICY = PROJECT / "plugin" / "deploy" / "policies" / "mek-reader.hcl"

# While a key spreads, agents are told to come back after 60 seconds.
AGENT_RETURNS = 75


class Agent:
    """A `bao agent` that renders every template into files, with a reader's token.

    `policy` is the file with what that token may do at `mount`.
    """

    def __init__(self, server: Server, folder: pathlib.Path, once: bool, mount: str = "mek",
                 policy: pathlib.Path = POLICY):
        self._server = server
        self._folder = folder
        server.cli("policy", "write", policy.stem, str(policy)).ok()
        (folder / "token").write_text(server.token_for(policy.stem, period="1h"))
        blocks = []
        for service, template in consumers.TEMPLATES.items():
            (folder / f"{service}.ctmpl").write_text(template.replace("MOUNT", mount))
            blocks.append(f"""
                template {{
                  source               = "{folder}/{service}.ctmpl"
                  destination          = "{folder}/{service}.json"
                  error_on_missing_key = true
                }}""")
        (folder / "agent.hcl").write_text(f"""
            exit_after_auth = {str(once).lower()}
            vault {{ address = "{server.address}" }}
            auto_auth {{
              method "token_file" {{
                config = {{ token_file_path = "{folder}/token" }}
              }}
            }}
            template_config {{
              exit_on_retry_failure         = true
              static_secret_render_interval = "1s"
            }}
            {"".join(blocks)}
        """)

    def __enter__(self) -> Agent:
        self._log = (self._folder / "agent.log").open("wb")
        self._process = subprocess.Popen(
            [bao_binary(), "agent", f"-config={self._folder}/agent.hcl"], stdout=self._log,
            stderr=self._log, stdin=subprocess.DEVNULL, env=self._server.environment(token=""))
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(20)
        self._log.close()

    def finish(self) -> None:
        assert self._process.wait(30) == 0, (self._folder / "agent.log").read_text()

    def loaded(self) -> dict[str, consumers.Loaded]:
        return {service: consumers.from_agent(service, (self._folder / f"{service}.json").read_text())
                for service in consumers.TEMPLATES}

    def log(self) -> str:
        return (self._folder / "agent.log").read_text()


@pytest.mark.parametrize("tuned", [False, True], ids=["as mounted", "tuned to version 2"])
@pytest.mark.parametrize("name", [sample.name for sample in records.GOOD])
def test_each_service_loads_what_its_agent_rendered(
        mek: Mek, tmp_path: pathlib.Path, name: str, tuned: bool) -> None:
    if tuned:
        mek.server.cli("secrets", "tune", "-options=version=2", "mek").ok()
    data = SAMPLES[name].data
    mek.import_record(data)
    mek.write("rotate").ok()
    record = mek.record()
    with Agent(mek.server, tmp_path, once=True) as agent:
        agent.finish()
    assert agent.loaded() == consumers.load_all(record)
    for loaded in agent.loaded().values():
        assert loaded.current_kid == record["current_kid"]


def test_a_running_agent_fetches_a_rotation_and_a_rollback(
        bootstrapped: Mek, tmp_path: pathlib.Path) -> None:
    """What a service sealed before either opens with what its agent renders after."""
    first = bootstrapped.record()["current_kid"]
    with Agent(bootstrapped.server, tmp_path, once=False) as agent:
        wait_until(lambda: (tmp_path / "api_keys.json").exists() and (tmp_path / "ess.json").exists()
                   and (tmp_path / "nvcf_api.json").exists(), "the agent has rendered")
        before = agent.loaded()
        sealed = {
            "ess": jose.seal_direct(before["ess"].current, b"a namespace's key"),
            "api_keys": jose.seal_wrapped(before["api_keys"].current, b"a row"),
        }
        second = bootstrapped.write("rotate").ok().data["current_kid"]
        _all_have(agent, second)
        for service, text in sealed.items():
            assert jose.open_with(agent.loaded()[service].keys, text)
        newer = jose.seal_direct(agent.loaded()["ess"].current, b"sealed since")

        bootstrapped.write("rollback", version=1).ok()
        _all_have(agent, first)
        for service, text in sealed.items():
            assert jose.open_with(agent.loaded()[service].keys, text)
        assert jose.open_with(agent.loaded()["ess"].keys, newer) == b"sealed since"
    assert not records.shows_secret(agent.log(), bootstrapped.record())


def _all_have(agent: Agent, kid: str) -> None:
    wait_until(lambda: all(loaded.current_kid == kid for loaded in agent.loaded().values()),
               f"every service's file has {kid}", AGENT_RETURNS)
