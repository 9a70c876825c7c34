"""Tiny worlds written by hand, and their answers in a form that is easy to compare.

For tests only: a world here is a dict of names to ACL texts, an answer is a list of short lines.
"""

from __future__ import annotations

from collections.abc import Mapping

from .entries import make_entry
from .world import World

ALT = {"admins": "cyrus", "defaultdomain": "internal.invalid"}
UNIX = {**ALT, "altnamespace": 0}
NETNEWS = {**UNIX, "unixhierarchysep": 0}
VIRT = {**ALT, "virtdomains": "userid"}
FULL = "lrswipkxtecdan"  # what an owner is given


def world(
    mailboxes: Mapping[str, str],
    config: Mapping[str, object],
    *subscribed: str,
    user: str = "mar",
    flat: bool = False,
) -> World:
    """A world of `{"user:mar:Foo": "mar lrs"}`, with `user`'s subscriptions and mar in the group crew.

    Names have `:` for 0x1F and may have `domain@` in front; an ACL may have its type in front: `ei|mar l`.
    Subscriptions are stored keys, relative to `user`: `INBOX:Foo`.
    """
    entries = {}
    for name, text in mailboxes.items():
        mbtype, bar, acl = text.partition("|")
        entries[key(name)] = make_entry(acl if bar else text, mbtype if bar else "e")
    return World(entries, config, {"crew": ["mar"]}, {user: ([key(name) for name in subscribed], flat)})


def key(name: str) -> bytes:
    """`domain@user:mar:Foo` as a key name."""
    domain, at, rest = name.rpartition("@")
    return ((domain + "\x1d" if at else "") + rest.replace(":", "\x1f")).encode()


def lines(answer: tuple[str, bytes]) -> list[str]:
    """Untagged lines without `* ` of an OK answer."""
    status, untagged = answer
    assert status == "OK"
    return [line.removeprefix("* ") for line in untagged.decode("latin-1").split("\r\n")[:-1]]


def listed(judge: World, user: str, command: str) -> list[str]:
    """The lines of a command without what they have in common, `LIST` and the separator."""
    found = lines(judge.respond(user, command.encode("latin-1")))
    return [line.replace(' "/" ', " ").replace(' "." ', " ").removeprefix("LIST ") for line in found]
