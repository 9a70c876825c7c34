"""Records of a cyrusdb file, raw: `iter_records`."""

from __future__ import annotations

import os
import pathlib

import pytest

from pyxlist.cyrusdb import iter_records
from pyxlist.errors import CorruptSourceError, SourceError, UnsupportedSourceError
from tests.sources import value, write_flat


def test_records_come_in_key_order_with_their_octets(tmp_path: pathlib.Path) -> None:
    """Every record is given once, unescaped, keys ascending, an empty value as empty octets."""
    entries = {b"user\x1fbob": value("bob lrs"), b"a\tb": b"\xff\x00\r\n", b"empty": b""}
    path = write_flat(tmp_path / "mailboxes.db", entries)
    expected = sorted((b"N" + key, octets) for key, octets in entries.items())
    assert list(iter_records(path)) == expected


def test_records_outlive_the_iteration(tmp_path: pathlib.Path) -> None:
    """The octets are copies: an iteration given up half-way leaves them readable."""
    path = write_flat(tmp_path / "mailboxes.db", {b"a": b"first", b"b": b"second"})
    records = iter_records(path)
    first = next(records)
    records.close()  # type: ignore[attr-defined]
    assert first == (b"Na", b"first")


def test_a_flat_file_is_read_in_octet_order_or_as_it_stands(tmp_path: pathlib.Path) -> None:
    """Its server sorts '.' first; of two lines with one key a salvage keeps the later, in either order."""
    path = tmp_path / "mailboxes.db"
    path.write_bytes(b"Na.b\t1\nNa\x1fb\told\nNa b\t3\nNa\x1fb\tnew\n")
    in_order = [(b"Na\x1fb", b"new"), (b"Na b", b"3"), (b"Na.b", b"1")]
    as_stored = [(b"Na.b", b"1"), (b"Na b", b"3"), (b"Na\x1fb", b"new")]
    assert list(iter_records(path, salvage=True)) == in_order
    assert list(iter_records(path, salvage=True, as_stored=True)) == as_stored
    with pytest.raises(CorruptSourceError, match="a key that stands in two lines"):
        list(iter_records(path, as_stored=True))


def test_a_file_of_no_known_format_is_refused(tmp_path: pathlib.Path) -> None:
    """Errors are those of opening: unknown octets, no file."""
    path = tmp_path / "noise"
    path.write_bytes(b"\x00noise")
    with pytest.raises((UnsupportedSourceError, CorruptSourceError)):
        list(iter_records(path))
    with pytest.raises(SourceError, match="cannot be read"):
        list(iter_records(tmp_path / "missing"))


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: pathlib.Path) -> None:
    """A pipe has no size and would be an empty database, or nobody writes into it and it would be waited for."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", pathlib.Path("/dev/zero")):
        with pytest.raises(SourceError, match="is no regular file"):
            list(iter_records(path))
    with pytest.raises(SourceError, match="is a directory"):
        list(iter_records(tmp_path))
