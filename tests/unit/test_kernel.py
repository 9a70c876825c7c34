"""The kernel under input that is too much or wrong: groups by the thousand, long patterns, rows out of order."""

from __future__ import annotations

import pathlib
import random

import pytest

import pyxlist
from pyxlist._pxl import ffi, lib
from pyxlist.errors import CorruptSourceError, StoreDamagedError
from pyxlist.index.opening import open_store
from pyxlist.index.writing import write
from tests.sources import value, write_flat, write_records


def index_of(folder: pathlib.Path, acls: dict[bytes, str]) -> pathlib.Path:
    """An index of the mailboxes with these key names and ACLs."""
    pyxlist.build(write_flat(folder / "db", {key: value(acl) for key, acl in acls.items()}), folder / "index")
    return folder / "index"


def names(index: pyxlist.Index, userid: str, pattern: str = "*", groups: tuple[str, ...] = ()) -> list[str]:
    return [item.name for item in index.view(userid, groups=groups).list("", pattern)]


def test_no_number_of_groups_is_too_many(tmp_path: pathlib.Path) -> None:
    """Every group of a member of thousands shows what it opens, and denies what it denies."""
    acls = {b"first": "group:g0 lr", b"last": "group:g2999 lr", b"shut": "anyone lr -group:g2998 lr"}
    with pyxlist.open(index_of(tmp_path, acls)) as index:
        assert list(index.check()) == []
        found = names(index, "bob", groups=tuple(f"g{n}" for n in range(3000)))
        assert found == ["Shared Folders/first", "Shared Folders/last"]


@pytest.mark.parametrize("wildcards", [1, 40, 62, 63, 64, 65, 200])
def test_a_run_of_wildcards_is_one(tmp_path: pathlib.Path, wildcards: int) -> None:
    """A pattern longer than a word of the matcher, but with few tokens, matches as its short form does."""
    with pyxlist.open(index_of(tmp_path, {b"lists\x1fnews": "anyone lr", b"lists\x1fold": "anyone lr"})) as index:
        assert list(index.check()) == []
        assert names(index, "bob", "%" * wildcards + "Folders/lists/" + "*" * wildcards + "s") == [
            "Shared Folders/lists/news"
        ]


def block(keys: list[bytes]) -> bytes:
    """A posting block with these rows in this order, each granting lr."""
    return b"\0" + b"".join(b"\0" + bytes([len(key)]) + b"\2" + key + b"\0\3" for key in keys)


def test_rows_out_of_order_are_damage(tmp_path: pathlib.Path) -> None:
    """Lists that are not in order end in StoreDamagedError or an answer, however `%` leaps between them."""
    path = index_of(tmp_path, {b"a": "anyone lr group:g lr"})
    rng, tops = random.Random(1), [b"a", b"b", b"c", b"d", b"z"]
    keys = [*tops, *(top + b"\x1fx" for top in tops)]
    damaged = 0
    with pyxlist.open(path) as index:
        for _round in range(300):
            store = open_store(path)
            with write(store) as txn:
                for owner in (b"anyone\0", b"group:g\0"):
                    txn.put(owner, block(rng.sample(keys, rng.randint(2, 7))), db=store.tables["postings"])
            store.close()
            try:
                names(index, "bob", "Shared Folders/%", ("g",))
            except StoreDamagedError:
                damaged += 1
    assert damaged > 100


def test_salvage_steps_over_a_name_too_long_to_be_held(tmp_path: pathlib.Path) -> None:
    """Of a database with plain keys, a record no mailbox can have is refused, and with salvage the only loss."""
    records = {b"lists": b"0 default anyone\tlrs\t", b"x" * 70000: b"0 default anyone\tlrs\t", b"z.y": b"0 default \t"}
    source = write_records(tmp_path / "db", records)
    with pytest.raises(CorruptSourceError, match="length of a mailbox name"):
        pyxlist.build(source, tmp_path / "index")
    pyxlist.build(source, tmp_path / "index", salvage=True)
    with pyxlist.open(tmp_path / "index") as index:
        assert list(index.check()) == []
        assert [entry.name for entry in index.entries()] == ["lists", "z.y"]


def test_a_value_too_long_for_the_tables_is_refused_unread() -> None:
    """A length that rows cannot have is corruption, and none of its octets are looked at."""
    inversion, error, row = (
        ffi.gc(lib.pxl_inversion_new(4096, 0), lib.pxl_inversion_free),
        ffi.new("pxl_error *"),
        ffi.new("pxl_slice *"),
    )
    name, octets = ffi.from_buffer(b"lists"), ffi.from_buffer(b"%(T e)")
    for length in (1 << 30, 1 << 32, (1 << 64) - 1):
        assert lib.pxl_inversion_row(inversion, (name, 5), (octets, length), row, error) == lib.PXL_E_CORRUPT
        assert (error.expected, error.got) == (((1 << 32) - 1) // 4, length)
    assert lib.pxl_inversion_row(inversion, (name, 5), (octets, 6), row, error) == lib.PXL_OK


@pytest.mark.parametrize("uniqueid", ["a\0x", "a\0", "x" * 1001])
def test_salvage_loses_a_mailbox_whose_uniqueid_no_table_can_hold(tmp_path: pathlib.Path, uniqueid: str) -> None:
    """NUL in a uniqueid, or a thousand octets and more, is damage of one mailbox and of no other."""
    sound, wrong = value("anyone lr", uniqueid="a"), value("anyone lr", uniqueid=uniqueid)
    source = write_flat(tmp_path / "db", {b"m": wrong, b"z": sound})
    with pytest.raises(CorruptSourceError, match="uniqueid of a mailbox"):
        pyxlist.build(source, tmp_path / "index")
    pyxlist.build(source, tmp_path / "index", salvage=True)
    with pyxlist.open(tmp_path / "index") as index:
        assert list(index.check()) == []
        assert [entry.name for entry in index.entries()] == ["z"]


@pytest.mark.parametrize("length", [1, 7, 8, 9, 15, 16, 17, 33])
def test_one_octet_decides_how_a_name_is_printed(tmp_path: pathlib.Path, length: int) -> None:
    """Wherever it stands in a name of whatever length, an octet that no atom may hold makes it quoted or a literal."""
    lines = {}
    for octets, shape in ((b"-_z~|'", b"%s"), (b" ()*{\x7f", b'"%s"'), (b'%"\\\x80\xff', b"{%d}\r\n%%s" % length)):
        for octet in octets:
            for at in range(length):
                name = b"a" * at + bytes([octet]) + b"a" * (length - at - 1)
                lines[name] = b'* LIST (\\HasNoChildren) "/" %s\r\n' % (shape % name)
    with pyxlist.open(index_of(tmp_path, {b"user\x1fbob\x1f" + name: "bob lr" for name in lines})) as index:
        assert list(index.check()) == []
        answer = index.view("bob").respond(b'LIST "" "*"').untagged
        assert [line for line in lines.values() if line not in answer] == []
        assert len(answer) == sum(map(len, lines.values()))


def test_identifiers_that_meet_under_one_seed_part_under_another() -> None:
    """Nobody who does not know a build's seed can choose identifiers that fill one place of its hash table."""
    octets = [b"u%d" % number for number in range(1 << 16)]

    def places(seed: int, identifiers: list[bytes]) -> list[int]:
        return [lib.pxl_identifier_hash(seed, text, len(text)) % 4096 for text in identifiers]

    crowd = [text for text, place in zip(octets, places(1, octets), strict=True) if place < 64]
    assert len(crowd) > 700
    for seed in (0, 2, 3, 1 << 63, random.Random(7).getrandbits(64)):
        assert len([place for place in places(seed, crowd) if place < 64]) < len(crowd) / 20
        assert len(set(places(seed, octets))) == 4096


@pytest.mark.parametrize("length", range(26))
def test_every_octet_of_an_identifier_counts(length: int) -> None:
    """Changing one octet, or the length, changes the hash."""
    text = bytes(range(33, 33 + length))
    variants = {text, text + b"\0"} | {text[:at] + b"x" + text[at + 1 :] for at in range(length)}
    assert len({lib.pxl_identifier_hash(5, variant, len(variant)) for variant in variants}) == length + 2
