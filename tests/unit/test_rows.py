"""Row blocks: cutting, walking, finding, and changing lists of rows."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyxlist._pxl import ffi, lib
from pyxlist.errors import StoreDamagedError
from pyxlist.index._store import find_row
from pyxlist.index.env import Store, create_store
from pyxlist.index.layout import BLOCK_BYTES, KEY_MAX, MORE, PAGE_BYTES
from pyxlist.index.rows import apply_rows, cut, iter_blocks_of, iter_list, iter_rows, put_list

KEYS = st.binary(min_size=1, max_size=40)
ROWS = st.dictionaries(KEYS, st.binary(max_size=300), max_size=120)
OWNER = b"bob\x00"


@pytest.fixture
def store(tmp_path: pathlib.Path) -> Iterator[Store]:
    made = create_store(tmp_path)
    yield made
    made.close()


def rows_of(blocks: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [row for _key, block in blocks for row in iter_rows(block)]


@given(ROWS)
def test_cut_and_walk_round_trip(rows: dict[bytes, bytes]) -> None:
    """Whatever rows go in come out, in order."""
    assert rows_of(cut(OWNER, sorted(rows.items()))) == sorted(rows.items())


@given(ROWS)
def test_blocks_are_keyed_by_short_separators(rows: dict[bytes, bytes]) -> None:
    """The first separator is empty, every other lies above the block before and not above its own rows."""
    blocks = cut(OWNER, sorted(rows.items()))
    last = b""
    for number, (key, block) in enumerate(blocks):
        separator = key[len(OWNER) :]
        keys = [row for row, _payload in iter_rows(block)]
        assert key.startswith(OWNER) and (separator == b"") == (number == 0)
        assert last < separator <= keys[0] or number == 0
        assert bool(block[0] & MORE) == (number + 1 < len(blocks))
        last = keys[-1]


def test_worked_example_of_the_grammar() -> None:
    """The two rows in the head of rows.c have exactly those octets."""
    rows = [(b"user\x1fbob", b"\x00\xff\x1f"), (b"user\x1fbob\x1fSent", b"\x00\xff\x1f")]
    ((key, block),) = cut(b"bob\x00", rows)
    assert key == b"bob\x00"
    assert block == b"\x00" + b"\x00\x08\x03user\x1fbob\x00\xff\x1f" + b"\x08\x05\x03\x1fSent\x00\xff\x1f"


def test_a_block_is_never_cut_where_lmdb_could_not_hold_its_key() -> None:
    """Names that differ only after 500 octets stay in one block, however large it gets."""
    rows = [(b"x" * 505 + b"%04d" % number, b"p" * 100) for number in range(200)]
    blocks = cut(b"a-long-identifier\x00", rows)
    assert all(len(key) <= KEY_MAX for key, _block in blocks)
    assert rows_of(blocks) == rows


def test_blocks_fit_their_page() -> None:
    """No block of ordinary rows is larger than it should be, and all but the last are nearly full."""
    rows = [(b"user\x1fu%06d" % number, b"12") for number in range(5000)]
    sizes = [len(block) for _key, block in cut(OWNER, rows)]
    assert max(sizes) <= BLOCK_BYTES and min(sizes[:-1]) > BLOCK_BYTES - 64


@pytest.mark.parametrize(
    "damage", [b"\x00\x05\x01\x00a", b"\x00\x00\xff\xff\xff\xff\x0f\x00a", b"\x00\x80", b"\x00\x00\x09\x00a"]
)
def test_damaged_blocks_are_named(damage: bytes) -> None:
    """A shared length without a key before it, lengths beyond the block, an unfinished number: one clear error."""
    with pytest.raises(StoreDamagedError):
        list(iter_rows(damage))


@given(ROWS, KEYS, st.none() | st.binary(max_size=300))
def test_a_row_is_changed_in_its_place(rows: dict[bytes, bytes], key: bytes, payload: bytes | None) -> None:
    """A block with one row set or removed is octet for octet the block that would be cut of the rows then."""
    whole = lib.pxl_cutter_new(1 << 20, KEY_MAX)
    before, after = dict(rows), {name: row for name, row in rows.items() if name != key}
    if payload is not None:
        after[key] = payload
    blocks = [whole_block(whole, sorted(model.items())) for model in (before, after)]
    lib.pxl_cutter_free(whole)
    room = len(blocks[0]) + len(key) + len(payload or b"") + lib.PXL_EDIT_ROOM
    out = ffi.new("uint8_t[]", room)
    change = (ffi.NULL, 0) if payload is None else (payload, len(payload))
    size = lib.pxl_rows_edit(blocks[0], len(blocks[0]), key, len(key), *change, out, room)
    assert ffi.buffer(out, size)[:] == blocks[1] if size else before == after
    assert lib.pxl_rows_edit(blocks[0], len(blocks[0]), key, len(key), *change, out, room - 1) == lib.PXL_E_ARGUMENT


def whole_block(cutter: Any, rows: list[tuple[bytes, bytes]]) -> bytes:
    """Rows as one block, however many."""
    lib.pxl_cutter_start(cutter, (ffi.NULL, 0), (ffi.NULL, 0), 0)
    for key, payload in rows:
        lib.pxl_cutter_add(cutter, (ffi.from_buffer(key), len(key)), (ffi.from_buffer(payload), len(payload)))
    lib.pxl_cutter_finish(cutter)
    done = lib.pxl_cutter_take(cutter)
    return ffi.buffer(done.data, done.len)[6:] if rows else b"\x00"


def test_a_list_that_grows_row_by_row_writes_one_block_at_a_time(store: Store) -> None:
    """Rows that come one by one, in no order, find room nearly always; blocks stay well filled and in their page."""
    names = [b"user\x1fu%06d" % (number * 7919 % 6000) for number in range(6000)]
    written, before, table = 0, dict[bytes, bytes](), store.tables["postings"]
    with store.env.begin(write=True) as txn:
        for name in names:
            apply_rows(txn, table, OWNER, [(name, b"\x00\xff\x1f")])
            after = dict(iter_blocks_of(txn, table, OWNER))
            written += len(after.items() - before.items())
            before = after
    assert written < 1.2 * len(names)
    with store.env.begin() as txn:
        sizes = [len(block) for _separator, block in iter_blocks_of(txn, store.tables["postings"], OWNER)]
        assert [key for key, _row in iter_list(txn, store.tables["postings"], OWNER)] == sorted(names)
    assert max(sizes) <= PAGE_BYTES and sum(sizes) / len(sizes) > 0.6 * BLOCK_BYTES


CHANGES = st.lists(
    st.tuples(st.sampled_from(sorted({b"k%03d" % n for n in range(60)})), st.none() | st.binary(max_size=400))
)


@settings(max_examples=60, deadline=None)
@given(st.lists(CHANGES, max_size=6))
def test_changed_lists_equal_a_dictionary(batches: list[list[tuple[bytes, bytes | None]]]) -> None:
    """After any batches of changes the list is what a dictionary would be, its blocks chained."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        store = create_store(pathlib.Path(folder))
        try:
            _apply_and_compare(store, batches)
        finally:
            store.close()


def _apply_and_compare(store: Store, batches: list[list[tuple[bytes, bytes | None]]]) -> None:
    table, model = store.tables["postings"], dict[bytes, bytes]()
    neighbours = [(b"boa\x00", b"1"), (b"bob\x01", b"2")]
    for batch in batches:
        with store.env.begin(write=True) as txn:
            for owner, payload in neighbours:
                apply_rows(txn, table, owner, [(b"row", payload)])
            changes = dict(batch)
            apply_rows(txn, table, OWNER, sorted(changes.items()))
        model.update({key: row for key, row in changes.items() if row is not None})
        model = {key: row for key, row in model.items() if changes.get(key, row) is not None}
        with store.env.begin() as txn:
            assert list(iter_list(txn, table, OWNER)) == sorted(model.items())
            _assert_chained(txn, table)
            for owner, payload in neighbours:
                assert list(iter_list(txn, table, owner)) == [(b"row", payload)]
            for key in changes:
                assert find_row(txn, table, OWNER, key) == model.get(key)


def _assert_chained(txn: Any, table: Any) -> None:
    blocks = list(iter_blocks_of(txn, table, OWNER))
    assert [bool(block[0] & MORE) for _separator, block in blocks] == [True] * (len(blocks) - 1) + [False] * bool(
        blocks
    )
    assert not blocks or blocks[0][0] == b""


def test_applying_twice_changes_nothing(store: Store) -> None:
    """The same changes again leave every block as it was."""
    rows = [(b"k%04d" % number, b"v" * 50) for number in range(500)]
    with store.env.begin(write=True) as txn:
        put_list(txn, store.tables["postings"], OWNER, rows)
    changes = [(b"k0100", None), (b"k0100x", b"new"), (b"k0499", b"other")]
    seen = []
    for _ in range(2):
        with store.env.begin(write=True) as txn:
            apply_rows(txn, store.tables["postings"], OWNER, changes)
            seen.append(list(iter_blocks_of(txn, store.tables["postings"], OWNER)))
    assert seen[0] == seen[1]
