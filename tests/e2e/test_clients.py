"""Ordinary IMAP clients against a server whose LIST is pyxlist, and the same clients against a real Cyrus."""

from __future__ import annotations

import contextlib
import imaplib
import pathlib
from collections.abc import Iterator
from random import Random
from typing import Any

import imapclient
import pytest
from imapclient.imapclient import SENT

import pyxlist
from tests.differential.host import Host
from tests.differential.server import Server, reachable_folder
from tests.e2e.imapserver import ImapServer
from tests.worlds import GROUPS, USUAL, World, groups_of, random_world

USERIDS = ("ann", "mar", "marta", "cyrus", "guest")


@contextlib.contextmanager
def serving(folder: pathlib.Path, made: World) -> Iterator[int]:
    """A port where the world is served by pyxlist."""
    conf = folder / "imapd.conf"
    conf.write_text("".join(f"{name}: {text}\n" for name, text in USUAL.items()))
    companions = made.write(folder)
    config = pyxlist.Config.from_imapd_conf(conf)
    pyxlist.build(folder / "mailboxes.db", folder / "index", config=config, **companions)
    with pyxlist.open(folder / "index") as index:
        with ImapServer(lambda userid: index.view(userid, groups=groups_of(userid))) as server:
            yield server.port
        assert list(index.check()) == []


def by_imaplib(port: int, userid: str) -> dict[str, Any]:
    """What imaplib makes of the answers."""
    client = imaplib.IMAP4("127.0.0.1", port, timeout=30)
    client.login(userid, "x")
    found = {
        "list": client.list(),
        "level": client.list('""', "%"),
        "referenced": client.list('"Shared Folders/"', "*"),
        "lsub": client.lsub(),
        "namespace": client.namespace(),
        "rights": client.myrights("INBOX"),
        "acl": client.getacl("INBOX"),
    }
    client.logout()
    return found


def by_imapclient(port: int, userid: str) -> dict[str, Any]:
    """What IMAPClient makes of the answers, which it parses to the last token."""
    with imapclient.IMAPClient("127.0.0.1", port, ssl=False, timeout=30, use_uid=False) as client:
        client.login(userid, "x")
        found: dict[str, Any] = {
            "list": client.list_folders(),
            "level": client.list_folders("", "%"),
            "lsub": client.list_sub_folders(),
            "xlist": client.xlist_folders(),
            "namespace": client.namespace(),
        }
        if found["namespace"].personal:  # IMAPClient cannot do without
            found["sent"] = client.find_special_folder(SENT)
        for folder in ("INBOX", "x"):
            try:
                found[f"acl {folder}"] = client.getacl(folder)
            except imapclient.exceptions.IMAPClientError as error:
                found[f"acl {folder}"] = str(error)
        return found


def plain_world(seed: int) -> World:
    """A random world in names that IMAPClient can decode: without octets that are no modified UTF-7."""
    made = random_world(Random(seed), 30, domains=False)
    kept = {key: box for key, box in made.mailboxes.items() if key.isascii() and b"&" not in key}
    subscribed = {who: tuple(k for k in keys if k.isascii() and b"&" not in k) for who, keys in made.subscribed.items()}
    return World(kept, subscribed, {key: use for key, use in made.uses.items() if key in kept})


@pytest.mark.parametrize("seed", range(3))
def test_clients_see_what_the_view_lists(tmp_path: pathlib.Path, seed: int) -> None:
    """imaplib and IMAPClient get the rows of View.list, in order."""
    made = plain_world(seed)
    with serving(tmp_path, made) as port, pyxlist.open(tmp_path / "index") as index:
        for userid in USERIDS:
            rows = list(index.view(userid, groups=groups_of(userid)).list("", "*"))
            folders = by_imapclient(port, userid)["list"]
            assert [(tuple(map(bytes.decode, flags)), name) for flags, _, name in folders] == [
                (row.attributes, row.name) for row in rows
            ]
            status, lines = by_imaplib(port, userid)["list"]
            assert status == "OK"
            assert len([line for line in lines if line]) == len(rows)


def test_a_client_that_misbehaves_is_answered(tmp_path: pathlib.Path) -> None:
    """Refusals reach the client as NO and BAD, and the session goes on."""
    with serving(tmp_path, plain_world(0)) as port:
        client = imaplib.IMAP4("127.0.0.1", port, timeout=30)
        with pytest.raises(imaplib.IMAP4.error):
            client.xatom("LIST", '""', "*")
        client.login("ann", "x")
        assert client.myrights("nowhere")[0] == "NO"
        with pytest.raises(imaplib.IMAP4.error):
            client.xatom("LIST", "(BOGUS)", '""', "*")
        assert client.list()[0] == "OK"
        client.logout()


@pytest.mark.cyrus
@pytest.mark.parametrize("seed", range(4))
def test_clients_cannot_tell_the_two_apart(tmp_path: pathlib.Path, seed: int) -> None:
    """The same world served by Cyrus and by pyxlist: everything both clients parse is equal."""
    made = plain_world(100 + seed)
    with (
        serving(tmp_path, made) as port,
        reachable_folder() as folder,
        Server(folder / "server", [dict(USUAL)], GROUPS) as cyrus,
    ):
        host = Host(cyrus)
        host.install(made)
        for userid in USERIDS:
            assert by_imaplib(port, userid) == by_imaplib(cyrus.ports[0], userid)
            assert by_imapclient(port, userid) == by_imapclient(cyrus.ports[0], userid)
        host.close()
