"""What does it cost to read each format, and how much memory does a build from it take?

Every format holds the same mailboxes.  flat, skiplist and dumps have no checksums; each format is measured beside
the same least work all the same: reading the file and one pass of CRC-32 over it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.building import measured_build, parse, read_and_check
from benchmarks.formats import DATABASES, DUMPS
from benchmarks.measure import Result, in_child, take_turns
from benchmarks.plan import Plan

__all__ = ["run"]

_ROUNDS: Final = 5
_PARSE_BAR: Final = 1.5
_JSON_BAR: Final = 2.5  # every string is decoded and spelt again as a mailboxes.db would hold it
_MEMORY_BAR: Final = 1.5  # a text dump has 53 octets a mailbox: as much as its mailbox and grant take beside it


def run(plan: Plan) -> Iterator[Result]:
    """Each format's throughput, and its build's memory."""
    source, index = plan.worlds.source(plan.main), plan.worlds.index(plan.main)
    yield from _measured(plan, "twoskip", source)
    for writers, origin in ((DATABASES, source), (DUMPS, index)):
        for name, write in writers.items():
            path = plan.worlds.scratch(f"{name.replace(' ', '-')}.db")
            write(origin, path)
            yield from _measured(plan, name, path)
            path.unlink()


def _measured(plan: Plan, name: str, path: Path) -> Iterator[Result]:
    """One format's file; the process it is read by is this one, the one it is built by a fresh one."""
    times = take_turns({"read": lambda: read_and_check(path), "parse": lambda: parse(path)}, _ROUNDS)
    size = path.stat().st_size / 1e9
    yield Result("formats", f"parse {name}", size / times.median("parse"), "read and one CRC",
                 size / times.median("read"), times.ratio("parse", "read"), "GB/s",
                 _JSON_BAR if name.startswith("JSON") else _PARSE_BAR)  # fmt: skip
    place, conf = plan.worlds.scratch("measured"), plan.worlds.source(plan.main).parent / "imapd.conf"
    peak = in_child(measured_build, str(path), str(place), str(conf)) / 1e6
    shutil.rmtree(place)
    yield Result("formats", f"peak memory, from {name}", peak, "its size", 1e3 * size, peak / (1e3 * size), "MB",
                 None if name == "text dump" else _MEMORY_BAR)  # fmt: skip
