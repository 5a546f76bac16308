"""Writes an OCI image of one layer as an oci-archive; the same input, the same bytes; no docker."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import pathlib
import tarfile
import time
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class File:
    path: str  # in the image, without a leading slash
    content: bytes
    mode: int = 0o644


def _tar(files: list[File], epoch: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        folders: set[str] = set()
        for file in files:
            for folder in reversed(pathlib.PurePosixPath(file.path).parents):
                if str(folder) != "." and str(folder) not in folders:
                    folders.add(str(folder))
                    tar.addfile(_member(str(folder), tarfile.DIRTYPE, 0o755, epoch))
            member = _member(file.path, tarfile.REGTYPE, file.mode, epoch)
            member.size = len(file.content)
            tar.addfile(member, io.BytesIO(file.content))
    return out.getvalue()


def _member(name: str, kind: bytes, mode: int, epoch: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.mtime = kind, mode, epoch
    return member


def _canonical(document: Mapping[str, object]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def archive(files: list[File], *, entrypoint: str, architecture: str, tag: str,
            labels: Mapping[str, str], epoch: int) -> bytes:
    """An image that `skopeo copy oci-archive:FILE:TAG docker://…` pushes."""
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch))
    labels = {**labels, "org.opencontainers.image.created": created}
    blobs: dict[str, bytes] = {}

    def add(kind: str, content: bytes) -> dict[str, object]:
        digest = hashlib.sha256(content).hexdigest()
        blobs[digest] = content
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}",
                "size": len(content)}

    layer = _tar(files, epoch)
    layer_blob = add("layer.v1.tar+gzip", gzip.compress(layer, 6, mtime=0))
    config = add("config.v1+json", _canonical({
        "architecture": architecture,
        "os": "linux",
        "created": created,
        "config": {"Entrypoint": [entrypoint], "Labels": labels},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        "history": [{"created": created, "created_by": "scripts/package"}],
    }))
    manifest = add("manifest.v1+json", _canonical({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config,
        "layers": [layer_blob],
        "annotations": labels,
    }))
    index = _canonical({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{
            **manifest,
            "platform": {"architecture": architecture, "os": "linux"},
            "annotations": {"org.opencontainers.image.ref.name": tag},
        }],
    })
    return _tar([File("oci-layout", _canonical({"imageLayoutVersion": "1.0.0"})),
                 File("index.json", index),
                 *(File(f"blobs/sha256/{digest}", blobs[digest]) for digest in sorted(blobs))],
                epoch)
