"""JWEs as the record's consumers make them, by a JOSE library that is not ours (jwcrypto)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from jwcrypto import jwe, jwk
from jwcrypto.common import JWException

Jwk = Mapping[str, Any]


class CannotOpen(Exception):
    """No key of the set opens this JWE."""


def seal_direct(key: Jwk, payload: bytes) -> str:
    """As ESS seals a namespace's key under a MEK: the MEK encrypts the content itself."""
    return _seal(key, payload, "dir")


def seal_wrapped(key: Jwk, payload: bytes) -> str:
    """As api-keys seals a database row: a content key of its own, wrapped by the payload key."""
    return _seal(key, payload, "A256GCMKW")


def open_with(keys: Sequence[Jwk], sealed: str) -> bytes:
    """Opens a compact JWE with the key that its header names."""
    token = jwe.JWE()
    token.deserialize(sealed)
    kid = token.jose_header["kid"]
    for key in keys:
        if key["kid"] == kid:
            try:
                token.decrypt(_jwk(key))
            except JWException as error:
                raise CannotOpen(f"the key {kid} is another one: {error}") from None
            return bytes(token.payload)
    raise CannotOpen(f"no key {kid}")


def _seal(key: Jwk, payload: bytes, algorithm: str) -> str:
    header = {"alg": algorithm, "enc": "A256GCM", "kid": key["kid"]}
    return jwe.JWE(payload, protected=json.dumps(header), recipient=_jwk(key)).serialize(compact=True)


def _jwk(key: Jwk) -> jwk.JWK:
    return jwk.JWK(kty=key["kty"], k=key["k"])
