"""What does a LIST cost, beside one look into LMDB?  And every other question a client asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pyxlist
from benchmarks.measure import Result, Times, take_turns
from benchmarks.plan import Plan
from benchmarks.worlds import random_users
from pyxlist.index.env import Store
from pyxlist.index.opening import open_store

__all__ = ["floor", "growth", "list_times", "run"]

_STAR = b'LIST "" "*"'
_COMMANDS = (
    b'LIST "" "%"', b'LIST "" "Shared Folders/%"', b'LIST "" "INBOX"', b'LIST "" ("INBOX" "Work/%" "Sent")',
    b'LIST (SUBSCRIBED) "" "*"', b'LIST "" "*" RETURN (MYRIGHTS)', b'MYRIGHTS INBOX', b'GETACL INBOX',
)  # fmt: skip


def floor(store: Store, users: list[str]) -> Callable[[], int]:
    """One py-lmdb `begin` and `get` of each user's own list of mailboxes: no LIST can cost less."""
    keys = [user.encode() + b"\x00" for user in users]
    postings, env = store.tables["postings"], store.env

    def run() -> int:
        for key in keys:
            with env.begin() as txn:
                txn.get(key, db=postings)
        return len(keys)

    return run


def asks(views: list[pyxlist.View], command: bytes) -> Callable[[], int]:
    """The command once for each view, as octets."""

    def run() -> int:
        for view in views:
            view.respond(command)
        return len(views)

    return run


def lists(views: list[pyxlist.View]) -> Callable[[], int]:
    """LIST "" "*" once for each view, as objects."""

    def run() -> int:
        for view in views:
            list(view.list("", "*"))
        return len(views)

    return run


def list_times(index_path: Path, users: list[str]) -> tuple[Times, int]:
    """LIST of these users in turns with the floor, and how many mailboxes the first one sees."""
    store = open_store(index_path)
    with pyxlist.open(index_path) as index:
        views = [index.view(user) for user in users]
        rows = views[0].respond(_STAR).untagged.count(b"\n")
        contenders = {"floor": floor(store, users), "octets": asks(views, _STAR), "objects": lists(views)}
        contenders["level"] = asks(views, _COMMANDS[0])
        times = take_turns(contenders)
    store.close()
    return times, rows


def run(plan: Plan) -> Iterator[Result]:
    """LIST of ordinary users; first many of them at random, then one again and again."""
    users = random_users(plan.main, plan.sample)
    for who, asked in (("random users", users), ("one user", users[:1] * plan.sample)):
        times, rows = list_times(plan.worlds.index(plan.main), asked)
        base = times.median("floor") * 1e6
        bar = 4.0 if who == "random users" else None
        for name, what in (("octets", 'LIST "" "*"'), ("level", 'LIST "" "%"')):
            yield Result("LIST", f"{what}, {rows} mailboxes, {who}", times.median(name) * 1e6, "py-lmdb begin+get",
                         base, times.ratio(name, "floor"), "us", bar)  # fmt: skip
        yield Result("LIST", f'list("", "*") as objects, {who}', times.median("objects") * 1e6, "as octets",
                     times.median("octets") * 1e6, times.ratio("objects", "octets"), "us", 4.0)  # fmt: skip
    yield from _others(plan, users)


def _others(plan: Plan, users: list[str]) -> Iterator[Result]:
    """The other commands, beside LIST "" "*"."""
    with pyxlist.open(plan.worlds.index(plan.main)) as index:
        views = [index.view(user) for user in users]
        names = [f"user.{user}.Work" for user in users]
        contenders = {"LIST": asks(views, _STAR), **{command.decode(): asks(views, command) for command in _COMMANDS}}
        contenders["who(mailbox)"] = lambda: sum(bool(list(index.who(name))) for name in names)
        contenders["open, view, LIST, close"] = lambda: _open_and_ask(plan.worlds.index(plan.main), users[:100])
        contenders["state()"] = lambda: sum(bool(view.state()) for view in views)
        times = take_turns(contenders, rounds=5)
    for name in list(contenders)[1:]:
        yield Result("other commands", name, times.median(name) * 1e6, 'LIST "" "*"', times.median("LIST") * 1e6,
                     times.ratio(name, "LIST"), "us")  # fmt: skip


def _open_and_ask(path: Path, users: list[str]) -> int:
    for user in users:
        with pyxlist.open(path) as index:
            index.view(user).respond(_STAR)
    return len(users)


def growth(plan: Plan) -> Iterator[Result]:
    """The same LIST in worlds of every size.  Every world shows everybody the same shared mailboxes."""
    smallest: float | None = None
    for spec in plan.sizes:
        if not plan.worlds.room_for(spec):
            continue
        times, _rows = list_times(plan.worlds.index(spec), random_users(spec, plan.sample))
        octets = times.median("octets") * 1e6
        smallest = octets if smallest is None else smallest
        yield Result("growth", f'LIST "" "*", {spec.users:,} users', octets, f"{plan.sizes[0].users:,} users", smallest,
                     octets / smallest, "us", 1.5)  # fmt: skip
