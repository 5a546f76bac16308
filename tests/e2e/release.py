"""What `make package` left in build/package."""

from __future__ import annotations

import pathlib
import re
import subprocess

from bao import PROJECT, BaoError, bao_binary

FOLDER = PROJECT / "build" / "package"
NAME = "openbao-plugin-secrets-mek"


def plugin_init(settings: str, folder: pathlib.Path, *command: str) -> pathlib.Path:
    """Fetches the plugins of a server's configuration, as an init container does; returns where to.

    `command` is such a container's, with CONFIG and DIRECTORY for its paths.
    """
    config, plugins = folder / "server.hcl", folder / "plugins"
    config.write_text(settings)
    here = {"bao": str(bao_binary()), "-config=CONFIG": f"-config={config}",
            "-directory=DIRECTORY": f"-directory={plugins}"}
    command = command or ("bao", "plugin", "init", "-config=CONFIG", "-directory=DIRECTORY")
    assert set(here) <= set(command)
    done = subprocess.run([here.get(word, word) for word in command], capture_output=True, text=True,
                          timeout=60, check=False, env={"PATH": "/usr/bin:/bin", "HOME": str(folder)})
    assert done.returncode == 0, done.stdout + done.stderr
    return plugins


class Release:
    """The files of one release, by what they are."""

    def __init__(self, folder: pathlib.Path):
        if not (folder / "SHA256SUMS").exists():
            raise BaoError(f"{folder} holds no release; run: make package")
        self.folder = folder
        (self.sbom,) = folder.glob("*.spdx.json")
        self.stem = self.sbom.name.removesuffix(".spdx.json")
        self.binary = folder / self.stem
        self.debug = folder / f"{self.stem}.debug"
        self.image = folder / f"{self.stem}.oci.tar"
        self.version = re.fullmatch(rf"{NAME}-(v\d+\.\d+\.\d+)-linux-amd64", self.stem)[1]
