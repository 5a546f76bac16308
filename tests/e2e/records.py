"""Records: those of tests/records, and what is inside one."""

from __future__ import annotations

import base64
import json
import pathlib
import re
import uuid
from dataclasses import dataclass
from typing import Any

Fields = dict[str, Any]

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "records"
FIELDS = ("keys", "current_kid", "jwe_mapping", "private_jwks")
SETS = ("keys", "private_jwks")
_UUID_EPOCH_TO_UNIX = 0x01B21DD213814000  # in 100 ns


@dataclass(frozen=True)
class Sample:
    """One file of tests/records."""

    name: str
    about: str
    valid: bool
    refused_for: str | None
    data: Fields

    def __str__(self) -> str:
        return self.name

    @property
    def has_just_the_fields(self) -> bool:
        return set(self.data) == set(FIELDS)


def load_all() -> list[Sample]:
    samples = []
    for path in sorted(FOLDER.glob("*.json")):
        text = json.loads(path.read_text())
        samples.append(Sample(path.stem, text["about"], text["valid"], text.get("refused_for"),
                              text["data"]))
    if not samples:
        raise RuntimeError(f"{FOLDER} holds no record")
    return samples


SAMPLES = {sample.name: sample for sample in load_all()}
GOOD = [sample for sample in SAMPLES.values() if sample.valid]
BROKEN = [sample for sample in SAMPLES.values() if not sample.valid]


def decode(text: str) -> Any:
    """The JSON inside a base64 field."""
    return json.loads(base64.b64decode(text, validate=True))


def encode(text: str) -> str:
    """JSON text as a base64 field."""
    return base64.b64encode(text.encode()).decode()


def keys_of(record: Fields, name: str) -> list[dict[str, Any]]:
    """The JWKs of the set `name`."""
    return decode(record[name])["keys"]


def kids_of(record: Fields, name: str) -> list[str]:
    return [key["kid"] for key in keys_of(record, name)]


def pairs_of(record: Fields) -> set[tuple[str, str, str]]:
    """Every (set, kid, k): what may never be lost."""
    return {(name, key["kid"], key["k"]) for name in SETS for key in keys_of(record, name)}


def key_texts(record: Fields, name: str) -> dict[str, str]:
    """The JSON text of each JWK of a set, exactly as it stands there, by kid."""
    texts = _elements(_members(text_of(record, name))["keys"])
    return {json.loads(text)["kid"]: text for text in texts}


def other_members(record: Fields, name: str) -> list[tuple[str, str]]:
    """The members of a set or of jwe_mapping in their order, each with its text; but for keys and
    payload_jwe_kid, whose place alone counts."""
    changing = ("keys", "payload_jwe_kid")
    return [(member, "" if member in changing else text)
            for member, text in _members(text_of(record, name)).items()]


def text_of(record: Fields, name: str) -> str:
    """The JSON text of a set, or of jwe_mapping."""
    return base64.b64decode(record[name], validate=True).decode() if name in SETS else record[name]


def forms_of_keys(record: Fields) -> set[bytes]:
    """Every form in which a key could stand somewhere: its bytes, their hex, base64 and base64url, and each
    of these texts inside more base64, at any of its three alignments."""
    found = set()
    for _, _, k in pairs_of(record):
        raw = base64.urlsafe_b64decode(k + "=" * (-len(k) % 4))
        texts = {k.encode(), base64.b64encode(raw).rstrip(b"="), raw.hex().encode()}
        found |= texts | {raw, raw.hex().upper().encode()}
        for text in texts | {raw}:
            for shift in range(3):
                # The characters that depend on the text alone, without those shared with its neighbours.
                inside = base64.b64encode(b"x" * shift + text)[4 if shift else 0:-4]
                found |= {inside, inside.translate(bytes.maketrans(b"+/", b"-_"))}
    return found


_SPACE = re.compile(r"[ \t\r\n]*")
_scan = json.JSONDecoder().raw_decode


def _members(text: str) -> dict[str, str]:
    """The text of each member of a JSON object."""
    found, at = {}, _skip(text, 0, "{")
    while text[at] != "}":
        name, at = _scan(text, at)
        start = _skip(text, at, ":")
        _, end = _scan(text, start)
        found[name] = text[start:end]
        at = _skip(text, end, ",")
    return found


def _elements(text: str) -> list[str]:
    """The text of each element of a JSON array."""
    found, at = [], _skip(text, 0, "[")
    while text[at] != "]":
        _, end = _scan(text, at)
        found.append(text[at:end])
        at = _skip(text, end, ",")
    return found


def _skip(text: str, at: int, mark: str) -> int:
    """Past white space, and past `mark` and the white space after it if it comes next."""
    at = _SPACE.match(text, at).end()
    return _SPACE.match(text, at + 1).end() if text[at] == mark else at


def kid_time(kid: str) -> float:
    """The creation time in a version 1 UUID, in Unix seconds."""
    return (uuid.UUID(kid).time - _UUID_EPOCH_TO_UNIX) / 1e7


def is_uuid1(kid: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-1[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
                        kid) is not None


def secrets_in(fields: Fields) -> list[str]:
    """Pieces of text that no reply or log may show: each k, and the base64 of the sets."""
    found = []
    for name in SETS:
        text = fields.get(name)
        if not isinstance(text, str):
            continue
        found.append(text)
        try:
            raw = base64.b64decode(text).decode("utf-8", "replace")
        except ValueError:
            raw = text
        found += re.findall(r'"k"\s*:\s*"([^"]+)"', raw)
    return [text for text in found if len(text) >= 12]


def shows_secret(text: str, fields: Fields, length: int = 12) -> bool:
    """Whether `text` holds `length` or more consecutive characters of key material in `fields`."""
    pieces = {secret[at:at + length] for secret in secrets_in(fields)
              for at in range(len(secret) - length + 1)}
    return any(text[at:at + length] in pieces for at in range(len(text) - length + 1))
