"""pyxlist.acl: rights as values, evaluation policies, the decisions of the ACL commands, SETACL."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxlist.acl import (
    Asker,
    CyrusPolicy,
    MostSpecificPolicy,
    Rights,
    canonical_identifier,
    canonical_userid,
    effective,
    expand,
    implicit_rights,
    myrights,
    refusal,
    rights_groups,
    set_grant,
)
from pyxlist.config import Config

BOB = frozenset({"bob", "anyone", "group:staff"})


def rights(text: str) -> Rights:
    return Rights.parse(text)


@pytest.mark.parametrize(
    ("stored", "printed"),
    [
        ("lrs", "lrs"), ("srl", "lrs"), ("", ""), ("LR", ""), ("l?r", "lr"),
        ("c", "kxc"), ("lc", "lkxc"), ("kc", "kc"), ("xc", "xc"), ("k", "kc"), ("x", "xc"),
        ("d", "ted"), ("td", "td"), ("lted", "lted"), ("lcd", "lkxtecd"), ("lrsc0", "lrskxc0"),
        ("lrswipkxtecdan", "lrswipkxtecdan"), ("9876543210nade", "edan0123456789"),
    ],
)  # fmt: skip
def test_stored_rights_and_how_they_print(stored: str, printed: str) -> None:
    """A macro counts only if no member is written; printing is canonical and adds a macro for any member."""
    assert str(rights(stored)) == printed


@pytest.mark.parametrize(
    ("letters", "bits"),
    [
        ("l", 1 << 0), ("r", 1 << 1), ("s", 1 << 2), ("w", 1 << 3), ("i", 1 << 4), ("p", 1 << 5),
        ("k", 1 << 6), ("x", 1 << 7), ("t", 1 << 8), ("e", 1 << 9), ("a", 1 << 10), ("n", 1 << 11),
        ("0", 1 << 12), ("9", 1 << 21),
        ("c", 1 << 6 | 1 << 7), ("d", 1 << 8 | 1 << 9),
    ],
)  # fmt: skip
def test_bits_are_those_of_the_c_core(letters: str, bits: int) -> None:
    """The bit of each right is fixed, because blocks on disk hold them."""
    assert rights(letters).mask == bits


@pytest.mark.parametrize(
    ("deleteright", "stored", "printed"),
    [
        ("d", "d", "xted"),
        ("d", "c", "kc"),
        ("d", "x", "xd"),
        ("c", "c", "kxc"),
        ("p", "p", "px"),
        ("p", "c", "kc"),
    ],
)
def test_deleteright_moves_x_between_macros(deleteright: str, stored: str, printed: str) -> None:
    """The option deleteright decides which macro includes x, or which plain right brings it along."""
    assert Rights.parse(stored, deleteright).format(deleteright) == printed


def test_rights_are_values() -> None:
    """Rights compare, hash, combine, iterate and pickle like a frozen set of letters."""
    lrs = rights("lrs")
    assert lrs == rights("srl") and hash(lrs) == hash(rights("srl")) and lrs != rights("lr")
    assert (lrs | rights("w"), lrs & rights("rw"), lrs - rights("s")) == (
        rights("lrsw"),
        rights("r"),
        rights("lr"),
    )
    assert "l" in lrs and "ls" in lrs and "w" not in lrs and "lw" not in lrs and "" not in lrs
    assert "c" in rights("x") and "d" not in rights("x")
    assert list(rights("kxa")) == ["k", "x", "a"]
    assert not rights("") and lrs
    assert repr(rights("x")) == "Rights('xc')"
    assert pickle.loads(pickle.dumps(lrs)) == lrs
    with pytest.raises(AttributeError):
        lrs.mask = 0  # type: ignore[misc]
    for mask in (1 << 22, -1):
        with pytest.raises(ValueError):
            Rights(mask)


@given(st.integers(0, (1 << 22) - 1))
def test_printed_rights_read_back(mask: int) -> None:
    """What is printed for any set of rights reads back as the same set."""
    assert Rights.parse(str(Rights(mask))).mask == mask


@pytest.mark.parametrize(
    ("acl", "result"),
    [
        ((), ""),
        ((("bob", "lrs"),), "lrs"),
        ((("al", "lrs"),), ""),
        ((("anyone", "l"), ("bob", "r"), ("group:staff", "s")), "lrs"),
        ((("anyone", "l"), ("al", "lrs"), ("-anyone", "l")), ""),
        ((("-bob", "w"), ("bob", "lrsw")), "lrs"),
        ((("-group:staff", "s"), ("-anyone", "r"), ("bob", "lrs")), "l"),
        ((("-group:staff", "s"),), ""),
        ((("--bob", "l"), ("bob", "lr")), "lr"),
        (
            (
                ("Bob", "l"),
                ("Anyone", "r"),
                ("anybody", "s"),
                ("owner", "w"),
                ("group:STAFF", "i"),
                ("staff", "p"),
            ),
            "",
        ),
        ((("bob", "l"), ("bob", "r")), "lr"),
        ((("bob", rights("lr")),), "lr"),
    ],
)
def test_effective_is_union_minus_union(acl: tuple[tuple[str, str], ...], result: str) -> None:
    """Every matching grant counts, every matching denial takes, and order does not matter."""
    assert str(effective(acl, BOB)) == result
    assert str(effective(tuple(reversed(acl)), BOB)) == result
    assert str(CyrusPolicy().effective(acl, Asker("bob", ("staff",)))) == result


def test_admin_implies_write_is_an_option() -> None:
    """With acl_admin_implies_write, a granted `a` brings the write rights, which a denial still removes."""
    acl = (("bob", "la"), ("-bob", "n"))
    config = Config(acl_admin_implies_write=True)
    assert str(CyrusPolicy.from_config(config).effective(acl, Asker("bob"))) == "lswiteda"
    assert str(CyrusPolicy.from_config(Config()).effective(acl, Asker("bob"))) == "la"


@pytest.mark.parametrize(
    ("acl", "is_owner", "result"),
    [
        ((("anyone", "lrs"), ("bob", "l")), False, "l"),
        ((("bob", "l"), ("anyone", "lrs")), False, "l"),
        ((("anyone", "l"), ("authenticated", "lr")), False, "lr"),
        ((("group:staff", "lr"), ("group:ops", "ls"), ("authenticated", "w")), False, "lrs"),
        ((("owner", "lrw"), ("group:staff", "l")), True, "lrw"),
        ((("owner", "lrw"), ("group:staff", "l")), False, "l"),
        ((("owner", "lrw"), ("bob", "lr")), True, "lr"),
        ((("group-override:staff", "l"), ("bob", "lrs")), False, "l"),
        ((("group-override:other", "l"), ("bob", "lrs")), False, "lrs"),
        ((("-bob", "s"), ("group:staff", "lrs")), False, "lr"),
        ((("-group:staff", "s"), ("-bob", "r"), ("bob", "lrs")), False, "ls"),
        ((("other:staff", "l"), ("al", "l")), False, ""),
    ],
)
def test_most_specific_policy(acl: tuple[tuple[str, str], ...], is_owner: bool, result: str) -> None:
    """Dovecot's order decides; groups of one class are united; denials are ranked apart from grants."""
    assert str(MostSpecificPolicy().effective(acl, Asker("bob", ("staff", "ops")), is_owner)) == result


def test_anonymous_is_not_authenticated() -> None:
    """Under the most specific policy `authenticated` does not reach the anonymous user, `anyone` does."""
    acl = (("anyone", "l"), ("authenticated", "lr"))
    assert str(MostSpecificPolicy().effective(acl, Asker("anonymous"))) == "l"


@pytest.mark.parametrize(
    ("stored", "is_owner", "is_admin", "answer"),
    [
        ("lrs", False, False, "lrs"), ("", False, False, None), ("", True, False, "lkxcan"),
        ("", False, True, "la"),
        ("", True, True, "la"), ("swpted059n", False, False, None), ("wi0", False, False, "wi0"),
        ("k", False, False, "kc"), ("x", False, False, "xc"), ("r", False, False, "r"),
        ("a", False, False, "a"),
        ("d", False, False, None),
    ],
)  # fmt: skip
def test_myrights(stored: str, is_owner: bool, is_admin: bool, answer: str | None) -> None:
    """MYRIGHTS answers if one of l r i k x a is held, after the implicit rights of admin or else owner."""
    implicit = implicit_rights(Config())
    got = myrights(rights(stored), is_owner=is_owner, is_admin=is_admin, implicit=implicit)
    assert (None if got is None else str(got)) == answer


@pytest.mark.parametrize(
    ("stored", "is_owner", "is_admin", "answer"),
    [
        ("a", False, False, None), ("", True, False, None), ("", False, True, None),
        ("lrswipkxten", False, False, "Permission denied"),
        ("rswipkxten", False, False, "Mailbox does not exist"),
    ],
)  # fmt: skip
def test_refusal_of_getacl_and_listrights(stored: str, is_owner: bool, is_admin: bool, answer: str | None) -> None:
    """They need a, ownership or adminship; without l the mailbox is said not to exist."""
    assert refusal(rights(stored), is_owner=is_owner, is_admin=is_admin) == answer


@pytest.mark.parametrize(
    ("known", "is_owner", "is_inbox", "answer"),
    [
        (True, True, True, "lkxcan r s w i p t e d 0 1 2 3 4 5 6 7 8 9"),
        (True, False, True, "p l r s w i k x t e c d a n 0 1 2 3 4 5 6 7 8 9"),
        (True, False, False, " l r s w i p k x t e c d a n 0 1 2 3 4 5 6 7 8 9"),
        (False, False, True, ""),
    ],
)
def test_listrights_groups(known: bool, is_owner: bool, is_inbox: bool, answer: str) -> None:
    """Required rights first, then every other right alone, macros where a member is optional."""
    implicit = implicit_rights(Config())
    groups = rights_groups(known=known, is_owner=is_owner, is_inbox=is_inbox, implicit=implicit)
    assert " ".join(groups) == answer


def test_listrights_macro_is_optional_when_one_member_is() -> None:
    """With k required but x not, c is printed both inside the required group and alone."""
    groups = rights_groups(known=True, is_owner=True, is_inbox=True, implicit=rights("lk"))
    assert groups[0] == "lkc" and "c" in groups[1:] and "x" in groups[1:] and "k" not in groups[1:]


VIRTUAL = Config(virtdomains="userid", defaultdomain="corp.test", admins=("cyrus",))


@pytest.mark.parametrize(
    ("config", "asker", "typed", "canonical", "echo"),
    [
        (Config(), "mar", "Bob", "bob", "Bob"),
        (Config(username_tolower=False), "mar", "Bob", "Bob", "Bob"),
        (Config(), "mar", "-anyone", "-anyone", "-anyone"),
        (Config(), "mar", "ANYBODY", "anyone", "ANYBODY"),
        (Config(), "mar", "Anonymous", "anonymous", "Anonymous"),
        (Config(), "mar", "group:Staff", "group:Staff", "group:Staff"),
        (Config(), "mar", "-group:staff", None, "-group:staff"),
        (Config(), "mar", "a/b", None, "a/b"),
        (Config(), "mar", "b\udce9", None, "b\udce9"),
        (Config(), "mar", "x" * 80, "x" * 80, "x" * 80),
        (Config(), "mar", "x" * 81, None, "x" * 81),
        (Config(admins=("cyrus",)), "mar", "CYRUS", "CYRUS", "CYRUS"),
        (VIRTUAL, "mar@example.com", "bob", "bob@example.com", "bob"),
        (VIRTUAL, "mar@example.com", "bob@Other.org", "bob@other.org", "bob@Other.org"),
        (VIRTUAL, "mar@example.com", "bob%other.org", "bob@other.org", "bob@other.org"),
        (VIRTUAL, "mar@example.com", "bob@CORP.test", "bob", "bob"),
        (VIRTUAL, "mar@example.com", "anyone", "anyone", "anyone"),
        (VIRTUAL, "mar@example.com", "anyone@x.org", "anyone", "anyone@x.org"),
        (VIRTUAL, "mar@example.com", "cyrus", "cyrus", "cyrus"),
        (VIRTUAL, "mar@example.com", "group:staff", None, "group:staff"),
        (VIRTUAL, "mar", "group:staff", "group:staff", "group:staff"),
        (VIRTUAL, "mar", "bob", "bob", "bob"),
    ],
)
def test_canonical_identifier(config: Config, asker: str, typed: str, canonical: str | None, echo: str) -> None:
    """Identifiers are folded, inherit the asker's domain, lose the default domain, or are refused."""
    reading = canonical_identifier(typed, config, asker)
    assert (reading.canonical, reading.echo) == (canonical, echo)


@pytest.mark.parametrize(
    ("config", "typed", "userid"),
    [
        (Config(), "Bob", "bob"),
        (Config(), "bob@corp.test", "bob@corp.test"),
        (Config(admins=("Cyrus",)), "Cyrus", "cyrus"),
        (Config(), "a/B", "a/b"),
        (VIRTUAL, "BOB@Corp.Test", "bob"),
        (VIRTUAL, "bob%example.com", "bob@example.com"),
        (VIRTUAL, "bob", "bob"),
        (VIRTUAL, "anonymous@x.org", "anonymous"),
    ],
)
def test_canonical_userid(config: Config, typed: str, userid: str) -> None:
    """A login name is folded and loses the default domain; admins are not exempt."""
    assert canonical_userid(typed, config) == userid


@pytest.mark.parametrize("userid", ["", "group:staff", "bob\x1fSent", "a\0b", "a\x7f"])
def test_canonical_userid_refuses_what_could_be_taken_for_something_else(userid: str) -> None:
    """A userid cannot pose as a group, nor smuggle separators into key names."""
    with pytest.raises(ValueError):
        canonical_userid(userid, Config())


@pytest.mark.parametrize(
    ("typed", "mode", "stored"),
    [
        ("lrs", "", "lrs"),
        ("c", "", "kxc"),
        ("d", "", "ted"),
        ("x", "", "xc"),
        ("+w", "+", "w"),
        ("-c", "-", "kxc"),
    ]
    + [("", "", ""), ("+", "+", ""), ("kc", "", "kc"), ("9l0", "", "l09")],
)
def test_expand(typed: str, mode: str, stored: str) -> None:
    """SETACL arguments give a mode and canonical stored rights."""
    got_mode, got_rights = expand(typed)
    assert (got_mode, str(got_rights)) == (mode, stored)


@pytest.mark.parametrize(("typed", "letter"), [("lq", "q"), ("L", "L"), ("l+", "+"), ("--l", "-")])
def test_expand_refuses_unknown_letters(typed: str, letter: str) -> None:
    """A letter that is no right is refused by name, with Cyrus' words."""
    with pytest.raises(ValueError) as caught:
        expand(typed)
    assert str(caught.value) == f"The {letter} right is not supported"


@pytest.mark.parametrize(
    ("identifier", "change", "result"),
    [
        ("al", "lr", (("mar", "lrsa"), ("bob", "lrs"), ("al", "lr"))),
        ("bob", "l", (("mar", "lrsa"), ("bob", "l"))),
        ("bob", "+wc", (("mar", "lrsa"), ("bob", "lrswkxc"))),
        ("bob", "-s", (("mar", "lrsa"), ("bob", "lr"))),
        ("bob", "", (("mar", "lrsa"),)),
        ("bob", "-lrs", (("mar", "lrsa"),)),
        ("zoe", "", (("mar", "lrsa"), ("bob", "lrs"))),
        ("-bob", "s", (("mar", "lrsa"), ("bob", "lrs"), ("-bob", "s"))),
        ("mar", "", (("mar", "lkxcan"), ("bob", "lrs"))),
        ("mar", "r", (("mar", "lrkxcan"), ("bob", "lrs"))),
        ("-mar", "lrsa", (("mar", "lrsa"), ("bob", "lrs"), ("-mar", "rs"))),
    ],
)
def test_set_grant(identifier: str, change: str, result: tuple[tuple[str, str], ...]) -> None:
    """A pair keeps its place, new ones go last, empty ones vanish, the owner keeps implicit rights."""
    acl = (("mar", "lrsa"), ("bob", "lrs"))
    implicit = implicit_rights(Config())
    assert set_grant(acl, identifier, change, owner="mar", implicit=implicit) == result


def test_set_grant_without_owner_and_bad_identifiers() -> None:
    """Without an owner nothing is kept, and an empty identifier is refused."""
    assert set_grant((("mar", "lrsa"),), "mar", "") == ()
    for identifier in ("", "-"):
        with pytest.raises(ValueError):
            set_grant((), identifier, "l")


@given(st.text("lrswipkxtecdan0123456789", max_size=6), st.sampled_from(["", "+", "-"]))
def test_set_grant_twice_is_once(letters: str, mode: str) -> None:
    """Applying the same change again leaves the ACL as it is."""
    once = set_grant((("bob", "lrs"), ("al", "l")), "bob", mode + letters)
    assert set_grant(once, "bob", mode + letters) == once
