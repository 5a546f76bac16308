"""One who has found the plugin's socket, and one who sends too much: no call is served, nothing is
changed, the plugin goes on, and needs no more memory or descriptors in the end."""

from __future__ import annotations

import base64
import contextlib
import json
import pathlib
import random
import resource
import ssl
import stat
import struct
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

import intruder
import records
from bao import Server, wait_until
from history import rounds, seeded
from intruder import (CONTINUATION, DATA, END_HEADERS, GOAWAY, HEADERS, PING, PREFACE, PRIORITY,
                      PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE, Certificate, frame, receive, send)
from mek import SECRET, Mek
from records import SAMPLES

BOOTSTRAPPED = SAMPLES["good_bootstrapped"].data
MIB = 1 << 20
# Memory beyond what the plugin had before: during an attack, and after it (small blocks stay with the
# process, for its next use). The same attack again may add next to nothing.
DURING = 320 * MIB
KEPT = 160 * MIB
AGAIN = 24 * MIB


@dataclass
class Target:
    """A server's plugin."""

    mek: Mek
    pid: int
    socket: pathlib.Path

    @property
    def directory(self) -> pathlib.Path:
        return self.socket.parent


@pytest.fixture(scope="module")
def server(binary: pathlib.Path) -> Iterator[Server]:
    with Server.dev({"mek": binary}) as server:
        server.cli("secrets", "enable", "mek").ok()
        Mek(server).import_record(BOOTSTRAPPED)
        yield server


@pytest.fixture
def target(server: Server) -> Iterator[Target]:
    """Afterwards the same process serves, the record is as before, and nothing has leaked."""
    mek = Mek(server)
    (pid,) = server.plugin_pids()
    (socket,) = [path for path in server.sockets() if path.parent.name.startswith("plugin-cc-")]
    before = mek.snapshot()
    memory, open_files = intruder.rss(pid), intruder.descriptors(pid)
    yield Target(mek, pid, socket)
    assert mek.snapshot() == before
    assert mek.write("rotate", dry_run=True).status == 200
    assert server.plugin_pids() == [pid], "it was started anew"
    wait_until(lambda: intruder.descriptors(pid) <= open_files + 4,
               "the intruder's descriptors are closed", 20)
    assert intruder.rss(pid) - memory < KEPT
    assert not records.shows_secret(server.log()[server.log_mark:], BOOTSTRAPPED)


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate.make(tmp_path_factory.mktemp("stranger"), ec.SECP521R1())


# Who may connect ----------------------------------------------------------------------------------

CONNECT = """
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(20)
    try:
        connection.connect(sys.argv[1])
        try:
            connection.sendall(bytes.fromhex("16030100"))  # a TLS record begins
        except OSError:
            pass
        try:
            print("got", connection.recv(1000).hex())
        except ConnectionResetError:
            print("got")
    except OSError as error:
        print(type(error).__name__)
"""


def mode(path: pathlib.Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_the_socket_is_the_owners_alone_in_a_directory_of_its_own(target: Target) -> None:
    assert (mode(target.directory), mode(target.socket)) == (0o700, 0o600)
    owner = pathlib.Path(f"/proc/{target.pid}").stat().st_uid
    assert target.directory.lstat().st_uid == target.socket.lstat().st_uid == owner
    assert list(target.directory.iterdir()) == [target.socket]


def test_another_user_cannot_connect(target: Target) -> None:
    with opened(target, target.directory.parent):
        assert intruder.as_nobody(CONNECT, target.socket) == "PermissionError"


def test_another_user_gets_no_byte_even_from_an_opened_directory(target: Target) -> None:
    with opened(target, target.directory), contextlib.ExitStack() as restore:
        target.socket.chmod(0o666)
        restore.callback(target.socket.chmod, 0o600)
        assert intruder.as_nobody(CONNECT, target.socket) == "got"
    assert "connection of another user was refused" in target.mek.server.log()


@contextlib.contextmanager
def opened(target: Target, innermost: pathlib.Path) -> Iterator[None]:
    """Every folder down to that one may be entered by all."""
    with contextlib.ExitStack() as restore:
        for folder in (innermost, *innermost.parents):
            if folder.is_relative_to(target.mek.server.home):
                restore.callback(folder.chmod, mode(folder))
                folder.chmod(0o755)
        yield


# Without the host's certificate -------------------------------------------------------------------


def is_no_call_served(connection: Any) -> None:
    """Whatever comes back, it isn't HTTP/2: a server that lets one in sends its settings first."""
    send(connection, PREFACE + frame(SETTINGS) + intruder.health_call())
    assert receive(connection) == b""


def test_no_call_is_served_without_a_certificate(target: Target) -> None:
    for version in (None, ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2):
        with contextlib.suppress(OSError), intruder.tls(target.socket, None, version) as connection:
            is_no_call_served(connection)


def test_no_call_is_served_with_another_certificate(
        target: Target, stranger: Certificate, tmp_path: pathlib.Path) -> None:
    for certificate in (stranger, Certificate.make(tmp_path, ec.SECP256R1())):
        for version in (None, ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2):
            with contextlib.suppress(OSError), \
                    intruder.tls(target.socket, certificate, version) as connection:
                is_no_call_served(connection)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1], ids=str)
@pytest.mark.filterwarnings("ignore:.*TLSv1:DeprecationWarning")
def test_old_tls_is_refused(target: Target, stranger: Certificate, version: ssl.TLSVersion) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)) as refused:
        intruder.tls(target.socket, stranger, version)
    assert "NO_PROTOCOLS_AVAILABLE" not in str(refused.value), "our own library refused"


def test_plaintext_is_refused(target: Target) -> None:
    for data in (PREFACE + frame(SETTINGS) + intruder.health_call(),
                 b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"):
        with intruder.connect(target.socket) as connection:
            send(connection, data)
            got = receive(connection)
            assert got == b"" or got[0] == 21, "at most a TLS alert"


def test_the_hosts_certificate_does_open_the_door(
        binary: pathlib.Path, tmp_path: pathlib.Path, stranger: Certificate) -> None:
    """The tests above can fail: the same call is served to who has the certificate."""
    host = Certificate.make(tmp_path, ec.SECP521R1())
    with intruder.own_plugin(binary, tmp_path, host) as (_, socket):
        assert intruder.is_serving(socket, host)
        with contextlib.suppress(OSError), intruder.tls(socket, stranger) as connection:
            is_no_call_served(connection)


# Too much -----------------------------------------------------------------------------------------


def test_random_bytes_do_no_harm(target: Target) -> None:
    random_ = seeded("random bytes")
    for _ in range(rounds(2000, 50000)):
        with intruder.connect(target.socket) as connection:
            junk = random_.randbytes(random_.choice((1, 5, 100, 3000)))
            if random_.random() < 0.5:  # looks like a TLS record at first
                junk = b"\x16\x03\x01" + struct.pack(">H", random_.randrange(1 << 16)) + b"\x01" + junk
            send(connection, junk)
    assert target.mek.write("rotate", dry_run=True).status == 200


def test_64_mib_of_junk_are_not_kept(target: Target) -> None:
    before = intruder.rss(target.pid)
    block = random.Random(1).randbytes(MIB)
    for start in (b"", b"\x16\x03\x01\xff\xff\x01\xff\xff\xff"):  # and one endless handshake
        with intruder.connect(target.socket) as connection:
            send(connection, start)
            for _ in range(64):
                if not send(connection, block):
                    break
                assert intruder.rss(target.pid) - before < DURING
    assert target.mek.write("rotate", dry_run=True).status == 200


def test_10000_connections_that_come_and_go(target: Target) -> None:
    before = intruder.rss(target.pid)
    for number in range(10000):
        with intruder.connect(target.socket):
            pass
        if number % 1000 == 0:
            assert target.mek.write("rotate", dry_run=True).status == 200
            assert intruder.rss(target.pid) - before < DURING


def test_2000_connections_held_open(target: Target) -> None:
    """They are closed when their TLS handshake isn't done in time; meanwhile the host is served."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard >= 2200 or hard == resource.RLIM_INFINITY, f"ulimit -n is {hard}: raise it to 2200"
    first = 0
    for wave in range(rounds(2, 20)):
        before = intruder.rss(target.pid)
        with contextlib.ExitStack() as held:
            held.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2200), hard))
            connections = [held.enter_context(intruder.connect(target.socket)) for _ in range(2000)]
            for _ in range(20):
                asked = time.monotonic()
                assert target.mek.write("rotate", dry_run=True).status == 200
                assert time.monotonic() - asked < 5
            assert intruder.rss(target.pid) - before < DURING
            # Ours see the end that the plugin made.
            wait_until(lambda: intruder.descriptors(target.pid) < 200, "the silent are cut off", 30)
            assert receive(connections[0]) == b""
        if wave == 0:
            first = intruder.rss(target.pid)
    assert intruder.rss(target.pid) - first < AGAIN


# HTTP/2, with the host's certificate ---------------------------------------------------------------


def malformed() -> dict[str, bytes]:
    """What an HTTP/2 server may be sent, by name, after the preface unless it is one."""
    block = intruder.header_block("/grpc.health.v1.Health/Check")
    start = PREFACE + frame(SETTINGS)
    opened_ = [frame(HEADERS, END_HEADERS, number, block) for number in range(1, 4001, 2)]
    return {
        "no preface": b"\0" * 100,
        "HTTP/1": b"POST /pb.Backend/HandleRequest HTTP/1.1\r\n\r\n",
        "half a preface": PREFACE[:10] + b"\xff" * 50,
        "data on stream 0": start + frame(DATA, 0, 0, b"x"),
        "headers on stream 0": start + frame(HEADERS, 4, 0, block),
        "headers on an even stream": start + frame(HEADERS, 4, 2, block),
        "a stream again": start + frame(HEADERS, 5, 1, block) * 2,
        "a frame of 16 MiB": start + frame(DATA, 0, 1, b"", (1 << 24) - 1) + b"x" * MIB,
        "settings of 5 bytes": start + frame(SETTINGS, 0, 0, b"12345"),
        "an acknowledgement with content": start + frame(SETTINGS, 1, 0, b"123456"),
        "settings out of range": start + frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 0xFFFFFFFF)),
        "a window of 0": start + frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\0"),
        "a window too wide": start + frame(WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff") * 3,
        "a window of 3 bytes": start + frame(WINDOW_UPDATE, 0, 0, b"\0\0\1"),
        "continuation of nothing": start + frame(CONTINUATION, 4, 1, block),
        "headers without an end": start + frame(HEADERS, 0, 1, block)
        + frame(CONTINUATION, 0, 1, b"\0\x01a\x7f" + b"b" * 127) * 20000,
        "a frame between headers": start + frame(HEADERS, 0, 1, block) + frame(PING, 0, 0, b"8" * 8),
        "HPACK index out of range": start + frame(HEADERS, 4, 1, b"\xff\xff\xff\xff\x7f"),
        "HPACK integer without an end": start + frame(HEADERS, 4, 1, b"\x7f" + b"\xff" * 1000),
        "HPACK table of 4 GiB": start + frame(HEADERS, 4, 1, b"\x3f\xe1\xff\xff\xff\x0f" + block),
        "a header of 1 MiB": start + frame(HEADERS, 0, 1, b"\0\x01a\x7f\x81\xff\x3f" + b"b" * 16000)
        + frame(CONTINUATION, 0, 1, b"b" * 16000) * 64,
        "padding longer than the frame": start + frame(HEADERS, 0xC, 1, b"\xff" + block),
        "a priority that depends on itself": start + frame(PRIORITY, 0, 1, struct.pack(">IB", 1, 1)),
        "a push promise": start + frame(PUSH_PROMISE, 4, 1, struct.pack(">I", 2) + block),
        "a goaway of 3 bytes": start + frame(GOAWAY, 0, 0, b"123"),
        "a reset of an idle stream": start + frame(RST_STREAM, 0, 99, b"\0\0\0\1"),
        "an unknown frame": start + frame(0xAB, 0xFF, 7, b"x" * 1000) * 100,
        "10,000 settings": start + frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 65535)) * 10000,
        "10,000 pings": start + frame(PING, 0, 0, b"12345678") * 10000,
        "2,000 streams": start + b"".join(opened_),
        "2,000 streams, each reset": start + b"".join(
            one + frame(RST_STREAM, 0, 2 * number + 1, b"\0\0\0\x08")
            for number, one in enumerate(opened_)),
        "64 MiB beyond the window": start + opened_[0] + frame(DATA, 0, 1, b"x" * 16384) * 4096,
        "a message that says 4 GiB": start + opened_[0]
        + frame(DATA, 1, 1, b"\0\xff\xff\xff\xff" + b"x" * 100),
        "a compressed message": start + opened_[0] + frame(DATA, 1, 1, b"\1\0\0\0\x05hello"),
        "no protobuf": start + opened_[0] + frame(DATA, 1, 1, b"\0\0\0\0\x05\xff\xff\xff\xff\xff"),
        "an unknown call": start + frame(HEADERS, 5, 1, intruder.header_block("/pb.Backend/Nothing")),
    }


def test_malformed_http2_does_no_harm(binary: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """From one who has the host's certificate, which only the host has. In a process of its own."""
    random_ = seeded("malformed HTTP/2")
    host = Certificate.make(tmp_path, ec.SECP521R1())
    sent = malformed()
    with intruder.own_plugin(binary, tmp_path, host) as (pid, socket):
        assert intruder.is_serving(socket, host)
        before, open_files = intruder.rss(pid), intruder.descriptors(pid)
        for name, data in sent.items():
            with intruder.tls(socket, host) as connection:
                connection.settimeout(0.3)
                send(connection, data)
                receive(connection, limit=4096)
            assert intruder.rss(pid) - before < DURING, name
            assert intruder.is_serving(socket, host), name
        names = sorted(sent)
        for _ in range(rounds(100, 3000)):
            data = bytearray(sent[random_.choice(names)][:2000])
            for _ in range(random_.randrange(1, 20)):
                data[random_.randrange(len(data))] = random_.randrange(256)
            with intruder.tls(socket, host) as connection:
                send(connection, bytes(data))
        assert intruder.is_serving(socket, host)
        wait_until(lambda: intruder.descriptors(pid) <= open_files + 4, "all is closed", 20)
        wait_until(lambda: len(list(pathlib.Path(f"/proc/{pid}/task").iterdir())) < 64,
                   "the threads of the calls that were begun have ended", 20)
        # The answers to a flood (53 MiB for 10,000 pings) stay with the arena of malloc that made them.
        assert intruder.rss(pid) - before < DURING


# Through the API ----------------------------------------------------------------------------------


def deep(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


def record_of(count: int) -> records.Fields:
    """A good record with that many keys."""
    random_ = random.Random(count)
    base = int(time.time() * 1e7) + 0x01B21DD213814000 - count * 10_000_000
    keys = []
    for number in range(count):
        at = base + number * 1_000_000
        kid = str(uuid.UUID(fields=(at & 0xFFFFFFFF, at >> 32 & 0xFFFF, at >> 48 & 0xFFF | 0x1000, 0x81, 2,
                                    number | 1 << 40)))
        keys.append({"kty": "oct", "use": "enc", "alg": "A256GCM", "kid": kid,
                     "k": base64.urlsafe_b64encode(random_.randbytes(32)).decode().rstrip("=")})
    kid = keys[0]["kid"]
    mapping = json.loads(BOOTSTRAPPED["jwe_mapping"]) | {"payload_jwe_kid": kid}
    keys_text = records.encode(json.dumps({"keys": keys}))
    return {"keys": keys_text, "current_kid": kid, "jwe_mapping": json.dumps(mapping),
            "private_jwks": keys_text}


def test_json_10000_deep_is_refused(target: Target) -> None:
    server = target.mek.server
    encoded = records.encode('{"keys":' + "[" * 10000 + "]" * 10000 + "}")
    requests = [("rotate", deep(10000)), ("import", deep(10000)),
                (f"data/{SECRET}", '{"data":' + deep(10000) + "}"),
                ("import", json.dumps({"backup": '{"data":' + deep(10000) + "}"}))]
    for field, value in (("keys", encoded), ("private_jwks", encoded), ("jwe_mapping", deep(10000))):
        requests.append((f"data/{SECRET}", json.dumps({"data": BOOTSTRAPPED | {field: value}})))
    for path, body in requests:
        reply = server.http("POST", f"mek/{path}", body)
        assert reply.status == 400, (path, body[:60], reply)
        assert 10 < len(" ".join(reply.errors)) < 1000, reply


def test_a_body_of_31_mib_is_refused(target: Target) -> None:
    """The host takes 32 MiB, and some seconds for each such request."""
    text = "x" * (31 * MIB)
    before = intruder.rss(target.pid)
    requests: list[tuple[str, dict[str, Any], int]] = [
        (f"data/{SECRET}", {"data": BOOTSTRAPPED | {"note": text}}, 413),
        ("import", {"backup": text}, 400),
        ("rotate", {"reason": text}, 400),
        ("rotate", {text: 1}, 400),
        (f"data/{SECRET}", {"data": BOOTSTRAPPED | {"keys": text}}, 400),
    ]
    for path, fields, status in requests[:rounds(3, 5)] * rounds(1, 10):
        reply = target.mek.write(path, **fields)
        assert reply.status == status, (path, reply.status, reply.text[:500])
        assert 10 < len(" ".join(reply.errors)) < 1000
        assert intruder.rss(target.pid) - before < DURING
    assert intruder.rss(target.pid) - before < 64 * MIB, "large blocks go back to the system"


def test_3000_keys_are_too_many(target: Target) -> None:
    data = record_of(3000)
    for reply in (target.mek.put(data), target.mek.write("import", force=True, **data)):
        assert reply.status == 413, reply
        assert 40 < len(" ".join(reply.errors)) < 1000, "says what is too large, and what to do"
        assert not records.shows_secret(reply.text, data, 20)


BAD_NUMBERS = (-1, 3.5, 1 << 63, 1 << 64, 1e300, "x", "3.5", "-1", " 1", "0x1", "1e3",
               "99999999999999999999", True, [], [1, 2], {}, {"a": 1}, "\0", "٣")


def test_numbers_that_are_none_are_refused(target: Target) -> None:
    mek = target.mek
    for number in BAD_NUMBERS:
        for reply in (mek.write("rotate", cas=number), mek.put(BOOTSTRAPPED, cas=number),
                      mek.write("rollback", version=number, dry_run=True)):
            assert reply.status in (400, 404), (number, reply)
            assert reply.errors
    for text in ("-1", "0", "x", "1e3", "1.0", "99999999999999999999", "%00", "..%2f..%2fconfig",
                 "1%2f1"):
        for path in (f"versions/{text}", f"data/{SECRET}?version={text}"):
            if path.endswith("?version=0"):
                continue  # the live one
            assert mek.read(path).status in (400, 404), path


KIDS = ("", " ", "..", "../config", "a/b", "\0", "a\nb", "x" * 100_000, "\u202e", "%2e%2e", "|", "'; --",
        "{{kid}}")


def test_kids_that_are_none_are_refused(target: Target) -> None:
    for kid in KIDS:
        data = dict(BOOTSTRAPPED)
        for name in records.SETS:
            decoded = records.decode(data[name])
            decoded["keys"][0]["kid"] = kid
            data[name] = records.encode(json.dumps(decoded))
        data["current_kid"] = kid
        data["jwe_mapping"] = json.dumps(json.loads(data["jwe_mapping"]) | {"payload_jwe_kid": kid})
        reply = target.mek.put(data)
        assert reply.status in (400, 409, 413), (kid[:30], reply)
        assert len(" ".join(reply.errors)) < 1000
        assert not records.shows_secret(reply.text, BOOTSTRAPPED)
