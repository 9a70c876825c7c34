"""`verify` against sources of every kind, and `check` against an index whose octets were tampered with."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import random
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import pyxlist
from pyxlist.entry import Entry, Mbtype
from pyxlist.index.env import Store
from pyxlist.index.layout import WHOLE_TABLE, pack_meta
from pyxlist.index.rows import apply_rows
from pyxlist.index.writing import write
from tests.sources import unpack, value, value_of, write_flat

Entries = dict[bytes, Entry]
Writer = Callable[[pathlib.Path, Entries], pathlib.Path]

_OLD_TYPES = {Mbtype.EMAIL: 0, Mbtype.REMOTE: 1, Mbtype.MOVING: 8, Mbtype.TOMBSTONE: 16, Mbtype.CALENDAR: 32}


def write_database(path: pathlib.Path, entries: Entries) -> pathlib.Path:
    return write_flat(path, {key: value_of(entry) for key, entry in entries.items()})


def write_json(path: pathlib.Path, entries: Entries) -> pathlib.Path:
    path.write_text(json.dumps({entry.name: entry.as_dump() for entry in entries.values()}))
    return path


def write_text(path: pathlib.Path, entries: Entries) -> pathlib.Path:
    lines = []
    for entry in entries.values():
        acl = "".join(f"{identifier}\t{rights}\t" for identifier, rights in entry.acl)
        server = f"{entry.server}!" if entry.server else ""
        lines.append(f"{entry.name}\t{_OLD_TYPES[entry.mbtype]} {server}{entry.partition} {acl}\n")
    path.write_text("".join(lines))
    return path


def world(draw: random.Random) -> Entries:
    """Six hundred mailboxes with something in every field."""
    entries = {}
    for n in range(600):
        key = b"user\x1fu%03d" % (n // 3) + (b"", b"\x1fSent", b"\x1fa.b")[n % 3]
        acl = [(f"u{n // 3:03}", "lrswipkxtecdan"), ("anyone", "lrs"), (f"-u{draw.randrange(200):03}", "w")]
        server = draw.choice([None, None, "back.example"])
        mbtype = draw.choice(list(_OLD_TYPES))
        v, c, f, m = (draw.randrange(1, 2**31) for _ in range(4))
        entries[key] = Entry(key, mbtype, f"id{n}", "default", server, v, c, f, m, tuple(acl[: draw.randrange(1, 4)]))
    return entries


def planted(draw: random.Random, entry: Entry, field: str) -> Entry:
    """The entry with one field changed."""
    old = getattr(entry, field)
    if field == "acl":
        ways = [(*old, ("new", "l")), old[1:], tuple((who, rights + "9") for who, rights in old)]
        return dataclasses.replace(entry, acl=draw.choice(ways))
    if field == "mbtype":
        return dataclasses.replace(entry, mbtype=draw.choice([mbtype for mbtype in _OLD_TYPES if mbtype != old]))
    new: Any = old + 1 if isinstance(old, int) else f"{old}x"
    return dataclasses.replace(entry, **{field: new})


ALL_FIELDS = [field.name for field in dataclasses.fields(Entry) if field.name != "key"]
TEXT_FIELDS = ["mbtype", "partition", "server", "acl"]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("write", "fields"),
    [(write_database, ALL_FIELDS), (write_json, ALL_FIELDS), (write_text, TEXT_FIELDS)],
    ids=["database", "dump", "text dump"],
)
def test_verify_names_each_of_a_hundred_plants(
    tmp_path: pathlib.Path, write: Writer, fields: list[str], seed: int
) -> None:
    """A hundred mailboxes changed in one field each, taken away or added: those and no others are named."""
    draw = random.Random(seed)
    entries = world(draw)
    pyxlist.build(write_database(tmp_path / "db", entries), tmp_path / "index")
    other = dict(entries)
    for n, key in enumerate(draw.sample(sorted(entries), 100)):
        if n % 10 == 0:
            del other[key]
        elif n % 10 == 1:
            other[key + b"\x1fnew"] = dataclasses.replace(entries[key], key=key + b"\x1fnew")
        else:
            other[key] = planted(draw, entries[key], fields[n % len(fields)])
    differing = {key for key in entries.keys() | other.keys() if entries.get(key) != other.get(key)}
    with pyxlist.open(tmp_path / "index") as index:
        assert list(index.verify(write(tmp_path / "same", entries))) == []
        found = list(index.verify(write(tmp_path / "other", other)))
        names = [pyxlist.Entry(key).name for key in sorted(differing)]
        assert len(names) == 100 and [difference.name for difference in found] == names
        assert all("\n" not in str(difference) for difference in found)
        assert list(index.check()) == []


@pytest.mark.parametrize("dump", ["dump", "dump-y"])
def test_verify_against_recorded_dumps(tmp_path: pathlib.Path, dump: str) -> None:
    """A recorded dump and the database it was made of are the same; so are both databases to each other."""
    pyxlist.build(unpack("content/surgery.mailboxes.twoskip", tmp_path), tmp_path / "index")
    with pyxlist.open(tmp_path / "index") as index:
        assert list(index.verify(unpack(f"content/surgery.{dump}.json", tmp_path))) == []
        assert list(index.verify(unpack("content/surgery-racl1.mailboxes.twoskip", tmp_path))) == []


def test_what_a_dump_cannot_say_is_no_difference(tmp_path: pathlib.Path) -> None:
    """Intermediates a dump left out, names JSON cannot hold: nothing.  The same mailbox missing live: named."""
    entries = {
        b"between": value("", "ei", "i1"),
        b"caf\xe9": value("anyone l", uniqueid="i2"),
        b"live": value("anyone l", uniqueid="i3"),
    }
    pyxlist.build(write_flat(tmp_path / "db", entries), tmp_path / "index")
    (tmp_path / "dump").write_text("{\n\n}\n")
    with pyxlist.open(tmp_path / "index") as index:
        assert [difference.name for difference in index.verify(tmp_path / "dump")] == ["live"]


# --- check ---

SMALL = {
    b"user\x1fann": value("ann lrswipkxtecdan bob lr anyone p", uniqueid="a1"),
    b"user\x1fbob": value("bob lrswipkxtecdan", uniqueid="b1"),
    b"user\x1fbob\x1fbetween": value("", "ei", "b2"),
    b"gone": value("", "ed", "g1"),
}


def _rows(store: Store, table: str, owner: bytes, row: bytes, payload: bytes | None) -> None:
    with write(store) as txn:
        apply_rows(txn, store.tables[table], owner, [(row, payload)])


def _put(store: Store, table: str, key: bytes, octets: bytes) -> None:
    with write(store) as txn:
        txn.put(key, octets, db=store.tables[table])


TAMPERED: dict[str, tuple[Callable[[Store], None], str]] = {
    "posting gone": (lambda s: _rows(s, "postings", b"bob\0", b"user\x1fann", None), "postings: .*ann.* is missing"),
    "posting changed": (lambda s: _rows(s, "postings", b"bob\0", b"user\x1fann", b"\0\1"), "directory implies"),
    "posting of nobody": (lambda s: _rows(s, "postings", b"eve\0", b"user\x1fann", b"\0\3"), "postings: .*no mailbox"),
    "posting of nothing": (lambda s: _rows(s, "postings", b"bob\0", b"user\x1fnot", b"\0\3"), "postings: .*no mailbox"),
    "posting of a tombstone": (lambda s: _rows(s, "postings", b"bob\0", b"gone", b"\0\3"), "postings: .*no mailbox"),
    "uniqueid gone": (lambda s: _rows(s, "uniqueids", WHOLE_TABLE, b"a1\0user\x1fann", None), "uniqueids: .*missing"),
    "uniqueid of another": (
        lambda s: _rows(s, "uniqueids", WHOLE_TABLE, b"zz\0user\x1fann", b""),
        "uniqueids: .*no mailbox",
    ),
    "entry gone": (lambda s: _rows(s, "directory", WHOLE_TABLE, b"user\x1fbob", None), "postings: .*no mailbox"),
    "entry unreadable": (lambda s: _rows(s, "directory", WHOLE_TABLE, b"user\x1fbob", b"\xff"), "directory row"),
    "block unreadable": (lambda s: _put(s, "postings", b"bob\0", b"\0\xff\xff\xff\xff\xff"), "cannot be walked"),
    "block unannounced": (lambda s: _put(s, "directory", b"\0zz", b"\0\0\2zz\0"), "not announced|cannot be walked"),
    "list without beginning": (lambda s: _put(s, "subscriptions", b"bob\0x", b"\0"), "begins at"),
    "count": (lambda s: _put(s, "meta", b"counts", pack_meta({"mailboxes": 7})), "counts 7"),
    "version": (lambda s: _put(s, "meta", b"version", pack_meta(99)), "version 99"),
    "config": (lambda s: _put(s, "meta", b"config", b"\xc1"), "config cannot be read"),
}


@pytest.mark.parametrize(("tamper", "words"), TAMPERED.values(), ids=TAMPERED.keys())
def test_check_finds_what_was_tampered_with(
    tmp_path: pathlib.Path, tamper: Callable[[Store], None], words: str
) -> None:
    """Each way an index can contradict itself is said, and the check runs to its end."""
    pyxlist.build(write_flat(tmp_path / "db", SMALL), tmp_path / "index")
    with pyxlist.open(tmp_path / "index") as index:
        assert list(index.check()) == []
        tamper(index._store)
        found = list(index.check())
        assert any(re.search(words, line) for line in found), found


def test_check_streams(tmp_path: pathlib.Path) -> None:
    """The first finding comes before the rest is looked at."""
    pyxlist.build(write_flat(tmp_path / "db", SMALL), tmp_path / "index")
    with pyxlist.open(tmp_path / "index") as index:
        _put(index._store, "meta", b"version", pack_meta(99))
        _rows(index._store, "postings", b"bob\0", b"user\x1fnot", b"\0\3")
        findings: Iterator[str] = index.check()
        assert "version" in next(findings)
        assert any("no mailbox" in line for line in findings)
