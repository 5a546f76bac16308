"""What `make package` leaves: each file by itself, and the image as OpenBao downloads it."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import re
import secrets
import signal
import subprocess
import sys
import tarfile
import time
from typing import Any

import pytest
from spdx_tools.spdx.model import RelationshipType
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from bao import PROJECT, BaoError, Server, sha256, version_of, wait_until
from mek import Mek
from registry import Registry, skopeo
from release import FOLDER, NAME, Release

sys.path.insert(0, str(PROJECT / "scripts"))

import oci_image  # noqa: E402

DEPLOY = PROJECT / "plugin" / "deploy"


def run(*command: str | pathlib.Path, **options: Any) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False,
                          **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def build_id(file: pathlib.Path) -> str:
    return re.search(r"Build ID: ([0-9a-f]{40})", run("readelf", "-n", file))[1]


def commit_time() -> int:
    return int(os.environ.get("SOURCE_DATE_EPOCH")
               or run("git", "-C", PROJECT, "log", "-1", "--format=%ct"))


# The files ------------------------------------------------------------------------------------


def test_every_file_has_its_sum(release: Release) -> None:
    run("sha256sum", "--check", "--strict", "SHA256SUMS", cwd=release.folder)
    summed = {line.split("  ")[1] for line in (FOLDER / "SHA256SUMS").read_text().splitlines()}
    assert summed | {"SHA256SUMS"} == {path.name for path in FOLDER.iterdir()}
    assert {release.stem, "RELEASE-NOTES.md", "THIRD-PARTY-NOTICES.txt"} <= summed


def test_the_binary_is_what_was_tested(release: Release) -> None:
    assert sha256(release.binary) == sha256(PROJECT / "build" / NAME)
    assert os.access(release.binary, os.X_OK)
    assert release.version in run(release.binary, "--version")
    run(PROJECT / "scripts" / "check-binary", release.binary)


def test_symbols_are_kept_aside(release: Release) -> None:
    assert build_id(release.debug) == build_id(release.binary)
    main = re.search(r"^([0-9a-f]+) T main$", run("nm", release.debug), re.M)
    assert main, "no symbol main"
    where = run("addr2line", "-e", release.debug, main[1]).strip()
    assert re.fullmatch(r"(\./|build/)*(\.\./)?(\./)?plugin/main\.cc:\d+", where), where


def test_nothing_tells_where_it_was_built(release: Release) -> None:
    for file in release.folder.iterdir():
        assert str(PROJECT).encode() not in file.read_bytes(), file.name


def test_the_same_input_makes_the_same_files(release: Release, tmp_path: pathlib.Path) -> None:
    """The packaging's own part of reproducibility. The compiler's: `make package-check`."""
    run(sys.executable, "-B", PROJECT / "scripts" / "package", "--output", tmp_path / "again",
        "--architecture", release.architecture,
        env={"PATH": "/usr/bin:/bin", "TZ": "Pacific/Chatham", "SOURCE_DATE_EPOCH": str(commit_time())})
    for file in release.folder.iterdir():
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes(), file.name


def test_the_commits_time_is_the_only_one(release: Release) -> None:
    epoch = commit_time()
    image = skopeo("inspect", "--config", f"oci-archive:{release.image}:{release.version}")
    for told in (json.loads(release.sbom.read_text())["creationInfo"], json.loads(image)):
        assert told["created"] == time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch))
    with tarfile.open(release.image) as tar:
        assert {member.mtime for member in tar} == {epoch}


def test_release_notes_say_what_changed_and_how_to_install(release: Release) -> None:
    notes = (FOLDER / "RELEASE-NOTES.md").read_text()
    changelog = (PROJECT / "CHANGELOG.md").read_text()
    section = re.search(rf"^## \[{release.version[1:]}\].*?\n(.*?)(?=^## |\Z)", changelog,
                        re.M | re.S)
    assert section and section[1].strip() in notes
    assert notes.count(sha256(release.binary)) == 2
    assert f'version     = "{release.version}"' in notes


# What it is made of ---------------------------------------------------------------------------


def test_the_sbom_is_valid_and_complete(release: Release) -> None:
    document = parse_file(str(release.sbom))
    assert validate_full_spdx_document(document) == []
    packages = {package.name: package for package in document.packages}

    plugin = packages[NAME]
    assert (plugin.version, plugin.file_name) == (release.version, release.stem)
    assert [checksum.value for checksum in plugin.checksums] == [sha256(release.binary)]

    def related(kind: RelationshipType) -> set[str]:
        return {relation.related_spdx_element_id for relation in document.relationships
                if (relation.spdx_element_id, relation.relationship_type) == (plugin.spdx_id, kind)}

    linked = {name for name, package in packages.items()
              if package.spdx_id in related(RelationshipType.STATIC_LINK)}
    assert {"libgrpc++-dev", "libgrpc-dev", "libprotobuf-dev", "libssl-dev", "libabsl-dev",
            "zlib1g-dev", "libc-ares-dev", "libc6-dev", "libstdc++-12-dev"} <= linked
    headers_only = {name for name, package in packages.items()
                    if package.spdx_id in related(RelationshipType.CONTAINS)}
    assert "nlohmann-json3-dev" in headers_only
    assert not any("gtest" in name or "gmock" in name for name in packages)

    for name in linked | headers_only:
        package = packages[name]
        form = "${Version} ${source:Package}"
        version, source = run("dpkg-query", "-W", "-f", form, name).split()
        assert package.version == version
        assert f"source package {source} " in package.source_info
    assert str(packages["libssl-dev"].license_declared) == "Apache-2.0"
    assert str(packages["libprotobuf-dev"].license_declared) == "BSD-3-Clause"
    assert str(packages["nlohmann-json3-dev"].license_declared) == "MIT"


def test_the_notices_are_those_of_what_is_linked(release: Release) -> None:
    notices = (FOLDER / "THIRD-PARTY-NOTICES.txt").read_text()
    for text in ("The OpenSSL Project", "Niels Lohmann", "Google Inc", "Jean-loup Gailly"):
        assert text in notices
    assert "Apache License" in notices and "GCC RUNTIME LIBRARY EXCEPTION" in notices


# The image ------------------------------------------------------------------------------------


def test_the_image_holds_the_binary_at_its_root(release: Release, tmp_path: pathlib.Path) -> None:
    image = f"oci-archive:{release.image}:{release.version}"
    config = json.loads(skopeo("inspect", "--config", image))
    assert (config["os"], config["architecture"]) == ("linux", release.architecture)
    assert config["config"]["Entrypoint"] == [f"/{NAME}"]
    assert config["config"]["Labels"]["org.opencontainers.image.version"] == release.version

    skopeo("copy", "-q", image, f"dir:{tmp_path}")
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    (layer,) = manifest["layers"]
    blob = tmp_path / layer["digest"].removeprefix("sha256:")
    assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
    members = run("tar", "-tvzf", blob).splitlines()
    (plugin,) = (line for line in members if line.endswith(f" {NAME}"))
    assert plugin.startswith("-rwxr-xr-x 0/0")
    run("tar", "-xzf", blob, "-C", tmp_path, NAME)
    assert sha256(tmp_path / NAME) == sha256(release.binary)


def plugin_stanza(release: Release, image: str, digest: str) -> str:
    """As the release notes show it."""
    notes = (FOLDER / "RELEASE-NOTES.md").read_text()
    stanza = re.search(r"^plugin_auto_download = true\n.*?^\}", notes, re.M | re.S)
    assert stanza and f'image       = "REGISTRY/{NAME}"' in stanza[0]
    return stanza[0].replace(f"REGISTRY/{NAME}", image).replace(sha256(release.binary), digest)


def self_initialization() -> str:
    text = (DEPLOY / "server" / "initialize.hcl").read_text()
    return text.replace("/openbao/policies", str(DEPLOY / "policies")) + """
        initialize "login" {
          request "enable" {
            operation = "update"
            path      = "sys/auth/userpass"
            data      = { type = "userpass" }
          }
          request "user" {
            operation = "update"
            path      = "auth/userpass/users/ann"
            data      = { password = "a throw-away", token_policies = "mek-operator" }
          }
          request "administrator" {
            operation = "update"
            path      = "auth/userpass/users/adam"
            data      = { password = "a throw-away", token_policies = "administrator" }
          }
          request "administrator-policy" {
            operation = "update"
            path      = "sys/policies/acl/administrator"
            data = {
              policy = "path \\"sys/*\\" { capabilities = [\\"read\\", \\"update\\", \\"sudo\\"] }"
            }
          }
        }
        seal "static" {
          current_key_id = "one"
          current_key    = "%s"
        }
    """ % secrets.token_hex(32)


def login(server: Server, user: str) -> str:
    reply = server.http("POST", f"auth/userpass/login/{user}", {"password": "a throw-away"}, "")
    return reply.body.get("auth", {}).get("client_token", "")


def test_a_new_server_downloads_registers_mounts_rotates_and_upgrades(
        release: Release, image: str, registry: Registry, next_binary: pathlib.Path,
        tmp_path: pathlib.Path) -> None:
    settings = plugin_stanza(release, image, sha256(release.binary)) + self_initialization()
    with Server.raft({}, settings, initialises_itself=True) as server:
        server.token = wait_until(lambda: login(server, "ann"), "the server has initialised itself")
        installed = server.plugin_dir / f"secret-mek-{release.version}"
        assert installed.is_symlink() and sha256(installed) == sha256(release.binary)
        mek = Mek(server)
        first = mek.write("init").ok().data
        second = mek.write("rotate").ok().data
        assert (first["version"], second["version"]) == (1, 2)
        assert second["previous_kid"] == first["current_kid"]
        assert mek.read("verify").ok().data["result"] == "ok"

        # As the release notes say: a second stanza, SIGHUP, tune, reload.
        newer = version_of(next_binary)
        archive = tmp_path / "next.oci.tar"
        archive.write_bytes(oci_image.archive(
            [oci_image.File(NAME, next_binary.read_bytes(), 0o755)], entrypoint=f"/{NAME}",
            architecture="amd64", tag=newer, labels={}, epoch=0))
        registry.push(archive, f"mek/{NAME}", newer)
        stanza = plugin_stanza(release, image, sha256(next_binary)).replace(release.version, newer)
        with (server.home / "server.hcl").open("a") as config:
            config.write(stanza[stanza.index("plugin "):])
        os.kill(server.pid(), signal.SIGHUP)
        administrator = wait_until(lambda: login(server, "adam"), "an administrator logs in")
        catalog = f"sys/plugins/catalog/secret/mek?version={newer}"
        wait_until(lambda: server.http("GET", catalog, None, administrator).status == 200,
                   "the newer plugin is registered")
        server.cli("secrets", "tune", f"-plugin-version={newer}", "mek", token=administrator).ok()
        server.cli("plugin", "reload", "-plugin=mek", token=administrator).ok()
        mounted = server.json("secrets", "list", "-detailed", token=administrator)["mek/"]
        assert mounted["running_sha256"] == sha256(next_binary)
        assert mek.status()["current_kid"] == second["current_kid"]
        assert mek.write("rotate").ok().data["version"] == 3


def test_another_binary_than_the_one_named_is_not_run(release: Release, image: str) -> None:
    with pytest.raises(BaoError) as refused:
        with Server.raft({}, plugin_stanza(release, image, "0" * 64)):
            pass
    assert "plugin hash mismatch" in str(refused.value)
