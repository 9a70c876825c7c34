"""A database read as a log: recorded tails, every prefix of one, and damage."""

from __future__ import annotations

import pathlib
import random
import struct

import pytest

from pyxlist.cyrusdb import Source, iter_records, open_source
from pyxlist.cyruslog import Change, Delete, DeleteBefore, Log, Put
from pyxlist.errors import CorruptSourceError, GapError, PyxlistError, SourceError, UnsupportedSourceError
from tests.sources import unpack
from tests.twoskip import Twoskip


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is writing to these files: no use in waiting between two attempts."""
    monkeypatch.setattr("pyxlist.cyruslog._PAUSE_S", 0.0)


def source_of(path: pathlib.Path) -> Source:
    with open_source(path) as (_reader, source):
        return source


def tail_of(path: pathlib.Path, start: int) -> list[Change]:
    with Log(path) as log:
        return log.changes(start, log.header())[0]


def small(tmp_path: pathlib.Path) -> tuple[Twoskip, pathlib.Path, Source]:
    """A file with three records, and what a build would note of it."""
    database = Twoskip(seed=1)
    for name in (b"Na", b"Nb", b"Nc"):
        database.put(name, b"one")
    database.commit()
    path = database.write(tmp_path / "db")
    return database, path, source_of(path)


def test_puts_deletes_and_order(tmp_path: pathlib.Path) -> None:
    """A tail gives what was done, in order; a delete names the key that follows the deleted one."""
    database, path, source = small(tmp_path)
    database.put(b"Nb", b"two")
    database.delete(b"Na")
    database.commit()
    database.delete(b"Nc")
    database.put(b"Nd", b"")
    database.commit()
    database.write(path)
    assert tail_of(path, source.end) == [
        Put(b"Nb", b"two"),
        DeleteBefore(b"Nb"),
        DeleteBefore(None),
        Put(b"Nd", b""),
    ]


def test_only_the_committed_part_is_read(tmp_path: pathlib.Path) -> None:
    """Records of an open transaction, and garbage behind them, are not there yet."""
    database, path, source = small(tmp_path)
    database.put(b"Nx", b"open")
    database.image += bytes(random.Random(5).randbytes(999))
    database.write(path)
    assert tail_of(path, source.end) == []


def replayed(path: pathlib.Path, name: str) -> dict[bytes, bytes]:
    """The records of one recorded file with the tail of a later one applied, the slow and obvious way."""
    start, records = source_of(path).end, dict(iter_records(path))
    for change in tail_of(unpack(f"follow/{name}", path.parent), start):
        match change:
            case Put(key, octets):
                records[key] = octets
            case Delete(key):
                del records[key]
            case DeleteBefore(key):
                del records[max(found for found in records if key is None or found < key)]
    return records


@pytest.mark.parametrize(
    ("name", "later"),
    [
        ("A.twoskip", "dirty3.twoskip"),
        ("A.twoskip", "B25.twoskip"),
        ("A.twoskip", "C1-before.twoskip"),
        ("B25.twoskip", "C1-before.twoskip"),
        ("A.twom", "dirty3.twom"),
        ("A.twom", "B30.twom"),
        ("B30.twom", "B.twom"),
        ("B25.skiplist", "B50.skiplist"),
    ],
)
def test_recorded_tails(tmp_path: pathlib.Path, name: str, later: str) -> None:
    """A tail of a real server's file leads from one state to a later one, all kinds of records included."""
    assert replayed(unpack(f"follow/{name}", tmp_path), later) == dict(iter_records(tmp_path / later))


def test_every_prefix_of_a_tail(tmp_path: pathlib.Path) -> None:
    """A file that ends anywhere within its tail is refused: too short, never half a transaction."""
    start = source_of(unpack("follow/A.twoskip", tmp_path)).end
    path = unpack("follow/B25.twoskip", tmp_path)
    whole = path.read_bytes()
    end = source_of(path).end
    for cut in [*range(start, end, 97), end - 1]:
        path.write_bytes(whole[:cut])
        with pytest.raises(GapError), Log(path) as log:
            log.changes(start, log.header())


@pytest.mark.parametrize("octet", range(0, 60, 3))
def test_torn_header(tmp_path: pathlib.Path, octet: int) -> None:
    """A header with one octet changed is an error with its path, whichever octet it is."""
    _database, path, _source = small(tmp_path)
    image = bytearray(path.read_bytes())
    image[octet] ^= 0x41
    path.write_bytes(image)
    with pytest.raises(SourceError) as caught, Log(path) as log:
        log.header()
    assert str(path) in str(caught.value)


def test_every_octet_of_a_tail_is_guarded(tmp_path: pathlib.Path) -> None:
    """No single octet of an appended stretch can be changed without being noticed, filler words excepted."""
    database, path, source = small(tmp_path)
    database.put(b"Nb", b"value")
    database.delete(b"Na")
    database.commit()
    database.write(path)
    image = path.read_bytes()
    for offset in range(source.end, len(image)):
        damaged = bytearray(image)
        damaged[offset] ^= 0x20
        path.write_bytes(damaged)
        with pytest.raises(GapError):
            assert tail_of(path, source.end) == [], offset


def test_a_record_larger_than_the_first_guess(tmp_path: pathlib.Path) -> None:
    """The record a delete points to may be of any size."""
    database, path, source = small(tmp_path)
    database.put(b"Nb", b"x" * 70000)
    database.commit()
    database.delete(b"Na")
    database.commit()
    database.write(path)
    assert tail_of(path, source.end)[-1] == DeleteBefore(b"Nb")


def test_the_mark_tells_histories_apart(tmp_path: pathlib.Path) -> None:
    """A file that went on from a checkpoint has its mark; one with another last transaction has not."""
    database, path, source = small(tmp_path)
    database.put(b"Nd", b"later")
    database.commit()
    database.write(path)
    with Log(path) as log:
        assert log.has_mark(source)
        header = log.header()
        assert log.source(header, header.end).mark == source_of(path).mark
    other = Twoskip(seed=1)
    for name in (b"Na", b"Nb", b"Nc"):
        other.put(name, b"ONE")
    other.commit()
    assert other.size == source.end
    with Log(other.write(path)) as log:
        assert not log.has_mark(source)


def test_what_is_no_log(tmp_path: pathlib.Path) -> None:
    """Flat files and garbage are refused as no log; a missing file as missing."""
    for octets in (b"", b"Na\tx\n", bytes(200), random.Random(3).randbytes(400)):
        path = tmp_path / "other"
        path.write_bytes(octets)
        with pytest.raises(UnsupportedSourceError), Log(path) as log:
            log.header()
    with pytest.raises(SourceError, match="No such file"):
        Log(tmp_path / "missing")


def test_random_damage_never_crashes(tmp_path: pathlib.Path) -> None:
    """Octets changed anywhere in a file, header made right again: an answer or a clean error."""
    chance = random.Random(11)
    database, path, source = small(tmp_path)
    for number in range(40):
        database.put(b"N%d" % chance.randrange(30), b"v" * number)
        if number % 3 == 0:
            database.delete(b"N%d" % chance.randrange(30))
        database.commit()
    for _ in range(300):
        image = bytearray(database.image)
        for _ in range(chance.choice((1, 3, 40))):
            image[chance.randrange(64, len(image))] = chance.randrange(256)
        path.write_bytes(image)
        try:
            tail_of(path, source.end)
        except (GapError, CorruptSourceError) as error:
            assert isinstance(error, PyxlistError)


def test_a_skiplist_that_its_writer_left(tmp_path: pathlib.Path) -> None:
    """What stands behind the last commit of a skiplist, whole or cut anywhere, is not there yet."""
    path = unpack("follow/B25.skiplist", tmp_path)
    start, whole = source_of(path).end, path.read_bytes()
    add = struct.pack(">II4sI4sII", 2, 4, b"Nnew", 1, b"v\0\0\0", 0, 0xFFFFFFFF)
    for cut in range(len(add) + 1):
        path.write_bytes(whole + add[:cut])
        assert tail_of(path, start) == []
    path.write_bytes(whole + add + struct.pack(">I", 255))
    assert tail_of(path, start) == [Put(b"Nnew", b"v")]
