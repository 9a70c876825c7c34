"""How everything here is measured: contenders in turns, medians, ratios of one and the same round.

A machine has slow moments.  Contenders of one question therefore take turns within each round, and a
ratio is the median over rounds of two times taken right after each other.
"""

from __future__ import annotations

import gc
import multiprocessing
import pathlib
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

__all__ = ["ROUNDS", "Result", "Times", "in_child", "peak_memory", "private_memory", "take_turns"]

ROUNDS: Final = 7
MIB: Final = 1 << 20


class Result(NamedTuple):
    """One line of the report.

    `measured` and `baseline` in `unit`; `ratio` of the two; `bar` is what the ratio must not exceed, or with
    `at_least` must reach; None where there is only something to look at.
    """

    question: str
    what: str
    measured: float
    against: str
    baseline: float
    ratio: float
    unit: str
    bar: float | None = None
    at_least: bool = False

    @property
    def verdict(self) -> str:
        """`met`, `MISSED`, or nothing without a bar."""
        if self.bar is None:
            return ""
        return "met" if (self.ratio >= self.bar if self.at_least else self.ratio <= self.bar) else "MISSED"


class Times(dict[str, list[float]]):
    """Seconds an operation by contender, one for each round."""

    def median(self, name: str) -> float:
        """Median over the rounds."""
        return statistics.median(self[name])

    def ratio(self, name: str, against: str) -> float:
        """Median over the rounds of two contenders' ratio within a round."""
        return statistics.median(a / b for a, b in zip(self[name], self[against], strict=True))


def take_turns(contenders: Mapping[str, Callable[[], int]], rounds: int = ROUNDS, warm: bool = True) -> Times:
    """Run every contender once a round; each returns how many operations it did.

    `warm` runs each once before, unmeasured.  The garbage collector is off while a contender runs.
    """
    times = Times((name, []) for name in contenders)
    for number in range(-1 if warm else 0, rounds):
        for name, run in contenders.items():
            gc.collect()
            gc.disable()
            started = time.perf_counter()
            operations = run()
            seconds = time.perf_counter() - started
            gc.enable()
            if number >= 0:
                times[name].append(seconds / operations)
    return times


def in_child(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function of a module returns in a fresh process: for memory, and for a cold start."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def peak_memory() -> int:
    """Octets this process has had resident at most."""
    status = pathlib.Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def private_memory(apart_from: str) -> int:
    """Octets that only this process holds, without the maps of files whose path ends in `apart_from`."""
    total, counts = 0, True
    for line in pathlib.Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        words = line.split()
        if "-" in words[0] and not words[0].endswith(":"):
            counts = not line.endswith(apart_from)
        elif counts and words[0] in ("Private_Clean:", "Private_Dirty:"):
            total += int(words[1]) * 1024
    return total
