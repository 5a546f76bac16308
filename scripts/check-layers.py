#!/usr/bin/env python3
"""Holds every #include under src/ to the arrows between the layers (CONTRIBUTING.md has the picture).

usage: scripts/check-layers.py              check this source tree
       scripts/check-layers.py --self-test  check the checker

A finding reads FILE:LINE: what, and the rule that it breaks. A comment can't lift a rule.
"""

from __future__ import annotations

import pathlib
import re
import sys
import tempfile

# Each layer, and the layers that it may include beside itself.
LAYERS: dict[str, tuple[str, ...]] = {
    "base": (),
    "goplugin": ("base",),
    "sdk/logical": ("base",),
    "sdk/framework": ("base", "sdk/logical"),
    "sdk/transport": ("base", "goplugin", "sdk/logical", "sdk/framework"),
    "mek": ("base",),
    "kvclient": ("base",),
    "engine": ("base", "mek", "kvclient", "sdk/logical", "sdk/framework"),
}
# The layers that may see the wire: generated protobuf code, gRPC, and Protobuf itself.
WIRE = {
    "goplugin": ("goplugin/",),
    "sdk/transport": ("goplugin/", "openbao/"),
}
_INCLUDE = re.compile(r'\s*#\s*include\s*([<"])([^>"]+)[>"]')
_GENERATED = re.compile(r"\.pb\.h$")
_WIRE_LIBRARY = re.compile(r"^(grpc|grpcpp|grpc\+\+|google/protobuf)/")


def layer_of(path: str) -> str | None:
    return next((layer for layer in LAYERS if path.startswith(layer + "/")), None)


def breach(layer: str, included: str, quoted: bool) -> str | None:
    """The rule that this include breaks, or None."""
    if _GENERATED.search(included):
        if not included.startswith(WIRE.get(layer, ())):
            return f"{layer} may not include generated protobuf code ({included})"
        return None
    if _WIRE_LIBRARY.match(included):
        return None if layer in WIRE else f"{layer} may not include gRPC or Protobuf ({included})"
    if included.startswith(("./", "../")):
        return f"include by the path from src/, not relative ({included})"
    target = layer_of(included)
    if target is None:
        if quoted and included.startswith(("sdk/", "plugin/", "tests/")):
            return f"{layer} may not include {included}"
        return None
    if target != layer and target not in LAYERS[layer]:
        allowed = ", ".join(LAYERS[layer]) or "no other layer"
        return f"{layer} may include {allowed}, not {target} ({included})"
    return None


def check(source: pathlib.Path) -> list[str]:
    findings = []
    for path in sorted(source.rglob("*")):
        if path.suffix not in (".cc", ".h"):
            continue
        layer = layer_of(path.relative_to(source).as_posix())
        shown = f"{source.name}/{path.relative_to(source).as_posix()}"
        if layer is None:
            findings.append(f"{shown}:1: belongs to no layer; scripts/check-layers.py lists them")
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if match := _INCLUDE.match(line):
                if rule := breach(layer, match[2], match[1] == '"'):
                    findings.append(f"{shown}:{number}: {rule}")
    return findings


def self_test() -> None:
    cases = [  # file, include, whether it is refused
        ("base/a.h", '"base/b.h"', False),
        ("base/a.h", "<openssl/evp.h>", False),
        ("base/a.h", '"mek/jwk.h"', True),
        ("goplugin/a.cc", '"base/secret.h"', False),
        ("goplugin/a.cc", '"goplugin/broker.grpc.pb.h"', False),
        ("goplugin/a.cc", '"openbao/backend.pb.h"', True),
        ("goplugin/a.cc", '"sdk/logical/storage.h"', True),
        ("goplugin/a.cc", '<grpcpp/server.h>', False),
        ("sdk/logical/a.h", '"base/clock.h"', False),
        ("sdk/logical/a.h", '"sdk/framework/path.h"', True),
        ("sdk/logical/a.h", "<google/protobuf/message.h>", True),
        ("sdk/framework/a.h", '"sdk/logical/request.h"', False),
        ("sdk/framework/a.h", '"openbao/logical.pb.h"', True),
        ("sdk/transport/a.h", '"openbao/logical.pb.h"', False),
        ("sdk/transport/a.h", '"sdk/framework/backend.h"', False),
        ("sdk/transport/a.h", '"engine/backend.h"', True),
        ("mek/a.h", '"base/json.h"', False),
        ("mek/a.h", '"sdk/logical/storage.h"', True),
        ("mek/a.h", '"../base/json.h"', True),
        ("engine/a.h", '"mek/record.h"', False),
        ("engine/a.h", '"kvclient/client.h"', False),
        ("kvclient/a.h", '"base/json.h"', False),
        ("kvclient/a.h", '"mek/record.h"', True),
        ("kvclient/a.h", '"sdk/logical/storage.h"', True),
        ("engine/a.h", '"goplugin/serve.h"', True),
        ("engine/a.h", '"sdk/transport/serve.h"', True),
        ("engine/a.h", "<grpcpp/grpcpp.h>", True),
        ("stray/a.h", '"base/json.h"', True),
    ]
    for file, include, refused in cases:
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "src", file)
            path.parent.mkdir(parents=True)
            path.write_text(f"// a comment\n#include {include}\n")
            findings = check(pathlib.Path(folder, "src"))
            if bool(findings) != refused:
                sys.exit(f"check-layers: self-test: {file} includes {include}: {findings}")
            if refused and not re.match(rf"src/{file}:[12]: ", findings[0]):
                sys.exit(f"check-layers: self-test: no file and line in {findings[0]}")


def main() -> int:
    if sys.argv[1:] == ["--self-test"]:
        self_test()
        return 0
    if sys.argv[1:]:
        print(__doc__, file=sys.stderr)
        return 2
    findings = check(pathlib.Path(__file__).resolve().parents[1] / "src")
    print(*findings, sep="\n", end="\n" if findings else "")
    return bool(findings)


if __name__ == "__main__":
    sys.exit(main())
