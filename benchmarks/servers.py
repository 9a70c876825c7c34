"""What does a real imapd answer, with and without reverseacls, on the same mailboxes.db?"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.measure import Result
from benchmarks.plan import Plan

__all__ = ["run"]


def run(plan: Plan) -> Iterator[Result]:
    """LIST over loopback."""
    yield from ()
