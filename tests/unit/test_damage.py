"""Damage in the middle, salvaged; and files that shrink, grow or are replaced while they are read."""

from __future__ import annotations

import gzip
import json
import os
import pathlib
import random
import shutil
from collections.abc import Callable
from typing import Any

import pytest

import pyxlist
from pyxlist import image
from pyxlist.cyrusdb import iter_records
from tests.sources import DATA, value, write_flat
from tests.unit.test_readers import FORMATS

RECORDED = DATA / "alt-unix"
SMALL = {f"user.u{n:02}": {"name": f"user.u{n:02}", "acl": {f"u{n:02}": "lrs", "ä": "l"}} for n in range(12)}


def salvage(path: pathlib.Path, octets: bytes) -> tuple[dict[str, object], pyxlist.BuildReport]:
    """What a salvage of these octets builds: name -> what a dump says of it."""
    path.write_bytes(octets)
    index_path = path.with_suffix(".index")
    shutil.rmtree(index_path, ignore_errors=True)
    report = pyxlist.build(path, index_path, salvage=True)
    with pyxlist.open(index_path) as index:
        assert list(index.check()) == []
        return {entry.name: entry.as_dump() for entry in index.entries()}, report


def test_each_octet_of_a_dump_lost(tmp_path: pathlib.Path) -> None:
    """Without any one of its octets a JSON dump gives all but its own mailbox and at most a neighbour."""
    whole = json.dumps(SMALL).encode()
    expected, _report = salvage(tmp_path / "dump", whole)
    for at in range(2, len(whole), 3):
        found, report = salvage(tmp_path / "dump", whole[:at] + whole[at + 1 :])
        same = [name for name in expected if found.get(name) == expected[name]]
        assert len(same) >= len(expected) - 2, (at, report.lost)
        assert len(found) == len(expected) or report.lost.places, at


def test_what_stands_in_the_middle_of_a_dump_is_lost_alone(tmp_path: pathlib.Path) -> None:
    """A recorded dump with a thing of every kind broken: the report names the place, all others are built."""
    whole = gzip.decompress((RECORDED / "dump.json.gz").read_bytes())
    expected, _report = salvage(tmp_path / "dump", whole)
    at = whole.index(b'"acl"', len(whole) // 2)
    for junk in (b"\0" * 20, b'"', b"}", b"{", b"]}}", b'\\u12"', b"\xff" * 9, b'{"name": "'):
        found, report = salvage(tmp_path / "dump", whole[:at] + junk + whole[at:])
        assert len(expected) - 2 <= len(found) < len(expected), junk
        assert all(expected[name] == entry for name, entry in found.items())
        assert report.lost.places == 1
        (loss,) = report.lost.listed
        assert at - 1000 < loss.offset <= at + len(junk) <= loss.offset + loss.size_bytes + 1


def test_a_dump_damaged_everywhere_ends(tmp_path: pathlib.Path) -> None:
    """Brackets missing at the end of thousands of mailboxes cost no more than so many readings of the dump."""
    lines = [f'"u{n}": {{"name": "u{n}", "acl": {{"u": "lrs"}}' + "}" * (n % 2) for n in range(6000)]
    found, report = salvage(tmp_path / "dump", ("{" + ",\n".join(lines) + "}").encode())
    assert report.lost.places
    assert all(int(name[1:]) % 2 for name in found if name != "u5998")


@pytest.mark.parametrize("kind", ["flat", "text"])
def test_a_line_is_lost_alone(tmp_path: pathlib.Path, kind: str) -> None:
    """What is wrong in one line of flat or of a text dump costs that line."""
    if kind == "flat":
        write_flat(tmp_path / "db", {b"a": value("a l"), b"b": value("b l"), b"c": value("c l")})
        broken = (tmp_path / "db").read_bytes().replace(b"Nb\t", b"Nb\0\t")
    else:
        broken = b"a\t0 default a\tl\t\nb default\nc\t0 default c\tl\t\n"
    found, report = salvage(tmp_path / "broken", broken)
    assert list(found) == ["a", "c"]
    assert report.lost.places == 1
    with pytest.raises(pyxlist.CorruptSourceError):
        pyxlist.build(tmp_path / "broken", tmp_path / "refused")


def test_an_index_is_left_alone_by_refused_damage(tmp_path: pathlib.Path) -> None:
    """A dump damaged at its very end changes nothing in an index that exists, though all before it was sound."""
    (tmp_path / "dump").write_text(json.dumps(SMALL))
    pyxlist.build(tmp_path / "dump", tmp_path / "index")
    with pyxlist.open(tmp_path / "index") as index:
        before = list(index.entries())
    (tmp_path / "dump").write_text(json.dumps({**SMALL, "user.new": {}})[:-1])
    with pytest.raises(pyxlist.CorruptSourceError, match="ends early"):
        pyxlist.build(tmp_path / "dump", tmp_path / "index")
    with pyxlist.open(tmp_path / "index") as index:
        assert list(index.entries()) == before
        assert list(index.check()) == []


def _truncate(path: pathlib.Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _empty(path: pathlib.Path) -> None:
    os.truncate(path, 0)


def _grow(path: pathlib.Path) -> None:
    with open(path, "ab") as file:
        file.write(bytes(1 << 16))


def _replace(path: pathlib.Path) -> None:
    path.with_suffix(".new").write_bytes((RECORDED / "mailboxes.db").read_bytes())
    path.with_suffix(".new").rename(path)


def _remove(path: pathlib.Path) -> None:
    path.unlink(missing_ok=True)


@pytest.mark.parametrize("happens", [_truncate, _empty, _grow, _replace, _remove])
@pytest.mark.parametrize("after", [0, 1, 5])
def test_what_happens_to_a_file_while_it_is_read(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, happens: Callable[[pathlib.Path], None], after: int
) -> None:
    """Cut, emptied, grown, replaced, removed between two reads: the records there were, or a clear refusal."""
    path = tmp_path / "mailboxes.db"
    shutil.copyfile(RECORDED / "mailboxes.db", path)
    expected, read, reads = list(iter_records(path)), image.Image._read, [0]

    def disturbed(self: image.Image, done: int) -> int:
        if reads[0] == after:
            happens(path)
        reads[0] += 1
        return read(self, done)

    monkeypatch.setattr(image, "CHUNK_BYTES", 4096)
    monkeypatch.setattr(image.Image, "_read", disturbed)
    try:
        assert list(iter_records(path)) == expected
    except pyxlist.SourceError as error:
        assert happens in (_truncate, _empty)
        assert str(path) in str(error)
    assert reads[0] > after


@pytest.mark.parametrize("name", ["twoskip", "skiplist", "twom"])
@pytest.mark.parametrize("step", ["_open_at_once", "_read_header"])
def test_a_checkpoint_while_the_file_is_opened(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, name: str, step: str
) -> None:
    """Renamed over and emptied, as Cyrus does, before its size is asked: the new file is read, not nothing."""
    path, after, done = tmp_path / "db", [(b"Nnew", b"%(A %())")], getattr(image, step)
    path.write_bytes(FORMATS[name]([[(b"Nold", b"%(A %())")]]))
    (tmp_path / "new").write_bytes(FORMATS[name]([list(after)]))

    def checkpointed(*arguments: Any) -> Any:
        result = done(*arguments)
        if (tmp_path / "new").exists():
            with path.open("r+b") as old:
                (tmp_path / "new").rename(path)
                old.truncate(0)
        return result

    monkeypatch.setattr(image, step, checkpointed)
    assert list(iter_records(path)) == after


def _outcome(path: pathlib.Path, octets: bytes) -> list[tuple[bytes, bytes]] | None:
    """The records of these octets, None where they are refused."""
    path.write_bytes(octets)
    try:
        return list(iter_records(path))
    except pyxlist.SourceError as error:
        assert "\n" not in str(error)
        return None


@pytest.mark.slow
def test_every_bit_of_the_first_4096_octets(tmp_path: pathlib.Path) -> None:
    """Each bit of them flipped in a recorded file: what is read stays the same, or nothing is."""
    whole = (RECORDED / "mailboxes.db").read_bytes()
    expected, path = list(iter_records(RECORDED / "mailboxes.db")), tmp_path / "db"
    for bit in range(8 * 4096):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        assert _outcome(path, bytes(damaged)) in (expected, None), bit


@pytest.mark.slow
def test_random_flips_anywhere(tmp_path: pathlib.Path) -> None:
    """Up to eight bits anywhere: refused or the same; a salvage gives nothing but what stands in the file."""
    seed = int(os.environ.get("PYXLIST_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"PYXLIST_SEED={seed}")
    chance, whole, path = random.Random(seed), (RECORDED / "mailboxes.db").read_bytes(), tmp_path / "db"
    expected = list(iter_records(RECORDED / "mailboxes.db"))
    known = set(expected)
    for _round in range(3000):
        damaged = bytearray(whole)
        for _flip in range(chance.randrange(1, 9)):
            damaged[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        assert _outcome(path, bytes(damaged)) in (expected, None)
        try:
            assert all(key + octets in whole for key, octets in set(iter_records(path, salvage=True)) - known)
        except pyxlist.SourceError as error:
            assert "\n" not in str(error)
