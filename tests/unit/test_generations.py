"""Generations of content: typed keys, plain keys, names of every age, values of every age."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pyxlist
from pyxlist.entry import Mbtype
from pyxlist.names import key_from_internal
from tests.sources import unpack, value, write_records

LEGACY = b"0 default anyone\tlrs\t"


def built(source: pathlib.Path, index: pathlib.Path) -> tuple[pyxlist.BuildReport, dict[str, dict[str, Any]], str]:
    """The report, every entry as a dump has it, and the generation the checkpoint names."""
    report = pyxlist.build(source, index)
    with pyxlist.open(index) as opened:
        assert list(opened.check()) == []
        return report, {entry.name: entry.as_dump() for entry in opened.entries()}, opened.stat()["checkpoint"]["keys"]


def keys_of(tmp_path: pathlib.Path, records: dict[bytes, bytes]) -> tuple[list[bytes], str]:
    """Key names in the index that records make, and the generation found."""
    pyxlist.build(write_records(tmp_path / "db", records), tmp_path / "index")
    with pyxlist.open(tmp_path / "index") as index:
        assert list(index.check()) == []
        return [entry.key for entry in index.entries()], index.stat()["checkpoint"]["keys"]


def test_plain_keys_say_what_the_upgraded_database_says(tmp_path: pathlib.Path) -> None:
    """A 3.0-style database gives what Cyrus' own upgrade of it gives, but for `l` and the time of the upgrade."""
    report, before, keys = built(unpack("content/plain.mailboxes.flat", tmp_path), tmp_path / "before")
    assert keys == "plain" and report.skipped == {"reverse ACL records": 123}
    _report, after, keys = built(unpack("content/plain-upgraded.mailboxes.twoskip", tmp_path), tmp_path / "after")
    assert keys == "typed"
    for entry in after.values():
        assert entry["mbtype"].endswith("l")
        entry["mbtype"] = entry["mbtype"].removesuffix("l")
    assert {name: {**entry, "mtime": ""} for name, entry in before.items()} == {
        name: {**entry, "mtime": ""} for name, entry in after.items()
    }


def test_reverse_acls_change_nothing(tmp_path: pathlib.Path) -> None:
    """The same tree with and without A records gives the same index."""
    _report, without, _keys = built(unpack("content/surgery.mailboxes.twoskip", tmp_path), tmp_path / "index")
    report = pyxlist.build(unpack("content/surgery-racl1.mailboxes.twoskip", tmp_path), tmp_path / "index")
    assert (report.added, report.changed, report.removed) == (0, 0, 0)
    assert report.skipped["reverse ACL records"] > 100
    assert built(tmp_path / "surgery-racl1.mailboxes.twoskip", tmp_path / "fresh")[1] == without


@pytest.mark.parametrize("kind", ["skiplist", "flat", "twom"])
def test_every_format_says_the_same(tmp_path: pathlib.Path, kind: str) -> None:
    """The same records in another format give the same index, entry by entry."""
    _report, expected, _keys = built(unpack("content/surgery.mailboxes.twoskip", tmp_path), tmp_path / "twoskip")
    report, found, keys = built(unpack(f"content/surgery.mailboxes.{kind}", tmp_path), tmp_path / "other")
    assert (report.source_format, keys) == (kind, "typed")
    assert found == expected and len(found) == 408


def test_names_of_every_age(tmp_path: pathlib.Path) -> None:
    """Plain names become key names: dots, carets, domains; and sort as key names do."""
    records = {
        b"user.bob": LEGACY,
        b"user.bob-x": LEGACY,
        b"user.bob.a^b": LEGACY,
        b"example.com!user.bob.Sent": LEGACY,
        b"$RACL$S$anyone$pub": b"",
        b"$RUNQ$x": b"",
        b"pub": LEGACY,
    }
    found, keys = keys_of(tmp_path, records)
    assert found == [
        b"example.com\x1duser\x1fbob\x1fSent",
        b"pub",
        b"user\x1fbob",
        b"user\x1fbob\x1fa.b",
        b"user\x1fbob-x",
    ]
    assert keys == "plain"


@pytest.mark.parametrize(
    ("records", "keys"),
    [
        ({b"Npub": value("anyone l")}, "typed"),
        ({b"News": value("anyone l"), b"user.a": LEGACY}, "plain"),
        ({b"News": value("anyone l"), b"Important": LEGACY}, "plain"),
        ({b"Iabc": b"%(T e N pub A %())", b"Npub": value("anyone l", uniqueid="abc")}, "typed"),
        ({b"Iabc": b"%(T e I x P default A %())"}, "plain"),
        ({b"AS\x1e": b"", b"Npub": value("anyone l")}, "typed"),
        ({b"Archive": LEGACY, b"DELETED.x": LEGACY}, "plain"),
        ({b"Jme\x1ej1": b"%(N pub I x)", b"Npub": LEGACY, b"Zfuture": b"?"}, "typed"),
        ({b"$RACL": b"3", b"Npub": LEGACY}, "plain"),
        ({b"7th": LEGACY}, "plain"),
    ],
)
def test_one_record_decides(tmp_path: pathlib.Path, records: dict[bytes, bytes], keys: str) -> None:
    """What can only be one of the two generations decides; letters that are also beginnings of names do not."""
    assert keys_of(tmp_path, records)[1] == keys


def test_unknown_letters_are_counted(tmp_path: pathlib.Path) -> None:
    """Records of letters that later versions add are stepped over and counted."""
    records = {b"Npub": value("anyone l"), b"Nuser\x1fa": value("a l"), b"J\x1ex": b"%(N pub I x)", b"Z\x1ey": b""}
    report = pyxlist.build(write_records(tmp_path / "db", records), tmp_path / "index")
    assert report.mailboxes == 2 and report.skipped == {"other records": 2}


def test_a_plain_name_twice_is_refused(tmp_path: pathlib.Path) -> None:
    """Two plain keys that are one key name are damage, not a choice."""
    with pytest.raises(pyxlist.CorruptSourceError, match="twice"):
        keys_of(tmp_path, {b"a.b": LEGACY, b"a\x1fb": LEGACY, b"$RACL": b""})


def test_legacy_values(tmp_path: pathlib.Path) -> None:
    """Types by the numbers of their time, server and partition, uniqueid, a pair without its TAB."""
    records = {
        b"remote": b"1 back!spool anyone\tlrs\t",
        b"moving": b"8 back!spool ",
        b"reserved": b"2 default ",
        b"gone": b"16 (null) ",
        b"calendar": b"(uniqueid X1) 32 default bob\tlrs\tann\t",
        b"placeholder": b"256 default ",
    }
    pyxlist.build(write_records(tmp_path / "db", records), tmp_path / "index")
    with pyxlist.open(tmp_path / "index") as index:
        entries = {entry.name: entry for entry in index.entries()}
        assert list(index.check()) == []
    assert entries["remote"].mbtype == Mbtype.REMOTE
    assert (entries["remote"].server, entries["remote"].partition) == ("back", "spool")
    assert entries["moving"].mbtype == Mbtype.MOVING and entries["reserved"].mbtype == Mbtype.RESERVED
    assert entries["gone"].mbtype == Mbtype.TOMBSTONE and entries["gone"].partition is None
    assert entries["calendar"].mbtype == Mbtype.CALENDAR and entries["calendar"].uniqueid == "X1"
    assert entries["calendar"].acl == (("bob", "lrs"),)
    assert entries["placeholder"].mbtype == Mbtype.INTERMEDIATE


def test_the_form_of_a_murder(tmp_path: pathlib.Path) -> None:
    """A mupdate master's records have a server and no uniqueid; they are remote mailboxes like any other."""
    records = {b"Nuser\x1fbob": b"%(T er P part S back.example M 7 A %(bob lrs anyone l))"}
    pyxlist.build(write_records(tmp_path / "db", records), tmp_path / "index")
    with pyxlist.open(tmp_path / "index") as index:
        entry = index.lookup("user.bob")
        assert entry is not None and entry.mbtype == Mbtype.REMOTE
        assert (entry.server, entry.partition, entry.mtime) == ("back.example", "part", 7)
        assert [item.name for item in index.view("ann").list()] == ["Other Users/bob"]


NAMES = st.lists(
    st.text("ab.^-! 0", min_size=1, max_size=8).filter(lambda name: name.strip(".!")),
    min_size=1,
    max_size=30,
    unique=True,
)


@settings(max_examples=25, deadline=None)
@given(names=NAMES)
def test_plain_names_are_what_python_says(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    """Whatever plain names there are, the index has their key names, in order."""
    records = {name.encode(): LEGACY for name in names} | {b"$RACL": b""}
    expected = sorted(key_from_internal(name) for name in names)
    assert keys_of(tmp_path_factory.mktemp("plain"), records)[0] == expected


def test_old_and_upgraded_give_the_same_answers(tmp_path: pathlib.Path) -> None:
    """LIST says the same of a plain database and of what the server's upgrade made of it."""
    answers = []
    for name in ("plain.mailboxes.flat", "plain-upgraded.mailboxes.twoskip"):
        pyxlist.build(unpack(f"content/{name}", tmp_path), tmp_path / f"{name}.index")
        with pyxlist.open(tmp_path / f"{name}.index") as index:
            views = [index.view(userid) for userid in ("alice", "carol.ann", "bob", "guest", "nobody-at-all")]
            commands = [b'LIST "" "*"', b'LIST "" "%"', b'LIST "" (INBOX "%/%") RETURN (MYRIGHTS)']
            answers.append([bytes(view.respond(command).untagged) for view in views for command in commands])
    assert answers[0] == answers[1] and all(answers[0][:3])
