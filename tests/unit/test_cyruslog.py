"""A database read as a log: recorded tails, every prefix of one, and damage."""

from __future__ import annotations

import gzip
import pathlib
import random

import pytest

from pyxlist.cyrusdb import Source, iter_records, open_source
from pyxlist.cyruslog import Change, DeleteBefore, Log, Put
from pyxlist.errors import CorruptSourceError, GapError, PyxlistError, SourceError, UnsupportedSourceError
from tests.twoskip import Twoskip

DATA = pathlib.Path(__file__).parents[1] / "data" / "follow"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is writing to these files: no use in waiting between two attempts."""
    monkeypatch.setattr("pyxlist.cyruslog._PAUSE_S", 0.0)


def recorded(name: str, path: pathlib.Path) -> pathlib.Path:
    path.write_bytes(gzip.decompress((DATA / f"{name}.twoskip.gz").read_bytes()))
    return path


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


def test_recorded_tails(tmp_path: pathlib.Path) -> None:
    """A real server's tail, filler words and all, leads from A to B25; a copy caught in a transaction has none."""
    path = recorded("A", tmp_path / "a")
    start, records = source_of(path).end, dict(iter_records(path))
    for change in tail_of(recorded("B25", tmp_path / "b"), start):
        if isinstance(change, Put):
            records[change.key] = change.value
        else:
            assert isinstance(change, DeleteBefore)
            del records[max(key for key in records if change.key is None or key < change.key)]
    assert records == dict(iter_records(tmp_path / "b"))
    assert tail_of(recorded("dirty3", tmp_path / "d"), start) == []


def test_every_prefix_of_a_tail(tmp_path: pathlib.Path) -> None:
    """A file that ends anywhere within its tail is refused: too short, never half a transaction."""
    start = source_of(recorded("A", tmp_path / "a")).end
    path = recorded("B25", tmp_path / "b")
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
        assert log.source(header := log.header(), header.end).mark == source_of(path).mark
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
