"""What is shipped for Kubernetes: held to Kubernetes' schemas, and run on the real server as far as
that goes without a cluster."""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import time
from typing import Any

import kubernetes_validate
import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jwcrypto import jwk, jwt

import records
from bao import PROJECT, Server, bao_binary, sha256
from mek import SECRET, Mek
from release import NAME, Release

DEPLOY = PROJECT / "plugin" / "deploy"
FOLDER = DEPLOY / "kubernetes"
# The oldest that OpenBao's chart takes, and the newest that the validator knows.
KUBERNETES = ("1.30", "1.37")
AUDIENCE = "http://openbao-server.vault-system.svc.cluster.local:8200"


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / name).read_text()))


VALUES = documents("values.yaml")[0]["server"]


def rotate_job() -> dict[str, Any]:
    return documents("rotate-job.yaml")[1]


def chart_pod() -> dict[str, Any]:
    """The StatefulSet that OpenBao's chart makes, as far as our values are in it."""
    image = "quay.io/openbao/openbao:2.7.2"
    return {
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "openbao"},
        "spec": {
            "serviceName": "openbao-internal",
            "replicas": VALUES["ha"]["replicas"],
            "updateStrategy": {"type": VALUES["updateStrategyType"]},
            "selector": {"matchLabels": {"component": "server"}},
            "template": {
                "metadata": {"labels": {"component": "server"}},
                "spec": {
                    "volumes": [{"name": "config", "configMap": {"name": "openbao-config"}},
                                *VALUES["volumes"]],
                    "initContainers": [container | {"image": image}
                                       for container in VALUES["extraInitContainers"]],
                    "containers": [{"name": "openbao", "image": image,
                                    "volumeMounts": VALUES["volumeMounts"]}],
                },
            },
        },
    }


# By the schemas -------------------------------------------------------------------------------


@pytest.mark.parametrize("version", KUBERNETES)
def test_manifests_are_what_kubernetes_takes(version: str) -> None:
    manifests = [*documents("rotate-job.yaml"), chart_pod()]
    assert [manifest["kind"] for manifest in manifests] == ["ServiceAccount", "Job", "StatefulSet"]
    for manifest in manifests:
        kubernetes_validate.validate(manifest, version, strict=True)


def test_a_misspelt_manifest_is_noticed() -> None:
    wrong = rotate_job()
    wrong["spec"]["backofLimit"] = wrong["spec"].pop("backoffLimit")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, KUBERNETES[0], strict=True)


def test_every_mounted_volume_is_there_and_the_plugins_are_read_only() -> None:
    for manifest in (rotate_job(), chart_pod()):
        pod = manifest["spec"]["template"]["spec"]
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in pod.get("initContainers", []) + pod["containers"]:
            for mount in container["volumeMounts"]:
                assert mount["name"] in volumes
    (plugins,) = (mount for mount in VALUES["volumeMounts"] if mount["name"] == "plugins")
    assert plugins["readOnly"] is True
    # A second try of the job could rotate a second time.
    assert rotate_job()["spec"]["backoffLimit"] == 0


def test_job_roles_and_tokens_agree() -> None:
    account, job = documents("rotate-job.yaml")
    role = json.loads((FOLDER / "roles" / "mek-rotator.json").read_text())
    assert role["bound_claims"] == {
        "/kubernetes.io/namespace": account["metadata"]["namespace"],
        "/kubernetes.io/serviceaccount/name": account["metadata"]["name"]}
    assert job["spec"]["template"]["spec"]["serviceAccountName"] == account["metadata"]["name"]
    (source,) = job["spec"]["template"]["spec"]["volumes"][0]["projected"]["sources"]
    assert [source["serviceAccountToken"]["audience"]] == role["bound_audiences"] == [AUDIENCE]


# On the real server ---------------------------------------------------------------------------


class Cluster:
    """Signs service-account tokens as Kubernetes does."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())

    def public_key(self) -> str:
        return self._key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()

    def token(self, account: str, namespace: str = "vault-system", audience: str = AUDIENCE) -> str:
        now = int(time.time())
        claims = {
            "iss": "https://kubernetes.default.svc.cluster.local", "aud": [audience],
            "iat": now, "nbf": now, "exp": now + 600,
            "sub": f"system:serviceaccount:{namespace}:{account}",
            "kubernetes.io": {"namespace": namespace,
                              "serviceaccount": {"name": account, "uid": "1"}},
        }
        signed = jwt.JWT(header={"alg": "ES256"}, claims=claims)
        signed.make_signed_token(jwk.JWK.from_pyca(self._key))
        return signed.serialize()


def server_settings(release: Release, image: str, audit_log: pathlib.Path) -> str:
    """The configuration in the values but for listener, storage, Kubernetes; for this machine."""
    common, ours = re.split(r"# -{20,}\n", VALUES["ha"]["raft"]["config"])
    assert "plugin" not in common
    for shipped, here in (("<registry>/" + NAME, image),
                          ("<64 hexadecimal digits>", sha256(release.binary)),
                          ('"v0.1.0"', f'"{release.version}"'),
                          ('file_path = "stdout"', f'file_path = "{audit_log}"'),
                          ('plugin_directory     = "/openbao/plugins"', "")):
        assert ours.count(shipped) == 1, shipped
        ours = ours.replace(shipped, here)
    return ours


def readme_commands(*wanted: str) -> list[str]:
    """The shell blocks of the deployment guide that begin with these words."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", (DEPLOY / "README.md").read_text(), re.S | re.M)
    found = []
    for word in wanted:
        (block,) = (block for block in blocks if block.startswith(word))
        found.append(block)
    return found


class PodWithInitContainer(Server):
    """Before the server starts, the init container's command fetches its plugins."""

    def _lay_out(self) -> None:
        super()._lay_out()
        config = self.home / "values.hcl"
        config.write_text(self._settings)
        (container,) = VALUES["extraInitContainers"]
        here = {"bao": str(bao_binary()),
                "-config=/openbao/config/extraconfig-from-values.hcl": f"-config={config}",
                "-directory=/openbao/plugins": f"-directory={self.plugin_dir}"}
        command = [here.pop(word, word) for word in container["command"]]
        assert not here
        fetched = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False,
                                 env={"PATH": "/usr/bin:/bin", "HOME": str(self.home)})
        assert fetched.returncode == 0, fetched.stdout + fetched.stderr


class Deployed:
    """A server as the guide sets it up, and a shell beside it."""

    def __init__(self, server: Server, cluster: Cluster, audit_log: pathlib.Path):
        self.server = server
        self.cluster = cluster
        self.audit_log = audit_log
        self._tools = server.home / "bin"
        self._tools.mkdir()
        (self._tools / "bao").symlink_to(bao_binary())

    def shell(self, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
        given = self.server.environment() | environment
        given["PATH"] = f"{self._tools}:{given['PATH']}"
        return subprocess.run(["/bin/sh", "-ec", script], cwd=DEPLOY, env=given, text=True,
                              capture_output=True, timeout=60, check=False,
                              stdin=subprocess.DEVNULL)

    def login(self, role: str, token: str) -> tuple[int, str]:
        reply = self.server.http("POST", "auth/jwt/login", {"role": role, "jwt": token}, "")
        return reply.status, reply.body.get("auth", {}).get("client_token", "")


@pytest.fixture(scope="module")
def deployed(release: Release, image: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    audit_log = tmp_path_factory.mktemp("audit") / "audit.log"
    with PodWithInitContainer.raft({}, server_settings(release, image, audit_log)) as server:
        deployed = Deployed(server, Cluster(), audit_log)
        server.cli("auth", "enable", "jwt").ok()
        server.http("POST", "auth/jwt/config", {
            "jwt_validation_pubkeys": [deployed.cluster.public_key()]}).ok()
        for block in readme_commands("bao secrets enable", "bao secrets tune",
                                     "bao write auth/jwt/role"):
            done = deployed.shell(block)
            assert done.returncode == 0, done.stderr
        Mek(server).import_record(records.SAMPLES["good_bootstrapped"].data)
        yield deployed


def test_the_init_containers_plugin_is_the_one_that_runs(
        deployed: Deployed, release: Release) -> None:
    mounted = deployed.server.json("secrets", "list", "-detailed")["mek/"]
    assert mounted["running_sha256"] == sha256(release.binary)


def test_the_job_rotates_with_its_pods_token(deployed: Deployed, tmp_path: pathlib.Path) -> None:
    mek = Mek(deployed.server)
    before = mek.status()
    (container,) = rotate_job()["spec"]["template"]["spec"]["containers"]
    shell, option, script = container["command"]
    assert (shell, option) == ("/bin/sh", "-ec")
    token = "/var/run/secrets/openbao/token"
    assert script.count(token) == 1
    (tmp_path / "token").write_text(deployed.cluster.token("mek-rotator"))
    script = script.replace(token, str(tmp_path / "token"))
    done = deployed.shell(script, REASON="by hand", BAO_TOKEN="")
    assert done.returncode == 0, done.stderr
    after = mek.status()
    assert after["version"] == before["version"] + 1
    assert after["current_kid"] != before["current_kid"] and after["current_kid"] in done.stdout
    assert mek.read(f"versions/{after['version']}").ok().data["reason"] == "by hand"


@pytest.mark.parametrize("role, token", [
    ("mek-rotator", {"account": "default"}),
    ("mek-rotator", {"account": "mek-auditor"}),
    ("mek-rotator", {"account": "mek-rotator", "namespace": "default"}),
    ("mek-rotator", {"account": "mek-rotator", "audience": "https://kubernetes.default.svc"}),
    ("mek-auditor", {"account": "mek-rotator"}),
])
def test_no_other_pod_gets_in(deployed: Deployed, role: str, token: dict[str, str]) -> None:
    assert deployed.login(role, deployed.cluster.token(**token)) == (400, "")


def test_the_auditor_sees_what_the_alarms_need(deployed: Deployed) -> None:
    status, token = deployed.login("mek-auditor", deployed.cluster.token("mek-auditor"))
    assert status == 200
    mek = Mek(deployed.server)
    seen = mek.read("status", token).ok().data
    table = (DEPLOY / "README.md").read_text().split("## What to watch")[1].split("\n## ")[0]
    fields = set(re.findall(r"^\| `([a-z_]+)` \|", table, re.M))
    assert fields == {"automatic_failure", "phase", "next_step", "missing_acks", "readers_behind", "readers"}
    assert {"phase", "readers", "readers_behind", "last_change_time", "next_step"} <= set(seen)
    assert "automatic_failure" not in seen
    assert mek.read("verify", token).ok().data["result"] == "ok"
    assert mek.read(f"data/{SECRET}", token).status == 403

    mek.write("config", grace_period="1h", required_acks="api-keys").ok()
    mek.write("rotate", activation="staged").ok()
    staged = mek.read("status", token).ok().data
    assert staged["phase"] == "staged"
    assert {"missing_acks", "waiting_for", "staged_time", "next_step_time"} <= set(staged)
    assert "api-keys" in str(staged["missing_acks"])
    mek.write("activate", force=True).ok()


def test_the_schedule_of_the_guide_is_taken(deployed: Deployed) -> None:
    (block,) = readme_commands("bao write mek/config")
    done = deployed.shell(block)
    assert done.returncode == 0, done.stderr
    config = Mek(deployed.server).read("config").ok().data
    assert config["rotation_schedule"] == "0 3 1 */3 *"
    assert Mek(deployed.server).status()["next_rotation_time"] != ""


def test_the_audit_log_tells_kids_and_versions_and_no_key(deployed: Deployed) -> None:
    mek = Mek(deployed.server)
    record = mek.record()
    deployed.server.cli("kv", "get", f"mek/{SECRET}")
    rotated = mek.write("rotate", force=True).ok().data
    mek.list("keys").ok()
    mek.write("ack", consumer="api-keys", kid=rotated["current_kid"])

    text = deployed.audit_log.read_text()
    entries = [json.loads(line) for line in text.splitlines()]
    answers = [entry["response"]["data"] for entry in entries
               if entry["type"] == "response" and entry["request"]["path"] == "mek/rotate"
               and "data" in entry["response"]]
    assert (answers[-1]["current_kid"], answers[-1]["version"]) == (rotated["current_kid"],
                                                                   rotated["version"])
    assert answers[-1]["previous_kid"] == rotated["previous_kid"]
    acks = [entry["request"]["data"] for entry in entries if entry["request"]["path"] == "mek/ack"]
    assert acks and acks[-1]["consumer"] == "api-keys" and acks[-1]["kid"] == rotated["current_kid"]
    reads = [entry["response"]["data"] for entry in entries if entry["type"] == "response"
             and entry["request"]["path"] == f"mek/data/{SECRET}" and "data" in entry["response"]]
    assert reads and reads[-1]["data"]["keys"].startswith("hmac-sha256:")

    secret = {k for some in (record, mek.record()) for _, _, k in records.pairs_of(some)}
    secret |= {some[name] for some in (record, mek.record()) for name in records.SETS}
    assert len(secret) >= 8
    assert not any(key in text for key in secret)
