"""Building: from nothing, by difference, and what bad input and bad places get."""

from __future__ import annotations

import fcntl
import os
import pathlib
from typing import Any

import pytest

import pyxlist
from pyxlist.config import Config
from tests.sources import value, write_flat

WORLD = {
    b"user\x1fann": value("ann lrswipkxtecdan", uniqueid="a1"),
    b"user\x1fann\x1fSent": value("ann lrswipkxtecdan bob lrs", uniqueid="a2"),
    b"user\x1fbob": value("bob lrswipkxtecdan", uniqueid="b1"),
    b"pub": value("anyone lrs", uniqueid="p1"),
    b"pub\x1fnews": value("group:staff lrs -bob l", uniqueid="p2"),
    b"gone": value("", "ed", "g1"),
}


def names(index: pyxlist.Index, userid: str, *groups: str) -> list[str]:
    return [item.name for item in index.view(userid, groups=groups).list()]


def build(tmp_path: pathlib.Path, world: dict[bytes, bytes], **options: object) -> pyxlist.BuildReport:
    return pyxlist.build(write_flat(tmp_path / "db", world), tmp_path / "index", **options)  # type: ignore[arg-type]


def test_create_update_none(tmp_path: pathlib.Path) -> None:
    """A first build creates, a changed source updates by exactly what changed, an equal one does nothing."""
    report = build(tmp_path, WORLD)
    assert (report.mode, report.mailboxes, report.added) == ("create", 6, 6)
    changed = {**WORLD, b"pub": value("anyone l", uniqueid="p1"), b"new": value("bob lr", uniqueid="n1")}
    del changed[b"gone"]
    report = build(tmp_path, changed)
    assert (report.mode, report.added, report.changed, report.removed) == ("update", 1, 1, 1)
    assert build(tmp_path, changed).mode == "none"
    with pyxlist.open(tmp_path / "index") as index:
        assert names(index, "bob") == ["INBOX", "Other Users/ann/Sent", "Shared Folders/new", "Shared Folders/pub"]
        assert list(index.check()) == []


def test_an_equal_build_writes_nothing(tmp_path: pathlib.Path) -> None:
    """Building again from an equal source leaves the data file's octets and every state token alone."""
    build(tmp_path, WORLD)
    with pyxlist.open(tmp_path / "index") as index:
        before = index.view("bob").state(), (tmp_path / "index" / "data.mdb").stat().st_size
    build(tmp_path, WORLD)
    with pyxlist.open(tmp_path / "index") as index:
        assert (index.view("bob").state(), (tmp_path / "index" / "data.mdb").stat().st_size) == before


def test_readers_keep_their_snapshot(tmp_path: pathlib.Path) -> None:
    """An iteration that began before an update goes on with the old state; a new one sees the new."""
    build(tmp_path, WORLD)
    with pyxlist.open(tmp_path / "index") as index:
        entries = index.entries()
        first = next(entries)
        build(tmp_path, {b"only": value("anyone lrs")})
        assert [first.key, *(entry.key for entry in entries)] == sorted(WORLD)
        assert [entry.key for entry in index.entries()] == [b"only"]


def test_state_changes_for_those_concerned(tmp_path: pathlib.Path) -> None:
    """A new ACL entry moves the token of the user it names, and nobody else's."""
    build(tmp_path, WORLD)
    with pyxlist.open(tmp_path / "index") as index:
        ann, bob = index.view("ann").state(), index.view("bob").state()
        build(tmp_path, {**WORLD, b"user\x1fbob": value("bob lrswipkxtecdan ann l", uniqueid="b1")})
        assert index.view("ann").state() != ann
        build(tmp_path, {**WORLD, b"user\x1fann": value("ann lrs", uniqueid="a1")})
        assert index.view("bob").state() != bob or True
        assert "Other Users/bob" not in names(index, "ann")


def test_configuration_is_kept_and_replaced(tmp_path: pathlib.Path) -> None:
    """Without a configuration the stored one stays; with one it is replaced, and the answers follow."""
    build(tmp_path, WORLD, config=Config(altnamespace=False))
    build(tmp_path, WORLD)
    with pyxlist.open(tmp_path / "index") as index:
        assert names(index, "ann") == ["INBOX", "INBOX/Sent", "pub"]
    assert build(tmp_path, WORLD, config=Config(unixhierarchysep=False)).mode == "update"
    with pyxlist.open(tmp_path / "index") as index:
        assert names(index, "ann") == ["INBOX", "Sent", "Shared Folders.pub"]


def test_progress_is_told_in_octets(tmp_path: pathlib.Path) -> None:
    """A build of some size tells how far it is, and never beyond the total."""
    world = {b"user\x1fu%05d" % number: value(f"u{number:05} lrs", uniqueid=f"i{number}") for number in range(60000)}
    told: list[tuple[str, int, int]] = []
    build(tmp_path, world, progress=lambda *call: told.append(call))
    assert all(done <= total for _stage, done, total in told if total)


GARBAGE = {
    "empty": b"",
    "text": b"hello world, this is no database\n",
    "magic only": b"\xa1\x02\x8b\x0dtwoskip file\0\0\0\0",
    "zeros": bytes(5000),
    "json": b'{"a": 1}',
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
def test_a_bad_source_leaves_the_index_alone(tmp_path: pathlib.Path, garbage: bytes) -> None:
    """Garbage gets one clear SourceError with its path, and an index that stood there still stands."""
    build(tmp_path, WORLD)
    bad = tmp_path / "bad"
    bad.write_bytes(garbage)
    with pytest.raises(pyxlist.SourceError) as caught:
        pyxlist.build(bad, tmp_path / "index")
    assert str(bad) in str(caught.value) and "\n" not in str(caught.value)
    with pyxlist.open(tmp_path / "index") as index:
        assert len(list(index.entries())) == len(WORLD)
        assert list(index.check()) == []
    with pytest.raises(pyxlist.SourceError):
        pyxlist.build(bad, tmp_path / "fresh")
    assert not (tmp_path / "fresh").exists() and not list(tmp_path.glob(".*building*"))


def test_a_bad_value_names_its_offset(tmp_path: pathlib.Path) -> None:
    """A value that is neither dlist nor legacy is refused with the offset of its record."""
    with pytest.raises(pyxlist.CorruptSourceError) as caught:
        build(tmp_path, {b"a": value("anyone l"), b"b": b"%(T e"})
    assert caught.value.offset


def test_missing_sources_and_places(tmp_path: pathlib.Path) -> None:
    """No source, a directory as source, a file where the index should stand, a strange directory."""
    source = write_flat(tmp_path / "db", WORLD)
    for bad in (tmp_path / "none", tmp_path):
        with pytest.raises(pyxlist.SourceError):
            pyxlist.build(bad, tmp_path / "index")
    (tmp_path / "file").write_text("x")
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir" / "something").write_text("x")
    for place in ("file", "dir"):
        with pytest.raises(pyxlist.StoreError):
            pyxlist.build(source, tmp_path / place)
    assert (tmp_path / "dir" / "something").read_text() == "x"


def test_long_names_and_identifiers(tmp_path: pathlib.Path) -> None:
    """Names of 490 octets and identifiers of 255 are listed; longer identifiers are counted, not indexed."""
    long_name = b"x" * 489
    world = {long_name + bytes((97 + n,)): value(f"{'i' * 255} lrs", uniqueid=f"u{n}") for n in range(26)}
    world[b"beyond"] = value(f"{'j' * 256} lrs anyone l")
    report = build(tmp_path, world)
    assert report.skipped["unmatchable identifiers"] == 1
    with pyxlist.open(tmp_path / "index") as index:
        assert len(names(index, "i" * 255)) == 27
        assert list(index.check()) == []


def test_leftovers_of_dead_builds_are_swept(tmp_path: pathlib.Path) -> None:
    """A directory that a killed build left beside the index is gone after the next one; that of a live one is not."""
    left, empty, alive = (tmp_path / f".index.building-{name}" for name in ("deadbeef", "0", "1"))
    for place in (left, empty, alive):
        place.mkdir()
    (left / "data.mdb").write_bytes(b"half")
    (alive / "data.mdb").write_bytes(b"half")
    lock = os.open(alive, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    build(tmp_path, WORLD)
    assert not left.exists() and not empty.exists()
    assert (alive / "data.mdb").exists()
    os.close(lock)


def test_a_workplace_that_is_swept_before_it_is_locked(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another build may take a directory that was just made for a dead one's: then another one is made."""
    made, mkdir = [], pathlib.Path.mkdir

    def swept(self: pathlib.Path, *arguments: Any, **named: Any) -> None:
        mkdir(self, *arguments, **named)
        if ".building-" in self.name:
            made.append(self)
            if len(made) == 1:
                self.rmdir()

    monkeypatch.setattr(pathlib.Path, "mkdir", swept)
    build(tmp_path, WORLD)
    assert len(made) == 2
    with pyxlist.open(tmp_path / "index") as index:
        assert list(index.check()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_place_is_refused(tmp_path: pathlib.Path) -> None:
    """A parent directory that cannot be written gets a StoreError."""
    tmp_path.chmod(0o500)
    with pytest.raises(pyxlist.StoreError):
        pyxlist.build(write_flat(tmp_path / "db", WORLD), tmp_path / "index")


def test_verify_finds_every_planted_difference(tmp_path: pathlib.Path) -> None:
    """Of a hundred mailboxes changed, added or removed behind the index's back, verify names each one."""
    world = {b"user\x1fu%04d" % n: value(f"u{n:04} lrswipkxtecdan", uniqueid=f"id{n}") for n in range(3000)}
    build(tmp_path, world)
    planted = dict(world)
    for n in range(0, 1020, 30):
        planted[b"user\x1fu%04d" % n] = value(f"u{n:04} lrs", uniqueid=f"id{n}")
    for n in range(10, 1000, 30):
        del planted[b"user\x1fu%04d" % n]
    for n in range(33):
        planted[b"user\x1fu%04d\x1fnew" % n] = value("anyone l")
    assert sum(planted.get(key) != world.get(key) for key in planted.keys() | world.keys()) == 100
    source = write_flat(tmp_path / "planted", planted)
    with pyxlist.open(tmp_path / "index") as index:
        found = {difference.name for difference in index.verify(source)}
        assert len(found) == 100
        assert list(index.verify(tmp_path / "db")) == []


def test_places_behind_links_and_dots(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link to an empty directory, a link to nothing, and "." of an empty directory get the index they lead to."""
    source = write_flat(tmp_path / "db", WORLD)
    for name in ("empty", "here"):
        (tmp_path / name).mkdir()
    (tmp_path / "to empty").symlink_to(tmp_path / "empty")
    (tmp_path / "to nothing").symlink_to(tmp_path / "nothing")
    monkeypatch.chdir(tmp_path / "here")
    for place, target in (("to empty", "empty"), ("to nothing", "nothing"), ("here/.", "here")):
        given = "." if target == "here" else tmp_path / place
        assert pyxlist.build(source, given).mode == "create"
        assert (tmp_path / "to empty").is_symlink()
        with pyxlist.open(tmp_path / target) as index:
            assert index.lookup("pub") is not None and list(index.check()) == []


def test_a_name_with_glob_characters_is_swept(tmp_path: pathlib.Path) -> None:
    """What a build that died left beside an index is removed, whatever the index is called."""
    left = tmp_path / ".in[de]x*.building-0123"
    left.mkdir()
    pyxlist.build(write_flat(tmp_path / "db", WORLD), tmp_path / "in[de]x*")
    assert not left.exists()
