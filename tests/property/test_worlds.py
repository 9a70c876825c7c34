"""Random worlds: every answer of every user equals the oracle's, after a build and after updates."""

from __future__ import annotations

import pathlib
import tempfile
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pyxlist
from tests import oracle
from tests.sources import escape, value, write_flat

USERS = ("ann", "mar", "marta", "mar.ta", "joe@a.b", "guest", "anonymous", "cyrus")
GROUPS = {"staff": ["ann", "mar"], "crew": ["mar", "joe@a.b"]}
IDENTIFIERS = ("ann", "mar", "marta", "joe@a.b", "anyone", "anonymous", "group:staff", "group:crew", "owner")
COMPONENTS = (
    "Foo",
    "foo bar",
    "a.b",
    "x",
    "INBOX",
    "inbox",
    "Shared Folders",
    "#calendars",
    "DELETED",
    "NIL",
    "Sent",
    "p%",
    "z",
)
RIGHTS = ("l", "lrs", "lrswipkxtecdan", "r", "p", "lr0", "")
TYPES = ("e",) * 12 + ("c", "n", "ei", "ed", "em", "ez", "eil")
USES = (b"\\Sent", b"\\Trash", b"\\Junk")
PATTERNS = (
    "*",
    "%",
    "%/%",
    "%.%",
    "*%",
    "%*",
    "INBOX",
    "inbox",
    "INBOX*",
    "INBOX/%",
    "INBOX.%",
    "Foo%",
    "Foo*",
    "*o*",
    "%x",
    "Shared Folders/%",
    "Shared Folders*",
    "Other Users/%",
    "Other Users/mar%",
    "user.%",
    "user/mar*",
    "user/*",
    "Alt Folders/*",
    "",
    "x/*",
    "%/x",
    "*/x",
    "*.x",
    "a.b%",
    "a^b%",
    "DELETED*",
)
FORMS = (
    'LIST "{r}" "{p}"',
    'LIST "{r}" "{p}"',
    'LIST "{r}" "{p}"',
    'XLIST "" "{p}"',
    'LSUB "" "{p}"',
    'LIST (SUBSCRIBED) "" "{p}"',
    'LIST (SUBSCRIBED RECURSIVEMATCH) "" "{p}"',
    'LIST "" "{p}" RETURN (SUBSCRIBED MYRIGHTS)',
    'LIST "" ("{p}" "{q}")',
    'LIST (SPECIAL-USE) "" "{p}"',
    'LIST (vendor.cmu-dav) "" "{p}"',
    'LIST (vendor.fm-include-nonexistent) "" "{p}"',
    'LIST (SUBSCRIBED) "" ("{p}" "{q}") RETURN (CHILDREN MYRIGHTS)',
    "NAMESPACE",
)

names = st.builds(
    lambda top, path: "\x1f".join((*top, *path)).encode(),
    st.sampled_from(
        [
            (),
            ("user", "ann"),
            ("user", "mar"),
            ("user", "marta"),
            ("user", "mar.ta"),
            ("user", "joe"),
            ("DELETED", "user", "ann"),
        ]
    ),
    st.lists(st.sampled_from(COMPONENTS), max_size=3),
).filter(bool)
acls = st.lists(
    st.builds(
        lambda sign, who, rights: f"{sign}{who} {rights}" if rights else f'{sign}{who} ""',
        st.sampled_from(["", "", "", "-"]),
        st.sampled_from(IDENTIFIERS),
        st.sampled_from(RIGHTS),
    ),
    max_size=4,
).map(" ".join)
configs = st.fixed_dictionaries(
    {
        "altnamespace": st.booleans(),
        "unixhierarchysep": st.booleans(),
        "virtdomains": st.sampled_from(["off", "userid"]),
        "crossdomains": st.booleans(),
        "foolstupidclients": st.booleans(),
        "allowdeleted": st.booleans(),
        "admins": st.just("cyrus"),
        "defaultdomain": st.just("internal.invalid"),
    }
)


@st.composite
def worlds(draw: st.DrawFn) -> dict[str, Any]:
    """A mailboxes.db with owners' INBOXes, a configuration, subscriptions and special-use attributes."""
    config = draw(configs)
    domains = st.sampled_from([b"", b"", b"", b"a.b\x1d"] if config["virtdomains"] == "userid" else [b""])
    keys = draw(st.sets(st.builds(bytes.__add__, domains, names), max_size=25))
    keys |= {b"user\x1fann", b"user\x1fmar"}
    entries = {}
    for number, key in enumerate(sorted(keys)):
        acl = draw(acls)
        owner = oracle_owner(key)
        acl = f"{owner} lrswipkxtecdan {acl}".strip() if owner and draw(st.booleans()) else acl
        entries[key] = (acl, draw(st.sampled_from(TYPES)), f"id{number:022}")
    subscribed = draw(
        st.dictionaries(st.sampled_from(["ann", "mar"]), st.sets(st.sampled_from(sorted(keys)) | names, max_size=6))
    )
    uses = draw(st.dictionaries(st.sampled_from(sorted(keys)), st.sampled_from(USES), max_size=4))
    return {"config": config, "entries": entries, "subscribed": subscribed, "uses": uses}


def oracle_owner(key: bytes) -> str | None:
    domain, mark, path = key.rpartition(b"\x1d")
    parts = path.split(b"\x1f")
    if parts[0] != b"user" or len(parts) < 2:
        return None
    return parts[1].decode() + (f"@{domain.decode()}" if mark else "")


def stored(key: bytes, userid: str) -> bytes:
    inbox = b"user\x1f" + userid.encode()
    return b"INBOX" + key[len(inbox) :] if key.startswith(inbox) else key


def commands(draw: st.DataObject, count: int) -> list[bytes]:
    chosen = []
    for _ in range(count):
        form = draw.draw(st.sampled_from(FORMS))
        p, q = (draw.draw(st.sampled_from(PATTERNS)) for _ in range(2))
        reference = draw.draw(st.sampled_from(["", "", "", "user/", "Shared Folders/"]))
        chosen.append(form.format(r=reference, p=p, q=q).encode())
    return chosen


def write(folder: pathlib.Path, world: dict[str, Any]) -> dict[str, Any]:
    """The world's files; the arguments a build takes."""
    conf = folder / "imapd.conf"
    conf.write_text(
        "".join(f"{name}: {int(text) if isinstance(text, bool) else text}\n" for name, text in world["config"].items())
    )
    write_flat(folder / "db", {key: value(*entry) for key, entry in world["entries"].items()})
    subs = folder / "subs"
    subs.mkdir(exist_ok=True)
    for userid, keys in world["subscribed"].items():
        uniqueid = world["entries"][b"user\x1f" + userid.encode()][2]
        rows = sorted((b"N" + stored(key, userid) for key in keys), key=lambda row: row.replace(b".", b"\x01"))
        (subs / f"{uniqueid}.sub.db").write_bytes(b"\x1fVER\x1f\t2\n" + b"".join(escape(row) + b"\t\n" for row in rows))
    records = []
    for key, use in world["uses"].items():
        size = len(use).to_bytes(4, "big") + bytes(4)
        name = world["entries"][key][2].encode() + b"\0/specialuse\0[.OwNeR.]\0"
        records.append((name, size + use + b"\0text/plain\0" + bytes(16)))
    (folder / "annotations.db").write_bytes(
        b"".join(escape(key) + b"\t" + escape(data) + b"\n" for key, data in sorted(records))
    )
    config = pyxlist.Config.from_imapd_conf(conf)
    options = {"config": config, "subscriptions": subs}
    return {**options, "annotations": folder / "annotations.db"} if records else options


def model(world: dict[str, Any]) -> oracle.World:
    entries = {
        key: oracle.make_entry(acl.replace('""', "-"), mbtype, uniqueid)
        for key, (acl, mbtype, uniqueid) in world["entries"].items()
    }
    subscriptions = {
        userid: ([stored(key, userid) for key in keys], True) for userid, keys in world["subscribed"].items()
    }
    uses = {(key, oracle.OWNER): use for key, use in world["uses"].items()}
    return oracle.World(entries, world["config"], GROUPS, subscriptions, uses, pattern_operators=False)


def groups_of(userid: str) -> tuple[str, ...]:
    return tuple(name for name, members in GROUPS.items() if userid in members)


def compare(index_path: pathlib.Path, world: dict[str, Any], battery: list[bytes]) -> None:
    expected = model(world)
    with pyxlist.open(index_path) as index:
        assert list(index.check()) == []
        for userid in USERS:
            view = index.view(userid, groups=groups_of(userid))
            for command in battery:
                status, untagged = expected.respond(userid, command)
                answer = view.respond(command)
                assert (answer.status, answer.untagged) == (status, untagged), (userid, command)
                if not command.startswith(b"NAMESPACE") and answer.status == "OK":
                    assert b"".join(view.stream(command)) == untagged


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_every_answer_equals_the_oracles(data: st.DataObject) -> None:
    """LIST in all forms, of every user, over random worlds and configurations."""
    world = data.draw(worlds())
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        pyxlist.build(folder / "db", folder / "index", **write(folder, world))
        compare(folder / "index", world, commands(data, 12))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_updating_equals_building_anew(data: st.DataObject) -> None:
    """An index brought from one world to another holds what a fresh index of the other holds."""
    before, after = data.draw(worlds()), data.draw(worlds())
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        pyxlist.build(folder / "db", folder / "index", **write(folder, before))
        for path in folder.glob("subs/*"):
            path.unlink()
        options = write(folder, after)
        pyxlist.build(folder / "db", folder / "index", **options)
        pyxlist.build(folder / "db", folder / "fresh", **options)
        with pyxlist.open(folder / "index") as updated, pyxlist.open(folder / "fresh") as fresh:
            assert list(updated.entries()) == list(fresh.entries())
        if after["uses"] or not before["uses"]:
            compare(folder / "index", after, commands(data, 4))
