#!/usr/bin/env python3
"""Writes seeds for the fuzz targets, made of the records in tests/records, as DIR/TARGET/NAME.

usage: tests/fuzz/make_seeds.py DIR
"""

from __future__ import annotations

import base64
import hashlib
import json
import pathlib
import sys
from typing import Any

RECORDS = pathlib.Path(__file__).resolve().parents[1] / "records"
# libFuzzer takes inputs of up to 4 KiB here; a set of sixty keys is for the unit tests.
MAX_SIZE = 4096
END = b"\xff"

HANDSHAKES = {
    "bao": "VAULT_BACKEND_PLUGIN=6669da05-b1c8-4f49-97d9-c8e5bed98e20\nPLUGIN_PROTOCOL_VERSIONS=5\n"
           "PLUGIN_CLIENT_CERT=pem\nPLUGIN_UNIX_SOCKET_DIR=/run/plugins\nTMPDIR=/var/tmp\n"
           "PLUGIN_MULTIPLEX_GRPC=true",
    "versions": "PLUGIN_CLIENT_CERT=x\nPLUGIN_PROTOCOL_VERSIONS=4,5, 6 ,+7,-1,,v8,99999999999",
    "unix": "unix=/tmp/a b%/plugin",
    "tcp": "tcp=127.0.0.1:1234",
    "tcp6": "tcp=[::1]:0065535",
}
REQUESTS = {
    "rotate": '{"kid":"a","cas":"3","force":"true","reason":"yearly","activation":"staged"}',
    "config": '{"kid":"a","grace_period":"1h30m","required_acks":"ess, api-keys","force":false}',
    "config_json": '{"kid":"a","grace_period":172800,"required_acks":["ess"],"cas":0}',
    "days": '{"kid":"a","grace_period":"2d"}',
    "backup": '{"kid":"a","backup":{"data":{"data":{}}}}',
    "backup_text": r'{"kid":"a","backup":"{\"data\":{\"a\":1.50}}"}',
    "read": '{"version":"7"}',
    "null": '{"cas":null}',
    "numbers": '[0,-0,1e2,18446744073709551615,-9223372036854775808,0.1,1e-400]',
    "text": r'["\ud83d\ude00","\u0000","é",true,{"a":{},"b":[]}]',
    "twice": '{"cas":1,"cas":2}',
    "deep": "[" * 65 + "]" * 65,
}
SCHEDULES = {
    "quarterly": "0 3 1 1,4,7,10 *",
    "office_hours": "*/15 0-6 * * mon-fri",
    "leap_day": "0 0 29 2 *",
    "new_year": "59 23 31 12 7",
    "monthly": "@monthly",
    "steps": "5/2 1 1-7/3 jan-dec/2 0",
    "either_day": "0 0 13 * 5",
}
CONFIG = (
    '{"schema":1,"grace_period_seconds":172800,"reader_margin_seconds":1800,'
    '"reader_timeout_seconds":86400,"auto_rotate_period_seconds":0,"rotation_window_seconds":3600,'
    '"activation":"staged","required_acks":["ess"],"activate_early":false,'
    '"rotation_schedule":"0 3 1 1,4,7,10 *","plan_set_time":"2026-09-01T12:00:00.000000000Z",'
    '"max_versions":100,"private_jwks":"auto"')


def text(record: dict[str, Any], field: str) -> bytes | None:
    """The JSON that a field holds as base64."""
    try:
        return base64.b64decode(record[field], validate=True)
    except (KeyError, TypeError, ValueError):
        return None


def sealed(schema_and_members: str) -> bytes:
    """A stored document with its checksum; ends before the closing brace when it is given."""
    digest = hashlib.sha256(schema_and_members.encode()).hexdigest()
    return f'{schema_and_members},"sha256":"{digest}"}}'.encode()


def protobuf(network: str, address: str) -> bytes:
    """ConnInfo of service 7."""
    parts = ((0x12, network.encode()), (0x1A, address.encode()))
    return b"\x08\x07" + b"".join(bytes((tag, len(value))) + value for tag, value in parts)


def seeds() -> dict[str, dict[str, bytes]]:
    made: dict[str, dict[str, bytes]] = {
        "base64": {"standard": b"aGVsbG8sIHdvcmxkLg==", "url": b"_-8", "bytes": bytes(range(256))},
        "handshake": {name: value.encode() for name, value in HANDSHAKES.items()},
        "jwks": {},
        "record": {},
        "request": {name: value.encode() for name, value in REQUESTS.items()},
        "schedule": {name: value.encode() for name, value in SCHEDULES.items()},
        "stored": {"config": b"\x02" + sealed(CONFIG)},
    }
    made["handshake"]["conn_info"] = protobuf("unix", "/tmp/plugin123")
    made["handshake"]["conn_info_tcp"] = protobuf("tcp", "[fe80::1]:7")
    for path in sorted(RECORDS.glob("*.json")):
        name, file = path.stem, json.loads(path.read_text())
        record = file["data"]
        whole = json.dumps(record, separators=(",", ":"))
        made["record"][f"{name}.json"] = whole.encode()
        sets = [text(record, "keys"), text(record, "private_jwks")]
        for index, jwks in enumerate(sets):
            if jwks is not None:
                made["jwks"][f"{name}.{index}"] = bytes([index]) + jwks + END + bytes(range(0, 64, 5))
        strings = [record.get("current_kid"), record.get("jwe_mapping")]
        if all(sets) and all(isinstance(value, str) for value in strings):
            others = {key: record[key] for key in record
                      if key not in ("keys", "private_jwks", "current_kid", "jwe_mapping")}
            parts = [*sets, *(value.encode() for value in strings), json.dumps(others).encode()]
            made["record"][name] = b"p" + END.join(part or b"" for part in parts)
        if not file["valid"]:
            continue
        kid = record["current_kid"]
        version = (
            f'{{"schema":1,"record":{whole},"operation":"rotate",'
            '"created_time":"2026-09-01T12:00:00.000000000Z","reason":"yearly","entity_id":"e",'
            f'"display_name":"d","request_id":"r","previous_kid":"{kid}",'
            '"effective_time":"2026-09-03T12:00:00.000000000Z","rolled_back_to":1')
        made["stored"][f"version_{name}"] = b"\x00" + sealed(
            version + ',"answered":"7,1,r;6,1,q;"')
        made["stored"][f"version_before_{name}"] = b"\x00" + sealed(
            version + ',"requests":[{"id":"r","version":7},{"id":"q","version":6}]')
        jwk = json.dumps(json.dumps(json.loads(sets[0] or b"")["keys"][0]))
        keys = ",".join(
            f'{{"set":"{key_set}","jwk":{jwk},"dropped_time":"2026-09-01T12:00:00.000000000Z",'
            f'"dropped_by_version":7,"reason":"{reason}"}}'
            for key_set, reason in (("keys", "retired"), ("private_jwks", "dropped")))
        made["stored"][f"archive_{name}"] = b"\x01" + sealed(
            f'{{"schema":1,"kid":"{kid}","keys":[{keys}]')
    return made


def main() -> int:
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    for target, inputs in seeds().items():
        folder = pathlib.Path(sys.argv[1], target)
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in inputs.items():
            if len(data) <= MAX_SIZE:
                (folder / name).write_bytes(data)
    return 0


if __name__ == "__main__":
    sys.exit(main())
