"""What stands beside mailboxes.db: subscription files and annotations, of every age and place."""

from __future__ import annotations

import itertools
import logging
import pathlib
import struct

import pytest

import pyxlist
from benchmarks.twoskip_writer import write_twoskip
from pyxlist.config import Config
from pyxlist.index.rows import iter_list
from tests.sources import value, write_flat, write_records

CONFIG = Config(virtdomains="userid", defaultdomain="home")
WORLD = {
    b"user\x1fann": value("ann lrswipkxtecdan", uniqueid="a1"),
    b"user\x1fann\x1fSent": value("ann lrswipkxtecdan", uniqueid="a2"),
    b"user\x1fbob": value("bob lrswipkxtecdan", "el", uniqueid="b1"),
    b"user\x1fcarol.ann": value("carol.ann lrswipkxtecdan", "el", uniqueid="c1"),
    b"example.com\x1duser\x1fdave": value("dave@example.com lrswipkxtecdan", "el", uniqueid="d1"),
    b"user\x1fgone": value("", "ed", uniqueid="g1"),
    b"DELETED\x1fuser\x1fann\x1f5F000000": value("ann lrswipkxtecdan", uniqueid="a0"),
    b"pub": value("anyone lrs", uniqueid="p1"),
    b"example.com\x1dpub": value("anyone lrs", uniqueid="p2"),
}
VERSION = b"\x1fVER\x1f"


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """An empty configdirectory."""
    root = tmp_path / "conf"
    (root / "user").mkdir(parents=True)
    return root


def put(path: pathlib.Path, *keys: bytes, version: bytes = b"", twoskip: bool = False) -> pathlib.Path:
    """A subscription file: flat, or twoskip."""
    path.parent.mkdir(parents=True, exist_ok=True)
    records = dict.fromkeys(keys, b"") | ({VERSION: version} if version else {})
    if twoskip:
        write_twoskip(path, lambda: sorted(records.items()), itertools.repeat(1))
        return path
    return write_records(path, records)


def build(tmp_path: pathlib.Path, folder: pathlib.Path) -> pyxlist.BuildReport:
    source = write_flat(tmp_path / "db", WORLD)
    return pyxlist.build(source, tmp_path / "index", config=CONFIG, subscriptions=folder)


def subscribed(tmp_path: pathlib.Path, userid: str) -> list[bytes]:
    """What the index keeps of a user's subscriptions, dots as dots."""
    with pyxlist.open(tmp_path / "index") as index, index._store.read() as txn:
        assert list(index.check()) == []
        rows = iter_list(txn, index._store.tables["subscriptions"], userid.encode() + b"\0")
        return [row.replace(b"\x01", b".") for row, _payload in rows]


def test_a_hashed_configdirectory(tmp_path: pathlib.Path, folder: pathlib.Path) -> None:
    """Files by name, by uniqueid and in a domain are found under whatever letters, and nothing else is."""
    put(folder / "user/uuid/a/1/a1/sub.db", b"NINBOX\x1fSent", b"Npub", version=b"2")
    put(folder / "user/B/bob.sub", b"user.bob", b"pub")
    put(folder / "user/c/carol.ann.sub", b"pub")
    put(folder / "domain/e/example.com/user/d/dave.sub", b"example.com!user.dave", b"example.com!pub")
    put(folder / "quota/nobody.sub", b"pub")
    put(folder / "user/b/bob.seen", b"pub")
    (folder / "user/e").mkdir()
    (folder / "user/e/empty.sub").write_bytes(b"")
    report = build(tmp_path, folder)
    assert report.subscribers == 4 and report.skipped == {}
    assert subscribed(tmp_path, "ann") == [b"INBOX\x1fSent", b"pub"]
    assert subscribed(tmp_path, "bob") == [b"INBOX", b"pub"]
    assert subscribed(tmp_path, "carol.ann") == [b"pub"]
    assert subscribed(tmp_path, "dave@example.com") == [b"INBOX", b"example.com\x1dpub"]


@pytest.mark.parametrize(("legacy", "winner"), [(True, "by name"), (False, "by uniqueid")])
def test_the_type_of_the_inbox_decides(tmp_path: pathlib.Path, folder: pathlib.Path, legacy: bool, winner: str) -> None:
    """With both files there, the server reads the one by name for an INBOX of type `l`, else the other."""
    userid, uniqueid = ("bob", "b1") if legacy else ("ann", "a1")
    put(folder / f"user/x/{userid}.sub", b"pub")
    put(folder / f"user/uuid/{uniqueid}/sub.db", b"NINBOX", version=b"2")
    assert build(tmp_path, folder).subscribers == 1
    assert subscribed(tmp_path, userid) == ([b"pub"] if winner == "by name" else [b"INBOX"])


@pytest.mark.parametrize(
    ("userid", "counts"),
    [("ann", False), ("bob", True), ("carol.ann", True), ("dave@example.com", True), ("eve", True), ("gone", False)],
)
@pytest.mark.parametrize("uniqueids", [True, False])
def test_a_file_by_name_outlives_its_time(
    tmp_path: pathlib.Path, folder: pathlib.Path, userid: str, counts: bool, uniqueids: bool
) -> None:
    """Who subscribed before he had an INBOX has a file by name.  The server reads it as long as his INBOX has type
    `l` or no record; one that is deleted has a record, too.  An old server, without uniqueids, reads it always.
    """
    local, _, domain = userid.partition("@")
    put(folder / (f"domain/e/{domain}" if domain else "") / f"user/x/{local.replace('.', '^')}.sub", b"pub")
    if uniqueids:
        (folder / "user/uuid/z").mkdir(parents=True)
    report = build(tmp_path, folder)
    assert report.skipped == {}
    assert subscribed(tmp_path, userid) == ([b"pub"] if counts or not uniqueids else [])
    assert report.subscribers == len(subscribed(tmp_path, userid))


def test_a_file_by_uniqueid_is_that_of_an_inbox(tmp_path: pathlib.Path, folder: pathlib.Path) -> None:
    """A deleted INBOX keeps its uniqueid under another name: its file is not that of the user's new one, and a type
    `l` leads to no file by uniqueid.
    """
    for uniqueid in ("a2", "a0", "b1"):
        put(folder / f"user/uuid/{uniqueid}/sub.db", b"NINBOX", version=b"2")
    report = build(tmp_path, folder)
    assert report.subscribers == 0 and report.skipped == {"subscription files of unknown users": 2}


def test_a_folder_of_files_by_any_format(tmp_path: pathlib.Path) -> None:
    """A plain folder of files is enough; twoskip ones are read as flat ones are."""
    root = tmp_path / "subs"
    put(root / "a1.sub.db", b"NINBOX", b"Npub", version=b"3", twoskip=True)
    put(root / "bob.sub", b"user.bob", b"user.ann.Sent", twoskip=True)
    put(root / "dave@example.com.sub", b"example.com!pub")
    assert build(tmp_path, root).subscribers == 3
    assert subscribed(tmp_path, "ann") == [b"INBOX", b"pub"]
    assert subscribed(tmp_path, "bob") == [b"INBOX", b"user\x1fann\x1fSent"]
    assert subscribed(tmp_path, "dave@example.com") == [b"example.com\x1dpub"]


def test_version_3_keeps_similar_users_apart(tmp_path: pathlib.Path, folder: pathlib.Path) -> None:
    """What version 3 writes out for a user of a longer name is the name version 2 wrote as INBOX and a rest."""
    names = {}
    for version in (b"2", b"3"):
        key = b"NINBOXhew\x1fbox" if version == b"2" else b"Nuser\x1fmatthew\x1fbox"
        path = put(folder / "user/m/matt.sub", key, version=version)
        build(tmp_path, folder)
        names[version] = subscribed(tmp_path, "matt")
        path.unlink()
    assert names[b"2"] == names[b"3"] == [b"INBOXhew\x1fbox"]


def test_a_damaged_file_stops_nothing(
    tmp_path: pathlib.Path, folder: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is counted and logged; its user keeps what the index had, the others are read."""
    put(folder / "user/b/bob.sub", b"pub")
    put(folder / "user/c/carol.ann.sub", b"user.carol^ann")
    build(tmp_path, folder)
    (folder / "user/b/bob.sub").write_bytes(b"\xa1\x02\x8b\x0dtwoskip file\0\0\0\0rest")
    put(folder / "user/c/carol.ann.sub", b"pub")
    put(folder / "user/uuid/zz/sub.db", b"Npub", version=b"2")
    with caplog.at_level(logging.INFO, "pyxlist"):
        report = build(tmp_path, folder)
    assert report.skipped == {"unreadable subscription files": 1, "subscription files of unknown users": 1}
    assert report.subscribers == 1
    assert "bob" in caplog.text and "zz" in caplog.text
    assert subscribed(tmp_path, "bob") == subscribed(tmp_path, "carol.ann") == [b"pub"]
    assert build(tmp_path, folder).mode == "none"


def test_what_is_gone_is_removed(tmp_path: pathlib.Path, folder: pathlib.Path) -> None:
    """A file that went takes its subscriptions along, and the state of its user alone changes."""
    path = put(folder / "user/b/bob.sub", b"pub")
    put(folder / "user/c/carol.ann.sub", b"pub")
    build(tmp_path, folder)
    with pyxlist.open(tmp_path / "index") as index:
        before = index.view("bob").state(), index.view("carol.ann").state()
        path.unlink()
        assert build(tmp_path, folder).mode == "update"
        assert index.view("bob").state() != before[0]
        assert index.view("carol.ann").state() == before[1]
    assert subscribed(tmp_path, "bob") == []


def test_linked_folders_are_followed_once(tmp_path: pathlib.Path, folder: pathlib.Path) -> None:
    """Hashed folders that live on another disk are read through their links, and a loop ends."""
    put(tmp_path / "disk/b/bob.sub", b"pub")
    (folder / "user/b").symlink_to(tmp_path / "disk/b")
    (tmp_path / "disk/b/loop").symlink_to(folder / "user")
    assert build(tmp_path, folder).subscribers == 1


def test_many_uniqueids(tmp_path: pathlib.Path) -> None:
    """More files than are looked up one by one find their users too."""
    world = {b"user\x1fu%03d" % n: value(f"u{n:03} lrs", uniqueid=f"id{n:03}") for n in range(200)}
    root = tmp_path / "subs"
    for n in range(120):
        put(root / f"id{n:03}.sub.db", b"NINBOX", version=b"2")
    report = pyxlist.build(write_flat(tmp_path / "db", world), tmp_path / "index", subscriptions=root)
    assert report.subscribers == 120 and report.skipped == {}
    assert subscribed(tmp_path, "u119") == [b"INBOX"]


def note(text: bytes, form: str = ">I4x") -> bytes:
    """An annotation's value, its length in one of the forms that C longs have."""
    return struct.pack(form, len(text)) + text + b"\0text/plain\0" + bytes(17)


def test_special_use_of_every_age(tmp_path: pathlib.Path) -> None:
    """By uniqueid or by name, by owner token or userid, by longs of either size and order."""
    world = {
        b"user\x1fann" + box: value("ann lrs", uniqueid=f"i{n}")
        for n, box in enumerate([b"", b"\x1fA", b"\x1fB", b"\x1fC", b"\x1fD.x"])
    }
    records = {
        b"i1\0/specialuse\0[.OwNeR.]\0": note(b"\\Sent"),
        b"i2\0/specialuse\0ann\0": note(b"\\Trash", ">4xI"),
        b"user.ann.C\0/specialuse\0ann\0": note(b"\\Junk", ">I"),
        b"user.ann.D^x\0/specialuse\0ann\0": note(b"\\Drafts \\Archive"),
        b"i1\0/specialuse\0bob\0": note(b"\\Flagged"),
        b"i1\0/comment\0ann\0": note(b"\\All"),
        b"i2\0/specialuse\0": b"\0\0\0\xff",
        b"\0/specialuse\0ann\0": note(b"\\All"),
    }
    annotations = write_records(tmp_path / "annotations.db", records)
    report = pyxlist.build(write_flat(tmp_path / "db", world), tmp_path / "index", annotations=annotations)
    assert report.special_users == 1 and report.skipped == {"special uses of others": 1}
    with pyxlist.open(tmp_path / "index") as index:
        assert list(index.check()) == []
        uses = {
            item.name: [flag for flag in item.attributes if "HasNo" not in flag] for item in index.view("ann").list()
        }
    assert uses["A"] == ["\\Sent"] and uses["B"] == ["\\Trash"] and uses["C"] == ["\\Junk"]
    assert sorted(uses["D.x"]) == ["\\Archive", "\\Drafts"]


@pytest.mark.parametrize("what", ["subscriptions", "annotations"])
def test_what_was_named_must_be_there(tmp_path: pathlib.Path, what: str) -> None:
    """A folder or an annotations.db that is not there is an error, and no index is left half made."""
    with pytest.raises(pyxlist.SourceError, match="nowhere"):
        pyxlist.build(write_flat(tmp_path / "db", WORLD), tmp_path / "index", **{what: tmp_path / "nowhere"})  # type: ignore[arg-type]
    assert not (tmp_path / "index").exists()
