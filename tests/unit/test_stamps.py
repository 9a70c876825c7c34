"""Generations of identifiers, trees and the directory: where they stand, and whose a change moves."""

from __future__ import annotations

import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pyxlist
from pyxlist.index.generations import generation_of
from pyxlist.index.layout import DIRECTORY, EVERYBODY, LOOKUP, QUIET, STAMP, is_stamp, tree_generation
from tests.sources import value, write_flat

WORLD = {b"user\x1fu%03d" % n: value(f"u{n:03} lrswipkxtecdan staff l", uniqueid=f"id{n}") for n in range(20)}
TREES = (tree_generation(b"user\x1fu001"), tree_generation(b"user\x1fu002"))
NAMES = (b"staff", b"clerk", b"u001", b"u002", DIRECTORY, EVERYBODY, *TREES)


@pytest.fixture
def index_path(tmp_path: pathlib.Path) -> pathlib.Path:
    pyxlist.build(write_flat(tmp_path / "db", WORLD), tmp_path / "index")
    return tmp_path / "index"


def generations(index: pyxlist.Index) -> dict[bytes, bytes]:
    with index._store.read() as txn:
        return {name: generation_of(txn, index._store.tables, name) for name in NAMES}


def moved(index: pyxlist.Index, verb: str, *arguments: object) -> set[bytes]:
    """Whose generation one verb moves."""
    before = generations(index)
    with index.write() as hooks:
        getattr(hooks, verb)(*arguments)
    return {name for name, stamp in generations(index).items() if stamp != before[name]}


def test_a_change_moves_the_generations_of_whom_it_concerns(index_path: pathlib.Path) -> None:
    """Rights concern their identifier alone, a new mailbox its tree and owner, a subscription its user."""
    with pyxlist.open(index_path, readonly=False) as index:
        assert set(generations(index).values()) == {b""}
        assert moved(index, "mboxlist_setacl", "user.u001", "clerk", "l") == {b"clerk", DIRECTORY}
        assert moved(index, "mboxlist_setacl", "user.u001", "clerk", "l") == set()
        assert moved(index, "mboxlist_setacl", "user.u001", "clerk", "lr") == {b"clerk", DIRECTORY}
        made = moved(index, "mboxlist_createmailbox", "user.u001.Work")
        assert made == {b"staff", b"clerk", b"u001", DIRECTORY, TREES[0]}
        assert moved(index, "mboxlist_changesub", "user.u002", "u002", True) == {b"u002"}
        assert list(index.check()) == []


def test_rights_write_no_table_for_generations_alone(index_path: pathlib.Path) -> None:
    """Once a stretch has lost its digest, an ACL change leaves the table of generations as it is."""
    with pyxlist.open(index_path, readonly=False) as index:
        tables = []
        for rights in ("l", "lr", "lrs"):
            with index.write() as hooks:
                hooks.mboxlist_setacl("user.u001", "clerk", rights)
            with index._store.read() as txn:
                tables.append(list(txn.cursor(db=index._store.tables["generations"])))
        assert tables[0] == tables[1] == tables[2]
        assert list(index.check()) == []


@given(st.binary(min_size=1, max_size=60), st.binary(max_size=60), st.booleans())
def test_no_block_is_taken_for_a_generation(octets: bytes, separator: bytes, quiet: bool) -> None:
    """Whatever a separator ends in, its block is one, and an identifier's generation is none."""
    identifier = octets.translate(None, bytes(range(0x20))) or b"x"
    assert is_stamp(identifier + STAMP)
    assert not is_stamp(identifier + (QUIET if quiet else LOOKUP) + separator)
    assert not is_stamp(identifier + (QUIET if quiet else LOOKUP) + separator + STAMP)
