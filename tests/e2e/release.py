"""What `make package` left: in build/package, or in MEK_PACKAGE, another architecture's."""

from __future__ import annotations

import os
import pathlib
import re

from bao import PROJECT, BaoError

FOLDER = pathlib.Path(os.environ.get("MEK_PACKAGE", PROJECT / "build" / "package")).resolve()
NAME = "openbao-plugin-secrets-mek"


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
        self.version, self.architecture = re.fullmatch(
            rf"{NAME}-(v\d+\.\d+\.\d+)-linux-(amd64|arm64)", self.stem).groups()
