"""Subscriptions and special-use attributes, followed: what changed is read, what is gone goes."""

from __future__ import annotations

import pathlib
import struct

import pytest

import pyxlist
from pyxlist.follow.beside import Beside
from tests.sources import value, write_flat, write_records

WORLD = {
    b"user\x1fann": value("ann lrswipkxtecdan", uniqueid="ida"),
    b"user\x1fann\x1fSent": value("ann lrswipkxtecdan", uniqueid="ids"),
    b"user\x1fbob": value("bob lrswipkxtecdan", uniqueid="idb"),
    b"pub": value("anyone lrs", uniqueid="idp"),
}


def subscribe(folder: pathlib.Path, uniqueid: str, *names: bytes) -> pathlib.Path:
    path = folder / "user" / "uuid" / uniqueid[0] / uniqueid[1] / uniqueid / "sub.db"
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name("fresh")
    return write_records(fresh, {b"\x1fVER\x1f": b"2", **{b"N" + name: b"" for name in names}}).rename(path)


def annotate(path: pathlib.Path, uses: dict[bytes, bytes]) -> pathlib.Path:
    records = {
        mailbox + b"\0/specialuse\0[.OwNeR.]\0": struct.pack(">I4x", len(use)) + use + bytes(8)
        for mailbox, use in uses.items()
    }
    return write_records(path.with_name("fresh"), records).rename(path)


@pytest.fixture
def index_path(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "conf").mkdir()
    pyxlist.build(write_flat(tmp_path / "db", WORLD), tmp_path / "index")
    return tmp_path / "index"


def subscribed(index_path: pathlib.Path, userid: str) -> bytes:
    with pyxlist.open(index_path) as index:
        assert list(index.check()) == []
        return index.view(userid).respond(b'LIST (SUBSCRIBED) "" "*"').untagged


def test_subscriptions_come_change_and_go(tmp_path: pathlib.Path, index_path: pathlib.Path) -> None:
    """Each pass brings what changed since the one before, and only that changes the index."""
    conf = tmp_path / "conf"
    subscribe(conf, "ida", b"INBOX\x1fSent")
    beside = Beside(index_path, subscriptions=conf)
    assert beside.look()
    assert b"Sent" in subscribed(index_path, "ann")
    assert not beside.look()
    path = subscribe(conf, "idb", b"pub")
    assert beside.look()
    assert b"pub" in subscribed(index_path, "bob")
    assert b"Sent" in subscribed(index_path, "ann")
    path.unlink()
    subscribe(conf, "ida", b"INBOX\x1fSent", b"pub")
    assert beside.look()
    assert subscribed(index_path, "bob") == b""
    assert b"pub" in subscribed(index_path, "ann")


def test_a_renamed_user(tmp_path: pathlib.Path, index_path: pathlib.Path) -> None:
    """The file stays where it is and becomes another user's, when mailboxes have been renamed."""
    conf = tmp_path / "conf"
    subscribe(conf, "ida", b"pub")
    beside = Beside(index_path, subscriptions=conf)
    beside.look()
    renamed = {key.replace(b"ann", b"eve"): octets.replace(b"ann", b"eve") for key, octets in WORLD.items()}
    pyxlist.build(write_flat(tmp_path / "db", renamed), index_path)
    beside.note_names_changed()
    assert beside.look()
    assert (subscribed(index_path, "ann"), b"pub" in subscribed(index_path, "eve")) == (b"", True)


def test_special_uses(tmp_path: pathlib.Path, index_path: pathlib.Path) -> None:
    """A changed annotations.db is read again, an unchanged one is not."""
    path = annotate(tmp_path / "annotations.db", {b"ids": b"\\Sent"})
    beside = Beside(index_path, annotations=path)
    assert beside.look()
    with pyxlist.open(index_path) as index:
        assert b"\\Sent" in index.view("ann").respond(b'LIST "" Sent').untagged
    assert not beside.look()
    annotate(path, {b"ids": b"\\Archive"})
    assert beside.look()
    with pyxlist.open(index_path) as index:
        assert b"\\Archive" in index.view("ann").respond(b'LIST "" Sent').untagged


def test_a_follower_is_not_disturbed(tmp_path: pathlib.Path, index_path: pathlib.Path) -> None:
    """What this writes is not taken for a stranger's write; a failing pass leaves the index alone."""
    conf = tmp_path / "conf"
    subscribe(conf, "ida", b"pub")
    Beside(index_path, subscriptions=conf).look()
    with pyxlist.open(index_path) as index:
        stat = index.stat()
    assert stat["checkpoint"]["transaction"] == stat["transaction"]
    with pytest.raises(pyxlist.SourceError):
        Beside(index_path, subscriptions=tmp_path / "missing").look()
    assert b"pub" in subscribed(index_path, "ann")
