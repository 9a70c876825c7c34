"""What does LIST cost without an index: a scan of the whole table, and with a reverse index in SQLite?"""

from __future__ import annotations

import functools
import importlib.util
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cffi

import pyxlist
from benchmarks.asking import asks
from benchmarks.measure import Result, take_turns
from benchmarks.plan import Plan
from benchmarks.spec import WorldSpec
from benchmarks.sqlite_index import SqliteIndex
from benchmarks.worlds import random_users
from pyxlist.image import read_image

__all__ = ["run"]

_CORE = Path(__file__).resolve().parent.parent / "csrc"
_STAR = b'LIST "" "*"'


def _declarations() -> str:
    header = (_CORE / "pxl.h").read_text(encoding="utf-8")
    return header.split("/* cffi: begin */")[1].split("/* cffi: end */")[0]


@functools.cache
def compiled() -> Any:
    """scan.c with the C core: the module."""
    builder = cffi.FFI()
    builder.cdef(_declarations() + "\nint64_t scan_count(pxl_reader *, const char *, size_t);")
    sources = [str(path) for path in _CORE.glob("*.c")]
    scan = (Path(__file__).parent / "scan.c").read_text(encoding="utf-8")
    builder.set_source("_scan", scan, sources=sources, include_dirs=[str(_CORE)],
                       extra_compile_args=["-O3", "-std=c11"])  # fmt: skip
    # Setuptools as Python 3.11 brings it remembers directories it made, so none may get the name of one that is gone.
    with tempfile.TemporaryDirectory() as folder:
        spec = importlib.util.spec_from_file_location("_scan", builder.compile(tmpdir=folder))
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


class Scan:
    """A source in memory, scanned by every question."""

    def __init__(self, source: Path) -> None:
        self._module = compiled()
        self._image = read_image(source)

    def count(self, user: str) -> int:
        """How many mailboxes the user sees."""
        ffi, lib = self._module.ffi, self._module.lib
        out, error, name = ffi.new("pxl_reader **"), ffi.new("pxl_error *"), user.encode()
        data = ffi.from_buffer("uint8_t[]", self._image.data)
        assert lib.pxl_reader_open(out, data, self._image.size_bytes, 0, error) == 0
        seen: int = lib.scan_count(out[0], name, len(name))
        lib.pxl_reader_close(out[0])
        return seen


def run(plan: Plan) -> Iterator[Result]:
    """One user's LIST three ways, in worlds of every size up to the main one."""
    for spec in plan.sizes:
        if spec.users <= plan.main.users:
            yield from _three_ways(plan, spec)


def _three_ways(plan: Plan, spec: WorldSpec) -> Iterator[Result]:
    users = random_users(spec, min(plan.sample, 2000))
    scan = Scan(plan.worlds.source(spec))
    peer = SqliteIndex.build(plan.worlds.scratch("sqlite-list"), plan.worlds.source(spec))
    with pyxlist.open(plan.worlds.index(spec)) as index:
        views = [index.view(user) for user in users]
        lines = views[0].respond(_STAR).untagged.count(b"\n")
        assert lines == scan.count(users[0]) == peer.list(users[0].encode()).count(b"\n")
        contenders: dict[str, Callable[[], int]] = {
            "pyxlist": asks(views, _STAR),
            "SQLite": lambda: sum(bool(peer.list(user.encode())) for user in users),
            "scan": lambda: bool(scan.count(users[0])),
        }
        times = take_turns(contenders, 5)
    peer.close()
    for name in ("SQLite", "scan"):
        yield Result("peers", f'LIST "" "*", {spec.users:,} users, {name}', times.median(name) * 1e6, "pyxlist",
                     times.median("pyxlist") * 1e6, times.ratio(name, "pyxlist"), "us")  # fmt: skip
