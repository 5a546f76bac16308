"""Looks for key material in a process's memory, as one who has taken over the machine would."""

from __future__ import annotations

import base64
import json
import pathlib
import re

import records


def traces(pid: int, record: records.Fields) -> dict[str, int]:
    """How often each form of the record's keys stands in the writable memory of a process: the raw bytes,
    the base64url text of a JWK's k, and that text inside the base64 of a field (at any of its three
    alignments)."""
    patterns: dict[str, set[bytes]] = {"raw": set(), "base64url": set(), "in base64": set()}
    for field in ("keys", "private_jwks"):
        for jwk in json.loads(base64.b64decode(record[field]))["keys"]:
            text = jwk["k"].encode()
            patterns["raw"].add(base64.urlsafe_b64decode(text + b"="))
            patterns["base64url"].add(text)
            for shift in range(3):
                # The characters that depend on k alone: without those shared with its neighbours.
                encoded = base64.b64encode(b"x" * shift + text)
                patterns["in base64"].add(encoded[4 if shift else 0:-4])
    found = {name: 0 for name in patterns}
    for block in _writable_memory(pid):
        for name, wanted in patterns.items():
            found[name] += sum(block.count(pattern) for pattern in wanted)
    return found


def _writable_memory(pid: int):
    maps = pathlib.Path(f"/proc/{pid}/maps").read_text()
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for start, end, mode in re.findall(r"^([0-9a-f]+)-([0-9a-f]+) (\S+)", maps, re.MULTILINE):
            if "w" not in mode:
                continue
            memory.seek(int(start, 16))
            try:
                yield memory.read(int(end, 16) - int(start, 16))
            except OSError:
                continue  # a guard page
