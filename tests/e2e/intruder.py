"""Tools of one who has found the plugin's socket: TLS with and without certificates, raw HTTP/2 frames; and
a plugin process of our own, whose host we are, to show that the right certificate does open the door."""

from __future__ import annotations

import contextlib
import datetime
import os
import pathlib
import socket
import ssl
import struct
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
(DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE,
 CONTINUATION) = range(10)
END_STREAM, END_HEADERS = 1, 4
NOBODY = 65534


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate like a host's, with its key, in one PEM file."""

    file: pathlib.Path
    pem: str

    @classmethod
    def make(cls, folder: pathlib.Path, curve: ec.EllipticCurve) -> Certificate:
        key = ec.generate_private_key(curve)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
        now = datetime.datetime.now(datetime.timezone.utc)
        made = (x509.CertificateBuilder().subject_name(name).issuer_name(name)
                .public_key(key.public_key()).serial_number(x509.random_serial_number())
                .not_valid_before(now - datetime.timedelta(minutes=1))
                .not_valid_after(now + datetime.timedelta(days=1))
                .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
                .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
                .sign(key, hashes.SHA512()))
        pem = made.public_bytes(serialization.Encoding.PEM)
        file = folder / f"{curve.name}-{made.serial_number}.pem"
        file.write_bytes(pem + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption()))
        return cls(file, pem.decode())


def connect(path: pathlib.Path, timeout: float = 10) -> socket.socket:
    """Waits while the plugin's queue of connections is full, which is what a blocking connect does."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(path))
    connection.settimeout(timeout)
    return connection


def tls(path: pathlib.Path, certificate: Certificate | None = None,
        version: ssl.TLSVersion | None = None) -> ssl.SSLSocket:
    """A TLS connection that trusts whoever answers, with a certificate or without."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    if version is not None:
        # So that it isn't our own library which refuses.
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = version
    if certificate is not None:
        context.load_cert_chain(certificate.file)
    connection = connect(path)
    try:
        return context.wrap_socket(connection, server_hostname="localhost")
    except BaseException:
        connection.close()
        raise


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"",
          length: int | None = None) -> bytes:
    """An HTTP/2 frame; `length` may lie."""
    size = len(payload) if length is None else length
    return struct.pack(">I", size)[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def header_block(path: str) -> bytes:
    """The headers of a gRPC call, as HPACK literals."""
    fields = ((":method", "POST"), (":scheme", "https"), (":path", path), (":authority", "localhost"),
              ("te", "trailers"), ("content-type", "application/grpc"))
    return b"".join(b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
                    for name, value in fields)


def health_call(stream: int = 1) -> bytes:
    """Asks the health service for "plugin"."""
    message = b"\x0a\x06plugin"
    return (frame(HEADERS, END_HEADERS, stream, header_block("/grpc.health.v1.Health/Check"))
            + frame(DATA, END_STREAM, stream, b"\0" + struct.pack(">I", len(message)) + message))


SERVING = b"\0\0\0\0\x02\x08\x01"  # the message {status: SERVING}, as gRPC frames it


def receive(connection: socket.socket, until: bytes = b"", limit: int = 1 << 20) -> bytes:
    """What the peer sends until it closes, fails, falls silent, or has sent `until`."""
    got = b""
    with contextlib.suppress(OSError):
        while len(got) < limit and not (until and until in got):
            more = connection.recv(65536)
            if not more:
                break
            got += more
    return got


def send(connection: socket.socket, data: bytes) -> bool:
    """Whether the peer took it all."""
    try:
        connection.sendall(data)
        return True
    except OSError:
        return False


def is_serving(path: pathlib.Path, certificate: Certificate) -> bool:
    with tls(path, certificate) as connection:
        return send(connection, PREFACE + frame(SETTINGS) + health_call()) and \
            SERVING in receive(connection, SERVING)


@contextlib.contextmanager
def own_plugin(binary: pathlib.Path, folder: pathlib.Path, certificate: Certificate) -> Iterator[
        tuple[int, pathlib.Path]]:
    """The pid and the socket of a plugin whose host has that certificate."""
    process = subprocess.Popen(
        [binary], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        cwd=folder, env={
            "VAULT_BACKEND_PLUGIN": "6669da05-b1c8-4f49-97d9-c8e5bed98e20", "PLUGIN_PROTOCOL_VERSIONS": "5",
            "PLUGIN_UNIX_SOCKET_DIR": str(folder), "PLUGIN_CLIENT_CERT": certificate.pem})
    with process:
        try:
            line = process.stdout.readline().decode()
            core, protocol, network, path, kind, _ = line.strip().split("|")
            assert (core, protocol, network, kind) == ("1", "5", "unix", "grpc"), line
            yield process.pid, pathlib.Path(path)
            assert process.poll() is None, "the plugin ended"
        finally:
            process.terminate()


def as_nobody(code: str, *args: object) -> str:
    """What Python code prints that runs as the user `nobody`."""
    prelude = f"import os, socket, sys\nos.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
    done = subprocess.run([sys.executable, "-I", "-c", prelude + textwrap.dedent(code), *map(str, args)],
                          capture_output=True, text=True, timeout=60, check=False, cwd="/")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def rss(pid: int) -> int:
    """Resident memory in bytes."""
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))
