"""Entries: the packed form, Cyrus' type letters, and the dump form."""

from __future__ import annotations

import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pyxlist
from pyxlist.entry import Entry, Mbtype
from tests.sources import value, write_flat

TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters="\x7f"), min_size=1, max_size=40)
NUMBER = st.integers(0, 2**64 - 1)
ENTRIES = st.builds(
    Entry,
    key=st.sampled_from([b"pub", b"user\x1fbob", b"user\x1fbob\x1fSent", b"a.b\x1duser\x1fbob"]),
    mbtype=st.sampled_from([Mbtype.EMAIL, Mbtype.CALENDAR, Mbtype.EMAIL | Mbtype.TOMBSTONE, Mbtype.INTERMEDIATE]),
    uniqueid=st.none() | TEXT,
    partition=st.none() | TEXT,
    server=st.none() | TEXT,
    uidvalidity=NUMBER,
    createdmodseq=NUMBER,
    foldermodseq=NUMBER,
    mtime=NUMBER,
    acl=st.lists(
        st.tuples(TEXT | st.sampled_from(["bob", "bob@a.b", "anyone"]), st.sampled_from(["lrswipkxtecdan", "l", ""]))
    ).map(tuple),
)


@given(ENTRIES)
def test_pack_and_unpack_round_trip(entry: Entry) -> None:
    """A packed entry reads back as itself."""
    assert Entry.unpack(entry.key, entry.pack()) == entry


def test_the_build_packs_as_python_does(tmp_path: pathlib.Path) -> None:
    """What the C core writes during a build is octet for octet what `Entry.pack` writes."""
    acl = " ".join(f"user{number} {'lrs' * (number % 3)}l" for number in range(40))
    entries = {
        b"user\x1fbob": value("bob lrswipkxtecdan anyone p", uniqueid="x" * 300),
        b"user\x1fbob\x1fwide": value(acl),
        b"a.b\x1duser\x1fann": value("ann@a.b lrswipkxtecdan -bob l", mtime=70000),
        b"pub": value("anyone lrs", partition="p" * 40, mtime=300),
    }
    pyxlist.build(write_flat(tmp_path / "db", entries), tmp_path / "index")
    with pyxlist.open(tmp_path / "index") as index, index._store.read() as txn:
        from pyxlist.index.layout import WHOLE_TABLE
        from pyxlist.index.rows import iter_list

        rows = dict(iter_list(txn, index._store.tables["directory"], WHOLE_TABLE))
    assert rows.keys() == entries.keys()
    for key, row in rows.items():
        assert Entry.unpack(key, row).pack() == row


@pytest.mark.parametrize(
    ("mbtype", "letters"),
    [
        (Mbtype.EMAIL, "e"),
        (Mbtype.EMAIL | Mbtype.TOMBSTONE, "ed"),
        (Mbtype.CALENDAR | Mbtype.INTERMEDIATE | Mbtype.LEGACY_DIRS, "cil"),
        (Mbtype.REMOTE | Mbtype.RESERVED | Mbtype.MOVING, "emrz"),
        (Mbtype.SIEVE, "f"),
    ],
)
def test_letters(mbtype: Mbtype, letters: str) -> None:
    """Types are written as Cyrus writes them: class first, then flags in its order."""
    assert mbtype.letters == letters


@given(st.binary(max_size=60))
def test_unpack_refuses_what_is_no_row(octets: bytes) -> None:
    """Any octets give an entry or a ValueError, nothing else."""
    try:
        Entry.unpack(b"pub", octets)
    except ValueError as error:
        assert "directory row" in str(error)
