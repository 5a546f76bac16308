"""The three services that read the record, as far as loading it goes: each one's own rules.

A loader takes a record's fields and returns the keys that the service would hold, or raises
`Refused` where the service would not start. The `from_agent` functions load what `bao agent` rendered
with the service's template instead (TEMPLATES).
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from typing import Any

import records

# What the services' agents render, with the mount at MOUNT. ESS reads without `data/`,
# the other two with it.
TEMPLATES = {
    "ess": """\
{{- with secret "MOUNT/encryption/keys/stored_data" -}}
{{- $jwks := .Data.data.keys | base64Decode | parseJSON -}}
{"masterKey":"{{ index $jwks.keys 0 | toJSON | base64Encode }}",
 "allMasterKeys":"{{ $jwks.keys | toJSON | base64Encode }}"}
{{- end -}}
""",
    "nvcf_api": """\
{{- with secret "MOUNT/data/encryption/keys/stored_data" -}}
{"keys":"{{ .Data.data.keys }}","current_kid":"{{ .Data.data.current_kid }}"}
{{- end -}}
""",
    "api_keys": """\
{{- with secret "MOUNT/data/encryption/keys/stored_data" -}}
{"private_jwks":{{ .Data.data.private_jwks | base64Decode | toJSON }},
 "payload_jwe_kid":"{{ .Data.data.current_kid }}"}
{{- end -}}
""",
}

# ESS looks at the version alone: not at the variant, the node, or the case.
_IS_VERSION_1 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-1[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", re.I)


class Refused(Exception):
    """The service would not take this record."""


@dataclass(frozen=True)
class Loaded:
    """The keys that a service holds, and the kid that it seals with."""

    current_kid: str
    keys: list[dict[str, Any]]

    @property
    def current(self) -> dict[str, Any]:
        return next(key for key in self.keys if key["kid"] == self.current_kid)


def load_all(record: records.Fields) -> dict[str, Loaded]:
    """Every service's view of a record that was read."""
    keys = records.keys_of(record, "keys")
    return {
        "ess": _ess(keys[0], keys),
        "nvcf_api": _services(keys, record["current_kid"]),
        "api_keys": _api_keys(base64.b64decode(record["private_jwks"]).decode(), record["current_kid"]),
    }


def from_agent(service: str, rendered: str) -> Loaded:
    """A service's view of the file that the agent wrote for it."""
    file = json.loads(rendered)
    if service == "ess":
        return _ess(json.loads(base64.b64decode(file["masterKey"])),
                    json.loads(base64.b64decode(file["allMasterKeys"])))
    if service == "nvcf_api":
        return _services(records.decode(file["keys"])["keys"], file["current_kid"])
    return _api_keys(file["private_jwks"], file["payload_jwe_kid"])


def _ess(master: dict[str, Any], keys: list[dict[str, Any]]) -> Loaded:
    """Refuses a current kid that is no UUIDv1, and any entry that it can't use."""
    for key in [master, *keys]:
        if key.get("kty") != "oct" or not key.get("kid"):
            raise Refused("ESS: an entry of keys is not oct or has no kid")
    if not _IS_VERSION_1.fullmatch(master["kid"]):
        raise Refused("ESS: the first kid is not a version 1 UUID")
    if any(key["kid"] == master["kid"] and key["k"] != master["k"] for key in keys):
        raise Refused("ESS: the first kid has two different keys")
    return Loaded(master["kid"], keys)


def _services(keys: list[dict[str, Any]], current_kid: str) -> Loaded:
    """nvcf-api and api-keys: take the oct entries of exactly 32 bytes that have a kid."""
    if any(key.get("kty") == "OKP" for key in keys):
        raise Refused("an OKP key")
    usable = [key for key in keys if key.get("kty") == "oct" and key.get("kid")]
    if any(len(base64.urlsafe_b64decode(key["k"] + "==")) != 32 for key in usable):
        raise Refused("a key is not 32 bytes")
    if current_kid not in [key["kid"] for key in usable]:
        raise Refused("current_kid is in no usable key")
    return Loaded(current_kid, usable)


def _api_keys(private_jwks: str, current_kid: str) -> Loaded:
    if "${" in private_jwks:
        raise Refused("api-keys: a placeholder in private_jwks")
    return _services(json.loads(private_jwks)["keys"], current_kid)
