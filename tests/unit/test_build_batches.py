"""A fresh build inverts and writes batch by batch: their order, their errors, and how they end."""

from __future__ import annotations

import pathlib
import random
import threading

import pytest

import pyxlist
from pyxlist.index import build as building
from tests.sources import value, write_flat

MANY = {b"user\x1fu%05d" % number: value(f"u{number:05} lrs", uniqueid=f"i{number}") for number in range(30_000)}


def running() -> list[str]:
    """Names of the builds' threads that are still there."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("pyxlist")]


@pytest.mark.parametrize("count", [1, 2, 5_000])
def test_uniqueids_stand_in_order_however_alike(tmp_path: pathlib.Path, count: int) -> None:
    """Uniqueids given in no order, many alike in their first eight octets, some shorter, some twice: all found."""
    rng = random.Random(count)
    begins = ["", "a", "same-beginning-", "same-beg", "same-be", "7f9c2ba4-e88f-827d-", "zzzzzzzz"]
    world = {
        b"user\x1fu%05d" % number: value("anyone lrs", uniqueid=f"{rng.choice(begins)}{rng.randrange(1, count + 1)}")
        for number in range(count)
    }
    report = pyxlist.build(write_flat(tmp_path / "db", world), tmp_path / "index")
    assert report.mailboxes == count
    with pyxlist.open(tmp_path / "index") as index:
        assert list(index.check()) == []


def test_damage_late_in_the_source_is_told_in_place(tmp_path: pathlib.Path) -> None:
    """A value nobody understands, found while earlier records are written, is the build's error; nothing is left."""
    source = write_flat(tmp_path / "db", {**MANY, b"user\x1fu29999": b"%(A"})
    with pytest.raises(pyxlist.CorruptSourceError) as caught:
        pyxlist.build(source, tmp_path / "index")
    assert caught.value.offset is not None
    assert source.read_bytes()[caught.value.offset :].startswith(b"Nuser\x1fu29999")
    assert [item.name for item in tmp_path.iterdir()] == ["db"]
    assert running() == []


@pytest.mark.parametrize("after", [0, 1, 5])
def test_an_interrupted_build_leaves_nothing(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """Ctrl-C while a batch is written leaves no thread and no file, and a new build works."""
    put, calls = building._Appender.put, iter(range(1_000_000))

    def interrupted(appender: building._Appender, table: str, items: memoryview) -> None:
        if next(calls) == after:
            raise KeyboardInterrupt
        put(appender, table, items)

    source = write_flat(tmp_path / "db", MANY)
    with monkeypatch.context() as patch:
        patch.setattr(building._Appender, "put", interrupted)
        with pytest.raises(KeyboardInterrupt):
            pyxlist.build(source, tmp_path / "index")
    assert running() == []
    assert [item.name for item in tmp_path.iterdir()] == ["db"]
    assert pyxlist.build(source, tmp_path / "index").mailboxes == len(MANY)
    with pyxlist.open(tmp_path / "index") as index:
        assert list(index.check()) == []
