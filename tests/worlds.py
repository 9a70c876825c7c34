"""Random worlds and questions, small and nasty: few names that are prefixes of one another, every kind of entry.

A generator takes a `random.Random`, so one integer makes a world again; `World.parts` lets a test find the
smallest world that still shows what it found.
"""

from __future__ import annotations

import dataclasses
import pathlib
import shutil
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any, Final, Self

from tests.sources import escape, value, write_flat

USERS: Final = ("ann", "mar", "marta", "mar.ta", "joe@a.b", "ann@a.b", "guest", "anonymous", "cyrus")
GROUPS: Final[dict[str, tuple[str, ...]]] = {"staff": ("ann", "mar"), "crew": ("mar", "joe@a.b", "marta")}
OWNERS: Final = ("ann", "ann", "ann", "mar", "mar", "marta", "mar.ta", "joe", "cyrus")
DOMAIN: Final = "a.b"
FULL: Final = "lrswipkxtecdan"
IDENTIFIERS: Final = (
    *("ann", "mar", "marta", "mar.ta", "joe@a.b", "ann@a.b", "anyone", "anyone", "anyone"),
    *("group:staff", "group:crew", "anonymous", "owner", "staff", "guest", "cyrus"),
)
RIGHTS: Final = ("l", "lrs", "lrs", FULL, "r", "p", "lr0", "", "a", "lkxc", "kc", "c", "d", "lted", "lra9", "k", "w")
# Type letters: mail mostly, then what is hidden, what is no mailbox, and what is on its way.
TYPES: Final = ("e",) * 14 + ("c", "b", "a", "n", "f", "p", "s", "ei", "ei", "ed", "em", "ez", "el", "eil", "ci", "nd")
COMPONENTS: Final = (
    *("x", "x", "x", "x", "x.y", "y", "Foo", "Foo", "foo bar", "Foo-1", "a.b", "INBOX", "inbox", "Sent", "user", "mar"),
    *("#calendars", "#sieve", "#jmap", "Other Users", "Shared Folders", "Alt Folders", "DELETED", "NIL", "p%", "z"),
    *("a&b", "é", 'q"u', "(y)", "a+b", "x" * 40, "^c", "h!i", "mar.ta"),
)
STAMPS: Final = ("6B04A050", "6b04a051", "x", "0", "0123456789ABCDEF0", "7G", "-1")
USES: Final = (b"\\Sent", b"\\Trash", b"\\Junk", b"\\Archive \\Sent", b"\\Important")


@dataclasses.dataclass(frozen=True)
class Mailbox:
    """One record: (identifier, rights) pairs, type letters as stored, uniqueid."""

    acl: tuple[tuple[str, str], ...]
    mbtype: str
    uniqueid: str

    def value(self) -> bytes:
        """The mailboxes.db value."""
        words = " ".join(_dlist(word) for pair in self.acl for word in pair)
        return value(words, self.mbtype, self.uniqueid)


@dataclasses.dataclass(frozen=True)
class World:
    """What a server holds.  `subscribed` maps userids with an INBOX to key names, `uses` key names to flags."""

    mailboxes: Mapping[bytes, Mailbox]
    subscribed: Mapping[str, tuple[bytes, ...]] = dataclasses.field(default_factory=dict)
    uses: Mapping[bytes, bytes] = dataclasses.field(default_factory=dict)

    def inbox(self, userid: str) -> Mailbox | None:
        """The record of a user's INBOX."""
        return self.mailboxes.get(inbox_key(userid))

    def write(self, folder: pathlib.Path) -> dict[str, Any]:
        """Flat files `mailboxes.db`, `conf/` and `annotations.db`; the arguments a build takes for them."""
        write_flat(folder / "mailboxes.db", {key: box.value() for key, box in self.mailboxes.items()})
        self.write_subscriptions(folder / "conf")
        records = sorted(self._annotations())
        lines = (escape(key) + b"\t" + escape(data) + b"\n" for key, data in records)
        (folder / "annotations.db").write_bytes(b"".join(lines))
        return {"subscriptions": folder / "conf", **({"annotations": folder / "annotations.db"} if records else {})}

    def write_subscriptions(self, directory: pathlib.Path) -> None:
        """The subscriptions as they lie in a configdirectory, in the place of what is there."""
        for name in ("user", "domain"):
            shutil.rmtree(directory / name, ignore_errors=True)
            (directory / name).mkdir(parents=True)
        for _userid, place, octets in self.subscription_files():
            (directory / place).parent.mkdir(parents=True, exist_ok=True)
            (directory / place).write_bytes(octets)

    def subscription_files(self) -> Iterator[tuple[str, str, bytes]]:
        """Userid, place below a configdirectory and octets of each flat sub.db; flat sorts dots lowest.

        A mailbox of the old kind (`l`) has it under its name, any other under the uniqueid of the INBOX.
        """
        for userid, keys in self.subscribed.items():
            inbox = self.inbox(userid)
            if inbox is None or "d" in inbox.mbtype:
                continue
            uniqueid, (local, _, domain) = inbox.uniqueid, userid.partition("@")
            place = f"user/uuid/{uniqueid[0]}/{uniqueid[1]}/{uniqueid}/sub.db"
            if "l" in inbox.mbtype:
                root = f"domain/{domain[0]}/{domain}/" if domain else ""
                place = f"{root}user/{local[0]}/{local.replace('.', '^')}.sub"
            rows = sorted({b"N" + stored(key, userid) for key in keys}, key=lambda row: row.replace(b".", b"\x01"))
            yield userid, place, b"\x1fVER\x1f\t2\n" + b"".join(escape(row) + b"\t\n" for row in rows)

    def _annotations(self) -> Iterator[tuple[bytes, bytes]]:
        for key, use in self.uses.items():
            if key in self.mailboxes:
                name = self.mailboxes[key].uniqueid.encode() + b"\0/specialuse\0[.OwNeR.]\0"
                yield name, len(use).to_bytes(4, "big") + bytes(4) + use + b"\0text/plain\0" + bytes(16)

    def parts(self) -> Iterator[Self]:
        """Worlds with one thing less, to find the smallest that still shows something."""
        for key in self.mailboxes:
            yield dataclasses.replace(self, mailboxes={k: box for k, box in self.mailboxes.items() if k != key})
        for userid, keys in self.subscribed.items():
            for key in keys:
                rest = tuple(other for other in keys if other != key)
                yield dataclasses.replace(self, subscribed={**self.subscribed, userid: rest})
        for key in self.uses:
            yield dataclasses.replace(self, uses={k: use for k, use in self.uses.items() if k != key})
        for key, box in self.mailboxes.items():
            for pair in box.acl:
                less = dataclasses.replace(box, acl=tuple(other for other in box.acl if other != pair))
                yield dataclasses.replace(self, mailboxes={**self.mailboxes, key: less})

    def to_json(self) -> dict[str, Any]:
        """Plain values; octets are spelt as latin-1 text."""
        return {
            "mailboxes": {
                _text(key): [box.mbtype, box.uniqueid, [list(pair) for pair in box.acl]]
                for key, box in self.mailboxes.items()
            },
            "subscribed": {userid: [_text(key) for key in keys] for userid, keys in self.subscribed.items()},
            "uses": {_text(key): _text(use) for key, use in self.uses.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The world `to_json` described."""
        return cls(
            {
                _octets(key): Mailbox(tuple((who, rights) for who, rights in acl), mbtype, uniqueid)
                for key, (mbtype, uniqueid, acl) in data["mailboxes"].items()
            },
            {userid: tuple(map(_octets, keys)) for userid, keys in data["subscribed"].items()},
            {_octets(key): _octets(use) for key, use in data["uses"].items()},
        )


def _dlist(word: str) -> str:
    """A string as Cyrus writes it in a value: an atom if it can be one, else quoted, else a literal."""
    if '"' in word or not word.isascii():
        return f"{{{len(word.encode())}+}}\r\n{word}"
    return word if word not in ("", "NIL") and not set(word) & set(" (){*%&") else f'"{word}"'


def _text(octets: bytes) -> str:
    return octets.decode("latin-1")


def _octets(text: str) -> bytes:
    return text.encode("latin-1")


def inbox_key(userid: str) -> bytes:
    """Key name of a user's INBOX."""
    local, at, domain = userid.rpartition("@")
    return (f"{domain}\x1duser\x1f{local}" if at else f"user\x1f{userid}").encode()


def owner_of(key: bytes) -> str | None:
    """The userid a key name says; None for shared names."""
    domain, mark, path = key.decode().rpartition("\x1d")
    parts = path.split("\x1f")
    parts = parts[1:] if parts[0] == "DELETED" and len(parts) > 1 else parts
    if parts[0] != "user" or len(parts) < 2:
        return None
    return f"{parts[1]}@{domain}" if mark else parts[1]


def stored(key: bytes, userid: str) -> bytes:
    """A key name as the user's subscriptions keep it."""
    inbox = inbox_key(userid)
    return b"INBOX" + key[len(inbox) :] if key.startswith(inbox) else key


# --- who asks ---


def logging_in(options: Mapping[str, str]) -> tuple[str, ...]:
    """Who can: without virtdomains a userid with a domain is refused."""
    return USERS if options["virtdomains"] != "off" else tuple(userid for userid in USERS if "@" not in userid)


def groups_of(userid: str) -> tuple[str, ...]:
    """A user's groups."""
    return tuple(name for name, members in GROUPS.items() if userid in members)


# --- worlds ---


def random_world(rng: Random, size: int = 25, domains: bool = True) -> World:
    """About `size` mailboxes, most with their ancestors, some without; INBOXes of most users."""
    keys = {inbox_key(userid) for userid in ("ann", "mar")}
    keys |= {inbox_key(userid) for userid in ("marta", "mar.ta", "cyrus") if rng.random() < 0.5}
    if domains:
        keys |= {inbox_key(userid) for userid in ("joe@a.b", "ann@a.b") if rng.random() < 0.7}
    for _ in range(rng.randrange(size)):
        keys.add(_random_key(rng, sorted(keys), domains))
    mailboxes = {key: _random_mailbox(rng, key, number) for number, key in enumerate(sorted(keys))}
    return World(mailboxes, *_random_companions(rng, sorted(keys), domains))


def _random_companions(
    rng: Random, keys: list[bytes], domains: bool
) -> tuple[dict[str, tuple[bytes, ...]], dict[bytes, bytes]]:
    subscribed = {}
    for userid in ("ann", "mar", "marta", "joe@a.b"):
        count = rng.choice((0, 1, 3, 8))
        names = (rng.choice(keys) if rng.random() < 0.7 else _random_key(rng, keys, domains) for _ in range(count))
        subscribed[userid] = tuple(dict.fromkeys(names))
    uses = {rng.choice(keys): rng.choice(USES) for _ in range(rng.choice((0, 0, 1, 4)))}
    return subscribed, uses


def _random_key(rng: Random, keys: list[bytes], domains: bool) -> bytes:
    """A child of a name there is, or a name of its own, whose ancestors may be missing."""
    below = [rng.choice(COMPONENTS) for _ in range(rng.choice((1, 1, 1, 2, 2, 3)))]
    if rng.random() < 0.4:
        parent = rng.choice(keys).decode()
        return "\x1f".join((parent, *below[:1])).encode()
    domain = DOMAIN + "\x1d" if domains and rng.random() < 0.25 else ""
    top = ["user", rng.choice(OWNERS)] if rng.random() < 0.6 else []
    if rng.random() < 0.12:
        return (domain + "\x1f".join(("DELETED", *top, *below, rng.choice(STAMPS)))).encode()
    return (domain + "\x1f".join((*top, *below))).encode()


def _random_mailbox(rng: Random, key: bytes, number: int) -> Mailbox:
    owner = owner_of(key)
    acl = [(owner, FULL)] if owner is not None and rng.random() < 0.7 else []
    for _ in range(rng.choice((0, 1, 1, 2, 3))):
        sign = "-" if rng.random() < 0.2 else ""
        acl.append((sign + rng.choice(IDENTIFIERS), rng.choice(RIGHTS)))
    mbtype = "e" if key in map(inbox_key, USERS) and rng.random() < 0.8 else rng.choice(TYPES)
    # Cyrus writes tombstones without ACL.
    return Mailbox(() if "d" in mbtype else tuple(acl), mbtype, f"id{number:022}")


# --- configurations ---

_SWITCHES: Final = {  # option -> chance that it is not Cyrus' default
    "altnamespace": ("yes", "no", 0.5),
    "unixhierarchysep": ("yes", "no", 0.4),
    "crossdomains": ("no", "yes", 0.25),
    "crossdomains_onlyother": ("no", "yes", 0.2),
    "foolstupidclients": ("no", "yes", 0.15),
    "allowdeleted": ("no", "yes", 0.3),
    "specialusealways": ("yes", "no", 0.15),
    "ignorereference": ("no", "yes", 0.1),
    "disable_user_namespace": ("no", "yes", 0.08),
    "disable_shared_namespace": ("no", "yes", 0.08),
    "acl_admin_implies_write": ("no", "yes", 0.08),
    "unix_group_enable": ("yes", "no", 0.08),
}
_WORDS: Final = {
    "virtdomains": ("off", "userid", 0.5),
    "userprefix": ("Other Users", "mar", 0.1),
    "sharedprefix": ("Shared Folders", "x", 0.1),
    "altprefix": ("Alt Folders", "Foo", 0.1),
    "implicit_owner_rights": ("lkxan", "lk", 0.1),
}

USUAL: Final = {
    **{name: usual for name, (usual, _other, _chance) in {**_SWITCHES, **_WORDS}.items()},
    "admins": "cyrus",
    "defaultdomain": "internal.invalid",
}


def random_configuration(rng: Random) -> dict[str, str]:
    """imapd.conf options as text; every option that changes an answer, most at their defaults."""
    options = {}
    for name, (usual, other, chance) in {**_SWITCHES, **_WORDS}.items():
        options[name] = other if rng.random() < chance else usual
    return {**USUAL, **options}


# --- questions ---

_PATTERNS: Final = (
    *("*", "*", "%", "%", "%/%", "%.%", "*%", "%*", "", "INBOX", "inbox", "INBOX*", "INBOX{s}%", "INBOX{s}*", "Foo%"),
    *("Foo*", "*o*", "%x", "x%", "*x", "{S}{s}%", "{S}*", "{O}{s}%", "{O}{s}mar%", "{O}%", "{O}{s}*", "user%"),
    *("user{s}%", "user{s}mar*", "user{s}*", "{A}{s}*", "{A}%", "x{s}*", "%{s}x", "*{s}x", "%{s}%{s}%", "a.b%", "a^b%"),
    *("DELETED*", "DELETED{s}%", "{S}{s}*%", "*{s}%", "%@a.b*", "{O}{s}mar%{s}*", "?*", "N*", "mar*%"),
)
_REFERENCES: Final = ("", "", "", "", "", "user{s}", "{S}{s}", "{O}{s}mar", "INBOX", "x{s}")
_FORMS: Final = (
    *('LIST "{r}" "{p}"',) * 4,
    'RLIST "{r}" "{p}"',
    'XLIST "{r}" "{p}"',
    'LSUB "{r}" "{p}"',
    'RLSUB "" "{p}"',
    'LIST (SUBSCRIBED) "" "{p}"',
    'LIST (SUBSCRIBED) "" ("{p}" "{q}") RETURN (CHILDREN MYRIGHTS)',
    'LIST (SUBSCRIBED RECURSIVEMATCH) "{r}" "{p}"',
    'LIST (SUBSCRIBED RECURSIVEMATCH REMOTE) "" ("{p}" "{q}") RETURN (MYRIGHTS SPECIAL-USE)',
    'LIST "" "{p}" RETURN (SUBSCRIBED MYRIGHTS)',
    'LIST "{r}" "{p}" RETURN (MYRIGHTS)',
    'LIST "" "{p}" RETURN ()',
    'LIST "" ("{p}" "{q}")',
    'LIST () "" ("{p}" "{q}" "x") RETURN (SUBSCRIBED)',
    'LIST (SPECIAL-USE) "" "{p}"',
    'LIST (SPECIAL-USE SUBSCRIBED) "" "{p}" RETURN (SPECIAL-USE)',
    'LIST (vendor.cmu-dav) "" "{p}" RETURN (MYRIGHTS)',
    'LIST (vendor.cmu-include-deleted) "" "{p}"',
    'LIST (vendor.fm-include-nonexistent) "" "{p}"',
    'LIST (vendor.fm-include-nonexistent vendor.cmu-dav) "" ("{p}" "{q}") RETURN (MYRIGHTS SUBSCRIBED)',
    'LIST (RECURSIVEMATCH) "" "{p}"',
    'XLIST "" ("{p}")',
)


def random_listing(rng: Random, config: Mapping[str, str], world: World | None = None) -> bytes:
    """A LIST or one of its kin; half of its patterns begin like a name of the world, if there is one."""
    words = {
        "s": "/" if config.get("unixhierarchysep", "yes") == "yes" else ".",
        "S": config.get("sharedprefix", "Shared Folders"),
        "O": config.get("userprefix", "Other Users"),
        "A": config.get("altprefix", "Alt Folders"),
    }
    # A list of empty patterns alone is answered by nothing at all, not even a tagged line.
    near = [*_near_names(rng, config, world)] if world is not None else []
    p, q = (rng.choice(_PATTERNS).format(**words) if not near or rng.random() < 0.5 else near.pop() for _ in range(2))
    form = rng.choice(_FORMS)
    if '("' in form and not p:
        p = "*"
    return form.format(r=rng.choice(_REFERENCES).format(**words), p=p, q=q).encode()


def _near_names(rng: Random, config: Mapping[str, str], world: World) -> Iterator[str]:
    """Patterns, at most two: the beginning of a mailbox's or a subscription's name, then what may follow.

    Names with parentheses and the like are left out: a server dies of some patterns with them.
    """
    keys = [*world.mailboxes, *(key for keys in world.subscribed.values() for key in keys)]
    for _ in range(2 if keys else 0):
        name = _typed(rng, config, rng.choice(keys).decode(errors="replace"))
        if all(letter.isascii() and (letter.isalnum() or letter in " -./#@") for letter in name):
            yield name[: rng.randint(1, len(name))] + rng.choice(("", "*", "%", "%", "/%", "%/%", "*%"))


def random_question(rng: Random, config: Mapping[str, str], world: World) -> bytes:
    """NAMESPACE, MYRIGHTS, GETACL or LISTRIGHTS about a name as somebody might type it."""
    verb = rng.choice(("MYRIGHTS", "MYRIGHTS", "MYRIGHTS", "GETACL", "LISTRIGHTS", "NAMESPACE"))
    if verb == "NAMESPACE":
        return b"NAMESPACE"
    name = _quoted(_typed(rng, config, rng.choice(list(world.mailboxes)).decode()))
    if verb == "LISTRIGHTS":
        name += " " + _quoted(rng.choice((*IDENTIFIERS, "-ann", "Ann")))
    return f"{verb} {name}".encode()


def random_battery(rng: Random, config: Mapping[str, str], world: World, listings: int, questions: int) -> list[bytes]:
    """So many of both."""
    battery = [random_listing(rng, config, world) for _ in range(listings)]
    return battery + [random_question(rng, config, world) for _ in range(questions)]


def _quoted(text: str) -> str:
    octets = text.encode()
    if len(octets) != len(text):
        return f"{{{len(octets)}+}}\r\n{text}"
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _typed(rng: Random, config: Mapping[str, str], key: str) -> str:
    """Some spelling of a key name: right for some view, or nearly."""
    separator = "/" if config.get("unixhierarchysep", "yes") == "yes" else "."
    domain, mark, path = key.rpartition("\x1d")
    parts = [part if separator == "/" else part.replace(".", "^") for part in path.split("\x1f")]
    own, others, shared = parts[2:], [config["userprefix"], *parts[1:]], [config["sharedprefix"], *parts]
    spellings = [parts, parts, own, ["INBOX", *own], others, shared, [config["altprefix"], *own]]
    text = separator.join(rng.choice(spellings))
    if mark and rng.random() < 0.5:
        text += "@" + domain
    mangle = rng.random()
    if mangle < 0.06:
        text = text.replace(separator, 2 * separator)
    elif mangle < 0.12:
        text += separator
    elif mangle < 0.16:
        text = text.swapcase()
    elif mangle < 0.2:
        text = rng.choice(("\\Sent", "\\inbox", "\\Trash", "inbox", "x@a.b", "^", "user", text + "@"))
    return text or "INBOX"
