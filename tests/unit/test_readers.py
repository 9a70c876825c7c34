"""The binary formats: whole, cut off, flipped, salvaged; and what a file says of its damage."""

from __future__ import annotations

import gzip
import pathlib
import random
import struct

import pytest

import pyxlist
from pyxlist._pxl import ffi, lib
from pyxlist.cyrusdb import iter_records, losses_of, open_source
from tests.sources import value, write_flat

MAGIC = b"\xa1\x02\x8b\x0dtwoskip file\0\0\0\0"
Step = tuple[bytes, bytes | None]


def _sum(octets: bytes) -> int:
    return int(lib.pxl_xxh3(octets, len(octets))) & 0xFFFFFFFF if octets else 0


def _crc(octets: bytes) -> int:
    return int(lib.pxl_crc32(octets, len(octets)))


def twom(transactions: list[list[Step]]) -> bytes:
    """A twom file: each transaction a list of (key, value), None for a delete."""
    out, last, values = bytearray(368), dict[bytes, int](), dict[bytes, bytes | None]()
    for transaction in transactions:
        start = len(out)
        for key, octets in transaction:
            at, before = len(out), last.get(key, 0)
            tail = b"" if octets is None else key + b"\0" + octets + b"\0"
            tail += bytes(-len(tail) % 8)
            if octets is None:
                head = struct.pack("<BBHIQ", 6, 0, 0, 0, before)
            elif before:
                head = struct.pack("<BBHIQQQ", 4, 1, len(key), len(octets), before, 0, 0)
            else:
                head = struct.pack("<BBHIQQ", 2, 1, len(key), len(octets), 0, 0)
            out += head + struct.pack("<II", _sum(head), _sum(tail)) + tail
            last[key], values[key] = at, octets
        head = struct.pack("<BBHIQ", 7, 0, 0, 0, start)
        out += head + struct.pack("<II", _sum(head), 0)
    live = sum(octets is not None for octets in values.values())
    header = struct.pack("<16s16sIIQQQQQQI", b"\xa1\x02\x8b\x0dtwomfile\0\0\0\0", b"u" * 16, 1, 1 << 28, 1, live,
                         len(transactions), 0, 368, len(out), 1)  # fmt: skip
    out[:96] = header + struct.pack("<I", _sum(header))
    return bytes(out)


def skiplist(transactions: list[list[Step]]) -> bytes:
    """A skiplist file whose log begins behind the dummy."""

    def padded(octets: bytes) -> bytes:
        return struct.pack(">I", len(octets)) + octets + bytes(-len(octets) % 4)

    out = bytearray(b"\xa1\x02\x8b\x0dskiplist file\0\0\0" + struct.pack(">7I", 1, 2, 20, 1, 0, 144, 0))
    out += struct.pack(">3I", 257, 0, 0) + bytes(80) + b"\xff" * 4
    last: dict[bytes, int] = {}
    for transaction in transactions:
        for key, octets in transaction:
            if key in last:
                out += struct.pack(">II", 4, last.pop(key))
            if octets is not None:
                last[key] = len(out)
                out += struct.pack(">I", 2) + padded(key) + padded(octets) + bytes(4) + b"\xff" * 4
        out += struct.pack(">I", 255)
    return bytes(out)


def twoskip(transactions: list[list[Step]]) -> bytes:
    """A twoskip file, links left 0: they are not followed."""

    def record(kind: bytes, level: int, link: int, key: bytes = b"", octets: bytes = b"") -> bytes:
        tail = key + octets + bytes(-len(key + octets) % 8)
        head = kind + struct.pack(">BHIQ", level, len(key), len(octets), link) + bytes(8 * level)
        return head + struct.pack(">II", _crc(head), _crc(tail)) + tail

    out, last = bytearray(64) + record(b"=", 31, 0), dict[bytes, int]()
    for transaction in transactions:
        start = len(out)
        for key, octets in transaction:
            if octets is None:
                del last[key]
                behind = min((other for other in last if other > key), default=None)
                out += record(b"-", 0, 0 if behind is None else last[behind])
            else:
                last[key] = len(out)
                out += record(b"+", 1, 0, key, octets)
        out += record(b"$", 0, start)
    header = MAGIC + struct.pack(">IQQQQI", 1, 1, len(last), 0, len(out), 0)
    out[:64] = header + struct.pack(">I", _crc(header))
    return bytes(out)


def flat(transactions: list[list[Step]]) -> bytes:
    """A flat file, which keeps nothing of its past."""
    last = dict(step for transaction in transactions for step in transaction)
    return b"".join(key + b"\t" + last[key] + b"\n" for key in sorted(last) if last[key] is not None)  # type: ignore[operator]


FORMATS = {"twoskip": twoskip, "skiplist": skiplist, "twom": twom, "flat": flat}
SUMMED = ("twoskip", "twom")
PUB, BOB, ANN = b"Npub", b"Nuser\x1fbob", b"Nuser\x1fann"
WORLD: list[list[Step]] = [
    [(BOB, value("bob lrs")), (ANN, value("ann lrs")), (PUB, value("anyone l"))],
    [(PUB, value("anyone lr")), (BOB, None)],
    [(b"Nzoo", value("ann l")), (BOB, value("bob l"))],
    [(b"Nzoo", None)],
]
LIVE = [(PUB, value("anyone lr")), (ANN, value("ann lrs")), (BOB, value("bob l"))]
STATES = [[], sorted(dict(WORLD[0]).items()), [(PUB, value("anyone lr")), (ANN, value("ann lrs"))],
          [*LIVE, (b"Nzoo", value("ann l"))], LIVE]  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
def test_a_log_is_replayed(tmp_path: pathlib.Path, name: str) -> None:
    """Replaced, deleted and put again: the last of each key counts, in octet order."""
    path = tmp_path / "db"
    path.write_bytes(FORMATS[name](WORLD))
    assert list(iter_records(path)) == LIVE
    path.write_bytes(FORMATS[name]([]))
    assert list(iter_records(path)) == []


@pytest.mark.parametrize("name", ["twoskip", "skiplist", "twom"])
def test_random_logs_agree_with_a_dictionary(tmp_path: pathlib.Path, name: str) -> None:
    """Puts and deletes in any order leave what they leave in a dict."""
    chance = random.Random(7)
    for _round in range(40):
        live: dict[bytes, bytes] = {}
        log: list[list[Step]] = []
        for _transaction in range(chance.randrange(1, 12)):
            log.append([])
            for _step in range(chance.randrange(1, 12)):
                key = b"N%d" % chance.randrange(25)
                if key in live and chance.random() < 0.5:
                    del live[key]
                    log[-1].append((key, None))
                else:
                    live[key] = b"v" * chance.randrange(12)
                    log[-1].append((key, live[key]))
        (tmp_path / "db").write_bytes(FORMATS[name](log))
        assert list(iter_records(tmp_path / "db")) == sorted(live.items())


@pytest.mark.parametrize("name", FORMATS)
def test_cut_at_every_octet(tmp_path: pathlib.Path, name: str) -> None:
    """A file that ends early is refused, or is one of the states it went through; salvage gives such a state too."""
    whole, path = FORMATS[name](WORLD), tmp_path / "db"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        for salvage in (False, True):
            try:
                found = list(iter_records(path, salvage))
            except pyxlist.SourceError as error:
                assert str(path) in str(error)
                continue
            assert name == "flat" or found in STATES or (salvage and not found), length
            assert salvage or name not in SUMMED or not length


@pytest.mark.parametrize("name", SUMMED)
def test_every_flipped_bit(tmp_path: pathlib.Path, name: str) -> None:
    """No bit of a summed file changes what is read: it is refused with an offset inside, or nobody needs it."""
    whole, path = FORMATS[name](WORLD), tmp_path / "db"
    for bit in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            assert list(iter_records(path)) == LIVE, bit
        except pyxlist.CorruptSourceError as error:
            assert error.offset is not None and error.offset <= len(whole)
        except pyxlist.UnsupportedSourceError:
            assert bit < 8 * 40


@pytest.mark.parametrize("name", FORMATS)
def test_random_damage_neither_crashes_nor_hangs(tmp_path: pathlib.Path, name: str) -> None:
    """Octets overwritten at random, huge lengths among them, whole and salvaged: an answer or a SourceError."""
    chance, whole, path = random.Random(11), FORMATS[name](WORLD), tmp_path / "db"
    for _round in range(400):
        damaged = bytearray(whole)
        for _place in range(chance.randrange(1, 6)):
            at = chance.randrange(len(whole))
            junk = chance.choice((b"\xff" * 8, bytes(8), chance.randbytes(chance.randrange(1, 9))))
            damaged[at : at + len(junk)] = junk
        path.write_bytes(damaged)
        for salvage in (False, True):
            try:
                list(iter_records(path, salvage))
            except pyxlist.SourceError as error:
                assert "\n" not in str(error)


@pytest.mark.parametrize("name", SUMMED)
def test_salvage_loses_one_record_and_says_which(tmp_path: pathlib.Path, name: str) -> None:
    """A damaged value costs its own record only; the report names the place, and without salvage nothing is built."""
    whole, path = FORMATS[name](WORLD[:1]), tmp_path / "db"
    at = whole.index(value("ann lrs"))
    path.write_bytes(whole[:at] + b"X" + whole[at + 1 :])
    with pytest.raises(pyxlist.CorruptSourceError, match="records before that are sound"):
        pyxlist.build(path, tmp_path / "index")
    assert not (tmp_path / "index").exists()
    report = pyxlist.build(path, tmp_path / "index", salvage=True)
    assert (report.mailboxes, report.lost.places) == (2, 1)
    (loss,) = report.lost.listed
    assert loss.offset < at < loss.offset + loss.size_bytes and "checksum" in loss.reason
    with pyxlist.open(tmp_path / "index") as index:
        assert [entry.key for entry in index.entries()] == [PUB[1:], BOB[1:]]
        assert list(index.check()) == []


def test_salvage_steps_over_a_value_that_is_none(tmp_path: pathlib.Path) -> None:
    """A record that is sound but cannot be understood is lost alone."""
    path = write_flat(tmp_path / "db", {b"pub": value("anyone l"), b"bad": b"%(T e"})
    with pytest.raises(pyxlist.CorruptSourceError):
        pyxlist.build(path, tmp_path / "index")
    report = pyxlist.build(path, tmp_path / "index", salvage=True)
    assert (report.mailboxes, report.lost.places, report.lost.listed[0].size_bytes) == (1, 1, 0)


@pytest.mark.parametrize("name", ["twoskip", "twom"])
def test_octets_beyond_the_committed_size_are_not_believed(tmp_path: pathlib.Path, name: str) -> None:
    """What a writer appends before its header counts is not there yet, whole records too."""
    whole, more = FORMATS[name](WORLD[:1]), FORMATS[name](WORLD)
    (tmp_path / "db").write_bytes(whole + more[len(whole) :])
    assert list(iter_records(tmp_path / "db")) == STATES[1]


def test_a_sparse_file_is_refused_at_once(tmp_path: pathlib.Path) -> None:
    """A header that promises a terabyte costs neither the memory nor the time of one."""
    header = MAGIC + struct.pack(">IQQQQI", 1, 1, 1, 0, 1 << 40, 0)
    with open(tmp_path / "db", "wb") as file:
        file.write(header + struct.pack(">I", _crc(header)))
        file.truncate(1 << 40)
    with pytest.raises(pyxlist.SourceError):
        list(iter_records(tmp_path / "db"))


def test_steps_of_any_size_read_the_same(tmp_path: pathlib.Path) -> None:
    """An image that arrives in pieces gives what it gives in one piece."""
    path = pathlib.Path(__file__).parent.parent / "data" / "alt-unix" / "mailboxes.db"
    show = gzip.decompress((path.parent / "show.txt.gz").read_bytes())
    assert b"".join(b"%s\t%s\n" % record for record in iter_records(path)) == show
    octets, error = path.read_bytes(), ffi.new("pxl_error *")
    for step in (300, 4096, 100_000):
        image, out = ffi.new("uint8_t[]", octets), ffi.new("pxl_reader **")
        assert lib.pxl_reader_open(out, image, len(octets), 0, error) == 0
        have = step
        while lib.pxl_reader_load(out[0], have, error) == lib.PXL_MORE:
            have = min(len(octets), have + step)
        assert lib.pxl_reader_source(out[0]).records == show.count(b"\n") or error.code == 0
        lib.pxl_reader_close(out[0])


def test_a_whole_file_has_lost_nothing(tmp_path: pathlib.Path) -> None:
    """Salvage of a sound file is the same as reading it."""
    for name, write in FORMATS.items():
        (tmp_path / name).write_bytes(write(WORLD))
        with open_source(tmp_path / name, salvage=True) as (reader, _header):
            assert losses_of(reader).places == 0
