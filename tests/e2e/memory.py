"""Looks for key material in a process's memory, as one who has taken over the machine would."""

from __future__ import annotations

import base64
import pathlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import records

PIECE = 16  # fewer characters (or raw bytes) of a key in a row are not counted
FORMS = ("raw", "base64url", "in base64")
_RUN = re.compile(rb"[A-Za-z0-9+/_-]{%d,}" % PIECE)
_PAGE = 4096
_EMPTY = bytes(_PAGE)


def keys_in(record: records.Fields) -> set[str]:
    """The text of every k of both sets, even where the record is too broken to be read."""
    found = set()
    for name in records.SETS:
        field = record.get(name)
        if isinstance(field, str):
            try:
                field = base64.b64decode(field).decode("utf-8", "replace")
            except ValueError:
                pass  # not base64: looked through as it is
            found |= set(re.findall(r'"k"\s*:\s*"([^"]+)"', field))
    return {text for text in found if len(text) >= PIECE}


@dataclass(frozen=True)
class Key:
    """A key in each form that it can stand in."""

    forms: tuple[tuple[str, bytes], ...]

    @classmethod
    def of(cls, k: str) -> Key:
        text = k.encode()
        forms = [("base64url", text)]
        try:
            forms.append(("raw", base64.urlsafe_b64decode(k.rstrip("=") + "=" * (-len(k.rstrip("=")) % 4))))
        except ValueError:
            pass  # no key of its length: its text alone
        for shift in range(3):
            # The characters that depend on k alone: without those shared with its neighbours.
            encoded = base64.b64encode(b"x" * shift + text)
            forms.append(("in base64", encoded[4 if shift else 0:-4]))
        return cls(tuple(forms))


def traces(pid: int, keys: Iterable[str]) -> dict[str, int]:
    """How many pieces of the keys stand in the readable memory of a process, by form: the raw bytes,
    the base64url text of a JWK's k, and that text inside the base64 of a field (at any of its three
    alignments)."""
    return _count(list(_readable_memory(pid)), keys)


def traces_in(data: bytes, keys: Iterable[str]) -> dict[str, int]:
    """The same in bytes: a log, an environment."""
    return _count([data], keys)


def _count(blocks: list[bytes], keys: Iterable[str]) -> dict[str, int]:
    everything = b"\0".join(blocks)
    text = b"\0".join(_RUN.findall(everything))
    found = dict.fromkeys(FORMS, 0)
    for key in map(Key.of, keys):
        for form, wanted in key.forms:
            found[form] += _pieces(everything if form == "raw" else text, wanted)
    return found


def _pieces(haystack: bytes, wanted: bytes) -> int:
    """How many pieces of `wanted`, PIECE bytes or longer, stand in `haystack`. Each holds at least one
    of the blocks of half that length which `wanted` can be cut into."""
    half, starts = PIECE // 2, set()
    for at in range(0, len(wanted) - half + 1, half):
        place = haystack.find(wanted[at:at + half])
        while place >= 0:
            left = _common(haystack[max(0, place - at):place][::-1], wanted[:at][::-1])
            right = _common(haystack[place:place + len(wanted) - at], wanted[at:])
            if left + right >= PIECE:
                starts.add(place - left)
            place = haystack.find(wanted[at:at + half], place + 1)
    return len(starts)


def _common(one: bytes, other: bytes) -> int:
    """The length of the common prefix."""
    for at, (a, b) in enumerate(zip(one, other)):
        if a != b:
            return at
    return min(len(one), len(other))


def _readable_memory(pid: int) -> Iterator[bytes]:
    """Each readable mapping, without the pages that hold nothing."""
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for start, end, mode, name in mappings(pid):
            if "r" not in mode or name.startswith("[vvar"):  # the kernel's clock, which can't be read
                continue
            memory.seek(start)
            if name.startswith("/secretmem"):  # the sealing key's page, which nobody else can read
                try:
                    memory.read(end - start)
                except OSError:
                    continue
                raise AssertionError("memfd_secret's page can be read from outside")
            try:
                block = memory.read(end - start)
            except OSError:
                # A thread may have ended since. What is still there must be searched.
                if (start, end) in {(s, e) for s, e, *_ in mappings(pid)}:
                    raise
                continue
            pages = (block[at:at + _PAGE] for at in range(0, len(block), _PAGE))
            yield b"".join(page for page in pages if page != _EMPTY)


def mappings(pid: int) -> list[tuple[int, int, str, str]]:
    """Start, end, mode and name of each mapping."""
    found = []
    for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines():
        place, mode, _, _, _, *name = line.split()
        start, end = (int(bound, 16) for bound in place.split("-"))
        found.append((start, end, mode, " ".join(name)))
    return found


def plant(pid: int, what: bytes) -> None:
    """Writes into memory that the process has but does not use: the far end of its first stack."""
    (start,) = (start for start, _, _, name in mappings(pid) if name == "[stack]")
    with open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
        memory.seek(start)
        memory.write(what)
