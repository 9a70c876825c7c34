"""What a run measures: which worlds, how many of everything.  Two sizes: full, and quick for a smoke test."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from benchmarks.spec import WorldSpec
from benchmarks.worlds import Worlds

__all__ = ["Plan", "make_plan"]


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """One run.

    `main`     the world most questions are asked in: everybody sees about twenty shared mailboxes
    `public`   the same, but about two thousand of them
    `wide`     100,000 mailboxes that everybody sees, below 50 names
    `worst`    a user with very many folders, one ACL with very many identifiers
    `sizes`    worlds of growing size
    `sample`   users asked in one round;  `changes` of the long run of changes;  `seconds` readers read
    """

    worlds: Worlds
    main: WorldSpec
    public: WorldSpec
    wide: WorldSpec
    worst: WorldSpec
    sizes: tuple[WorldSpec, ...]
    sample: int
    changes: int
    seconds: float
    quick: bool


def make_plan(folder: Path, users: int, most_users: int, quick: bool) -> Plan:
    """The plan for worlds of `users`, growing to `most_users`."""
    shared = min(20_000, max(500, users // 15))
    main = WorldSpec(users=users, shared=shared, anyone_percent=2000 / shared)
    public = WorldSpec(users=users, shared=shared, anyone_percent=10)
    small, factor = min(users, 3000), 10
    sizes = [dataclasses.replace(main, users=small)]
    while sizes[-1].users * factor <= most_users:
        sizes.append(dataclasses.replace(main, users=sizes[-1].users * factor))
    many = 1000 if quick else 1
    wide = WorldSpec(users=small, shared=0, anyone_tops=50, anyone_mailboxes=100_000 // min(many, 20))
    worst = WorldSpec(users=small, shared=500, groups=600, big_user=50_000 // min(many, 20), wide_acl=min(2000, small))
    return Plan(
        Worlds(folder), main, public, wide, worst, tuple(sizes),
        sample=min(users, 500 if quick else 20_000),
        changes=5_000 if quick else min(1_000_000, 4 * users),
        seconds=0.5 if quick else 5.0,
        quick=quick,
    )  # fmt: skip
