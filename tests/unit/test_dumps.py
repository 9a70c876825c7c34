"""Dumps: the JSON of `ctl_mboxlist -d` and the text it printed before, from files and stdin."""

from __future__ import annotations

import io
import json
import pathlib
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pyxlist
from pyxlist.cyrusdb import iter_records
from pyxlist.entry import Entry, Mbtype
from tests.oracle.entries import read_entry
from tests.sources import unpack, value, write_flat


def dump_of(source: pathlib.Path, index: pathlib.Path) -> dict[str, dict[str, Any]]:
    """Every entry of a fresh index as a dump has it."""
    pyxlist.build(source, index)
    with pyxlist.open(index) as opened:
        assert list(opened.check()) == []
        return {entry.name: entry.as_dump() for entry in opened.entries()}


@pytest.mark.parametrize(("case", "dump"), [("surgery", "dump"), ("surgery", "dump-y"), ("quoting", "dump")])
def test_recorded_dumps(tmp_path: pathlib.Path, case: str, dump: str) -> None:
    """An index of the database dumps what Cyrus dumped, and an index of that dump dumps it again."""
    recorded = unpack(f"content/{case}.{dump}.json", tmp_path)
    expected = json.loads(recorded.read_text())
    database = dump_of(unpack(f"content/{case}.mailboxes.twoskip", tmp_path), tmp_path / "database")
    if dump == "dump":
        database = {name: entry for name, entry in database.items() if "i" not in entry["mbtype"]}
    assert database == expected
    assert dump_of(recorded, tmp_path / "dump") == expected


def write_text(path: pathlib.Path, text: bytes) -> pathlib.Path:
    path.write_bytes(text)
    return path


TEXT = (
    b"user.bob\t0 default bob\tlrswipkxtecda\tanyone\tp\t\n"
    b"user.bob.Sent\t0 default bob\tlrswipkxtecda\t\n"
    b"example.com!user.carol^ann\t1 back!part \n"
    b"alone\t16 (null) (null)\n"
)


def test_text_dump(tmp_path: pathlib.Path) -> None:
    """Lines in any order become mailboxes: name, type, location, ACL."""
    pyxlist.build(write_text(tmp_path / "dump", TEXT), tmp_path / "index")
    with pyxlist.open(tmp_path / "index") as index:
        assert list(index.check()) == []
        entries = {entry.key: entry for entry in index.entries()}
        assert index.stat()["checkpoint"]["format"] == "text dump"
    assert entries == {
        b"alone": Entry(b"alone", Mbtype.TOMBSTONE),
        b"example.com\x1duser\x1fcarol.ann": Entry(
            b"example.com\x1duser\x1fcarol.ann", Mbtype.REMOTE, partition="part", server="back"
        ),
        b"user\x1fbob": Entry(b"user\x1fbob", partition="default", acl=(("bob", "lrswipkxtecda"), ("anyone", "p"))),
        b"user\x1fbob\x1fSent": Entry(b"user\x1fbob\x1fSent", partition="default", acl=(("bob", "lrswipkxtecda"),)),
    }


def test_stdin(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ "-" is stdin, for a dump as for a database."""
    expected = dump_of(write_text(tmp_path / "dump", TEXT), tmp_path / "file")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TEXT)))
    pyxlist.build("-", tmp_path / "piped")
    with pyxlist.open(tmp_path / "piped") as index:
        assert {entry.name: entry.as_dump() for entry in index.entries()} == expected


BAD = {
    "cut": (b'{"a": {"mbtype": "e"', "ends early"),
    "cut between": (b'{"a": {"mbtype": "e"},', "ends early"),
    "cut after a mailbox": (b'{"a": {"mbtype": "e"}', "ends early"),
    "no object": (b'{"a": 1}', "expected {"),
    "bad escape": (b'{"a": {"mbtype": "\\x"}}', "bad escape"),
    "half a pair": (b'{"\\ud800": {}}', "bad escape"),
    "zero": (b'{"\\u0000": {}}', "bad escape"),
    "control octet": (b'{"a\n": {}}', "control octet"),
    "after the end": (b'{"a": {}} x', "after the end"),
    "deep": (b'{"a": {"x": ' + b"[" * 100 + b"]" * 100 + b"}}", "too deeply"),
    "word": (b'{"a": {"mtime": true}}', "string or a number"),
    "twice": (b'{"a": {}, "a": {}}', "twice"),
    "text: no type": (b"a\t0 default x\tl\t\nb default\n", "without TAB"),
    "text: cut": (b"a\t0 default x\tl\t\nb\t0 def", "no end"),
    "text: more fields": (b"a\t0 default x\tl\t>id 1 2 3 4\n", "after its ACL"),
    "gzip": (b"\x1f\x8b\x08\x00", "gzip"),
    "sqlite": (b"SQLite format 3\x00", "SQLite"),
}


@pytest.mark.parametrize(("octets", "message"), BAD.values(), ids=BAD.keys())
def test_what_is_wrong_is_said(tmp_path: pathlib.Path, octets: bytes, message: str) -> None:
    """Each way a dump can be wrong is one clear SourceError."""
    with pytest.raises(pyxlist.SourceError, match=message):
        pyxlist.build(write_text(tmp_path / "dump", octets), tmp_path / "index")


def test_empty_dump(tmp_path: pathlib.Path) -> None:
    """A server without mailboxes dumps two brackets."""
    assert dump_of(write_text(tmp_path / "dump", b"{\n\n}\n"), tmp_path / "index") == {}


def test_holes_are_counted(tmp_path: pathlib.Path) -> None:
    """Where Cyrus could not print a name it left its comma: counted, and the others are read."""
    text = b'{\n,\n"a": {"acl": {}},\n,\n,\n"b": {"acl": null},\n\n}\n'
    report = pyxlist.build(write_text(tmp_path / "dump", text), tmp_path / "index")
    assert report.mailboxes == 2 and report.skipped == {"lost places": 4}


def test_odd_json(tmp_path: pathlib.Path) -> None:
    """Unknown members of any kind, bare numbers, null, compact writing and escapes are read as JSON has them."""
    text = (
        rb' {"a^b.c":{"x":[1,{"y":"}"},null,-1.5e3],"mtime":12,"partition":null,"uniqueid":"\u00e4\ud83d\ude00\/",'
        rb'"acl":{"q\"q":"lr","(":"l","a b":"s","\udce9":"l"}}}'
    )
    pyxlist.build(write_text(tmp_path / "dump", text), tmp_path / "index")
    with pyxlist.open(tmp_path / "index") as index:
        (entry,) = index.entries()
    assert entry == Entry(
        b"a.b\x1fc",
        uniqueid="\u00e4\U0001f600/",
        mtime=12,
        acl=(('q"q', "lr"), ("(", "l"), ("a b", "s"), ("\udce9", "l")),
    )


WORDS = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters="\x7f") | st.sampled_from('\\"(){}% '),
    min_size=1,
    max_size=12,
)
ENTRIES = st.builds(
    Entry,
    key=st.text('abc \\"%({', min_size=1, max_size=6).map(str.encode),
    mbtype=st.sampled_from([Mbtype.EMAIL, Mbtype.CALENDAR, Mbtype.REMOTE, Mbtype.TOMBSTONE | Mbtype.LEGACY_DIRS]),
    uniqueid=st.none() | WORDS,
    partition=st.none() | WORDS,
    server=st.none() | WORDS,
    uidvalidity=st.integers(0, 2**32 - 1),
    createdmodseq=st.integers(0, 2**63),
    foldermodseq=st.integers(0, 2**63),
    mtime=st.integers(0, 2**40),
    acl=st.dictionaries(WORDS, st.sampled_from(["lrs", "", "l"]), max_size=4).map(lambda acl: tuple(acl.items())),
)


@settings(max_examples=40, deadline=None)
@given(
    entries=st.lists(ENTRIES, max_size=8, unique_by=lambda entry: entry.key),
    compact=st.booleans(),
    ascii_only=st.booleans(),
)
def test_any_dump_reads_back(
    tmp_path_factory: pytest.TempPathFactory, entries: list[Entry], compact: bool, ascii_only: bool
) -> None:
    """Whatever entries say, JSON as any writer spells it reads back as those entries."""
    folder = tmp_path_factory.mktemp("dump")
    separators = (",", ":") if compact else None
    text = json.dumps(
        {entry.name: entry.as_dump() for entry in entries}, separators=separators, ensure_ascii=ascii_only
    )
    pyxlist.build(write_text(folder / "dump", text.encode()), folder / "index")
    with pyxlist.open(folder / "index") as index:
        assert list(index.entries()) == sorted(entries, key=lambda entry: entry.key)


def test_a_flat_database_is_no_dump(tmp_path: pathlib.Path) -> None:
    """Flat escapes the TABs of legacy values, which is what tells it from a text dump."""
    pyxlist.build(write_flat(tmp_path / "db", {b"a": b"0 default x\tl\t", b"b": value("x l")}), tmp_path / "index")
    with pyxlist.open(tmp_path / "index") as index:
        assert index.stat()["checkpoint"]["format"] == "flat"
        assert [entry.name for entry in index.entries()] == ["a", "b"]


def test_strings_of_every_length_and_octet(tmp_path: pathlib.Path) -> None:
    """Each octet that means something to JSON or to a dlist, at each place of a string of each length, and none."""
    texts = ["x" * length for length in range(1, 41)]
    for odd in '"\\ %(){}\t\x1f\x7fé':
        texts += [f"{'a' * before}{odd}{'z' * after}" for before in range(18) for after in (0, 1, 15, 16, 17)]
    world = {f"user.u{n:05}": {"uniqueid": f"i{n}", "acl": {text: "lrs"}} for n, text in enumerate(texts)}
    (tmp_path / "dump").write_text(json.dumps(world))
    found = {key.decode(): read_entry(octets).acl for key, octets in iter_records(tmp_path / "dump")}
    assert found == {f"user.u{n:05}": ((text.encode(), b"lrs"),) for n, text in enumerate(texts)}


@pytest.mark.parametrize("odd", ["\n", "\t", "\0", "\x1f"])
@pytest.mark.parametrize("where", ['{{"a{}": {{}}}}', '{{"a": {{"mbtype": "{}"}}}}', '{{"a": {{"other": ["{}"]}}}}'])
def test_control_octets_are_refused_wherever_they_stand(tmp_path: pathlib.Path, odd: str, where: str) -> None:
    """In a name, in a value that is read and in one that is passed over, behind any number of other octets."""
    for before in range(36):
        for after in (0, 1, 20):
            (tmp_path / "dump").write_text(where.format("x" * before + odd + "x" * after))
            with pytest.raises(pyxlist.CorruptSourceError, match="control octet"):
                list(iter_records(tmp_path / "dump"))
