"""`python -m benchmarks`: every question of this folder, asked and answered with a table."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from benchmarks import asking, building, changing, plots, reading, scanning, servers, shapes, sharing, variants
from benchmarks.measure import Result
from benchmarks.plan import Plan, make_plan
from benchmarks.report import save, show, write_table

_QUESTIONS: Final[dict[str, Callable[[Plan], Iterator[Result]]]] = {
    "list": asking.run,
    "variants": variants.run,
    "shapes": shapes.run,
    "build": building.run,
    "formats": reading.run,
    "sqlite": building.sqlite,
    "peers": scanning.run,
    "change": changing.run,
    "sharing": sharing.run,
    "growth": asking.growth,
    "servers": servers.run,
}
_EPILOG: Final = """\
questions
  list      LIST beside one look into LMDB; the other commands beside LIST
  variants  every other form of LIST, LSUB and XLIST beside a plain LIST, by answer and by row
  shapes    worst shapes: 100,000 visible mailboxes, 50,000 own ones, 2,000 grants, 500 groups
  build     parse, build, memory, size, builds by difference
  formats   parse and memory of a build, from every format
  sqlite    the same index built in SQLite
  peers     LIST by a scan of the table and from SQLite, by size of the world
  change    durable changes, many changes, four writers
  sharing   readers beside a writer; private memory
  growth    the same LIST from 3,000 users up
  servers   LIST by an imapd with and without reverseacls (needs Debian's cyrus-imapd and root)

exit status
  0 measured, whatever the verdicts; 2 wrong usage
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument(
        "--quick", action="store_true", help="small worlds in under two minutes: shows that all runs, so no verdicts"
    )
    parser.add_argument("--only", action="append", choices=_QUESTIONS, metavar="NAME", help="one question; repeatable")
    parser.add_argument("--users", type=int, metavar="N", help="users of the main world (300,000; quick: 3,000)")
    parser.add_argument("--most-users", type=int, metavar="N",
                        help="users of the largest world, if it fits (3,000,000; quick: as --users)")  # fmt: skip
    parser.add_argument("--folder", type=Path, default=Path("bench-results"), metavar="DIR",
                        help="where worlds, indexes and results go (bench-results)")  # fmt: skip
    parser.add_argument("--plots", type=Path, metavar="DIR", help="also draw plots of the results there")
    parser.add_argument("--readme", type=Path, metavar="FILE",
                        help="also write the answers that have a bar into FILE, between its marks")  # fmt: skip
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    options = _parser().parse_args(arguments)
    users = options.users or (3000 if options.quick else 300_000)
    most = options.most_users or (users if options.quick else 3_000_000)
    plan = make_plan(options.folder / "worlds", users, most, options.quick)
    asked: dict[str, list[Result]] = {}
    for name in options.only or _QUESTIONS:
        started = time.monotonic()
        answers = _QUESTIONS[name](plan)
        asked[name] = [answer._replace(bar=None) if options.quick else answer for answer in answers]
        plan.worlds.clean()
        print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr)
    results = [answer for answers in asked.values() for answer in answers]
    show(results)
    print(f"saved as {save(options.folder, plan, results)}", file=sys.stderr)
    if options.plots and not options.quick:
        plots.draw(results, options.plots)
    if options.readme and not options.quick:
        write_table(options.readme, plan, asked)
    return 0


if __name__ == "__main__":
    sys.exit(main())
