"""What the plugin is made of, by the linker's map, the compiler's dependencies and dpkg: an SPDX
document and the notices of all of it. Nothing is listed by hand.

A sysroot is the folder with the system whose libraries were linked: / or, for another architecture,
a folder with unpacked packages and dpkg's database of them."""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

# Debian's short names that are not SPDX's.
_SPDX_LICENSES = {
    "Apache-2.0": "Apache-2.0", "Apache-2": "Apache-2.0",
    "BSD-3-clause": "BSD-3-Clause", "BSD-3-Clause": "BSD-3-Clause",
    "BSD-3-Clause~Google": "BSD-3-Clause", "BSD-3-google": "BSD-3-Clause",
    "Expat": "MIT", "MIT": "MIT", "Zlib": "Zlib", "MPL-2.0": "MPL-2.0",
    "GPL-2": "GPL-2.0-only", "GPL-2+": "GPL-2.0-or-later", "GPL-3+": "GPL-3.0-or-later",
}
_TOOLS = ("cmake", "protobuf-compiler", "protobuf-compiler-grpc")
_COMPILERS = {
    "amd64": ("binutils", "g++-12"),
    "arm64": ("binutils-aarch64-linux-gnu", "g++-12-aarch64-linux-gnu"),
}
_SYSTEM = pathlib.Path("/")
_COMMON_LICENSES = pathlib.Path("/usr/share/common-licenses")


@dataclass
class Package:
    """A Debian package, and how the plugin uses it."""

    name: str
    version: str
    architecture: str
    source: str
    source_version: str
    sysroot: pathlib.Path
    archives: set[str] = field(default_factory=set)  # whose members were linked

    @property
    def copyright(self) -> pathlib.Path:
        return self.sysroot / "usr/share/doc" / self.name / "copyright"

    def license(self) -> tuple[str, str]:
        """SPDX's name for the package's main licence, and a remark."""
        text = self.copyright.read_text(errors="replace")
        header, *paragraphs = re.split(r"\n\s*\n", text)
        names = []
        if re.match(r"Format:.*copyright-format", header):
            names = [name for paragraph in (header, *paragraphs)
                     if paragraph is header or re.search(r"^Files:\s*\*\s*$", paragraph, re.M)
                     for name in re.findall(r"^License: *(\S.*)$", paragraph, re.M)]
        if names and names[-1] in _SPDX_LICENSES:
            return (_SPDX_LICENSES[names[-1]],
                    "of most files; parts are under others, see the notices")
        return "NOASSERTION", "not told in a form for machines; see the notices"


def _run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True,
                          env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"}).stdout


def _in(sysroot: pathlib.Path, path: pathlib.Path) -> str | None:
    """The file's path as the sysroot's packages have it."""
    path = path.resolve()
    return f"/{path.relative_to(sysroot)}" if path.is_relative_to(sysroot / "usr") else None


def linked_files(link_map: pathlib.Path, sysroot: pathlib.Path = _SYSTEM) -> set[str]:
    """The system's archives of which a member was linked, and its start files."""
    found = set()
    with link_map.open(errors="replace") as lines:
        for line in lines:
            if match := re.match(r"(/\S+\.a)\(|LOAD (/\S+\.o)$", line):
                path = pathlib.Path(match[1] or match[2])
                name = _in(sysroot, path)
                if name is None:
                    raise ValueError(f"{link_map} names {path}, which is not of {sysroot}")
                found.add(name)
    return found


def compiled_headers(build: pathlib.Path, target: str, sysroot: pathlib.Path = _SYSTEM) -> set[str]:
    """The system's headers that the target's objects included."""
    inputs = set(_run("ninja", "-C", str(build), "-t", "inputs", target).split())
    found: set[str] = set()
    wanted = False
    for line in _run("ninja", "-C", str(build), "-t", "deps").splitlines():
        if line and not line[0].isspace():
            wanted = line.split(":")[0] in inputs
        elif wanted and (name := _in(sysroot, build / line.strip())):
            found.add(name)
    return found


def _dpkg_query(sysroot: pathlib.Path, *arguments: str) -> list[str]:
    return _run("dpkg-query", f"--admindir={sysroot / 'var/lib/dpkg'}", *arguments).splitlines()


def _owners(paths: Iterable[str], sysroot: pathlib.Path) -> dict[str, str]:
    """Which package each file is of."""
    owners = {}
    for line in _dpkg_query(sysroot, "-S", *sorted(paths)):
        names, path = line.rsplit(": ", 1)
        owners[path] = names.split(",")[0].split(":")[0]
    return owners


def _describe(names: Iterable[str], sysroot: pathlib.Path = _SYSTEM) -> dict[str, Package]:
    form = r"${Package}\t${Version}\t${Architecture}\t${source:Package}\t${source:Version}\n"
    lines = _dpkg_query(sysroot, "-W", "-f", form, *sorted(names))
    return {package.name: package
            for package in (Package(*line.split("\t"), sysroot=sysroot) for line in lines)}


def collect(link_map: pathlib.Path, build: pathlib.Path, target: str,
            sysroot: pathlib.Path = _SYSTEM) -> list[Package]:
    """The packages whose code is in the target, by name."""
    archives = linked_files(link_map, sysroot)
    if not archives:
        raise ValueError(f"{link_map} names no archive")
    owners = _owners(archives | compiled_headers(build, target, sysroot), sysroot)
    packages = _describe(set(owners.values()), sysroot)
    for path in archives:
        packages[owners[path]].archives.add(pathlib.Path(path).name)
    return [packages[name] for name in sorted(packages)]


def notices(packages: list[Package]) -> str:
    """The copyright file of each package, and the licences that these name without their text."""
    rule = "=" * 78
    parts = ["This program contains code of the Debian packages below. Their copyright files, as\n"
             "Debian has them, and the licences to which these refer:\n"]
    texts = {package.source: (package, package.copyright.read_text(errors="replace"))
             for package in packages}
    for source in sorted(texts):
        package, text = texts[source]
        parts.append(f"{rule}\n{source} {package.source_version}\n{rule}\n\n{text.rstrip()}\n")
    everything = "\n".join(parts)
    named = re.findall(rf"{_COMMON_LICENSES}/([A-Za-z0-9.-]*[A-Za-z0-9])", everything)
    for name in sorted(set(named)):
        text = (_COMMON_LICENSES / name).read_text(errors="replace")
        parts.append(f"{rule}\n{_COMMON_LICENSES / name}\n{rule}\n\n{text.rstrip()}\n")
    return "\n".join(parts)


def _element(package: Package, remark: str) -> dict[str, object]:
    license_name, of_what = package.license()
    return {
        "SPDXID": "SPDXRef-Package-" + re.sub(r"[^A-Za-z0-9.-]", "-", package.name),
        "name": package.name,
        "versionInfo": package.version,
        "supplier": "Organization: Debian",
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "sourceInfo": "built from Debian's source package "
                      f"{package.source} {package.source_version}",
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": license_name,
        "licenseComments": of_what,
        "copyrightText": "NOASSERTION",
        "comment": remark,
        "externalRefs": [{
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": f"pkg:deb/debian/{package.name.replace('+', '%2B')}@"
                                f"{package.version.replace('+', '%2B')}"
                                f"?arch={package.architecture}&distro=debian-12",
        }],
    }


def spdx(packages: list[Package], *, name: str, version: str, architecture: str, file_name: str,
         sha256: str, license_name: str, epoch: int) -> str:
    """The document, SPDX 2.3 in JSON."""
    root = "SPDXRef-Package-" + name
    elements: list[dict[str, object]] = [{
        "SPDXID": root,
        "name": name,
        "versionInfo": version,
        "packageFileName": file_name,
        "primaryPackagePurpose": "APPLICATION",
        "supplier": "NOASSERTION",
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "checksums": [{"algorithm": "SHA256", "checksumValue": sha256}],
        "licenseConcluded": license_name,
        "licenseDeclared": license_name,
        "copyrightText": "NOASSERTION",
    }]
    relations = [("SPDXRef-DOCUMENT", "DESCRIBES", root)]
    for package in packages:
        if package.archives:
            remark = "linked static: " + ", ".join(sorted(package.archives))
        else:
            remark = "headers only: compiled in, nothing linked"
        element = _element(package, remark)
        elements.append(element)
        relations.append((root, "STATIC_LINK" if package.archives else "CONTAINS",
                          str(element["SPDXID"])))
    for tool in _describe((*_TOOLS, *_COMPILERS[architecture])).values():
        element = _element(tool, "a tool of the build: another version may make other bytes")
        elements.append(element)
        relations.append((str(element["SPDXID"]), "BUILD_TOOL_OF", root))
    document = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": file_name,
        "documentNamespace": f"https://spdx.org/spdxdocs/{file_name}-{sha256}",
        "creationInfo": {
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch)),
            "creators": ["Tool: openbao-plugin-secrets-mek-package"],
        },
        "packages": elements,
        "relationships": [
            {"spdxElementId": left, "relationshipType": kind, "relatedSpdxElement": right}
            for left, kind, right in relations],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
