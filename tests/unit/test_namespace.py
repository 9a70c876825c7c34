"""pyxlist.namespace: typed names to key names and back, in every kind of view."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxlist.config import Config
from pyxlist.namespace import Namespace, is_special_use

ALT = Config(defaultdomain="corp.test")
NETNEWS_ALT = dataclasses.replace(ALT, unixhierarchysep=False)
PLAIN = dataclasses.replace(ALT, altnamespace=False)
NETNEWS = dataclasses.replace(PLAIN, unixhierarchysep=False)
VIRT = dataclasses.replace(ALT, virtdomains="userid")
CROSS = dataclasses.replace(VIRT, crossdomains=True)
CROSS_PLAIN = dataclasses.replace(CROSS, altnamespace=False)
ONLY_OTHER = dataclasses.replace(CROSS, crossdomains_onlyother=True)

MAR_ALT = Namespace(ALT, "mar", False)
MAR_NETNEWS_ALT = Namespace(NETNEWS_ALT, "mar", False)
MAR_PLAIN = Namespace(PLAIN, "mar", False)
MAR_NETNEWS = Namespace(NETNEWS, "mar", False)
MAR_VIRT = Namespace(VIRT, "mar@a.org", False)
MAR_CROSS = Namespace(CROSS, "mar@a.org", False)
MAR_CROSS_PLAIN = Namespace(CROSS_PLAIN, "mar@a.org", False)
MAR_ONLY_OTHER = Namespace(ONLY_OTHER, "mar@a.org", False)
ADMIN = Namespace(ALT, "cyrus", True)
ADMIN_VIRT = Namespace(VIRT, "cyrus", True)
ADMIN_NETNEWS = Namespace(NETNEWS, "cyrus", True)

# Names that are typed and shown in the same way.
BOTH_WAYS = [
    (MAR_ALT, b"INBOX", b"user\x1fmar"),
    (MAR_ALT, b"Foo", b"user\x1fmar\x1fFoo"),
    (MAR_ALT, b"a.b/c", b"user\x1fmar\x1fa.b\x1fc"),
    (MAR_ALT, b"INBOX/sub", b"user\x1fmar\x1fINBOX\x1fsub"),
    (MAR_ALT, b"Alt Folders/INBOX", b"user\x1fmar\x1fINBOX"),
    (MAR_ALT, b"Alt Folders/inbox/x", b"user\x1fmar\x1finbox\x1fx"),
    (MAR_ALT, b"Alt Folders/Other Users", b"user\x1fmar\x1fOther Users"),
    (MAR_ALT, b"Alt Folders/Shared Folders/x", b"user\x1fmar\x1fShared Folders\x1fx"),
    (MAR_ALT, b"Alt Folders/Alt Folders", b"user\x1fmar\x1fAlt Folders"),
    (MAR_ALT, b"Other Users/joe", b"user\x1fjoe"),
    (MAR_ALT, b"Other Users/car.ol/x", b"user\x1fcar.ol\x1fx"),
    (MAR_ALT, b"Shared Folders/pub/x", b"pub\x1fx"),
    (MAR_ALT, b"Shared Folders/INBOX", b"INBOX"),
    (MAR_NETNEWS_ALT, b"a^b.c", b"user\x1fmar\x1fa.b\x1fc"),
    (MAR_NETNEWS_ALT, b"Other Users.car^ol", b"user\x1fcar.ol"),
    (MAR_PLAIN, b"INBOX", b"user\x1fmar"),
    (MAR_PLAIN, b"INBOX/INBOX", b"user\x1fmar\x1fINBOX"),
    (MAR_PLAIN, b"user/joe/x", b"user\x1fjoe\x1fx"),
    (MAR_PLAIN, b"pub", b"pub"),
    (MAR_PLAIN, b"DELETED/pub/6B04A050", b"DELETED\x1fpub\x1f6B04A050"),
    (MAR_NETNEWS, b"INBOX.a^b", b"user\x1fmar\x1fa.b"),
    (MAR_VIRT, b"INBOX", b"a.org\x1duser\x1fmar"),
    (MAR_VIRT, b"Other Users/joe/x", b"a.org\x1duser\x1fjoe\x1fx"),
    (MAR_VIRT, b"Other Users/j@b.org", b"a.org\x1duser\x1fj@b.org"),
    (MAR_VIRT, b"Shared Folders/pub", b"a.org\x1dpub"),
    (MAR_VIRT, b"h!i", b"a.org\x1duser\x1fmar\x1fh!i"),
    (MAR_CROSS, b"Foo", b"a.org\x1duser\x1fmar\x1fFoo"),
    (MAR_CROSS, b"Other Users/joe@a.org/x", b"a.org\x1duser\x1fjoe\x1fx"),
    (MAR_CROSS, b"Other Users/joe@b.org", b"b.org\x1duser\x1fjoe"),
    (MAR_CROSS, b"Other Users/joe@corp.test", b"user\x1fjoe"),
    (MAR_CROSS, b"Shared Folders/pub@b.org/x", b"b.org\x1dpub\x1fx"),
    (MAR_CROSS, b"Shared Folders/pub@corp.test", b"pub"),
    (MAR_CROSS_PLAIN, b"user/joe@b.org", b"b.org\x1duser\x1fjoe"),
    (MAR_CROSS_PLAIN, b"pub", b"a.org\x1dpub"),
    (MAR_CROSS_PLAIN, b"INBOX/x", b"a.org\x1duser\x1fmar\x1fx"),
    (MAR_ONLY_OTHER, b"Other Users/joe", b"a.org\x1duser\x1fjoe"),
    (MAR_ONLY_OTHER, b"Other Users/joe@b.org", b"b.org\x1duser\x1fjoe"),
    (MAR_ONLY_OTHER, b"Shared Folders/pub/x", b"a.org\x1dpub\x1fx"),
    (ADMIN, b"user/mar/Foo", b"user\x1fmar\x1fFoo"),
    (ADMIN, b"pub", b"pub"),
    (ADMIN, b"INBOX/x", b"user\x1fcyrus\x1fx"),
    (ADMIN, b"DELETED/user/mar/Foo/6B04A050", b"DELETED\x1fuser\x1fmar\x1fFoo\x1f6B04A050"),
    (ADMIN_VIRT, b"user/mar/Foo@a.org", b"a.org\x1duser\x1fmar\x1fFoo"),
    (ADMIN_VIRT, b"pub@a.org", b"a.org\x1dpub"),
    (ADMIN_VIRT, b"user/mar", b"user\x1fmar"),
    (ADMIN_VIRT, b"DELETED/pub/6B04A050@a.org", b"a.org\x1dDELETED\x1fpub\x1f6B04A050"),
    (ADMIN_NETNEWS, b"user.mar^ta.x", b"user\x1fmar.ta\x1fx"),
]


@pytest.mark.parametrize(("view", "external", "key"), BOTH_WAYS)
def test_typed_and_shown(view: Namespace, external: bytes, key: bytes) -> None:
    """The canonical external name means the mailbox, and the mailbox is shown under it."""
    assert view.key_of(external) == key
    assert view.external_of(key) == external


@pytest.mark.parametrize(
    ("view", "typed", "key"),
    [
        (MAR_ALT, b"//Foo//", b"user\x1fmar\x1fFoo"),
        (MAR_ALT, b"inbox", b"user\x1fmar"),
        (MAR_ALT, b"inbox//sub", b"user\x1fmar\x1fINBOX\x1fsub"),
        (MAR_ALT, b"Inbox/INBOX", b"user\x1fmar\x1fINBOX\x1fINBOX"),
        (MAR_ALT, b"Alt Folders", b"user\x1fmar"),
        (MAR_ALT, b"alt folders/INBOX", b"user\x1fmar\x1falt folders\x1fINBOX"),
        (MAR_ALT, b"Shared Folders/user", b"user"),
        (MAR_ALT, b"Shared Folders/user/joe", b"user\x1fjoe"),
        (MAR_ALT, b"Shared Folders/DELETED/pub/6b04a050", b"DELETED\x1fpub\x1f6B04A050"),
        (MAR_ALT, b"h!i", b"user.mar.h\x1di"),
        (MAR_ALT, b"\\Inbox", b"user\x1fmar"),
        (MAR_ALT, b"\\iNBOX", b"user\x1fmar"),
        (MAR_PLAIN, b"inbox/x", b"user\x1fmar\x1fx"),
        (MAR_CROSS, b"Other Users/joe", b"user\x1fjoe"),
        (MAR_CROSS, b"Other Users/joe@", b"\x1duser\x1fjoe"),
        (MAR_CROSS, b"Shared Folders/pub", b"pub"),
        (ADMIN_VIRT, b"pub@corp.test", b"pub"),
        (ADMIN_VIRT, b"pub@", b"\x1dpub"),
        (ADMIN_VIRT, b"a@b@a.org", b"a.org\x1da@b"),
        (ADMIN, b"pub@a.org", b"pub@a.org"),
        (ADMIN, b"DELETED/AB", b"DELETED\x1fAB"),
    ],
)
def test_other_spellings_that_are_understood(view: Namespace, typed: bytes, key: bytes) -> None:
    """Doubled separators, INBOX in any case, omitted domains and the like mean what they mean to Cyrus."""
    assert view.key_of(typed) == key


@pytest.mark.parametrize(
    ("view", "typed"),
    [
        (MAR_ALT, b""), (MAR_ALT, b"/"), (MAR_ALT, b"a^b"), (MAR_ALT, b"Other Users"),
        (MAR_ALT, b"Shared Folders/"),
        (MAR_ALT, b"\\Sent"), (MAR_ALT, b"a\x1fb"), (MAR_ALT, b"a\x1db"), (MAR_ALT, b"a\0"),
        (MAR_NETNEWS, b"INBOX.a/b"), (MAR_PLAIN, b"user"), (ADMIN, b"DELETED"),
        (ADMIN, b"DELETED/pub"), (ADMIN, b"user/"),
    ],
)  # fmt: skip
def test_names_that_mean_nothing(view: Namespace, typed: bytes) -> None:
    """Empty names, foreign separators, bare prefixes and structure octets name no mailbox."""
    assert view.key_of(typed) is None


@pytest.mark.parametrize(
    ("view", "key"),
    [
        (MAR_ALT, b"DELETED\x1fpub\x1f6B04A050"),
        (MAR_ALT, b"DELETED\x1fuser\x1fmar\x1fx\x1f6B04A050"),
        (MAR_ALT, b"a.org\x1duser\x1fjoe"),
        (MAR_ALT, b"a.org\x1dpub"),
        (MAR_PLAIN, b"INBOX"),
        (MAR_PLAIN, b"Inbox\x1fx"),
        (MAR_PLAIN, b"a.org\x1dpub"),
        (MAR_PLAIN, b"a.org\x1duser\x1fjoe"),
        (MAR_VIRT, b"pub"),
        (MAR_CROSS_PLAIN, b"pub"),
        (ADMIN, b"a.org\x1dpub"),
        (MAR_ALT, b""),
    ],
)
def test_mailboxes_without_external_name(view: Namespace, key: bytes) -> None:
    """Deleted mailboxes in the alternate namespace, other domains and INBOX look-alikes cannot be spelled."""
    assert view.external_of(key) is None


@pytest.mark.parametrize(
    ("view", "key", "external"),
    [
        (MAR_ALT, b"user", b"Other Users"),
        (MAR_PLAIN, b"user", b"user"),
        (MAR_ALT, b"c^d", b"Shared Folders/c^d"),
        (MAR_PLAIN, b"DELETED\x1fuser\x1fmar\x1fx\x1fFF", b"DELETED/user/mar/x/FF"),
        (MAR_CROSS, b"user", b"Other Users"),
        (ADMIN_VIRT, b"a.org\x1duser", b"user@a.org"),
    ],
)
def test_shown_names_that_cannot_be_typed_back(view: Namespace, key: bytes, external: bytes) -> None:
    """Some names are shown although typing them means nothing or another mailbox."""
    assert view.external_of(key) == external
    assert view.key_of(external) != key or key.startswith(b"DELETED")


@pytest.mark.parametrize(
    ("config", "userid", "prefix", "domain", "lists_own"),
    [
        (ALT, "Mar", b"user\x1fmar", None, True),
        (ALT, "mar.ta", b"user\x1fmar.ta", None, True),
        (NETNEWS, "mar.ta", b"user\x1fmar.ta", None, False),
        (
            dataclasses.replace(NETNEWS, virtdomains="userid"),
            "mar@a.org",
            b"a.org\x1duser\x1fmar",
            b"a.org",
            True,
        ),
        (NETNEWS, "mar@a.org", b"a.org\x1duser\x1fmar", b"a.org", False),
        (VIRT, "mar@CORP.test", b"user\x1fmar", None, True),
        (VIRT, "mar%a.org", b"a.org\x1duser\x1fmar", b"a.org", True),
    ],
)
def test_the_view_itself(config: Config, userid: str, prefix: bytes, domain: bytes | None, lists_own: bool) -> None:
    """Userid, INBOX key and domain are canonical; a separator in the userid hides the own mailboxes."""
    view = Namespace(config, userid, False)
    assert (view.owner_prefix, view.domain, view.lists_own) == (prefix, domain, lists_own)
    assert view.owns(prefix) and view.owns(prefix + b"\x1fx") and not view.owns(b"user\x1fmartha")


def test_admins_never_list_their_own() -> None:
    """An admin's view is never alternate, and shows no mailboxes as its own."""
    assert (ADMIN.is_alt, ADMIN.lists_own, ADMIN.crossdomains) == (False, False, False)


def test_special_use_names() -> None:
    """A leading backslash asks for a special use."""
    assert is_special_use(b"\\sent") and not is_special_use(b"Sent") and not is_special_use(b"")


@pytest.mark.parametrize(
    ("view", "has_inbox", "line"),
    [
        (MAR_ALT, True, b'* NAMESPACE (("" "/")) (("Other Users/" "/")) (("Shared Folders/" "/"))\r\n'),
        (MAR_NETNEWS, True, b'* NAMESPACE (("INBOX." ".")) (("user." ".")) (("" "."))\r\n'),
        (ADMIN, False, b'* NAMESPACE NIL (("user/" "/")) (("" "/"))\r\n'),
        (
            Namespace(dataclasses.replace(ALT, disable_user_namespace=True), "mar", False),
            False,
            b'* NAMESPACE NIL NIL (("Shared Folders/" "/"))\r\n',
        ),
        (
            Namespace(dataclasses.replace(ALT, disable_shared_namespace=True), "mar", True),
            True,
            b'* NAMESPACE (("INBOX/" "/")) (("user/" "/")) (("" "/"))\r\n',
        ),
    ],
)
def test_namespace_line(view: Namespace, has_inbox: bool, line: bytes) -> None:
    """NAMESPACE shows personal only with an INBOX, and hides disabled namespaces from all but admins."""
    assert view.namespace_line(has_inbox) == line


VIEWS = [
    MAR_ALT, MAR_NETNEWS_ALT, MAR_PLAIN, MAR_NETNEWS, MAR_VIRT, MAR_CROSS, MAR_CROSS_PLAIN, MAR_ONLY_OTHER,
    ADMIN, ADMIN_VIRT, ADMIN_NETNEWS,
]  # fmt: skip


@given(st.sampled_from(VIEWS), st.binary(max_size=40))
def test_no_octets_break_a_view(view: Namespace, octets: bytes) -> None:
    """Any octets, typed or stored, give a name or None."""
    key = view.key_of(octets)
    assert key is None or (key and b"\0" not in key)
    assert isinstance(view.external_of(octets), bytes | None)


words = st.sampled_from(["user", "mar", "joe", "INBOX", "inbox", "pub", "Other Users", "Alt Folders", "a.b", "x@a.org"])


@given(
    st.sampled_from(VIEWS),
    st.sampled_from(["", "a.org\x1d", "b.org\x1d"]),
    st.lists(words, min_size=1, max_size=4),
)
def test_what_is_shown_means_the_mailbox(view: Namespace, domain: str, path: list[str]) -> None:
    """Whenever a view shows a name, typing that name means the same mailbox (the lone shared `user`
    excepted).
    """
    key = (domain + "\x1f".join(path)).encode()
    external = view.external_of(key)
    if external is not None and path != ["user"] and not _ambiguous(view, path):
        assert view.key_of(external) == key


def _ambiguous(view: Namespace, path: list[str]) -> bool:
    """Spellings that Cyrus itself reads differently: `@` where the view puts or expects a domain."""
    return any("@" in word for word in path)
