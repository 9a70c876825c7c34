"""What do the other forms of LIST cost, beside a plain one?

Every variant is asked by ordinary users and by one with two thousand folders, all of them subscribed and marked
with a use.  Two ratios of each:

    an answer   beside a plain LIST of the same users and pattern, whatever the two print
    a row       beside a plain LIST that prints as many rows: this is the one with a bar

An answer of one row costs most of what an empty one costs: beginning a transaction, looking up the lists, taking a
kernel.  Time by rows alone would therefore blame a variant for printing little.  What a plain LIST of n rows
costs lies on the line through an ordinary user's LIST "" "INBOX" (one row) and a plain LIST of the same users with
the variant's pattern, * or %, all measured in turns; with two thousand rows this is plain time by rows.
RETURN (STATUS) is measured with a callback that does nothing, and its two lines are one row.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterator, Sequence
from typing import Final

import pyxlist
from benchmarks.asking import asks
from benchmarks.mailboxes import BIG_USER
from benchmarks.measure import Result, Times, take_turns
from benchmarks.plan import Plan
from benchmarks.worlds import random_users

__all__ = ["run"]

_ONE: Final = b'LIST "" "INBOX"'
_ALL: Final = b'LIST "" "*"'
_LEVEL: Final = b'LIST "" "%"'
_VARIANTS: Final = (
    b'LIST "" "Archive*"',
    b'LIST "" ("INBOX" "Archive*" "Sent" "Shared Folders/%")',
    b'LSUB "" "*"',
    b'LSUB "" "%"',
    b'LIST (SUBSCRIBED) "" "*"',
    b'LIST (SUBSCRIBED) "" "*" RETURN (CHILDREN)',
    b'LIST (SUBSCRIBED RECURSIVEMATCH) "" "*"',
    b'LIST (RECURSIVEMATCH SUBSCRIBED) "" "%"',
    b'LIST "" "*" RETURN (SUBSCRIBED)',
    b'LIST (SPECIAL-USE) "" "*"',
    b'LIST "" "*" RETURN (SPECIAL-USE)',
    b'LIST "" "*" RETURN (SUBSCRIBED CHILDREN SPECIAL-USE)',
    b'XLIST "" "*"',
    b'LIST "" "*" RETURN (MYRIGHTS)',
    b'LIST "" "*" RETURN (STATUS (MESSAGES))',
    b'RLIST "" "*"',
    b'RLSUB "" "*"',
)
_LINES: Final = (b"* LIST ", b"* LSUB ", b"* XLIST ")
_BAR: Final = 3.0
_BIG_FOLDERS: Final = 2000


def run(plan: Plan) -> Iterator[Result]:
    """All variants of ordinary users and of one with many folders, and an admin's LIST of theirs."""
    spec = dataclasses.replace(plan.main, big_user=min(_BIG_FOLDERS, 10 * plan.main.users))
    users = random_users(spec, max(1, plan.sample // 4))
    with pyxlist.open(plan.worlds.full_index(spec)) as index:
        admin = index.view("cyrus")
        ordinary = [index.view(user) for user in users]
        for who, asking in (("ordinary users", users), ("a user of many folders", [BIG_USER])):
            views = [index.view(user, status=_no_messages) for user in asking]
            yield from _beside(views, views, ordinary, _VARIANTS, who)
            tree = b'LIST "" "user/%s*"' % asking[0].encode()
            yield from _beside([admin] * len(views), views, ordinary, (tree,), f"an admin, beside {who}")


def _no_messages(_key: bytes, _items: tuple[bytes, ...]) -> bytes:
    return b"(MESSAGES 0)"


def _beside(
    views: list[pyxlist.View],
    plain: list[pyxlist.View],
    ordinary: list[pyxlist.View],
    variants: Sequence[bytes],
    who: str,
) -> Iterator[Result]:
    """The variants asked by `views`, beside plain LISTs of `plain` and one row of `ordinary` users."""
    asked = {_ONE: asks(ordinary, _ONE), **{command: asks(plain, command) for command in (_ALL, _LEVEL)}}
    asked |= {command: asks(views, command) for command in variants}
    times = take_turns({command.decode(): run for command, run in asked.items()})
    for command in variants:
        name, rows = command.decode(), _rows(views, command)
        end = _LEVEL if b'"" "%"' in command else _ALL
        most, against = _rows(plain, end), end.decode()
        yield Result("variants, an answer", f"{name}, {rows:,.1f} rows, {who}", times.median(name) * 1e6,
                     f"{against}, {most:,.1f} rows", times.median(against) * 1e6, times.ratio(name, against),
                     "us")  # fmt: skip
        as_many = _plain_times(times, against, (rows - 1) / (most - 1))
        ratio = statistics.median(a / b for a, b in zip(times[name], as_many, strict=True))
        yield Result("variants, a row", f"{name}, {who}", times.median(name) * 1e6 / rows,
                     f"plain LIST of {rows:,.1f} rows", statistics.median(as_many) * 1e6 / rows, ratio, "us",
                     _BAR)  # fmt: skip


def _plain_times(times: Times, end: str, share: float) -> list[float]:
    """What a plain LIST takes in each round, `share` of the way from one row to all of `end`."""
    return [one + share * (most - one) for one, most in zip(times[_ONE.decode()], times[end], strict=True)]


def _rows(views: Sequence[pyxlist.View], command: bytes) -> float:
    """Rows of an answer, on average."""
    lines = (line for view in views for line in view.respond(command).untagged.split(b"\r\n"))
    return sum(line.startswith(_LINES) for line in lines) / len(views)
