"""The block reader between the kernel and LMDB: what it gives, what it lets go of, and how it fails."""

from __future__ import annotations

import _thread
import pathlib
import sys
from typing import Any

import pytest

import pyxlist
from pyxlist.index._blocks import BlockReader
from pyxlist.index.opening import open_store
from pyxlist.kernel import pool
from pyxlist.listing import Lister
from tests.sources import value, write_flat

TOPS = [b"aa", b"ab", b"b", b"c"]
STAR, LEVEL = b'LIST "" "*"', b'LIST "" "Shared Folders/%"'


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    """An index where everybody sees four trees, two of them of many blocks, and one more name beside the first."""
    below = {b"aa": 2000, b"ab": 3, b"b": 2000, b"c": 5}
    keys = [b"aa.x", *TOPS, *(top + b"\x1f%05d" % at for top in TOPS for at in range(below[top]))]
    pyxlist.build(write_flat(tmp_path / "db", {key: value("anyone lrs") for key in keys}), tmp_path / "index")
    return tmp_path / "index"


def test_what_was_read_is_let_go_of(path: pathlib.Path) -> None:
    """Neither answers nor streams that nobody reads to their end keep a table, a snapshot or a view."""
    with pyxlist.open(path) as index:
        assert list(index.check()) == []
        view = index.view("ann")
        view.respond(STAR)
        list(view.list("", "*"))
        held = [*index._store.tables.values(), view, view._lister]
        before = [sys.getrefcount(each) for each in held]
        readers = index.stat()["readers"]
        for _ in range(50):
            view.respond(STAR)
            view.respond(LEVEL)
            next(view.stream(STAR))
            next(iter(view.list("", "*")))
        assert [sys.getrefcount(each) for each in held] == before
        assert index.stat()["readers"] == readers


def test_what_is_raised_under_the_kernel_is_raised(path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error or Ctrl-C where a list is looked up ends the answer, and the next one is whole."""

    def fail(self: Lister, number: int) -> tuple[Any, bytes]:
        raise ZeroDivisionError

    def interrupt(self: Lister, number: int) -> tuple[Any, bytes]:
        _thread.interrupt_main()
        return list_of(self, number)

    list_of = Lister.list_of
    with pyxlist.open(path) as index:
        view = index.view("ann")
        answer = view.respond(STAR).untagged
        assert answer.count(b"\n") == 4013
        for broken, raised in ((fail, ZeroDivisionError), (interrupt, KeyboardInterrupt)):
            for ask in (lambda: view.respond(STAR), lambda: list(view.stream(STAR)), lambda: list(view.list("", "*"))):
                with monkeypatch.context() as patch:
                    patch.setattr(Lister, "list_of", broken)
                    with pytest.raises(raised):
                        ask()
                assert view.respond(STAR).untagged == answer
        assert list(index.check()) == []


def test_a_call_that_cannot_be_meant_is_refused() -> None:
    """Arguments of another number or type are a TypeError, before anything is read."""
    reader: Any = BlockReader(0)
    for wrong in (
        lambda: BlockReader("x"),  # type: ignore[arg-type]
        lambda: reader.answer(),
        lambda: reader.answer(1, 2, 3, "plan", 5),
        lambda: reader.start(1),
        lambda: reader.run("x"),
        lambda: reader.serve(None),
    ):
        with pytest.raises(TypeError):
            wrong()


@pytest.mark.parametrize("length", [400, 490])
def test_names_as_long_as_keys_can_be(tmp_path: pathlib.Path, length: int) -> None:
    """Where a block's key cannot be told from its neighbour's in the 511 octets of LMDB, every row is found still."""
    userid = "u" * 110
    keys = [b"%c" % letter + b"x" * (length - 10) + b"\x1f%07d" % at for letter in b"pq" for at in range(60)]
    source = write_flat(tmp_path / "db", {key: value(f"{userid} lrs") for key in keys})
    pyxlist.build(source, tmp_path / "index")
    with pyxlist.open(tmp_path / "index") as index:
        assert list(index.check()) == []
        view = index.view(userid)
        assert view.respond(STAR).untagged.count(b"\n") == len(keys)
        for key in keys[::7]:
            name = b"Shared Folders/" + key.replace(b"\x1f", b"/")
            assert view.respond(b'LIST "" "%b"' % name).untagged.endswith(name + b'"\r\n')


def test_a_leap_over_a_tree_ends_in_its_block(path: pathlib.Path) -> None:
    """After a tree of several blocks a block begins, called as a `%` looks for it; after a small one none does."""
    store = open_store(path)
    with store.read() as txn:
        keys = [bytes(key) for key in txn.cursor(db=store.tables["postings"]).iternext(values=False)]
    store.close()
    assert b"anyone\x00aa\x20" in keys and b"anyone\x00b\x20" in keys
    assert b"anyone\x00ab\x20" not in keys
    pool.clear()
    with pyxlist.open(path) as index:
        assert index.view("ann").respond(LEVEL).untagged.count(b"\n") == len(TOPS) + 1
    assert 0 < sum(kernel.reader.fetched for kernel in pool) <= len(TOPS) + 1
