"""A world made the way users make it: random IMAP commands of everybody, refusals included."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Final

from tests.worlds import COMPONENTS, IDENTIFIERS, RIGHTS, USERS

from .imap import Session

_STEPS: Final = (20, 60, 120)
_VERBS: Final = (
    *("CREATE",) * 8,
    *("DELETE",) * 2,
    *("RENAME",) * 2,
    *("SETACL",) * 6,
    *("DELETEACL",),
    *("SUBSCRIBE",) * 4,
    *("UNSUBSCRIBE",),
    *("CREATE USE",) * 2,
)
_USES: Final = ("\\Sent", "\\Trash", "\\Junk", "\\Archive", "\\Flagged")


def drive(
    rng: Random, configurations: Sequence[Mapping[str, str]], session: Callable[[str, int], Session]
) -> list[tuple[str, str]]:
    """INBOXes of most users, then commands of everybody under any configuration.

    The outcome is what the server holds afterwards; refusals are part of the game.  Returns what was sent
    and the status words, for a report.
    """
    made: list[tuple[str, str]] = []
    known = ["user/ann", "user/mar"]
    virtual = [number for number, options in enumerate(configurations) if options["virtdomains"] != "off"]
    for userid in ("ann", "mar", "marta", "mar.ta", "joe@a.b", "ann@a.b"):
        if rng.random() < 0.8:
            number = rng.choice(virtual) if "@" in userid else 0
            made.append(
                _send(session("cyrus", number), _spelt(f"CREATE {_quoted('user/' + userid)}", configurations[number]))
            )
    for _ in range(rng.choice(_STEPS)):
        userid = rng.choice(("cyrus", "cyrus", "cyrus", *USERS))
        number = rng.choice(virtual) if "@" in userid else rng.randrange(len(configurations))
        command = _command(rng, userid, known)
        made.append(_send(session(userid, number), _spelt(command, configurations[number])))
    return made


def _send(session: Session, command: bytes) -> tuple[str, str]:
    reply = session.ask(command)
    return command.decode("latin-1"), reply.status


def _command(rng: Random, userid: str, known: list[str]) -> str:
    """One command with names as an unix separator has them."""
    verb = rng.choice(_VERBS)
    if verb.startswith("CREATE"):
        name = _new_name(rng, userid, known)
        known.append(name)
        return f"CREATE {_quoted(name)}" + (f" (USE ({rng.choice(_USES)}))" if verb == "CREATE USE" else "")
    name = rng.choice(known)
    match verb:
        case "RENAME":
            target = _new_name(rng, userid, known)
            known.append(target)
            return f"RENAME {_quoted(name)} {_quoted(target)}"
        case "SETACL" | "DELETEACL":
            who = rng.choice(("", "", "", "-")) + rng.choice(IDENTIFIERS)
            what = f' "{rng.choice(("", "", "+", "-"))}{rng.choice(RIGHTS)}"' if verb == "SETACL" else ""
            return f"{verb} {_quoted(name)} {_quoted(who)}{what}"
        case _:
            return f"{verb} {_quoted(name)}"


def _new_name(rng: Random, userid: str, known: list[str]) -> str:
    """A child of a known name, or a new top of what this user can name."""
    below = rng.choice(COMPONENTS)
    if rng.random() < 0.5:
        name, at, domain = rng.choice(known).partition("@")
        return f"{name}/{below}{at}{domain}"
    if userid == "cyrus":
        top = rng.choice(("", "", "user/ann/", "user/mar/", "user/marta/", "user/mar.ta/"))
        return f"{top}{below}" + rng.choice(("", "", "", "@a.b"))
    return rng.choice(("", "INBOX/", "Shared Folders/", "Other Users/ann/")) + below


def _quoted(text: str) -> str:
    octets = text.encode()
    if len(octets) != len(text):
        return f"{{{len(octets)}+}}\r\n{octets.decode('latin-1')}"
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _spelt(command: str, options: Mapping[str, str]) -> bytes:
    """The command in the letters of a namespace: `.` for `/` and `^` for `.` where the dot separates."""
    if options["unixhierarchysep"] == "no":
        command = command.translate(str.maketrans("/.", ".^"))
    return command.encode("latin-1")
