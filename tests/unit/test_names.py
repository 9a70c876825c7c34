"""pyxlist.names: key names, internal names, parts, owners."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxlist.config import Config
from pyxlist.names import (
    MailboxName,
    internal_from_key,
    is_inbox,
    key_from_internal,
    octets_of,
    owner_of,
    text_of,
)

CONFIG = Config(defaultdomain="corp.test")

SPELLINGS = [
    ("user.alice", b"user\x1falice"),
    ("user.alice.Sent", b"user\x1falice\x1fSent"),
    ("user.carol^ann.a^b", b"user\x1fcarol.ann\x1fa.b"),
    ("shared", b"shared"),
    ("pub.a b", b"pub\x1fa b"),
    ("example.com!user.alice.Sent", b"example.com\x1duser\x1falice\x1fSent"),
    ("DELETED.user.al.x.6B04A050", b"DELETED\x1fuser\x1fal\x1fx\x1f6B04A050"),
    ("example.com!h!i", b"example.com\x1dh!i"),
    ("caf\udce9", b"caf\xe9"),
    ("", b""),
]


@pytest.mark.parametrize(("internal", "key"), SPELLINGS)
def test_internal_and_key_names(internal: str, key: bytes) -> None:
    """The two spellings translate into each other, domains and literal dots included."""
    assert key_from_internal(internal) == key
    assert internal_from_key(key) == internal


components = st.binary(min_size=1, max_size=6).filter(lambda octets: not set(octets) & set(b"\x00\x1d\x1f^!"))


@given(st.none() | components, st.lists(components, min_size=1, max_size=4))
def test_every_proper_key_survives_the_round_trip(domain: bytes | None, path: list[bytes]) -> None:
    """Whatever octets a key name holds, short of ^ and !, its internal name leads back to it."""
    key = (b"" if domain is None else domain + b"\x1d") + b"\x1f".join(path)
    assert key_from_internal(internal_from_key(key)) == key


@given(st.binary())
def test_octets_and_text_are_lossless(octets: bytes) -> None:
    """Any octets come back unchanged from their text form."""
    assert octets_of(text_of(octets)) == octets


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (b"user\x1falice", MailboxName(None, b"alice", ())),
        (b"user\x1falice\x1fSent", MailboxName(None, b"alice", (b"Sent",))),
        (b"user", MailboxName(None, None, (b"user",))),
        (b"pub\x1fx", MailboxName(None, None, (b"pub", b"x"))),
        (b"a.org\x1duser\x1fbob", MailboxName(b"a.org", b"bob", ())),
        (b"DELETED\x1fpub\x1fFF", MailboxName(None, None, (b"pub",), 255)),
        (b"DELETED\x1fuser\x1fbob\x1fFF", MailboxName(None, b"bob", (), 255)),
        (b"DELETED\x1fpub", MailboxName(None, None, (b"DELETED", b"pub"))),
        (b"DELETED\x1fpub\x1fzz", MailboxName(None, None, (b"pub",), 0)),
        (b"DELETED\x1fpub\x1f0x1f", MailboxName(None, None, (b"pub",), 31)),
        (b"DELETED\x1fpub\x1f-1", MailboxName(None, None, (b"pub",), 2**64 - 1)),
        (b"a\x1f\x1fb", MailboxName(None, None, (b"a", b"b"))),
        (b"", MailboxName(None, None, ())),
    ],
)
def test_parts_of_a_key(key: bytes, name: MailboxName) -> None:
    """Domain, owner, components and the stamp of deleted mailboxes are told apart as Cyrus does."""
    assert MailboxName.from_key(key, CONFIG) == name


@pytest.mark.parametrize(
    "key",
    [
        b"user\x1falice\x1fSent",
        b"a.org\x1dDELETED\x1fuser\x1fbob\x1fx\x1f6B04A050",
        b"pub",
        b"a.org\x1dpub\x1fx",
    ],
)
def test_parts_give_the_key_back(key: bytes) -> None:
    """A proper key name is rebuilt from its parts, directly and by way of the internal name."""
    name = MailboxName.from_key(key, CONFIG)
    assert name.to_key(CONFIG) == key
    assert name.as_read_by_acl(CONFIG).to_key(CONFIG) == key
    assert text_of(name.to_internal(CONFIG)) == internal_from_key(key)


@pytest.mark.parametrize(
    ("key", "owner", "inbox"),
    [
        (b"user\x1falice", "alice", True),
        (b"user\x1falice\x1fSent", "alice", False),
        (b"user\x1fcarol.ann", "carol.ann", True),
        (b"a.org\x1duser\x1fbob", "bob@a.org", True),
        (b"corp.test\x1duser\x1fbob", "bob", True),
        (b"DELETED\x1fuser\x1fbob\x1fFF", "bob", False),
        (b"user", None, False),
        (b"pub\x1fx", None, False),
        (b"a.org\x1dpub", None, False),
        (b"user\x1fmar\x1fh!i", None, False),
        (b"a.org\x1duser\x1fmar\x1fh!i", "mar@a.org", False),
        (b"user\x1fa^b", "a.b", True),
        (b"", None, False),
    ],
)
def test_owner_and_inbox(key: bytes, owner: str | None, inbox: bool) -> None:
    """Owners are userids without the default domain; `!` in a name without domain costs it its owner."""
    assert owner_of(key, CONFIG) == owner
    assert is_inbox(key, CONFIG) is inbox


@given(st.binary(max_size=30))
def test_no_octets_break_the_readers(octets: bytes) -> None:
    """Every octet string is some name: nothing raises, and an owner is text or None."""
    name = MailboxName.from_key(octets, CONFIG)
    assert isinstance(name.to_key(CONFIG), bytes)
    assert isinstance(owner_of(octets, CONFIG), str | None)
    assert isinstance(is_inbox(octets, CONFIG), bool)
