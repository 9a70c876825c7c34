"""Small sources made by hand: a flat mailboxes.db from plain values, and values from plain fields.

Flat is the simplest format there is, so what these tests feed a build is easy to see to be right.
"""

from __future__ import annotations

import gzip
import pathlib
from collections.abc import Mapping

from pyxlist import Entry, Index

DATA = pathlib.Path(__file__).parent / "data"
_ESCAPED = frozenset(b"\t\r\n\0\xff")


def value(acl: str = "", mbtype: str = "e", uniqueid: str = "", partition: str = "default", mtime: int = 1) -> bytes:
    """A mailboxes.db value as Cyrus 3.6 writes it; `acl` is "identifier rights identifier rights"."""
    fields = [f"T {mbtype}"]
    fields += [f"I {uniqueid}"] if uniqueid else []
    fields += [f"P {partition}", "V 1", "C 1", "F 1", f"M {mtime}", f"A %({acl})"]
    return f"%({' '.join(fields)})".encode()


def escape(octets: bytes) -> bytes:
    """Octets as a flat database stores them."""
    return b"".join(bytes((0xFF, octet | 0x80)) if octet in _ESCAPED else bytes((octet,)) for octet in octets)


def write_flat(path: pathlib.Path, entries: Mapping[bytes, bytes]) -> pathlib.Path:
    """Write a flat mailboxes.db: key name -> value."""
    return write_records(path, {b"N" + key: octets for key, octets in entries.items()})


def write_records(path: pathlib.Path, records: Mapping[bytes, bytes]) -> pathlib.Path:
    """Write a flat database: key -> value."""
    lines = [escape(key) + b"\t" + escape(records[key]) + b"\n" for key in sorted(records)]
    path.write_bytes(b"".join(lines))
    return path


def value_of(entry: Entry) -> bytes:
    """The value Cyrus would have for an entry whose texts are all harmless atoms."""
    texts = [("T", entry.mbtype.letters), ("I", entry.uniqueid), ("S", entry.server), ("P", entry.partition)]
    numbers = [("V", entry.uidvalidity), ("C", entry.createdmodseq), ("F", entry.foldermodseq), ("M", entry.mtime)]
    fields: list[tuple[str, str | int | None]] = [*texts, *numbers]
    words = [f"{name} {text}" for name, text in fields if text]
    grants = " ".join(f"{identifier} {rights}" for identifier, rights in entry.acl)
    return f"%({' '.join([*words, f'A %({grants})'])})".encode("utf-8", "surrogateescape")


def write_source_of(path: pathlib.Path, index: Index) -> pathlib.Path:
    """A flat mailboxes.db that says what an index says."""
    return write_flat(path, {entry.key: value_of(entry) for entry in index.entries()})


def unpack(name: str, folder: pathlib.Path) -> pathlib.Path:
    """A recorded file of tests/data, unpacked into `folder`; `name` is without its .gz."""
    path = folder / pathlib.PurePath(name).name
    path.write_bytes(gzip.decompress((DATA / f"{name}.gz").read_bytes()))
    return path
