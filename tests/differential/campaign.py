"""A campaign: worlds on a real server under many configurations, and every answer compared.

    python -m tests.differential.campaign --seed 1 --answers 200000 [--keep FOLDER]

Each round starts a server with configurations drawn from the seed, then brings worlds to it: either written
into its databases, which can hold what no command makes, or made by IMAP commands of its users.  A world
that is answered differently is made as small as it still differs and kept as a case.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import pathlib
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any, Final

import pyxlist
from tests.worlds import GROUPS, USUAL, World, groups_of, logging_in, random_battery, random_configuration, random_world

from .cases import Case, Question
from .drive import drive
from .host import DIED, Comparable, Host, comparable, copy_databases
from .server import Server, reachable_folder

# The two namespaces by the two separators, then with domains: what nearly all installations use.
_USUAL: Final[tuple[dict[str, str], ...]] = (
    {},
    {"altnamespace": "no"},
    {"altnamespace": "no", "unixhierarchysep": "no"},
    {"virtdomains": "userid"},
)
_RANDOM_CONFIGURATIONS: Final = 6
_WORLDS_A_ROUND: Final = 8
_KEPT: Final = 20


def unusual(options: Mapping[str, str]) -> dict[str, str]:
    """What a configuration has that most have not."""
    return {name: text for name, text in options.items() if USUAL[name] != text}


@dataclasses.dataclass(frozen=True)
class Difference:
    """One question answered differently by the server and by the package."""

    options: Mapping[str, str]
    userid: str
    command: bytes
    served: Comparable
    answered: Comparable

    def __str__(self) -> str:
        sides = [[*untagged.split(b"\r\n"), (status, text)] for status, text, untagged in (self.served, self.answered)]
        lines = [
            f"  {sign} {line!r}" for sign, n in (("-", 0), ("+", 1)) for line in sides[n] if line not in sides[1 - n]
        ]
        return "\n".join(
            (f"{self.userid}: {self.command!r} under {unusual(self.options)}", *(lines or ("  in another order",)))
        )


def answers(folder: pathlib.Path, conf: pathlib.Path, batteries: Mapping[str, Sequence[bytes]]) -> Iterator[Any]:
    """(userid, command, comparable answer) of the package, from a copy of a server's databases."""
    config = pyxlist.Config.from_imapd_conf(conf)
    index_path = folder / f"index-{conf.stem}"
    shutil.rmtree(index_path, ignore_errors=True)
    pyxlist.build(
        folder / "mailboxes.db", index_path, config=config, subscriptions=folder, annotations=folder / "annotations.db"
    )
    with pyxlist.open(index_path) as index:
        assert list(index.check()) == []
        for userid, commands in batteries.items():
            view = index.view(userid, groups=groups_of(userid))
            for command in commands:
                yield userid, command, comparable(*view.respond(command))


class Campaign:
    """Counts what was compared and keeps what differed."""

    def __init__(self, seed: int, keep: pathlib.Path | None = None, questions: int = 10) -> None:
        """`questions` a user, configuration and world; half of them are LISTs."""
        self.seed, self.keep, self.questions = seed, keep, questions
        self.compared = self.worlds = 0
        self.differences: list[Difference] = []

    def run(self, wanted: int, limit_s: float = 1e9) -> None:
        """Rounds until `wanted` answers were compared; a round is whole unless it shows many differences."""
        started, number = time.monotonic(), 0
        while self.compared < wanted and time.monotonic() - started < limit_s and len(self.differences) < _KEPT:
            try:
                self._round(Random(f"{self.seed}/{number}"), wanted)
            except OSError as error:
                print(f"seed {self.seed}, round {number}: the server is gone, what follows is left out: {error}")
            number += 1

    def _round(self, rng: Random, wanted: int) -> None:
        usual = [{**USUAL, **options} for options in _USUAL]
        configurations = usual + [random_configuration(rng) for _ in range(_RANDOM_CONFIGURATIONS)]
        with (
            reachable_folder() as folder,
            Server(folder / "server", configurations, GROUPS) as server,
            contextlib.closing(Host(server)) as host,
        ):
            for number in range(_WORLDS_A_ROUND):
                if self.compared < wanted and len(self.differences) < _KEPT:
                    self._world(host, rng, made_by_commands=number % 2 == 1)

    def _world(self, host: Host, rng: Random, *, made_by_commands: bool) -> None:
        world = random_world(rng, rng.choice((6, 15, 30)))
        if made_by_commands:
            host.install(World({}))
            host.forget()
            drive(rng, host.server.configurations, host.session)
        else:
            host.install(world)
        self.worlds += 1
        found = self.compare(host, rng, world)
        self.differences += found
        for difference in found[:6]:
            print(f"seed {self.seed}, world {self.worlds}{' by commands' if made_by_commands else ''}: {difference}")
        if found and self.keep and not made_by_commands:
            self._keep(host, world, found)

    def compare(self, host: Host, rng: Random, world: World) -> list[Difference]:
        """Random questions of every user under every configuration about what the server holds now."""
        found = []
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            copy_databases(host.server.directory, folder)
            half = self.questions // 2
            for number, options in enumerate(host.server.configurations):
                batteries = {
                    userid: random_battery(rng, options, world, self.questions - half, half)
                    for userid in logging_in(options)
                }
                found += compare_one(host, folder, number, batteries)
                self.compared += sum(map(len, batteries.values()))
        return found

    def _keep(self, host: Host, world: World, found: Sequence[Difference]) -> None:
        """The smallest world that shows the first difference, with the server's answer, as a case."""
        assert self.keep is not None
        first = found[0]
        number = host.server.configurations.index(first.options)
        small = self._shrink(host, world, number, first)
        question = Question(first.userid, first.command, first.served)
        case = Case("", first.options, small, (question,)).served(host, number)
        case.save(self.keep / f"seed{self.seed}-{self.worlds}.json")

    def _shrink(self, host: Host, world: World, number: int, shown: Difference) -> World:
        smaller = True
        while smaller:
            smaller = False
            for part in world.parts():
                if _differs(host, part, number, shown):
                    world, smaller = part, True
                    break
        return world


def compare_one(
    host: Host, folder: pathlib.Path, number: int, batteries: Mapping[str, Sequence[bytes]]
) -> list[Difference]:
    """Differences under one configuration."""
    served: dict[tuple[str, bytes], Comparable] = {}
    for userid, commands in batteries.items():
        replies = host.ask(userid, number, commands)
        served.update(((userid, command), reply) for command, reply in zip(commands, replies, strict=True))
    options = host.server.configurations[number]
    found = []
    for userid, command, answer in answers(folder, host.server.imapd_conf(number), batteries):
        # Asked twice: a process of the server may have been caught between an old file and the new one.
        if served[userid, command] == DIED:
            print(f"not compared: the server dies of {command!r} of {userid} under {unusual(options)}")
        elif served[userid, command] != answer and (again := host.ask(userid, number, [command])[0]) != answer:
            found.append(Difference(options, userid, command, again, answer))
    return found


def _differs(host: Host, world: World, number: int, shown: Difference) -> bool:
    host.install(world)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        copy_databases(host.server.directory, folder)
        return bool(compare_one(host, folder, number, {shown.userid: [shown.command]}))


def main() -> int:
    """The command line; exit status 1 when something differed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--answers", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=1e9, help="begin no further round after these")
    parser.add_argument("--keep", type=pathlib.Path)
    parser.add_argument("--questions", type=int, default=10)
    arguments = parser.parse_args()
    campaign = Campaign(arguments.seed, arguments.keep, arguments.questions)
    started = time.monotonic()
    campaign.run(arguments.answers, arguments.seconds)
    print(
        f"seed {campaign.seed}: {campaign.compared} answers in {campaign.worlds} worlds compared, "
        f"{len(campaign.differences)} differences, {time.monotonic() - started:.0f} s"
    )
    return bool(campaign.differences)


if __name__ == "__main__":
    raise SystemExit(main())
