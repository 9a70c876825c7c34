"""What a made-up mail system is to be: how many of everything, what its people are called, who is in which group."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

__all__ = ["MOST_MAILBOXES", "WorldSpec", "group_of", "memberships", "skewed", "userid_of"]

MOST_MAILBOXES: Final = 36**6  # the first six characters tell uniqueids apart


@dataclass(frozen=True, slots=True)
class WorldSpec:
    """What to generate.  Percentages are 0 to 100.  Raises: ValueError when a world like that cannot be."""

    users: int = 3000
    folders: int = 7  # mailboxes of one user, the INBOX among them
    shared: int = 20000  # mailboxes below at most 50 top names, the tops among them
    groups: int = 200
    seed: int = 1
    share_percent: float = 10.0  # of the users share one folder with another user or a group
    anyone_percent: float = 10.0  # of the shared mailboxes are `anyone lrs`
    big_user: int = 0  # mailboxes of the userid `big`; 0: there is none
    anyone_tops: int = 0  # further top names, below which ...
    anyone_mailboxes: int = 0  # ... so many mailboxes, the tops among them, are all `anyone lrs`
    wide_acl: int = 0  # grants on one further mailbox, `Wide`; 0: there is none

    def __post_init__(self) -> None:
        for what, value, least, most in (
            ("users", self.users, 1, 10**8), ("folders", self.folders, 1, 10**5),
            ("shared", self.shared, 0, 10**7), ("groups", self.groups, 0, 10**5), ("seed", self.seed, 0, 2**64),
            ("share-percent", self.share_percent, 0, 100), ("anyone-percent", self.anyone_percent, 0, 100),
            ("big-user", self.big_user, 0, 10**7), ("anyone-tops", self.anyone_tops, 0, self.anyone_mailboxes),
            ("anyone-mailboxes", self.anyone_mailboxes, 0, 10**7 if self.anyone_tops else 0),
            ("wide-acl", self.wide_acl, 0, self.users),
            ("mailboxes in all", self.mailboxes, 1, MOST_MAILBOXES),
        ):  # fmt: skip
            if not least <= value <= most:
                raise ValueError(f"{what}: {value}, expected {least} to {most}")

    @property
    def mailboxes(self) -> int:
        """How many mailboxes there will be; the file has twice as many records."""
        others = self.shared + self.big_user + self.anyone_mailboxes + bool(self.wide_acl)
        return self.users * self.folders + others


def userid_of(spec: WorldSpec, number: int) -> bytes:
    """u000000 and up, wide enough that numbers sort as octets."""
    return b"u%0*d" % (max(6, len(str(spec.users - 1))), number)


def group_of(number: int) -> bytes:
    """g000 and up, the bare name."""
    return b"g%03d" % number


def skewed(rng: Random, size: int) -> int:
    """A number below `size`: the first tenth gets almost half of the draws."""
    return int(size * rng.random() ** 3)


def memberships(spec: WorldSpec) -> dict[str, list[str]]:
    """Group -> userids, both in order; every fifth user is in one to three groups, mostly the first ones."""
    rng = Random(f"{spec.seed} memberships")
    members: list[list[str]] = [[] for _ in range(spec.groups)]
    for number in range(spec.users if spec.groups else 0):
        if rng.random() < 0.2:
            userid = userid_of(spec, number).decode()
            for group in {skewed(rng, spec.groups) for _ in range(rng.randint(1, 3))}:
                members[group].append(userid)
    return {group_of(number).decode(): users for number, users in enumerate(members)}
