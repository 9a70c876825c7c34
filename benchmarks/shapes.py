"""Worst shapes: very many mailboxes visible to everybody, in one account, on one ACL; very many groups."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pyxlist
from benchmarks.asking import asks
from benchmarks.measure import Result, take_turns
from benchmarks.plan import Plan
from benchmarks.spec import WorldSpec

__all__ = ["run"]

_STAR, _LEVEL = b'LIST "" "*"', b'LIST "" "%"'


def run(plan: Plan) -> Iterator[Result]:
    """`%` above many mailboxes; the worst users; an admin, who sees all."""
    yield from _level(plan)
    yield from _worst(plan)
    yield from _admin(plan)


def _level(plan: Plan) -> Iterator[Result]:
    """Fifty names with everything below them, beside fifty names with nothing below."""
    small = plan.worlds.index(_fifty(plan))
    with pyxlist.open(plan.worlds.index(plan.wide)) as index, pyxlist.open(small) as other:
        views, few = [index.view("u000001")] * 50, [other.view("u000001")] * 50
        pattern = b'LIST "" "Shared Folders/%"'
        contenders = {"many": asks(views, pattern), "few": asks(few, pattern)}
        times = take_turns(contenders)
        rows = views[0].respond(pattern).untagged.count(b"\n")
        assert rows == few[0].respond(pattern).untagged.count(b"\n")
        whole = take_turns({"star": asks(views[:1], _STAR)}, 3)
    yield Result("shapes", f"LIST \"\" %, {plan.wide.anyone_mailboxes:,} visible below {rows} names",
                 times.median("many") * 1e6, f"LIST of {rows} rows", times.median("few") * 1e6,
                 times.ratio("many", "few"), "us", 5.0)  # fmt: skip
    yield Result("shapes", f"LIST \"\" * of all {plan.wide.anyone_mailboxes:,}, a row",
                 whole.median("star") * 1e6 / plan.wide.anyone_mailboxes, f"a row of {rows}",
                 times.median("few") * 1e6 / rows, whole.median("star") / plan.wide.anyone_mailboxes * rows
                 / times.median("few"), "us")  # fmt: skip


def _fifty(plan: Plan) -> WorldSpec:
    """The same world with the fifty top names alone."""
    return dataclasses.replace(plan.wide, anyone_mailboxes=50)


def _worst(plan: Plan) -> Iterator[Result]:
    groups = [f"g{number:03d}" for number in range(500)]
    with pyxlist.open(plan.worlds.index(plan.worst)) as index:
        base = [index.view("u000002")]
        shapes = {
            f"a user with {plan.worst.big_user:,} folders": index.view("big"),
            "a view with 500 groups": index.view("u000002", groups),
        }
        for what, view in shapes.items():
            for command in (_STAR, _LEVEL):
                times = take_turns({"base": asks(base * 200, command), "worst": asks([view], command)}, 5)
                rows = max(1, view.respond(command).untagged.count(b"\n"))
                yield Result(
                    "shapes", f"{what}, {command.decode()}, {rows:,} rows", times.median("worst") * 1e6,
                    "an ordinary user", times.median("base") * 1e6, times.ratio("worst", "base"), "us",
                )  # fmt: skip
        wide = take_turns({"who": lambda: len(list(index.who("Wide")))}, 5)
    yield Result("shapes", f"who sees a mailbox with {plan.worst.wide_acl:,} grants, a grant",
                 wide.median("who") * 1e6, "", 0.0, 0.0, "us")  # fmt: skip


def _admin(plan: Plan) -> Iterator[Result]:
    with pyxlist.open(plan.worlds.index(plan.main)) as index:
        view = index.view("cyrus")
        one = b'LIST "" "user/u000002/%"'
        times = take_turns({"level": asks([view] * 50, one), "star": lambda: _drain(view)}, 3)
    yield Result("shapes", "an admin's LIST of one user's folders", times.median("level") * 1e6,
                 "his LIST of everything, a row", times.median("star") * 1e6,
                 times.ratio("level", "star"), "us")  # fmt: skip


def _drain(view: pyxlist.View) -> int:
    return sum(piece.count(b"\n") for piece in view.stream(_STAR))
